"""An empty picture, which draws itself without a display and shows itself in a notebook.

It imports matplotlib, which takes most of a second: import it where something is drawn, not before. It does not touch
pyplot: there is no global state, and nothing to close.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 100


class Picture(Figure):
    """A matplotlib figure that a notebook shows, whether or not pyplot has told it how to."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        with warnings.catch_warnings():
            # Signs that the font lacks are drawn as boxes, which says it as well.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            self.savefig(file, dpi=DPI, format="png")
        return file.getvalue()


def picture(width: float, height: float, **options: Any) -> Picture:
    """An empty one, in inches."""
    made = Picture(figsize=(width, height), layout="constrained", **options)
    FigureCanvasAgg(made)
    return made
