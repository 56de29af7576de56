"""What a model must answer for the page that reads what is typed."""

from __future__ import annotations

from typing import Any, Protocol

from carousel.errors import DataError


class Typing(Protocol):
    """Asked one question at a time."""

    longest: int  # symbols of a text

    def read(self, page: str, text: str, shown: str) -> dict[str, Any]:
        """How many of the steps that this open page holds stand, and the steps after them: {kept, steps}, the steps as
        the page's script reads them. shown: the text whose steps it holds; answers may have been lost on the way.

        Raises DataError for a text that is empty or too long.
        """

    def influence(self, page: str, text: str, step: int) -> dict[str, Any]:
        """What moved what was expected after a step: {shares} of that symbol, the one before it, and so on.

        Changes nothing that `read` answers: it may be asked of a text while another is on its way. Raises DataError for
        a step that there is not, and as `read` does.
        """


def require_readable(symbols: int, longest: int) -> None:
    if symbols == 0:
        raise DataError("Type something for the network to read.")
    if symbols > longest:
        raise DataError(f"The page reads {longest:,} symbols at most, and this text has {symbols:,}: shorten it.")


def require_step(step: int, steps: int) -> None:
    if not 0 <= step < steps:
        raise DataError(f"There is no step {step} in the {steps} that were read.")
