"""The picture of attention: which steps of a source each written symbol attended to."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from carousel.insight.shown import in_a_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LABELLED = 60  # symbols on a side; more labels could not be read


def alignment_figure(weights: np.ndarray, *, read: Sequence[str], written: Sequence[str], title: str = "") -> "Figure":
    """A matplotlib figure of attention: a row for each written symbol, a column for each step of the source.

    weights: (written, read), each row sums to 1. read, written: the texts of the symbols. title: above the picture.
    """
    # A late import, because matplotlib takes most of a second.
    from carousel.insight.picture import picture

    rows, columns = weights.shape
    figure = picture(min(16.0, max(4.5, 2.0 + 0.4 * columns)), min(16.0, max(3.0, 1.6 + 0.32 * rows)))
    axes = figure.add_subplot()
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if columns <= MOST_LABELLED:
        axes.set_xticks(range(columns), [in_a_picture(piece.strip() or "␣") for piece in read], rotation=45, ha="right")
    if rows <= MOST_LABELLED:
        axes.set_yticks(range(rows), [in_a_picture(piece.strip() or "␣") for piece in written])
    axes.set_xlabel("read (· ends a text)")
    axes.set_ylabel("written")
    axes.set_title(in_a_picture(title if len(title) <= 70 else f"{title[:69]}…"), fontsize=11)
    figure.colorbar(image, ax=axes, shrink=0.8).set_label("attention")
    return figure
