"""A diagnosis in words: what is wrong with a recurrent network, how it was seen, what to try."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from carousel.insight.border import NotFinite
from carousel.insight.evidence import Diagnosis, Evidence, Finding
from carousel.insight.faults import FAULTS
from carousel.insight.refusal import TooShort
from carousel.layers import Recurrent

FEWEST_STEPS = 20


def diagnose(
    module: Callable[..., Any],
    *inputs: Any,
    loss: Callable[[Tensor], Tensor] | None = None,
    target: Any = None,
    memory: int | None = None,
    window: int | None = None,
    lags: int | None = None,
    gradient_norms: Sequence[float] | None = None,
    clip: float | None = None,
    layer: Recurrent | str | None = None,
    **call: Any,
) -> Diagnosis:
    """Looks for faults of a network on data like those it is to learn from; an empty list where none is found.

    module(*inputs, **call): as in `gradient_flow`, with the first input, or what the layer receives, as the data.
    loss: as in `gradient_flow`. target: what is to be predicted, laid out time first; tells how far back it depends on
        the input. Default: the input itself, by its autocorrelation.
    memory: how many steps back the data reach, where it is known. It must be given for ragged batches and resets, or
        nothing that depends on it can be found.
    window: how many steps training backpropagates over. Default: those of the data.
    lags: how many steps gradients are followed back, as in `gradient_flow`. Default: half of the steps.
    gradient_norms, clip: of the steps of a training, before clipping, and the limit.

    Looks for "not-finite" (which, found in the data, the parameters or the loss, is all that is reported, since every
    measure of it is NaN too), "inputs-unscaled", "exploding", "vanishing", "forget-gates-shut", "saturated-gates",
    "dead-units", "state-drift", "window-too-short" and "always-clipped"; `carousel.insight.faults` says when each is
    reported. What could not be judged is reported too, as "cannot-be-told": an empty list means that all was judged.
    Best of a fresh network, and again of a trained one.

    Raises TooShort with fewer than 20 steps; DataError where the module has no such layer, for arguments that
    contradict each other, and for cells whose step runs as plain Python.
    """
    evidence = Evidence(module, inputs, call, loss, target, memory, window, lags, gradient_norms, clip, layer)
    try:
        return Diagnosis(_found(evidence))
    except NotFinite as problem:
        return Diagnosis([Finding("not-finite", f"{problem.what} is not finite", f"it {problem.seen}", problem.advice)])


def _found(evidence: Evidence) -> list[Finding]:
    evidence.check()
    if evidence.steps < FEWEST_STEPS:
        raise TooShort(
            f"A diagnosis follows gradients back over half of the steps: it needs {FEWEST_STEPS} steps, "
            f"but there are {evidence.steps}.",
            needed=FEWEST_STEPS,
        )
    return [finding for fault in FAULTS.values() for finding in fault(evidence)]
