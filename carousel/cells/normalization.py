"""Layer normalization as an equation, which the layer-normalised cells share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

from torch import Tensor, rsqrt

EPSILON = 1e-5  # torch.nn.LayerNorm's own default


def _mean(parts: Sequence[Tensor]) -> Tensor:
    return reduce(add, [part.mean(-1, keepdim=True) for part in parts]) / len(parts)


def normalize(parts: Sequence[Tensor]) -> list[Tensor]:
    """Shifts and scales the parts of one vector, which have equal sizes, so that together they have mean 0 and variance
    1.

        mu = mean(a),  sigma^2 = mean((a - mu)^2),  (a - mu) / sqrt(sigma^2 + 1e-5)      over all parts of a

    Source: Ba, Kiros & Hinton, "Layer normalization" (arXiv:1607.06450, 2016), equations 15 and 19, without gain.
    """
    mean = _mean(parts)
    centred = [part - mean for part in parts]
    variance = _mean([part * part for part in centred])
    scale = rsqrt(variance + EPSILON)
    return [part * scale for part in centred]
