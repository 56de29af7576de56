"""The page's views as PNG files, for a report or a slide: the figures of `carousel.insight` on what was measured."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from carousel.errors import RunError
from carousel.insight import Gates, GradientFlow, TooShort, figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_pictures(folder: Path, prefix: str, drawings: Mapping[str, Callable[[], Figure]]) -> list[Path]:
    """Writes every picture into the folder, in the place of one of an earlier time. Raises RunError where it cannot.

    What the sequence is too short for has no picture; the page says why.
    """
    written = []
    for name, draw in drawings.items():
        path = folder / f"{prefix}{name}.png"
        try:
            path.unlink(missing_ok=True)
            with contextlib.suppress(TooShort), warnings.catch_warnings():
                # Signs that the font lacks are drawn as boxes, which says it as well.
                warnings.filterwarnings("ignore", "Glyph .* missing from font")
                draw().savefig(path, dpi=120)
                written.append(path)
        except OSError as problem:
            raise RunError(f"{path} could not be written: {problem.strerror}. Choose another --out.") from None
    return written


def of_network(gates: Gates, flow: GradientFlow | None) -> dict[str, Callable[[], Figure]]:
    """What every network has: gates over time, timescales, and, where they were measured, gradients by lag.

    Of the last layer; where it reads both ways, of its forward direction.
    """
    forward = max(k for k, place in enumerate(gates.places) if not place.endswith("reverse"))
    drawings: dict[str, Callable[[], Figure]] = {
        "timescales": partial(figures.units_by_timescale, gates, forward),
        **{f"{name}-over-time": partial(figures.gates_over_time, gates, name, forward) for name in gates.values},
    }
    if flow is not None:
        drawings["gradient-by-lag"] = partial(figures.gradient_by_lag, flow, place=forward)
    return drawings
