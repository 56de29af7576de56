"""How far back a sequence depends on itself, or its target on it: what a network would have to remember."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from carousel.errors import DataError
from carousel.insight.refusal import TooShort
from carousel.insight.shown import Shown
from carousel.insight.surrogates import Bounds, bounds_of_information, bounds_of_numbers, strongest_correlations

FEWEST_STEPS = 10
MATTERS = 0.01  # of the variance, or of the entropy: a lag that explains less is not worth remembering
ORDERED = 0.9  # of the dependence of symbols that counts must show
SYMBOLS = 64  # that are distinguished; the rarer ones count as one


@dataclass(frozen=True)
class Memory(Shown):
    """Dependence at lags 1 to K, between 0 and 1.

    dependence: (K), the strongest of all channels. noise: (K), what data whose dependence ends before that lag would
        hardly exceed at any lag.
    reach: the longest lag that matters and is above the noise, or up to which all matter and are above what chance
        exceeds once in twenty times; 0 if none is. A lag matters that tells a hundredth of what is to be known: 1 % of
        the variance of numbers (a correlation of 0.1), 1 % of the entropy of symbols.
    cut_off: whether that is at the last lags measured, so that the true reach is longer.
    assumed: in words, how the data were read.
    """

    dependence: Tensor
    noise: Tensor
    reach: int
    cut_off: bool
    assumed: str = ""

    @property
    def lags(self) -> Tensor:
        return torch.arange(1, len(self.dependence) + 1)


def data_memory(
    x: Any, target: Any = None, *, lags: int | None = None, kind: str | None = None, seed: int = 0
) -> Memory:
    """How far back x_t, or target_t, depends on x_{t-k}.

    x: (T), (T, B) or (T, B, channels). target: the same, (T), (T, B) or (T, B, O). Default: x itself.
    lags: how many. Default: half of the steps.
    kind: "numbers", which have an order (counts too), or "symbols", whole numbers that only name something, (T) or
        (T, B). Default: numbers with a point are numbers; whole ones are read both ways, and are counts where that
        reaches further and their order tells nearly all that they tell of each other. `assumed` says which.

    Numbers: |correlation| of x_t and x_{t-k}, each with the mean and deviation of its own steps, the largest over
        channels. What goes on from step to step is memory, trends and seasons too.
    Symbols: the informational correlation sqrt(1 - exp(-2 I)) of the mutual information I, which is |correlation|
        where both are normal (Linfoot, Information and Control 1, 1957), less what chance finds. The 63 most frequent
        symbols are distinguished.
    Noise: from surrogates, the data cut into blocks that are put together again in a random order. Blocks no longer
        than a lag keep what dependence is shorter, and the slow swings that make chance correlations large, and lose
        what is at that lag (Künsch, Annals of Statistics 17, 1989; Theiler et al., Physica D 58, 1992). At least 16
        blocks there are, so that beyond a sixteenth of the data the swings that are kept are those of that length.
        With a target, x is cut into the longest such blocks.

    Raises TooShort with fewer than 10 steps; DataError for shapes that do not fit, and for data that never change.
    """
    if kind not in (None, "numbers", "symbols"):
        raise DataError(f"kind= must be 'numbers' or 'symbols', not {kind!r}.")
    given = _columns("x", x, kind)
    asked = given if target is None else _columns("target", target, kind)
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
    itself, whole = target is None, [not values.is_floating_point() for values in (given, asked)]
    if not all(whole) or kind == "numbers":
        return _of_numbers(_numbers(given, kind), _numbers(asked, kind), count, itself, seed)
    as_symbols = _of_symbols(given, asked, count, itself, seed)
    if kind == "symbols" or len(given.unique()) <= 2 >= len(asked.unique()):
        return as_symbols
    # Names have no order and counts have one, and nothing says which these are. What symbols tell of each other
    # includes what counts do: they are counts where that reaches further, and their order tells nearly all.
    as_counts = _of_numbers(given.double(), asked.double(), count, itself, seed)
    ordered = as_counts.dependence.mean() >= ORDERED * as_symbols.dependence.mean()
    if ordered and as_counts.reach > as_symbols.reach:
        why = "whole numbers whose order tells nearly all that they tell of each other, read as counts"
        return replace(as_counts, assumed=f"{why}; kind= says which they are")
    return replace(as_symbols, assumed="whole numbers, read as symbols; as counts they tell no more; kind= says which")


def _judged(dependence: Tensor, bounds: Bounds, least: float, assumed: str) -> Memory:
    count = len(dependence)
    matters = dependence > least
    far = (matters & (dependence > bounds.anywhere)).nonzero()
    # One lag after another from the first, there is no choice among many that noise would have to account for.
    near = int((matters & (dependence > bounds.here)).long().cumprod(0).sum())
    reach = max(near, int(far.max()) + 1 if len(far) else 0)
    # What comes back at every so many lags, as a season does, would next come back beyond the last.
    again = int(far.flatten().diff().max()) if len(far) > 1 else 1
    return Memory(dependence, bounds.anywhere, reach, reach > count - max(1, count // 20, again), assumed)


def _columns(name: str, values: Any, kind: str | None) -> Tensor:
    """(T, B, channels) of float64, or of whole numbers for what may be symbols."""
    values = torch.as_tensor(values).detach().cpu()
    if values.dim() not in (1, 2, 3):
        raise DataError(f"{name} must be (T), (T, B) or (T, B, channels), but has the shape {tuple(values.shape)}.")
    if kind == "symbols":
        if values.is_floating_point() or values.dim() == 3:
            raise DataError(
                f"{name}: symbols must be whole numbers, (T) or (T, B), but are {values.dtype} of the shape "
                f"{tuple(values.shape)}."
            )
    elif kind == "numbers" or values.dim() == 3:  # names of things have no channels
        values = values.double()
    values = values[:, None] if values.dim() == 1 else values
    values = values[..., None] if values.dim() == 2 else values
    values = values.double() if values.is_floating_point() else values.long()
    if not values.double().isfinite().all():
        raise DataError(f"{name} must hold finite numbers; fill or cut what is missing.")
    if (values == values.flatten()[0]).all():
        raise DataError(f"{name} is the same at every step, so there is nothing to remember.")
    return values


def _numbers(values: Tensor, kind: str | None) -> Tensor:
    """Whole numbers as a channel for each, 0 or 1, and one of the numbers themselves; numbers as they are."""
    if values.is_floating_point() or kind == "numbers":
        return values.double()
    return torch.cat([F.one_hot(_frequent(values)[..., 0]).double(), values.double()], -1)


def _frequent(values: Tensor) -> Tensor:
    """Symbols renumbered by frequency, the rare ones taken together."""
    kinds, place, counts = values.unique(return_inverse=True, return_counts=True)
    rank = torch.empty(len(kinds), dtype=torch.long)
    rank[counts.argsort(descending=True, stable=True)] = torch.arange(len(kinds))
    return rank[place].clamp(max=SYMBOLS - 1)


def _of_numbers(x: Tensor, y: Tensor, count: int, itself: bool, seed: int) -> Memory:
    x, y = _standardised(x), _standardised(y)
    other = None if itself else y
    found = strongest_correlations(x, other, count)
    bounds = bounds_of_numbers(x, other, count, seed)
    return _judged(found, bounds, math.sqrt(MATTERS), "numbers, by correlation; trends and seasons count as memory")


def _standardised(values: Tensor) -> Tensor:
    centred = values - values.mean((0, 1))
    deviation = centred.square().mean((0, 1)).sqrt()
    return torch.where(deviation > 0, centred / deviation.clamp(min=1e-300), 0.0)


def _of_symbols(given: Tensor, asked: Tensor, count: int, itself: bool, seed: int) -> Memory:
    x, y = _frequent(given)[..., 0], _frequent(asked)[..., 0]
    steps = len(x)
    found = torch.stack([information(x[: steps - lag], y[lag:]) for lag in range(1, count + 1)])
    chance, bounds = bounds_of_information(x, None if itself else y, count, seed, information)
    bounds = Bounds(_correlation(bounds.anywhere), _correlation(bounds.here))
    least = _correlation(MATTERS * _entropy(y)).item()
    return _judged(_correlation(found - chance), bounds, least, "symbols, by mutual information")


def _entropy(symbols: Tensor) -> Tensor:
    """In nats, of how often each occurs."""
    share = symbols.unique(return_counts=True)[1].double() / symbols.numel()
    return -(share * share.log()).sum()


def information(x: Tensor, y: Tensor) -> Tensor:
    """Mutual information of symbols that stand beside each other, in nats, by their counts."""
    joint = torch.bincount((x * SYMBOLS + y).flatten(), minlength=SYMBOLS * SYMBOLS).view(SYMBOLS, SYMBOLS).double()
    joint = joint / x.numel()
    apart = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return torch.special.xlogy(joint, joint / torch.where(apart > 0, apart, 1.0)).sum()


def _correlation(information: Tensor) -> Tensor:
    return (1 - torch.exp(-2 * information.clamp(min=0.0))).sqrt()
