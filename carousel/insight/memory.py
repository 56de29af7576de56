"""How far back a sequence, or its target, depends on the sequence: what a network has to remember."""

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
MATTERS = 0.01  # of the variance or the entropy: a lag that explains less does not matter
ORDERED = 0.9  # counts must explain this share of the dependence of symbols
SYMBOLS = 64  # the number of distinct symbols; rarer ones count as one


@dataclass(frozen=True)
class Memory(Shown):
    """The dependence of data at lags 1 to K, between 0 and 1.

    dependence: (K), the largest over channels. noise: (K), a bound that data without dependence at this lag and longer
        lags exceed in one of a hundred cases, at any lag.
    reach: the longest lag that matters and exceeds the noise, or, if longer, the last of the first lags that all matter
        and each exceed a bound which chance exceeds in one of twenty cases; 0 if there is none. A lag matters if it
        explains 1 % of the variance of numbers (a correlation of 0.1), or 1 % of the entropy of symbols.
    cut_off: whether the reach is among the last measured lags, so that the true reach may be longer.
    assumed: a phrase that says how the data were interpreted.
    """

    dependence: Tensor
    noise: Tensor
    reach: int
    cut_off: bool
    assumed: str = ""

    @property
    def lags(self) -> Tensor:
        """The lags 1 to K in steps, (K)."""
        return torch.arange(1, len(self.dependence) + 1)


def data_memory(
    x: Any, target: Any = None, *, lags: int | None = None, kind: str | None = None, seed: int = 0
) -> Memory:
    """Measures how far back x_t, or target_t, depends on x_{t-k}.

    x: (T), (T, B) or (T, B, channels). target: the same, (T), (T, B) or (T, B, O). Default: x itself.
    lags: the number of lags. Default: half of the steps.
    kind: "numbers", which have an order, as counts do; or "symbols", integers that are only names, (T) or (T, B).
        Default: floating-point data are numbers. Integers are measured both ways; they are counts if that reaches
        further and if their order explains nearly all of their dependence. `assumed` says which was chosen.
    seed: of the random surrogates.

    Numbers: |correlation| of x_t and x_{t-k}, each with the mean and deviation of its own steps; the largest over
        channels. Trends and seasons count as memory too.
    Symbols: the informational correlation sqrt(1 - exp(-2 I)) of the mutual information I, which equals |correlation|
        for normal variables (Linfoot, Information and Control 1, 1957), minus the mean value of chance. The 63 most
        frequent symbols are distinguished.
    Noise: from surrogates, which are blocks of the data in random order. Blocks no longer than a lag keep shorter
        dependence, and the slow swings that make chance correlations large, but lose the dependence at that lag
        (Künsch, Annals of Statistics 17, 1989; Theiler et al., Physica D 58, 1992). There are at least 16 blocks, so
        that no swings longer than a sixteenth of the data are kept. With a target, x has the longest such blocks.

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
    # Integers may be names, which have no order, or counts. The dependence of symbols includes that of counts. They
    # are counts if that reaches further, and if their order explains nearly all of the dependence.
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
    # For consecutive lags from the first, a bound for a single lag suffices, because no lag is chosen among many.
    near = int((matters & (dependence > bounds.here)).long().cumprod(0).sum())
    reach = max(near, int(far.max()) + 1 if len(far) else 0)
    # Dependence that returns after a number of lags, as in a season, would next return beyond the last lag.
    again = int(far.flatten().diff().max()) if len(far) > 1 else 1
    return Memory(dependence, bounds.anywhere, reach, reach > count - max(1, count // 20, again), assumed)


def _columns(name: str, values: Any, kind: str | None) -> Tensor:
    """The values as (T, B, channels), in float64, or as integers if they may be symbols."""
    values = torch.as_tensor(values).detach().cpu()
    if values.dim() not in (1, 2, 3):
        raise DataError(f"{name} must be (T), (T, B) or (T, B, channels), but has the shape {tuple(values.shape)}.")
    if kind == "symbols":
        if values.is_floating_point() or values.dim() == 3:
            raise DataError(
                f"{name}: symbols must be whole numbers, (T) or (T, B), but are {values.dtype} of the shape "
                f"{tuple(values.shape)}."
            )
    elif kind == "numbers" or values.dim() == 3:  # symbols have no channels
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
    """Integers as one channel of 0 and 1 for each value, and one channel of the integers; other numbers unchanged."""
    if values.is_floating_point() or kind == "numbers":
        return values.double()
    return torch.cat([F.one_hot(_frequent(values)[..., 0]).double(), values.double()], -1)


def _frequent(values: Tensor) -> Tensor:
    """Symbols numbered by frequency, where all rare ones have one number."""
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
    """The entropy in nats of the frequencies of symbols."""
    share = symbols.unique(return_counts=True)[1].double() / symbols.numel()
    return -(share * share.log()).sum()


def information(x: Tensor, y: Tensor) -> Tensor:
    """The mutual information in nats of paired symbols, from the counts of pairs."""
    joint = torch.bincount((x * SYMBOLS + y).flatten(), minlength=SYMBOLS * SYMBOLS).view(SYMBOLS, SYMBOLS).double()
    joint = joint / x.numel()
    apart = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return torch.special.xlogy(joint, joint / torch.where(apart > 0, apart, 1.0)).sum()


def _correlation(information: Tensor) -> Tensor:
    return (1 - torch.exp(-2 * information.clamp(min=0.0))).sqrt()
