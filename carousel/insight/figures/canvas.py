"""The common parts of pictures: an empty figure, colours that everybody can distinguish, labels of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from carousel.errors import DataError
from carousel.insight.shown import in_a_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito, "Color universal design" (2008), without the yellow, which does not show on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Lines differ in their dashes as well as in colours.
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 3)))
ONE_WAY, TWO_WAYS = "cividis", "PuOr"  # for values of one sign; for values of both signs
MOST_LABELS = 100


def canvas(width: float = 8, height: float = 4.5, **options: Any) -> tuple[Figure, Any]:
    """A figure that needs no display, and its axes. options: those of `Figure.subplots`."""
    # A late import, because matplotlib takes most of a second.
    from carousel.insight.picture import picture

    figure = picture(width, height)
    return figure, figure.subplots(**options)


def label_steps(axes: Axes, labels: Sequence[object] | None, count: int, *, name: str = "step") -> None:
    """Writes symbols under the steps if there is room to read them. Raises DataError unless each step has one."""
    axes.set_xlabel(name)
    if labels is None:
        return
    if len(labels) != count:
        raise DataError(f"labels must hold one label for each of the {count} steps, but it holds {len(labels)}.")
    if count <= MOST_LABELS:
        axes.set_xticks(range(count), [visible(label) for label in labels], fontfamily="monospace", fontsize=8)


def visible(symbol: object) -> str:
    """A symbol, a number or a date as visible text: spaces and line breaks get a sign."""
    return in_a_picture(symbol).replace("\n", "↵").replace("\t", "→").replace(" ", "␣")
