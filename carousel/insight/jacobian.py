"""The Jacobian of one step along a trajectory: what a step does to a small change of the state."""

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

STEPS = 32  # by default


@dataclass(frozen=True)
class StepJacobians(Shown):
    """J_t = d s_t / d s_{t-1} at S steps of B sequences, in float64.

    matrices: (S, B, n, n) of the whole state s, its parts (h and c) one behind the other; NaN where there is padding.
    steps: (S). parts: where each state stands among the n.
    """

    matrices: Tensor
    steps: Tensor
    parts: dict[str, slice]

    def of(self, state: str | None = None) -> Tensor:
        """(S, B, m, m), the block of one state, the others held; the whole if None. Raises DataError for no state."""
        if state is None:
            return self.matrices
        if state not in self.parts:
            raise DataError(f"There is no state {state!r}: there is {', '.join(self.parts)}.")
        return self.matrices[:, :, self.parts[state], self.parts[state]]

    def eigenvalues(self, state: str | None = None) -> Tensor:
        """(S, B, m), complex. Worked out anew at every call: it is the costly part."""
        return _each(self.of(state), torch.linalg.eigvals)

    def singular_values(self, state: str | None = None) -> Tensor:
        """(S, B, m), largest first: by how much a step stretches and shrinks changes of the state."""
        return _each(self.of(state), torch.linalg.svdvals)

    def spectral_radius(self, state: str | None = None) -> Tensor:
        """(S, B), the largest |eigenvalue|. Above 1 changes grow if such steps follow one another, below 1 they die."""
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
    """Jacobians of the steps of one scan, along the trajectory that module(*inputs, **call) takes, in evaluation mode.

    place: which scan, in the order of hx: a layer's Jacobian is that of its own recurrence, its input held.
    steps: which steps. Default: 32, evenly spread. Each costs n backward passes through one step.

    A step is all that the layer does in it: hooks (which are called again for it), keep= and add=, the cell, zoneout.
    Any cell, by autograd on the reference engine. Raises DataError where the module has no such layer, place or step;
    NotFinite for NaN and infinity.
    """
    seen = observe(module, inputs, call, layer)
    scan = unroll(seen, place)
    total = seen.timeline.steps
    if steps is None:
        chosen = torch.linspace(0, total - 1, min(STEPS, total)).round().long()
    else:
        chosen = torch.tensor(steps_named("steps", steps, total))
    found = []
    for t in chosen.tolist():
        real = seen.timeline.real[t][:, None, None]
        found.append(torch.where(real, jacobian(scan, t).double().cpu(), torch.nan))
    return StepJacobians(torch.stack(found), chosen, scan.parts)


def _each(matrices: Tensor, decomposition: Callable[[Tensor], Tensor]) -> Tensor:
    """A decomposition of every matrix that is one; NaN for the others, which LAPACK would refuse."""
    fine = matrices.isfinite().all(-1).all(-1)
    safe = torch.where(fine[..., None, None], matrices, 0.0)
    return torch.where(fine[..., None], decomposition(safe), torch.nan)
