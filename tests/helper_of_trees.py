"""What tests of layers over trees share: a forest, a layer with every parameter moved, rows, and masks."""

from __future__ import annotations

import os

import torch
from matrix import moved
from torch.nn import functional as F

from carousel import Recursive, Trees
from carousel.engines.native import binding

I, H = 2, 3
float64 = torch.float64
PARENTS = [[4, 3, 3, 4, -1], [-1], [1, 2, -1], [2, 2, 6, 5, 5, 6, -1]]
TREES = Trees(PARENTS)
ENGINES = ["reference"] if isinstance(absent := binding.find(), str) else ["reference", "native"]
assert len(ENGINES) == 2 or "CAROUSEL_REQUIRE_NATIVE" not in os.environ, absent


def layer_of(cell, **options) -> Recursive:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return moved(Recursive(cell, I, H, dtype=float64, **options), 0)


def rows(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=float64)


def seeded(function, *given, **named):
    torch.manual_seed(5)
    return function(*given, **named)


def mask(*shape: int) -> torch.Tensor:
    """The mask that a layer draws first after `seeded`."""
    return seeded(lambda: F.dropout(torch.ones(shape, dtype=float64), 0.5))
