"""A measure that can say no: too little was given for its answer to mean anything."""

from __future__ import annotations

from typing import Any

from carousel.errors import DataError


class TooShort(DataError):
    """What was measured is too short, or too little, to mean anything.

    needed: how much would do, in the unit that the message names; infinite where nothing would.
    estimate: what was measured all the same, if anything.
    """

    def __init__(self, message: str, *, needed: float, estimate: Any = None) -> None:
        super().__init__(message)
        self.needed, self.estimate = needed, estimate
