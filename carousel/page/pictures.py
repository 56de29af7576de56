"""The page's views as PNG files, for a report or a slide: the figures of `carousel.insight` on what was measured."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from carousel.errors import RunError
from carousel.insight import Gates, GradientFlow, InputInfluence, TooShort, figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURED = 400  # characters: more would be too small to read


@dataclass(frozen=True)
class Measured:
    """What the measures of a page returned.

    starts: (T), each symbol's first character in the text. influence: of the inputs `labels`, one text each.
    """

    text: str
    starts: np.ndarray
    gates: Gates
    flow: GradientFlow
    influence: InputInfluence
    labels: list[str]


def draw_pictures(folder: Path, prefix: str, measured: Measured) -> list[Path]:
    """Writes every picture into the folder, in the place of one of an earlier time. Raises RunError where it cannot.

    What the text is too short for has no picture; the page says why.
    """
    written = []
    for name, draw in _drawings(measured).items():
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


def _drawings(measured: Measured) -> dict[str, Callable[[], Figure]]:
    gates = measured.gates
    drawings: dict[str, Callable[[], Figure]] = {
        "gradient-by-lag": lambda: figures.gradient_by_lag(measured.flow),
        "influence": lambda: figures.influence(measured.influence, labels=measured.labels),
        "timescales": lambda: figures.units_by_timescale(gates),
        "text": lambda: _text(measured),
    }
    over_time = {f"{name}-over-time": partial(figures.gates_over_time, gates, name) for name in gates.values}
    return drawings | over_time


def _text(measured: Measured) -> Figure:
    """The text on the colours of the unit that remembers longest."""
    gates, text = measured.gates, measured.text[:COLOURED]
    slowest, state = int(gates.by_timescale()[0]), gates.states[0]
    symbol = np.searchsorted(measured.starts, np.arange(len(text)), side="right") - 1
    values = gates.values[state][-1, symbol, 0, slowest]
    return figures.coloured_text(text, values, f"{state} of unit {slowest}, which remembers longest")
