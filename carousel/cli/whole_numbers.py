"""Whole numbers as they are typed: cyclopts would round 3.5 to 4."""

from collections.abc import Sequence
from typing import Any, get_args

from cyclopts import CoercionError, Token, convert


def refuse_fractions(kind: Any, tokens: Sequence[Token]) -> Any:
    """The converter of every parameter: cyclopts' own, but a parameter of whole numbers takes no 3.5."""
    if kind is int or get_args(kind) == (int,):
        for token in tokens:
            if token.value.partition(".")[2].strip("0"):
                raise CoercionError(token=token, target_type=int)
    return convert(kind, tokens)
