"""The Jacobian of one step along a trajectory: the effect of a step on a small change of the state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from carousel.errors import DataError
from carousel.insight.border import steps_named
from carousel.insight.observation import observe, with_gradients
from carousel.insight.shown import Shown
from carousel.insight.unrolling import jacobian, unroll
from carousel.layers import Recurrent

STEPS = 32  # the default number of steps


@dataclass(frozen=True)
class StepJacobians(Shown):
    """J_t = d s_t / d s_{t-1} at S steps of B sequences, in float64.

    matrices: (S, B, n, n) for the whole state s, with its parts (h and c) one after another; NaN in the padding.
    steps: (S). parts: the range of each state among the n.
    """

    matrices: Tensor
    steps: Tensor
    parts: dict[str, slice]

    def of(self, state: str | None = None) -> Tensor:
        """The block of one state, (S, B, m, m), with the other states fixed; the whole if state is None. Raises
        DataError for an unknown state."""
        if state is None:
            return self.matrices
        if state not in self.parts:
            raise DataError(f"There is no state {state!r}: there is {', '.join(self.parts)}.")
        return self.matrices[:, :, self.parts[state], self.parts[state]]

    def eigenvalues(self, state: str | None = None) -> Tensor:
        """The eigenvalues of each Jacobian, (S, B, m) complex; NaN in the padding. Each call computes them again, which
        is expensive.

        state: the state whose block is meant, of m units, with the other states fixed. Default: the whole state.
        Raises DataError for an unknown state.
        """
        return _each(self.of(state), torch.linalg.eigvals)

    def singular_values(self, state: str | None = None) -> Tensor:
        """The singular values of each Jacobian, (S, B, m), largest first: the factors by which a step scales changes of
        the state.

        state: the state whose block is meant, of m units, with the other states fixed. Default: the whole state.
        Raises DataError for an unknown state.
        """
        return _each(self.of(state), torch.linalg.svdvals)

    def spectral_radius(self, state: str | None = None) -> Tensor:
        """The largest |eigenvalue| of each Jacobian, (S, B). If such steps repeat, changes grow above 1 and decay below
        1.

        state: the state whose block is meant, with the other states fixed. Default: the whole state.
        Raises DataError for an unknown state.
        """
        return self.eigenvalues(state).abs().amax(-1)


@with_gradients
def step_jacobians(
    module: Callable[..., Any],
    *inputs: Any,
    place: int = -1,
    steps: Sequence[int] | None = None,
    layer: Recurrent | str | None = None,
    **call: Any,
) -> StepJacobians:
    """Jacobians of the steps of one scan along the trajectory of module(*inputs, **call), in evaluation mode.

    place: the scan, in the order of hx. Its Jacobian is that of its own recurrence, with its input fixed.
    steps: the steps. Default: 32, evenly spread. Each costs n backward passes through one step.

    A step includes hooks (which are called again), keep= and add=, the cell, and zoneout. It works for any cell, by
    autograd on the reference engine. Raises DataError if there is no such layer, place or step; NotFinite for NaN and
    infinity.
    """
    observation = observe(module, inputs, call, layer)
    scan = unroll(observation, place)
    total = observation.timeline.steps
    if steps is None:
        chosen = torch.linspace(0, total - 1, min(STEPS, total)).round().long()
    else:
        chosen = torch.tensor(steps_named("steps", steps, total))
    found = []
    for t in chosen.tolist():
        real = observation.timeline.real[t][:, None, None]
        found.append(torch.where(real, jacobian(scan, t).double().cpu(), torch.nan))
    return StepJacobians(torch.stack(found), chosen, scan.parts)


def _each(matrices: Tensor, decomposition: Callable[[Tensor], Tensor]) -> Tensor:
    """Applies a decomposition to each matrix. A matrix with NaN, which LAPACK would refuse, gives NaN."""
    fine = matrices.isfinite().all(-1).all(-1)
    safe = torch.where(fine[..., None, None], matrices, 0.0)
    return torch.where(fine[..., None], decomposition(safe), torch.nan)
