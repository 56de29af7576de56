"""Makes a notebook show results as pictures or as text."""

from __future__ import annotations

import html
from typing import Any

from carousel.errors import DataError


class Shown:
    """A result for which `carousel.insight.figures` has a picture."""

    def picture(self) -> Any:
        """Its picture with default options, a matplotlib Figure. Raises DataError if there is nothing to draw."""
        # A late import, because figures import the results that they draw.
        from carousel.insight import figures

        return figures.of(self)

    def _repr_png_(self) -> bytes | None:
        try:
            shown: bytes = self.picture()._repr_png_()
        except DataError:
            return None  # the notebook then shows its text
        return shown


class ShownAsText:
    """A result that a notebook shows as text."""

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>"


def in_a_picture(text: object) -> str:
    """A name from the data with escapes, so that matplotlib draws it literally.

    Without them, matplotlib would take text between dollar signs as mathematics, and raise an error if it is none.
    """
    return str(text).replace("$", r"\$")
