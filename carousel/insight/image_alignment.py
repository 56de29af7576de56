"""The picture of attention over an image: which places each written symbol attended to."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from carousel.insight.shown import in_a_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_SHOWN = 29  # symbols, each in a picture of its own
IN_A_ROW = 6
FOG, THICKEST = 128, 0.8  # a grey that black and white both differ from; its share where nothing was attended to


def image_alignment_figure(
    weights: np.ndarray, *, image: np.ndarray, written: Sequence[str], title: str = ""
) -> "Figure":
    """A matplotlib figure: the image as the network read it, and for each written symbol the image again, in a grey fog
    where the symbol did not attend to it. The clearest place of each has the weight that stands beside the symbol.

    weights: (written, places), each row sums to 1, and the places are those of a square, row by row. image: (rows,
    columns, 1 or 3), bytes. written: the texts of the symbols, 29 of which are shown at most. title: above the picture.
    """
    # A late import, because matplotlib takes most of a second.
    from carousel.insight.picture import picture

    side = math.isqrt(weights.shape[1])
    shown = [image if image.shape[2] == 3 else np.repeat(image, 3, 2)] + [
        seen(image, one.reshape(side, side)) for one in weights[:MOST_SHOWN]
    ]
    names = ["read"] + [
        f"{in_a_picture(piece.strip() or '␣')} ({one.max():.0%})"
        for piece, one in zip(written, weights[:MOST_SHOWN], strict=False)
    ]
    columns = min(IN_A_ROW, len(shown))
    rows = -(-len(shown) // columns)
    figure = picture(max(4.5, 1.7 * columns), 0.6 + 1.9 * rows)
    for number, (one, name) in enumerate(zip(shown, names, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, number)
        axes.imshow(one, interpolation="nearest")
        axes.set_title(name, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.suptitle(in_a_picture(title if len(title) <= 70 else f"{title[:69]}…"), fontsize=11)
    return figure


def seen(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """An image (rows, columns, 1 or 3) of bytes, nearer to grey where it has less attention; (rows, columns, 3).

    weights: (places, places). The place with the most attention stays as it is."""
    rows, columns = image.shape[:2]
    at_rows, at_columns = (np.arange(size) * len(weights) // size for size in (rows, columns))
    share = (weights / max(float(weights.max()), 1e-12))[at_rows][:, at_columns, None]
    fog = THICKEST * (1 - share)
    found: np.ndarray = (image * (1 - fog) + FOG * fog).round().astype(np.uint8)
    return found if found.shape[2] == 3 else np.repeat(found, 3, 2)
