"""Surrogates: blocks of the data in a random order, which show how large dependence is by chance.

A block keeps all dependence within its length. In a random order, steps of two different blocks are independent, so
that any correlation between them is chance. It is larger for data that swing slowly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

SURROGATES = 40
FEWEST_SURROGATES = 10
FEWEST_BLOCKS = 16
AT_ONCE = 1 << 20  # numbers of surrogates that are computed together
MOST_PAIRS = 2000  # pairs of channels, over all surrogates of one block length
ALARMS = 0.01  # the share of data without memory at these lags in which some would be found


@dataclass(frozen=True)
class Bounds:
    """Bounds of chance by lag, (K) each.

    anywhere: chance exceeds it at any of the lags in one of a hundred cases. here: chance exceeds it at a given lag in
    one of twenty cases.
    """

    anywhere: Tensor
    here: Tensor


def strongest_correlations(x: Tensor, y: Tensor | None, count: int) -> Tensor:
    """The largest |correlation| over channels of x_{t-k} and y_t for k = 1 to K, (..., K).

    x: (..., T, B, C). y: (T, B, O), or None for each channel of x with itself. Means and deviations are those of the
    steps that take part.
    """
    steps, batch = x.shape[-3], x.shape[-2]
    size = 2 * steps
    spectrum = torch.fft.rfft(x, n=size, dim=-3)
    if y is None:
        products = (spectrum.conj() * spectrum).sum(-2)  # (..., F, C), summed over rows
        first = second = x
    else:
        products = torch.einsum("...fbc,...fbo->...fco", spectrum.conj(), torch.fft.rfft(y, n=size, dim=-3))
        products = products.flatten(-2)
        shape = (*products.shape[:-2], steps, batch, x.shape[-1], y.shape[-1])
        first = x[..., None].expand(shape).flatten(-2)
        second = y[..., None, :].expand(shape).flatten(-2)
    together = torch.fft.irfft(products, n=size, dim=-2)[..., 1 : count + 1, :]  # (..., K, pairs)
    pairs = (steps - torch.arange(1, count + 1, dtype=x.dtype)) * batch
    moments = [_moments(first, count, early=True), _moments(second, count, early=False)]
    (sum_x, square_x), (sum_y, square_y) = moments
    covariance = together - sum_x * sum_y / pairs[:, None]
    # A constant section has variance 0, whatever rounding leaves.
    least = 1e-12 * pairs[:, None]
    variances = [square - total * total / pairs[:, None] for total, square in ((sum_x, square_x), (sum_y, square_y))]
    there = (variances[0] > least) & (variances[1] > least)
    scale = torch.where(there, variances[0] * variances[1], 1.0).sqrt()
    return torch.where(there, covariance / scale, 0.0).abs().clamp(max=1.0).amax(-1)


def _moments(values: Tensor, count: int, *, early: bool) -> tuple[Tensor, Tensor]:
    """Sums of values and of their squares over the first T - k steps (early) or the last, (..., K, channels) each."""
    steps = values.shape[-3]
    ends = steps - torch.arange(1, count + 1)
    found = []
    for of in (values, values * values):
        rows = of.sum(-2)
        rows = rows if early else rows.flip(-2)
        found.append(rows.cumsum(-2)[..., ends - 1, :])
    return found[0], found[1]


def bounds_of_numbers(x: Tensor, y: Tensor | None, count: int, seed: int) -> Bounds:
    """The bounds of the largest |correlation| for numbers (T, B, C) with mean 0 and deviation 1."""
    random = torch.Generator().manual_seed(seed)
    steps, batch, channels = x.shape
    pairs = channels * (1 if y is None else y.shape[-1])
    at_once = max(1, AT_ONCE // (steps * batch * pairs))
    draws = min(SURROGATES, max(FEWEST_SURROGATES, MOST_PAIRS // pairs))
    anywhere, here = torch.empty(count, dtype=torch.float64), torch.empty(count, dtype=torch.float64)
    scales = _scales(steps, batch, count, itself=y is None)
    number = (steps - torch.arange(1, count + 1, dtype=torch.float64)) / steps
    for length, lags in scales:
        found = []
        for begin in range(0, draws, at_once):
            order = [shuffled_blocks(steps, batch, length, random) for _ in range(min(at_once, draws - begin))]
            found.append(strongest_correlations(x.flatten(0, 1)[torch.stack(order)], y, count)[:, lags])
        # Fisher's transform, after which the spread of chance depends only on the number of pairs.
        sizes = torch.atanh(torch.cat(found).clamp(max=1 - 1e-12)) * number[lags].sqrt()
        highest = sizes.amax(1)
        # Gumbel's extreme value distribution with the mean and the deviation of the largest value over these lags.
        rare = -math.log(-math.log1p(-ALARMS / len(scales))) - 0.5772156649
        limit = highest.mean() + highest.std() * rare * math.sqrt(6) / math.pi
        anywhere[lags] = torch.tanh(limit / number[lags].sqrt())
        here[lags] = torch.tanh(torch.quantile(sizes[:, :: max(1, sizes.shape[1] // 256)], 0.95) / number[lags].sqrt())
    return Bounds(anywhere, here)


def bounds_of_information(
    x: Tensor, y: Tensor | None, count: int, seed: int, measure: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Bounds]:
    """The mean information of chance in symbols (T, B) at each lag, and the bounds of information above that mean."""
    random = torch.Generator().manual_seed(seed)
    steps, batch = x.shape
    mean, anywhere, here = (torch.empty(count, dtype=torch.float64) for _ in range(3))
    for length, lags in _scales(steps, batch, count, itself=y is None):
        first, last = lags.start + 1, lags.stop
        looked_at = sorted({first, (first + last) // 2, last})
        found = []
        for _ in range(SURROGATES):
            shuffled = x.flatten()[shuffled_blocks(steps, batch, length, random)]
            now = shuffled if y is None else y
            # The information that counts show in independent pairs is proportional to 1 / (number of pairs).
            found.append(
                torch.stack([measure(shuffled[: steps - lag], now[lag:]) * (steps - lag) for lag in looked_at])
            )
        samples = torch.stack(found).flatten()
        number = steps - torch.arange(first, last + 1, dtype=torch.float64)
        # A deviation from n samples has a relative uncertainty of 1 / sqrt(2 n). Two of these are conservative.
        spread = samples.std() * (1 + 2 * (2 * len(samples)) ** -0.5)
        skew = (((samples - samples.mean()) / spread) ** 3).mean().clamp(min=0.0)
        mean[lags] = samples.mean() / number
        anywhere[lags] = spread * _quantile(1 - ALARMS / count, skew) / number
        here[lags] = spread * _quantile(0.95, skew) / number
    return mean, Bounds(anywhere, here)


def _quantile(probability: float, skew: Tensor) -> Tensor:
    """A quantile in deviations from the mean: the normal one, corrected for skewness (Cornish & Fisher 1938)."""
    z = torch.special.ndtri(torch.tensor(probability, dtype=torch.float64))
    return z + (z * z - 1) * skew / 6


def _scales(steps: int, batch: int, count: int, *, itself: bool) -> list[tuple[int, slice]]:
    """The lengths of blocks, each with its range of lags (as indices from 0): from its own length up to the next one.

    For data with a target there is a single length, the longest possible, so that both keep their swings.
    """
    most = max(1, min(steps, steps * batch // FEWEST_BLOCKS))
    if not itself:
        return [(1 << (most.bit_length() - 1), slice(0, count))]
    lengths = [1 << k for k in range(most.bit_length()) if 1 << k <= min(most, count)]
    ends = [*lengths[1:], count + 1]
    return [(length, slice(length - 1, end - 1)) for length, end in zip(lengths, ends, strict=True)]


def shuffled_blocks(steps: int, batch: int, length: int, random: torch.Generator) -> Tensor:
    """Indices t * B + b, (T, B), of blocks of all sequences in a random order. Their lengths are between half of
    `length` and `length`.

    With blocks of a single length, data with that period would be the same in any order.
    """
    count = steps * batch
    sizes = torch.randint((length + 1) // 2, length + 1, (2 * count // length + 2,), generator=random)
    # One row after another; the start of a row is the start of a block too.
    cuts = torch.cat([sizes.cumsum(0), torch.arange(0, count + 1, steps)]).unique()
    cuts = cuts[cuts <= count]
    order = torch.randperm(len(cuts) - 1, generator=random)
    begins, lengths = cuts[:-1][order], cuts.diff()[order]
    shift = begins - (lengths.cumsum(0) - lengths)
    there = torch.arange(count) + shift.repeat_interleave(lengths)
    return (there % steps * batch + there // steps).view(batch, steps).t()
