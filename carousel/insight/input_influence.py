"""The influence of inputs on outputs: the gradient of each output with respect to each input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from carousel.errors import DataError
from carousel.insight.border import steps_named
from carousel.insight.gradient_flow import per_step
from carousel.insight.observation import Observation, observe, with_gradients
from carousel.insight.shown import Shown
from carousel.layers import Recurrent

LAST = 8  # the default number of outputs


@dataclass(frozen=True)
class InputInfluence(Shown):
    """|d y_t / d x_s| for A chosen steps t and all T steps s of B sequences; the norm is over the input's elements.

    at: (A), the steps t; only -1 if there is one output for each sequence. norms: (A, T, B), NaN where either step is
        padding; 0 where the output does not depend on the input.
    by_feature: (A, T, B, I), |d y_t / d x_s[i]| for each element i of the input, or None if it was not measured. The
        norms are the roots of the sums of its squares.
    """

    at: Tensor
    norms: Tensor
    by_feature: Tensor | None = None

    def share(self, row: int = 0) -> Tensor:
        """The norms of each output of one sequence divided by their sum over all steps, (A, T), so that outputs can be
        compared.

        row: the index of the sequence in the batch.
        """
        norms = self.norms[:, :, row]
        return norms / norms.nansum(1, keepdim=True).clamp(min=torch.finfo(norms.dtype).tiny)


@with_gradients
def input_influence(
    module: Callable[..., Any],
    *inputs: Any,
    at: Sequence[int] | None = None,
    of: str | Callable[[Tensor], Tensor] = "all",
    features: bool = False,
    layer: Recurrent | str | None = None,
    **call: Any,
) -> InputInfluence:
    """Measures how much an infinitely small change of each input changes the outputs at chosen steps.

    module(*inputs, **call) is called once, in evaluation mode. The input is that of the recurrent layer, such as the
        vector of a symbol after an embedding. The output is that of the module.
    at: the steps t. Default: the last 8. Leave it out if the module has one output for each sequence, (B, ...); the
        result then has A = 1.
    of: the part of the output at t. "all": all numbers, with the Frobenius norm of the Jacobian; one backward pass for
        each number and each t. "top": the largest number, such as the score of the likeliest symbol; one backward pass
        for each t. Or a function from the output to one number for each step and sequence in the layout of the layer's
        input.
    features: whether to measure each element of the input separately too (`by_feature`), which takes I times the
        memory.

    It works under no_grad and inference_mode too. Raises DataError if the module has no such layer, for unknown steps,
    or for an output of another shape; NotFinite for NaN and infinity in the data, the parameters, the layer's output
    and the values of `of`.
    Source: Madsen, "Visualizing memorization in RNNs", Distill (2019), which calls it connectivity.
    """
    observation = observe(module, inputs, call, layer, gradients=True)
    numbers = _numbers(observation, of)
    real = observation.timeline.real
    steps, batch = real.shape
    if numbers[0].dim() == 1:
        if at is not None:
            raise DataError(f"at= names steps of the output, and this one is not of steps but of {batch} sequences.")
        chosen, looked_at = [-1], torch.ones_like(real[:1])
        numbers = [values[None] for values in numbers]
    else:
        chosen = list(range(max(0, steps - LAST), steps)) if at is None else steps_named("at", at, steps)
        looked_at = real[chosen]
    squares = [torch.zeros(steps, batch, 1, dtype=torch.float64) for _ in chosen]
    for values in numbers:
        for place, t in enumerate(chosen):
            gradient = observation.by_input(values[t].sum()).double().cpu()
            square = gradient * gradient
            squares[place] = squares[place] + (square if features else square.sum(-1, keepdim=True))
    there = (real[None] & looked_at[:, None])[..., None]
    apart = torch.stack(squares)  # (A, T, B, I or 1)
    norms = torch.where(there, apart.sum(-1, keepdim=True).sqrt(), torch.nan)[..., 0]
    return InputInfluence(
        torch.tensor(chosen), norms, torch.where(there, apart.sqrt(), torch.nan) if features else None
    )


def _numbers(observation: Observation, of: str | Callable[[Tensor], Tensor]) -> list[Tensor]:
    """The numbers whose gradients are taken, each (T, B), or (B) if there is one output for each sequence."""
    if of == "all":
        return [
            per_step(observation, values, "the output must hold, for this,")
            for values in observation.scores().unbind(-1)
        ]
    if of == "top":
        return [per_step(observation, observation.scores().amax(-1), "the output must hold, for this,")]
    if callable(of):
        return [per_step(observation, of(observation.result_tensor()), "of= must give")]
    raise DataError(f"of= must be 'all', 'top' or a function of the output, not {of!r}.")
