"""The picture of attention over a series: its curves, and below them what each written symbol attended to."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from carousel.insight.shown import in_a_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CURVES = 6  # more could not be told apart
MOST_LABELLED = 60


def series_alignment_figure(
    weights: np.ndarray, *, series: np.ndarray, channels: Sequence[str], written: Sequence[str], title: str = ""
) -> "Figure":
    """A matplotlib figure of attention over a series: above, its channels over the steps; below, on the same axis of
    steps, a row for each written symbol, darker where it attended more.

    weights: (written, steps), each row sums to 1. series: (steps, channels), NaN where a value is missing. Each channel
    is drawn less its mean, over its deviation, the first six of them. channels: their names. written: the texts of the
    symbols. title: above the picture.
    """
    # A late import, because matplotlib takes most of a second.
    from matplotlib.ticker import MaxNLocator

    from carousel.insight.picture import picture

    rows, steps = weights.shape
    figure = picture(min(16.0, max(6.0, 3.0 + 0.12 * steps)), min(16.0, max(5.0, 3.2 + 0.3 * rows)))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, max(1.0, rows / 6)))
    shown = np.asarray(series, float)[:, :MOST_CURVES]
    present = np.isfinite(shown)
    counts = np.maximum(1, present.sum(0))
    mean = np.where(present, shown, 0).sum(0) / counts
    deviation = np.sqrt((np.where(present, shown - mean, 0) ** 2).sum(0) / counts)
    for name, curve in zip(channels, ((shown - mean) / np.where(deviation > 0, deviation, 1)).T, strict=False):
        above.plot(np.arange(1, steps + 1), curve, label=in_a_picture(name))
    more = f", {series.shape[1] - MOST_CURVES} more left out" if series.shape[1] > MOST_CURVES else ""
    above.set_ylabel("deviations")
    above.set_title(in_a_picture(title if len(title) <= 70 else f"{title[:69]}…"), fontsize=11)
    above.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, title=f"read{more}")
    image = below.imshow(
        weights, cmap="Blues", vmin=0, vmax=1, aspect="auto", extent=(0.5, steps + 0.5, rows - 0.5, -0.5)
    )
    if rows <= MOST_LABELLED:
        below.set_yticks(range(rows), [in_a_picture(piece.strip() or "␣") for piece in written])
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    below.set_xlabel("step of the series")
    below.set_ylabel("written (· ends a text)")
    figure.colorbar(image, ax=[above, below], shrink=0.8, location="bottom", aspect=40, pad=0.02).set_label("attention")
    return figure
