"""A diagnosis in words: what is wrong with a recurrent network, the evidence, and what to try."""

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
    """Looks for faults of a network on data like those of its training. Returns an empty list if it finds none.

    module(*inputs, **call): as in `gradient_flow`. The data are the first input, or the input of the layer.
    loss: as in `gradient_flow`. target: the values to be predicted, time first; the diagnosis measures how far back
        they depend on the input. Default: the input itself, by its autocorrelation.
    memory: how many steps back the data depend on themselves, if it is known. Ragged batches and batches with resets
        need it; without it, faults that depend on it cannot be found.
    window: the number of steps over which training backpropagates. Default: the steps of the data.
    lags: the number of steps over which gradients are followed back, as in `gradient_flow`. Default: half of the steps.
    gradient_norms, clip: the norm of the gradient before clipping at each step of a training, and the clipping limit.

    It looks for "not-finite", "inputs-unscaled", "exploding", "vanishing", "forget-gates-shut", "saturated-gates",
    "dead-units", "state-drift", "window-too-short" and "always-clipped"; `carousel.insight.faults` says when each is
    reported. If the data, the parameters or the loss are not finite, only that is reported, because every other measure
    is NaN. A fault that could not be judged is reported as "cannot-be-told", so that an empty list means that all
    faults were judged. It is best to diagnose a network before training, and again after it.

    Raises TooShort with fewer than 20 steps. Raises DataError if the module has no such layer, for arguments that
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
