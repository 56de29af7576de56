"""Results show themselves in a notebook: as the picture that there is of them, or as the words."""

from __future__ import annotations

import html
from typing import Any

from carousel.errors import DataError


class Shown:
    """A result of which `carousel.insight.figures` has a picture."""

    def picture(self) -> Any:
        """Its picture with every default, a matplotlib Figure. Raises DataError where there is nothing to draw."""
        # Here, not above: figures know what they draw.
        from carousel.insight import figures

        return figures.of(self)

    def _repr_png_(self) -> bytes | None:
        try:
            shown: bytes = self.picture()._repr_png_()
        except DataError:
            return None  # its text is shown instead
        return shown


class Told:
    """A result that says in words what it is."""

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>"


def in_a_picture(text: object) -> str:
    """A name from the data, written so that matplotlib draws it as it stands.

    It would read dollar signs as mathematics, and end in an error where that makes no sense.
    """
    return str(text).replace("$", r"\$")
