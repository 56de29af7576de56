"""The picture of a text that was written while a sound was read: when the network wrote each symbol."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from carousel.insight.shown import in_a_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LABELLED = 80  # symbols; more labels could not be read


def times_of_symbols_figure(
    frames: np.ndarray,
    p: np.ndarray,
    *,
    seconds: np.ndarray,
    written: Sequence[str],
    spans: np.ndarray,
    title: str = "",
) -> "Figure":
    """A matplotlib figure of two views over time. Above: the frames that were read, with each symbol where it was
    written. Below: P of each symbol of the text at each step, and of the blank, dashed.

    frames: (T, bands), as a network reads them. p: (S, n + 1), P at each of S steps of the blank, then of each symbol
    of the text. seconds: (S + 1,), when each step begins, and the end of the last. written: the n symbols, as texts.
    spans: (n, 2), when each was written, in seconds. title: above the picture.
    """
    # A late import, because matplotlib takes most of a second.
    from carousel.insight.picture import picture

    duration = float(seconds[-1] - seconds[0])
    figure = picture(min(16.0, max(6.0, 2.0 + 2.5 * duration)), 4.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    extent = (float(seconds[0]), float(seconds[-1]), 0.0, float(frames.shape[1]))
    above.imshow(frames.T, origin="lower", aspect="auto", extent=extent, cmap="Greys", interpolation="nearest")
    above.set_ylabel("band")
    # The second row of labels keeps neighbours apart.
    for k, (piece, (begin, end)) in enumerate(zip(written, spans.tolist(), strict=True)):
        above.axvspan(begin, end, color="tab:orange", alpha=0.45, linewidth=0)
        if len(written) <= MOST_LABELLED:
            above.annotate(
                in_a_picture(piece.strip() or "␣"),
                ((begin + end) / 2, 1.02 if k % 2 == 0 else 1.1),
                xycoords=("data", "axes fraction"),
                ha="center",
                fontsize=10,
            )
    below.step(seconds, np.append(p[:, 0], p[-1, 0]), where="post", color="0.5", linestyle="--", label="blank")
    for k, piece in enumerate(written):
        if piece not in written[:k]:
            below.step(
                seconds, np.append(p[:, k + 1], p[-1, k + 1]), where="post", label=in_a_picture(piece.strip() or "␣")
            )
    below.set_ylim(0, 1.02)
    below.set_ylabel("P at each step")
    below.set_xlabel("seconds")
    if len(set(written)) <= 12:
        below.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9, frameon=False)
    figure.suptitle(in_a_picture(title if len(title) <= 70 else f"{title[:69]}…"), fontsize=11)
    return figure
