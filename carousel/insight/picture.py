"""An empty picture, which needs no display and which a notebook shows.

It imports matplotlib, which takes most of a second, so import it only where something is drawn. It does not use pyplot,
so that there is no global state and nothing to close.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 100


class Picture(Figure):
    """A matplotlib figure that a notebook shows even without pyplot."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        with warnings.catch_warnings():
            # A warning is unnecessary: characters that the font lacks are drawn as boxes.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            self.savefig(file, dpi=DPI, format="png")
        return file.getvalue()


def picture(width: float, height: float, **options: Any) -> Picture:
    """An empty picture. width, height: in inches."""
    made = Picture(figsize=(width, height), layout="constrained", **options)
    FigureCanvasAgg(made)
    return made
