"""Pictures of the confusion matrix: how often each class was predicted for each true class."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from carousel.insight.saving import save
from carousel.insight.shown import in_a_picture

MOST_NUMBERED = 30  # with more classes there is no room for numbers


def draw_confusion(path: Path, confusion: np.ndarray, classes: Sequence[Hashable], *, title: str = "") -> None:
    """Writes `confusion_figure` as a PNG picture."""
    save(confusion_figure(confusion, classes, title=title), path)


def confusion_figure(confusion: np.ndarray, classes: Sequence[Hashable], *, title: str = "") -> Any:
    """A matplotlib figure of the counts: true classes in rows, predictions in columns, coloured by shares of a row."""
    # A late import, because matplotlib takes most of a second.
    from carousel.insight.picture import picture

    count = len(classes)
    side = min(16.0, max(4.5, 2.2 + 0.42 * count))
    figure = picture(side + 1, side)
    axes = figure.add_subplot()
    shares = confusion / np.maximum(1, confusion.sum(1, keepdims=True))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [in_a_picture(label if len(str(label)) <= 20 else f"{str(label)[:19]}…") for label in classes]
    if count <= 2 * MOST_NUMBERED:
        long = max(map(len, names)) > 3
        axes.set_xticks(range(count), names, rotation=45 if long else 0, ha="right" if long else "center")
        axes.set_yticks(range(count), names)
    if count <= MOST_NUMBERED:
        for i, j in np.argwhere(confusion > 0):
            colour = "white" if shares[i, j] > 0.6 else "#1f2937"
            axes.text(j, i, f"{confusion[i, j]:,}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    axes.set_title(in_a_picture(title), fontsize=11)
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label("share of the class")
    return figure
