"""How far back a sequence depends on itself, or its target on it: what a network would have to remember."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from carousel.errors import DataError
from carousel.insight.refusal import TooShort

FEWEST_STEPS = 10
SHUFFLES = 20
MATTERS = 0.01  # of the variance, or of the entropy: so much must be told for it to be worth remembering
SYMBOLS = 64  # that are told apart; the rarer ones count as one


@dataclass(frozen=True)
class Memory:
    """Dependence at lags 1 to K, between 0 and 1.

    dependence: (K), the strongest of all channels. noise: (K), what independent data would hardly exceed.
    reach: the longest lag that matters and is above the noise, or up to which all matter and are above two standard
        deviations; 0 if none is. A lag matters that tells a hundredth of what is to be known: 1 % of the variance of
        numbers (a correlation of 0.1), 1 % of the entropy of symbols.
    cut_off: whether that is at the last lags measured, so that the true reach is longer.
    """

    dependence: Tensor
    noise: Tensor
    reach: int
    cut_off: bool

    @property
    def lags(self) -> Tensor:
        return torch.arange(1, len(self.dependence) + 1)


def data_memory(x: Any, target: Any = None, *, lags: int | None = None, seed: int = 0) -> Memory:
    """How far back x_t, or target_t, depends on x_{t-k}.

    x: (T), (T, B) or (T, B, I): real numbers; or symbols, integers of (T) or (T, B). target: the same of its own kind,
        (T), (T, B) or (T, B, O). Default: x itself.
    lags: how many. Default: half of the steps.

    Numbers: |correlation|, the largest over channels. The noise is the size that the largest of as many independent
        normal ones would have, with Bartlett's variance (1 + 2 * sum of squares so far) / N for a correlation.
    Symbols: the informational correlation sqrt(1 - exp(-2 I)) of the mutual information I, which is |correlation|
        where both are normal (Linfoot, Information and Control 1, 1957); I has the mean of 20 shuffles taken off, and
        the noise is the most that as many normal numbers of the shuffles' spread would reach. The 63 most frequent
        symbols are told apart.

    Raises TooShort with fewer than 10 steps; DataError for shapes that do not fit, and for data that never change.
    """
    given = _columns("x", x)
    asked = given if target is None else _columns("target", target)
    if asked.shape[:2] != given.shape[:2]:
        raise DataError(
            f"The target must have the steps and sequences of x, {tuple(given.shape[:2])}, "
            f"but has {tuple(asked.shape[:2])}."
        )
    steps = len(given)
    if steps < FEWEST_STEPS:
        raise TooShort(
            f"The memory of data needs at least {FEWEST_STEPS} steps, but there are {steps}.", needed=FEWEST_STEPS
        )
    count = steps // 2 if lags is None else lags
    if not 1 <= count < steps:
        raise DataError(f"lags must lie between 1 and {steps - 1}, for {steps} steps, but is {count}.")
    if given.dtype == torch.long and asked.dtype == torch.long:
        dependence, noise, usual = _of_symbols(given, asked, count, seed)
        least = _correlation(MATTERS * _entropy(asked)).item()
    else:
        dependence, noise, usual = _of_numbers(_numbers(given), _numbers(asked), count, itself=target is None)
        least = math.sqrt(MATTERS)
    matters = dependence > least
    far = (matters & (dependence > noise)).nonzero()
    # One lag after another from the first, there is no choice among many that noise would have to account for.
    near = int((matters & (dependence > usual)).long().cumprod(0).sum())
    reach = max(near, int(far.max()) + 1 if len(far) else 0)
    return Memory(dependence, noise, reach, cut_off=reach > count - max(1, count // 20))


def _columns(name: str, values: Any) -> Tensor:
    """(T, B, channels) of float64, or of whole numbers for symbols."""
    values = torch.as_tensor(values).detach().cpu()
    if values.dim() not in (1, 2, 3):
        raise DataError(f"{name} must be (T), (T, B) or (T, B, channels), but has the shape {tuple(values.shape)}.")
    symbols = not values.is_floating_point()
    if symbols and values.dim() == 3:
        raise DataError(f"{name}: symbols must be (T) or (T, B), but have the shape {tuple(values.shape)}.")
    values = values[:, None] if values.dim() == 1 else values
    values = values[..., None] if values.dim() == 2 else values
    values = values.long() if symbols else values.double()
    if not values.double().isfinite().all():
        raise DataError(f"{name} must hold finite numbers; fill or cut what is missing.")
    if (values == values.flatten()[0]).all():
        raise DataError(f"{name} is the same at every step, so there is nothing to remember.")
    return values


def _numbers(values: Tensor) -> Tensor:
    """Symbols as a channel for each, 0 or 1; numbers as they are."""
    return F.one_hot(_frequent(values)[..., 0]).double() if values.dtype == torch.long else values


def _frequent(values: Tensor) -> Tensor:
    """Symbols renumbered by frequency, the rare ones taken together."""
    kinds, place, counts = values.unique(return_inverse=True, return_counts=True)
    rank = torch.empty(len(kinds), dtype=torch.long)
    rank[counts.argsort(descending=True, stable=True)] = torch.arange(len(kinds))
    return rank[place].clamp(max=SYMBOLS - 1)


def _of_numbers(x: Tensor, y: Tensor, count: int, *, itself: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Dependence, what the noise hardly exceeds at any lag, and what it hardly exceeds at a given one."""
    x, y = (_standardised(values) for values in (x, y))
    steps, batch, channels = x.shape
    # With the target itself every channel is held against its own past, otherwise against every channel of x.
    pairs = channels if itself else channels * y.shape[-1]
    likely = math.sqrt(2 * math.log(2 * count * pairs))
    found, deviation, squares = [], [], 0.0
    for lag in range(1, count + 1):
        past, now = x[: steps - lag], y[lag:]
        number = (steps - lag) * batch
        if itself:
            correlation = (past * now).sum((0, 1)) / number
        else:
            correlation = torch.einsum("tbi,tbo->io", past, now) / number
        strongest = correlation.abs().max().clamp(max=1.0).item()
        found.append(strongest)
        deviation.append(math.sqrt((1 + 2 * squares * itself) / number))
        squares += strongest**2
    deviations = torch.tensor(deviation, dtype=torch.float64)
    usual = max(2.0, math.sqrt(2 * math.log(2 * pairs)))
    return torch.tensor(found, dtype=torch.float64), likely * deviations, usual * deviations


