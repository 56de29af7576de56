"""The interface of a model for a page on which a user types."""

from __future__ import annotations

from typing import Any, Protocol

from carousel.errors import DataError


class Typing(Protocol):
    """A model that reads typed text. It receives one request at a time."""

    longest: int  # the largest number of symbols of a text

    def read(self, page: str, text: str, shown: str) -> dict[str, Any]:
        """{kept, steps}: the number of the page's steps that stay valid, and the new steps after them, for its script.

        page: the id of the open page. shown: the text whose steps it has; it may have missed earlier answers.
        Raises DataError for a text that is empty or too long.
        """

    def influence(self, page: str, text: str, step: int) -> dict[str, Any]:
        """The influence on the prediction after a step: {shares} of that symbol, of the symbol before it, and so on.

        It does not change later answers of `read`, even for another text. Raises DataError for an unknown step, and as
        `read` does.
        """


def require_readable(symbols: int, longest: int) -> None:
    if symbols == 0:
        raise DataError("Type something for the network to read.")
    if symbols > longest:
        raise DataError(f"The page reads {longest:,} symbols at most, and this text has {symbols:,}: shorten it.")


def require_step(step: int, steps: int) -> None:
    if not 0 <= step < steps:
        raise DataError(f"There is no step {step} in the {steps} that were read.")
