"""What the pictures have in common: an empty figure, colours that everybody can tell apart, labels of steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from carousel.errors import DataError
from carousel.insight.shown import in_a_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito, "Color universal design" (2008), the yellow left out: it does not show on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Colours are never alone: lines differ in dashes too.
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 3)))
ONE_WAY, TWO_WAYS = "cividis", "PuOr"  # from little to much; from below 0 to above it
MOST_LABELS = 100


def canvas(width: float = 8, height: float = 4.5, **options: Any) -> tuple[Figure, Any]:
    """A figure that draws itself without a display, and its axes, as `Figure.subplots` gives them."""
    # Here, not above: matplotlib takes most of a second to import.
    from carousel.insight.picture import picture

    figure = picture(width, height)
    return figure, figure.subplots(**options)


def label_steps(axes: Axes, labels: Sequence[object] | None, count: int, *, name: str = "step") -> None:
    """Symbols under the steps where there are few enough to be read. Raises DataError unless each step has one."""
    axes.set_xlabel(name)
    if labels is None:
        return
    if len(labels) != count:
        raise DataError(f"labels must be one for each of the {count} steps, but there are {len(labels)}.")
    if count <= MOST_LABELS:
        axes.set_xticks(range(count), [visible(label) for label in labels], fontfamily="monospace", fontsize=8)


def visible(symbol: object) -> str:
    """A symbol, a number or a date that leaves a mark on paper."""
    return in_a_picture(symbol).replace("\n", "↵").replace("\t", "→").replace(" ", "␣")