def _standardised(values: Tensor) -> Tensor:
    centred = values - values.mean((0, 1))
    deviation = centred.square().mean((0, 1)).sqrt()
    return torch.where(deviation > 0, centred / deviation.clamp(min=1e-300), 0.0)


def _of_symbols(x: Tensor, y: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The same of symbols."""
    x, y = _frequent(x)[..., 0], _frequent(y)[..., 0]
    steps = len(x)
    random = torch.Generator().manual_seed(seed)
    # Pairs as there would be if they had nothing to do with each other, as many as at lag 0 and at the last lag: the
    # information that counting finds in them goes as 1 / N between the two.
    ends = []
    for number in (x.numel(), x.numel() // steps * (steps - count)):
        shuffles = [_information(*_shuffled(x, y, number, random)) for _ in range(SHUFFLES)]
        ends.append((1 / number, torch.stack(shuffles).mean(), torch.stack(shuffles).std()))
    (most, mean, spread), (fewest, last_mean, last_spread) = ends
    likely = math.sqrt(2 * math.log(2 * count))
    found, noise, usual = [], [], []
    for lag in range(1, count + 1):
        past, now = x[: steps - lag].flatten(), y[lag:].flatten()
        part = (1 / len(past) - most) / (fewest - most)
        found.append(_correlation(_information(past, now) - torch.lerp(mean, last_mean, part)))
        deviation = torch.lerp(spread, last_spread, part)
        noise.append(_correlation(likely * deviation))
        usual.append(_correlation(2 * deviation))
    return torch.stack(found), torch.stack(noise), torch.stack(usual)


def _entropy(symbols: Tensor) -> Tensor:
    """In nats, of how often each occurs."""
    share = symbols.unique(return_counts=True)[1].double() / symbols.numel()
    return -(share * share.log()).sum()


def _shuffled(x: Tensor, y: Tensor, number: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """As many pairs of an x and a y, each drawn without the other."""
    first, second = (torch.randperm(x.numel(), generator=random)[:number] for _ in range(2))
    return x.flatten()[first], y.flatten()[second]


def _information(x: Tensor, y: Tensor) -> Tensor:
    """Mutual information of two rows of symbols, in nats, by their counts."""
    joint = torch.bincount(x * SYMBOLS + y, minlength=SYMBOLS * SYMBOLS).view(SYMBOLS, SYMBOLS).double() / len(x)
    apart = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return torch.special.xlogy(joint, joint / torch.where(apart > 0, apart, 1.0)).sum()


def _correlation(information: Tensor) -> Tensor:
    return (1 - torch.exp(-2 * information.clamp(min=0.0))).sqrt()
