"""What cells with a memory share: distances between members and a row, the first slot, and steps of many arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import Parameter, Signature
from typing import Any

import torch
from torch import Tensor

TINY = 1e-24  # under a root, so that the gradient of the length of a row of zeros is 0


def number_of(row: Any) -> Any:
    """The sum over the units of a row, or of each member: one number."""
    return row.sum(-1, keepdim=True)


def length(row: Any) -> Any:
    """The Euclidean length of a row, or of each member."""
    return torch.sqrt(number_of(row * row) + TINY)


def first_slot(slots: int) -> Tensor:
    """A weighting that lies on the first slot alone."""
    weighting = torch.zeros(slots)
    weighting[0] = 1.0
    return weighting


def with_arguments(step: Callable[..., Any], names: Iterable[str]) -> Callable[..., Any]:
    """A step that takes its arguments by keyword, as a step that asks for all of these names."""
    step.__signature__ = Signature([Parameter(name, Parameter.KEYWORD_ONLY) for name in names])  # type: ignore[attr-defined]
    return step
