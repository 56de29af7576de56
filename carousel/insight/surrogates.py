"""What chance makes of data that swing as these do: the data in blocks, put together again in a random order.

A block keeps all that goes on within its length. Put together anew, nothing is left between steps of two blocks, and
the correlation that is found between them all the same is chance: more of it where the data swing slowly.
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
AT_ONCE = 1 << 20  # numbers of surrogates that are worked on together
MOST_PAIRS = 2000  # of channels, of all surrogates of a scale
ALARMS = 0.01  # data without memory at these lags that are said to have some


@dataclass(frozen=True)
class Bounds:
    """(K) each, by lag. anywhere: what chance exceeds at any of the lags once in a hundred times; here: at a given one,
    once in twenty times."""

    anywhere: Tensor
    here: Tensor


def strongest_correlations(x: Tensor, y: Tensor | None, count: int) -> Tensor:
    """(..., K), the largest |correlation| over channels of x_{t-k}, (..., T, B, C), and y_t, (T, B, O), for k = 1 to K.

    Both have the mean and deviation of the steps that take part. y None: each channel of x with itself.
    """
    steps, batch = x.shape[-3], x.shape[-2]
    size = 2 * steps
    spectrum = torch.fft.rfft(x, n=size, dim=-3)
    if y is None:
        products = (spectrum.conj() * spectrum).sum(-2)  # (..., F, C), of all rows
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
    # What rounding leaves of a constant stretch is no variance.
    least = 1e-12 * pairs[:, None]
    variances = [square - total * total / pairs[:, None] for total, square in ((sum_x, square_x), (sum_y, square_y))]
    there = (variances[0] > least) & (variances[1] > least)
    scale = torch.where(there, variances[0] * variances[1], 1.0).sqrt()
    return torch.where(there, covariance / scale, 0.0).abs().clamp(max=1.0).amax(-1)


def _moments(values: Tensor, count: int, *, early: bool) -> tuple[Tensor, Tensor]:
    """(..., K, channels) each: sums of values and of their squares, of the first T - k steps, or of the last."""
    steps = values.shape[-3]
    ends = steps - torch.arange(1, count + 1)
    found = []
    for of in (values, values * values):
        rows = of.sum(-2)
        rows = rows if early else rows.flip(-2)
        found.append(rows.cumsum(-2)[..., ends - 1, :])
    return found[0], found[1]


def bounds_of_numbers(x: Tensor, y: Tensor | None, count: int, seed: int) -> Bounds:
    """Of the largest |correlation|, for numbers (T, B, C) of mean 0 and deviation 1."""
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
        # Fisher's transform, in which chance is as wide wherever it is, less so with fewer pairs.
        sizes = torch.atanh(torch.cat(found).clamp(max=1 - 1e-12)) * number[lags].sqrt()
        highest = sizes.amax(1)
        # The extreme value distribution of Gumbel with the mean and the deviation of the largest of these lags.
        rare = -math.log(-math.log1p(-ALARMS / len(scales))) - 0.5772156649
        limit = highest.mean() + highest.std() * rare * math.sqrt(6) / math.pi
        anywhere[lags] = torch.tanh(limit / number[lags].sqrt())
        here[lags] = torch.tanh(torch.quantile(sizes[:, :: max(1, sizes.shape[1] // 256)], 0.95) / number[lags].sqrt())
    return Bounds(anywhere, here)


def bounds_of_information(
    x: Tensor, y: Tensor | None, count: int, seed: int, measure: Callable[[Tensor, Tensor], Tensor]
) -> tuple[Tensor, Bounds]:
    """The information that chance finds in symbols, (T, B), at each lag on average, and the bounds of what is more."""
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
            # What counting finds in pairs that have nothing to do with each other goes as one over their number.
            found.append(
                torch.stack([measure(shuffled[: steps - lag], now[lag:]) * (steps - lag) for lag in looked_at])
            )
        samples = torch.stack(found).flatten()
        number = steps - torch.arange(first, last + 1, dtype=torch.float64)
        # A deviation from n samples is itself uncertain by one part in sqrt(2 n): two such are on the safe side.
        spread = samples.std() * (1 + 2 * (2 * len(samples)) ** -0.5)
        skew = (((samples - samples.mean()) / spread) ** 3).mean().clamp(min=0.0)
        mean[lags] = samples.mean() / number
        anywhere[lags] = spread * _quantile(1 - ALARMS / count, skew) / number
        here[lags] = spread * _quantile(0.95, skew) / number
    return mean, Bounds(anywhere, here)


def _quantile(probability: float, skew: Tensor) -> Tensor:
    """In deviations from the mean: the normal one, and what skewness adds to it (Cornish & Fisher 1938)."""
    z = torch.special.ndtri(torch.tensor(probability, dtype=torch.float64))
    return z + (z * z - 1) * skew / 6


def _scales(steps: int, batch: int, count: int, *, itself: bool) -> list[tuple[int, slice]]:
    """Lengths of blocks, each with the lags (as places from 0) that it is for: its own and more, up to the next.

    Of data and a target there is one length, as long as may be: both keep their own swings.
    """
    most = max(1, min(steps, steps * batch // FEWEST_BLOCKS))
    if not itself:
        return [(1 << (most.bit_length() - 1), slice(0, count))]
    lengths = [1 << k for k in range(most.bit_length()) if 1 << k <= min(most, count)]
    ends = [*lengths[1:], count + 1]
    return [(length, slice(length - 1, end - 1)) for length, end in zip(lengths, ends, strict=True)]


def shuffled_blocks(steps: int, batch: int, length: int, random: torch.Generator) -> Tensor:
    """(T, B) places t * B + b: blocks of half that many steps to that many, of all sequences, in a random order.

    Were they all of one length, data that come back after as many steps would be as they were in any order.
    """
    count = steps * batch
    sizes = torch.randint((length + 1) // 2, length + 1, (2 * count // length + 2,), generator=random)
    # Row after row, cut at every row's beginning too.
    cuts = torch.cat([sizes.cumsum(0), torch.arange(0, count + 1, steps)]).unique()
    cuts = cuts[cuts <= count]
    order = torch.randperm(len(cuts) - 1, generator=random)
    begins, lengths = cuts[:-1][order], cuts.diff()[order]
    shift = begins - (lengths.cumsum(0) - lengths)
    there = torch.arange(count) + shift.repeat_interleave(lengths)
    return (there % steps * batch + there // steps).view(batch, steps).t()
