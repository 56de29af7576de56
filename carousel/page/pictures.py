"""The page's views as PNG files, for a report or a slide: the figures of `carousel.insight` on what was measured."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from carousel.errors import RunError
from carousel.insight import Gates, GradientFlow, InputInfluence, figures

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
    """Writes every picture into the folder, replacing those of an earlier time. Raises RunError where it cannot."""
    written = []
    for name, figure in _figures(measured):
        path = folder / f"{prefix}{name}.png"
        try:
            with warnings.catch_warnings():
                # Signs that the font lacks are drawn as boxes, which says it as well.
                warnings.filterwarnings("ignore", "Glyph .* missing from font")
                figure.savefig(path, dpi=120)
        except OSError as problem:
            raise RunError(f"{path} could not be written: {problem.strerror}. Choose another --out.") from None
        written.append(path)
    return written


def _figures(measured: Measured) -> Iterator[tuple[str, Figure]]:
    gates = measured.gates
    yield "gradient-by-lag", figures.gradient_by_lag(measured.flow)
    yield "influence", figures.influence(measured.influence, labels=measured.labels)
    yield "timescales", figures.units_by_timescale(gates)
    for name in (*gates.gates, *gates.states):
        yield f"{name}-over-time", figures.gates_over_time(gates, name)
    slowest = int(gates.by_timescale()[0])
    state = gates.states[0]
    text = measured.text[:COLOURED]
    symbol = np.searchsorted(measured.starts, np.arange(len(text)), side="right") - 1
    values = gates.values[state][-1, symbol, 0, slowest]
    yield "text", figures.coloured_text(text, values, f"{state} of unit {slowest}, which remembers longest")
