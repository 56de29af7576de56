"""Results show themselves in a notebook: as the picture that there is of them."""

from __future__ import annotations

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
