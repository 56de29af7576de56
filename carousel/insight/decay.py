"""The decay of a gradient with the lag: its factor per step with an interval, and the memory length that follows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from carousel.insight.refusal import TooShort
from carousel.insight.shown import ShownAsText

FEWEST_LAGS = 4
FEWEST_SAMPLES = 4
ROUNDING = 1e-6  # in float32, a factor this close to 1 is not distinguishable from 1


@dataclass(frozen=True)
class Decay(ShownAsText):
    """g(k) = g(0) * factor^k, fitted to the logarithm over lags 1 to `lags`.

    low, high: the bootstrap interval of the factor (resampled over steps and over sequences), at `confidence`.
    start: the fitted g(0). misfit: the root mean square of the residuals of ln g, in nats; 0.1 is 10 %. It is large for
        a sum of several time scales, which is no straight line.
    """

    factor: float
    low: float
    high: float
    start: float
    misfit: float
    lags: int
    confidence: float

    @property
    def kind(self) -> str:
        """ "vanishing" if the interval lies below 1, "exploding" if it lies above 1, "steady" if it contains 1.

        It holds for the measured lags. A gradient that enters a state through nearly closed gates may rise before it
        falls.
        """
        return "vanishing" if self.high < 1 - ROUNDING else "exploding" if self.low > 1 + ROUNDING else "steady"

    def beyond(self, ratio: float = 1e-6) -> float:
        """The lag, in steps, at which the gradient has fallen to this ratio; infinite if it does not fall."""
        return math.log(ratio) / math.log(self.factor) if 0 < self.factor < 1 else math.inf

    def __str__(self) -> str:
        interval = f"{self.factor:.3g} a step ({self.low:.3g} to {self.high:.3g})"
        if self.kind == "vanishing":
            return f"vanishing: shrinks by {interval}; a millionth is left after {self.beyond():.0f} steps"
        if self.kind == "exploding":
            return f"exploding: grows by {interval}; tenfold every {math.log(10) / math.log(self.factor):.0f} steps"
        return f"steady: changes by {interval} over {self.lags} lags"


@dataclass(frozen=True)
class MemoryLength(ShownAsText):
    """How far back a network remembers: the number of steps after which a gradient has fallen to 1/e (37 %).

    steps: -1 / ln(factor), infinite if the gradient does not fall. For a forget gate it equals the time constant that
        `Gates.time_constants` measures for each unit.
    low, high: its interval, in steps. confidence: the level of the interval, 0.95 by default.
    """

    steps: float
    low: float
    high: float
    confidence: float

    def __str__(self) -> str:
        return f"{self.steps:.3g} steps ({self.low:.3g} to {self.high:.3g})"


def geometric_mean(samples: Tensor) -> tuple[Tensor, Tensor]:
    """The geometric mean at each lag, (K), and the share of samples that are not exactly 0. samples: (A, B, K), NaN if
    missing.

    Zeros, which rectified units give, are left out of the mean, because their logarithm is infinite.
    """
    there, positive = ~samples.isnan(), samples > 0
    count = positive.sum((0, 1))
    logs = torch.where(positive, samples, 1.0).log().sum((0, 1)) / count
    share = count / there.sum((0, 1)).clamp(min=1)
    means = torch.where(count > 0, logs.exp(), torch.where(there.any(0).any(0), 0.0, math.nan))
    return means, share


def fit_decay(samples: Tensor, *, what: str, confidence: float = 0.95, resamples: int = 400, seed: int = 0) -> Decay:
    """Fits g(k) = g(0) * factor^k to (A, B, K) samples g, from A steps and B sequences, at lags 1 to K.

    The line is fitted by least squares to the mean of ln g at every lag, with equal weights, up to the last lag at
    which more than half of the samples exist and have not underflowed to 0. The interval comes from a bootstrap that
    draws steps and sequences with replacement, independently of each other. It is conservative if both vary (Owen, "The
    pigeonhole bootstrap", Annals of Applied Statistics 1, 2007).

    Raises TooShort with fewer than 4 lags or 4 samples; `what` begins its message.
    """
    samples = samples.double()
    tiny = torch.finfo(samples.dtype).tiny
    good = (samples > tiny) & samples.isfinite()  # False for NaN
    share = good.sum((0, 1)) / good.sum((0, 1)).amax().clamp(min=1)
    long = int((share > 0.5).long().cumprod(0).sum())
    count = int(good[..., 0].sum()) if good.numel() else 0
    if long < FEWEST_LAGS:
        raise TooShort(
            f"{what}: a factor a step needs at least {FEWEST_LAGS} lags at which gradients are above 0, "
            f"but there are {long}. Give longer sequences, or ask for more lags.",
            needed=FEWEST_LAGS,
        )
    if count < FEWEST_SAMPLES:
        raise TooShort(
            f"{what}: an interval needs at least {FEWEST_SAMPLES} pairs of a step and a sequence to start from, "
            f"but there are {count}. Give more sequences, or more steps with at=.",
            needed=FEWEST_SAMPLES,
        )
    good, logs = good[..., :long], torch.where(good, samples, 1.0).log()[..., :long]
    weights = torch.ones(1, good.shape[0], dtype=logs.dtype), torch.ones(1, good.shape[1], dtype=logs.dtype)
    slope, start, misfit = _line(logs, good, *weights)
    random = torch.Generator().manual_seed(seed)
    slopes, _, _ = _line(logs, good, *(_counts(size, resamples, random) for size in good.shape[:2]))
    tail = (1 - confidence) / 2
    low, high = torch.nanquantile(slopes, torch.tensor([tail, 1 - tail], dtype=slopes.dtype)).exp().tolist()
    factor = math.exp(slope.item())
    return Decay(factor, min(low, factor), max(high, factor), math.exp(start.item()), misfit.item(), long, confidence)


def memory_length_of(decay: Decay, *, what: str) -> MemoryLength:
    """The memory length of a decay.

    Raises TooShort, with the decay as its estimate, if the lags span less than two memory lengths.
    """
    if decay.kind == "exploding":
        return MemoryLength(math.inf, math.inf, math.inf, decay.confidence)
    if decay.kind == "steady":
        begun = (
            f"{what}: over the {decay.lags} lags measured the gradient falls by a factor of {decay.factor:.4g} a step, "
            f"which may be 1 ({decay.low:.4g} to {decay.high:.4g}): its memory length is greater than "
        )
        if decay.low >= 1 - ROUNDING:
            raise TooShort(
                f"{begun}any sequence can tell, since nothing is lost on the way, as in an identity or an orthogonal "
                f"network; longer sequences would not tell it either. decay() and step_jacobians() say what there is.",
                needed=math.inf,
                estimate=decay,
            )
        raise TooShort(
            f"{begun}these lags can show. Give many times longer sequences, or more of them.",
            needed=10 * decay.lags,
            estimate=decay,
        )
    steps, low, high = (-1 / math.log(factor) for factor in (decay.factor, decay.low, decay.high))
    if decay.lags < 2 * steps:
        raise TooShort(
            f"{what}: the gradient falls by {1 - decay.factor**decay.lags:.0%} over the {decay.lags} lags measured, "
            f"and a memory length of about {steps:.0f} steps cannot be measured from that; it takes at least "
            f"{math.ceil(2 * steps)} lags: give longer sequences, or more lags.",
            needed=math.ceil(2 * steps),
            estimate=decay,
        )
    return MemoryLength(steps, low, high, decay.confidence)


def _counts(size: int, resamples: int, random: torch.Generator) -> Tensor:
    """How often each of `size` items is drawn with replacement, (resamples, size)."""
    drawn = torch.randint(size, (resamples, size), generator=random)
    return torch.zeros(resamples, size, dtype=torch.float64).scatter_add_(
        1, drawn, torch.ones(1, 1).double().expand_as(drawn)
    )


def _line(logs: Tensor, good: Tensor, by_step: Tensor, by_sequence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Slope, value at lag 0 and misfit of a line through the mean of `logs` at each lag, for each of R weightings."""
    total = torch.einsum("ra,rb,abk->rk", by_step, by_sequence, torch.where(good, logs, 0.0))
    weight = torch.einsum("ra,rb,abk->rk", by_step, by_sequence, good.to(logs.dtype))
    there = (weight > 0).to(logs.dtype)
    mean = total / weight.clamp(min=1)
    lags = torch.arange(1, logs.shape[-1] + 1, dtype=logs.dtype)
    count = there.sum(-1).clamp(min=1)
    centre = (there * lags).sum(-1) / count
    level = (there * mean).sum(-1) / count
    distance = there * (lags - centre[:, None])
    slope = (distance * mean).sum(-1) / (distance * distance).sum(-1).clamp(min=1e-300)
    start = level - slope * centre
    rest = there * (mean - start[:, None] - slope[:, None] * lags)
    # If a resample has only sequences that are too short for a line, it has no slope.
    slope = torch.where(count >= FEWEST_LAGS, slope, torch.nan)
    return slope, start, ((rest * rest).sum(-1) / count).sqrt()
