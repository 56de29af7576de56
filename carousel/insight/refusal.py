"""The error of a measure whose result would have no meaning, because there are too few data."""

from __future__ import annotations

from typing import Any

from carousel.errors import DataError


class TooShort(DataError):
    """The data are too short, or too few, for a meaningful result.

    needed: the amount that would suffice, in the unit that the message names; infinite if no amount would.
    estimate: the result that was measured nevertheless, or None.
    """

    def __init__(self, message: str, *, needed: float, estimate: Any = None) -> None:
        super().__init__(message)
        self.needed, self.estimate = needed, estimate
