"""Lyapunov exponents: the long-term rates at which nearby states move apart or together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from carousel.errors import DataError
from carousel.insight.observation import observe, with_gradients
from carousel.insight.refusal import TooShort
from carousel.insight.shown import Shown
from carousel.insight.unrolling import pushed, unroll
from carousel.layers import Recurrent

LEADING = 8  # the default number of exponents
FEWEST_STEPS = 20
BLOCKS = 10


@dataclass(frozen=True)
class Lyapunov(Shown):
    """The k leading Lyapunov exponents, in nats per step, largest first.

    low, high: (k), 95 % intervals, from a bootstrap over blocks of a tenth of the steps. running: (T', k), the estimate
        after each step, averaged over sequences; it should have converged. -inf: a direction that is lost completely.
    tolerance: the largest exponent that rounding alone can give instead of 0. In a dtype of precision eps the error of
        a step of n units is at most n * eps, and that bounds the error of the mean over steps too.
    """

    exponents: Tensor
    low: Tensor
    high: Tensor
    running: Tensor
    tolerance: float = 0.0

    @property
    def kind(self) -> str:
        """ "contracting" if nearby states come together, "chaotic" if they move apart, "undecided" if the largest
        exponent may be 0."""
        low, high = self.low[0], self.high[0]
        return "contracting" if high < -self.tolerance else "chaotic" if low > self.tolerance else "undecided"


@with_gradients
def lyapunov(
    module: Callable[..., Any],
    *inputs: Any,
    place: int = -1,
    count: int | None = None,
    discard: int | None = None,
    layer: Recurrent | str | None = None,
    seed: int = 0,
    **call: Any,
) -> Lyapunov:
    """The Lyapunov exponents of one scan along the trajectory of module(*inputs, **call), in evaluation mode.

        Q_t R_t = J_t Q_{t-1},   exponent_i = mean of ln |R_t[i, i]| over t      J_t: the Jacobian of step t

    place: the scan, in the order of hx. count: the number of exponents. Default: 8, or all if the state has fewer
    units.
    discard: the number of first steps that are ignored, while Q turns to the leading directions. Default: a tenth.
    layer: the recurrent layer to look at, or its name in the module, if there are several.
    seed: of the first Q, which is drawn at random, and of the bootstrap of the intervals.

    A step includes all that the layer does in it, as in `step_jacobians`. Raises TooShort if fewer than 20 steps are
    left; DataError for resets, which end a trajectory, and if there is no such layer or place; NotFinite for NaN and
    infinity.
    Sources: Benettin, Galgani, Giorgilli & Strelcyn, Meccanica 15 (1980); for recurrent networks: Vogt et al.
    (arXiv:2006.14123, 2022).
    """
    observation = observe(module, inputs, call, layer)
    if observation.timeline.starts.any():
        raise DataError("Lyapunov exponents follow one trajectory, and reset= ends it: measure the sequences apart.")
    scan = unroll(observation, place)
    steps, batch, units = scan.before.shape
    count = min(LEADING, units) if count is None else count
    if not 1 <= count <= units:
        raise DataError(f"count must lie between 1 and the {units} units of the state, but is {count}.")
    skipped = steps // 10 if discard is None else discard
    if steps - skipped < FEWEST_STEPS:
        raise TooShort(
            f"Lyapunov exponents are averages over a long run: at least {FEWEST_STEPS} steps after the first "
            f"{skipped}, but there are {steps - skipped}. Give sequences of {FEWEST_STEPS + skipped} steps or more.",
            needed=FEWEST_STEPS + skipped,
        )
    random = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(batch, units, count, generator=random, dtype=torch.float64)).Q
    logs = []
    for place_in_order, t in enumerate(scan.order):
        new, r = torch.linalg.qr(pushed(scan, t, q).double().cpu())
        # Padding is no step.
        real = observation.timeline.real[t]
        q = torch.where(real[:, None, None], new, q)
        if place_in_order >= skipped:
            logs.append(torch.where(real[:, None], r.diagonal(dim1=-2, dim2=-1).abs().log(), torch.nan))
    rounding = units * torch.finfo(scan.before.dtype).eps * (1 + (steps - skipped) ** -0.5)
    return _estimate(torch.stack(logs), random, rounding)


def _estimate(logs: Tensor, random: torch.Generator, tolerance: float) -> Lyapunov:
    """The exponents from ln |R_t[i, i]|, (T', B, k), which is NaN in the padding."""
    lost = (logs == -torch.inf).any(0).any(0)
    taken = torch.where(lost, 0.0, logs)
    there = ~taken.isnan()
    by_step = torch.where(there, taken, 0.0).sum(1), there.sum(1)
    total, number = (values.cumsum(0) for values in by_step)
    running = total / number.clamp(min=1)
    exponents = running[-1]
    order = torch.where(lost, -torch.inf, exponents).argsort(descending=True, stable=True)
    stretches = [torch.nanmean(part, 0) for part in taken.tensor_split(BLOCKS)]  # (B, k) each
    blocks = torch.stack(stretches).flatten(0, 1)
    blocks = blocks[~blocks.isnan().any(1)]
    drawn = torch.randint(len(blocks), (1000, len(blocks)), generator=random)
    means = blocks[drawn].mean(1)
    low, high = torch.quantile(means, torch.tensor([0.025, 0.975], dtype=means.dtype), dim=0)
    found = [torch.where(lost, -torch.inf, values)[..., order] for values in (exponents, low, high, running)]
    exponents, low, high, running = found
    return Lyapunov(exponents, low, high, running, tolerance)
