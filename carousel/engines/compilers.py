"""What torch's compiler is told, without importing it: that takes longer than importing all of Carousel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def same_at_every_call(function: F) -> F:
    """As torch.compiler.assume_constant_result: a compiler calls it once, and does not look inside."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
