"""Which inputs an output depends on: its gradient by each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from carousel.errors import DataError
from carousel.insight.gradient_flow import per_step
from carousel.insight.observation import Observation, observe
from carousel.layers import Recurrent

LAST = 8  # outputs that are looked at, unless told otherwise


@dataclass(frozen=True)
class InputInfluence:
    """|d y_t / d x_s| for A chosen steps t and all T steps s of B sequences; the norm is over the input's elements.

    at: (A), the steps t; -1 alone where the output is one for each sequence. norms: (A, T, B), NaN where either step is
        padding; 0 where the output cannot see the input.
    """

    at: Tensor
    norms: Tensor

    def share(self, row: int = 0) -> Tensor:
        """(A, T), of one sequence: each output's norms divided by their sum, so that outputs can be compared."""
        norms = self.norms[:, :, row]
        return norms / norms.nansum(1, keepdim=True).clamp(min=torch.finfo(norms.dtype).tiny)


def input_influence(
    module: Callable[..., Any],
    *inputs: Any,
    at: Sequence[int] | None = None,
    of: str | Callable[[Tensor], Tensor] = "all",
    layer: Recurrent | str | None = None,
    **call: Any,
) -> InputInfluence:
    """How much each input moves the outputs at chosen steps, for an infinitely small push.

    module(*inputs, **call) is called once, in evaluation mode; the input is what the recurrent layer receives (behind
        an embedding: the vector of a symbol). The output is the module's.
    at: the steps t. Default: the last 8. An output that is one for each sequence, (B, ...), has none: its influence is
        A = 1 row, and at= is left out.
    of: what of the output at t. "all": all of it, the Frobenius norm of the Jacobian; one backward pass for each of its
        numbers and each t. "top": the largest number, such as the score of the likeliest symbol; one pass for each t.
        Or a function from the output to one number for each step and sequence, laid out as the layer's input.

    Raises DataError where the module has no such layer, for steps that there are not, or an output of another shape.
    Source: Madsen, "Visualizing memorization in RNNs", Distill (2019), which calls it connectivity.
    """
    seen = observe(module, inputs, call, layer, gradients=True)
    numbers = _numbers(seen, of)
    real = seen.timeline.real
    steps, batch = real.shape
    if numbers[0].dim() == 1:
        if at is not None:
            raise DataError(f"at= names steps of the output, and this one is not of steps but of {batch} sequences.")
        chosen, looked_at = [-1], torch.ones_like(real[:1])
        numbers = [values[None] for values in numbers]
    else:
        chosen = list(range(max(0, steps - LAST), steps)) if at is None else [t + steps if t < 0 else t for t in at]
        if not chosen or not all(0 <= t < steps for t in chosen):
            raise DataError(f"at= must name steps from 0 to {steps - 1} (or from the end, from -1), but is {at}.")
        looked_at = real[chosen]
    squares = torch.zeros(len(chosen), steps, batch, dtype=torch.float64)
    for values in numbers:
        for place, t in enumerate(chosen):
            gradient = seen.by_input(values[t].sum()).double()
            squares[place] += (gradient * gradient).sum(-1).cpu()
    norms = torch.where(real[None] & looked_at[:, None], squares.sqrt(), torch.nan)
    return InputInfluence(torch.tensor(chosen), norms)


def _numbers(seen: Observation, of: str | Callable[[Tensor], Tensor]) -> list[Tensor]:
    """What gradients are taken of, each (T, B), or (B) where the output is of sequences."""
    scores = seen.scores()
    shape = tuple(seen.timeline.real.shape)
    expected = f"The output must hold numbers for each step and sequence, {shape}, or for each sequence"
    if of == "all":
        values = list(scores.unbind(-1))
    elif of == "top":
        values = [scores.amax(-1)]
    elif callable(of):
        expected = f"of= must give {shape} numbers, one for each step and sequence, or one for each sequence"
        values = [of(scores)]
    else:
        raise DataError(f"of= must be 'all', 'top' or a function of the output, not {of!r}.")
    return [per_step(seen, v, expected) for v in values]
