"""A cell as bodies and lines with coordinates, which a writer of SVG and one of matplotlib figures share."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass

from carousel.insight.drawing.parts import Piece, X, parts_of
from carousel.insight.drawing.placing import Placed, place
from carousel.insight.drawing.routing import Cell, Grid
from carousel.program import Program

COLUMN, ROW = 7, 5  # cells of the grid from one column to the next, and from one row to the next


@dataclass(frozen=True)
class Body:
    """A part with its place. kind, label, name: those of the `Piece`. x, y: its middle, y upwards. half: half its size.

    index: of a port, the step to which its value belongs: "t" or "t−1". Every length is in cells of the grid.
    """

    kind: str
    label: str
    index: str
    name: str
    x: float
    y: float
    half: tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A way through corners. state: the state on whose line it lies, or "". arrow: whether it ends in an arrow head."""

    corners: tuple[tuple[float, float], ...]
    source: int
    state: str
    arrow: bool


@dataclass(frozen=True)
class Drawing:
    """Shapes, lines, and dots where a line branches. left, bottom, right, top: the border of the drawing."""

    cell: str
    bodies: tuple[Body, ...]
    lines: tuple[Line, ...]
    dots: tuple[tuple[float, float], ...]
    border: tuple[float, float, float, float]

    @property
    def states(self) -> list[str]:
        return [body.label for body in self.bodies if body.kind == "end"]


def drawing_of(program: Program) -> Drawing:
    """The drawing of a cell's program."""
    placed = place(parts_of(program))
    middles = [(column * COLUMN, row * ROW) for column, row in placed.at]
    (left, right), (bottom, top) = ((min(axis), max(axis)) for axis in zip(*middles, strict=True))
    grid = Grid(range(left, right + 1), range(bottom - 2, top + 4))
    for index, part in enumerate(placed.parts):
        x, y = middles[index]
        half_x, half_y = _half(part)
        for dx in range(-half_x, half_x + 1):
            for dy in range(-half_y, half_y + 1):
                grid.blocked.add((x + dx, y + dy))
    lines, branches = [], defaultdict(set)
    for source, target, entrance, state in _wires(placed):
        part, origin = placed.parts[target], placed.parts[source]
        start, out = _out_of(origin, middles[source])
        end, into = _into(part, middles[target], entrance)
        leave = 1 if origin.kind == "gate" else -1
        path = grid.route(source, start, end, out | into, leave=leave, up=part.kind == "gate")
        grid.keep(source, path)
        for a, b in itertools.pairwise(path):
            branches[source, a].add((b[0] - a[0], b[1] - a[1]))
            branches[source, b].add((a[0] - b[0], a[1] - b[1]))
        corners = tuple(_corners(path))
        lines.append(Line(_shortened(corners, part), source, state, part.kind not in ("join", "end")))
    dots = tuple(cell for (_, cell), ways in branches.items() if len(ways) > 2 and cell not in grid.blocked)
    bodies = tuple(
        Body(part.kind, part.label, _index(part), part.name, *middles[k], _half(part))
        for k, part in enumerate(placed.parts)
    )
    lines.sort(key=lambda line: line.state != "")  # those of states lie over the others
    return Drawing(placed.cell, bodies, tuple(lines), dots, (left, bottom - 2, right, top + 3))


def _out_of(part: Piece, middle: Cell) -> tuple[Cell, set[Cell]]:
    """Where lines leave a part, and the cells of its body that they use: a gate at its top, others on any side."""
    if part.kind == "gate":
        top = (middle[0], middle[1] + 1)
        return top, {top}
    return middle, _cross(part, middle)


def _into(part: Piece, middle: Cell, entrance: int) -> tuple[Cell, set[Cell]]:
    """Where a line enters a part, and the cells of its body that it uses: a gate from below, others on any side."""
    if part.kind == "gate":
        below = (middle[0] + entrance, middle[1] - 1)
        return below, {below}
    return middle, _cross(part, middle)


def _cross(part: Piece, middle: Cell) -> set[Cell]:
    (x, y), (half_x, half_y) = middle, _half(part)
    return {(x + dx, y) for dx in range(-half_x, half_x + 1)} | {(x, y + dy) for dy in range(-half_y, half_y + 1)}


def _half(part: Piece) -> tuple[int, int]:
    """Half the width and half the height of a part's body, in cells."""
    if part.kind == "gate":
        return 2, 1
    return (1 if len(part.label) < 3 else 2, 1) if part.kind == "op" else (0, 0)


def _index(part: Piece) -> str:
    if part.kind == "end" or part.label == X:
        return "t"
    return "t−1" if part.state and "_" not in part.label else ""


def _wires(placed: Placed) -> list[tuple[int, int, int, str]]:
    """Each line as (source, target, where it enters a gate, state), in the order in which they are laid.

    The lines of states come first, so that they are straight, then what gates read, then the short lines.
    """
    of_state = {(a, b): state for state, line in placed.lines.items() for a, b in itertools.pairwise(line)}
    found = []
    for target, part in enumerate(placed.parts):
        for k, source in enumerate(part.sources):
            entrance = (k - (len(part.sources) - 1) // 2) if part.kind == "gate" else 0
            found.append((source, target, max(-2, min(2, entrance)), of_state.get((source, target), "")))

    def order(wire: tuple[int, int, int, str]) -> tuple[bool, bool, int]:
        source, target, _, state = wire
        (a, b), (c, d) = placed.at[source], placed.at[target]
        return not state, placed.parts[source].kind != "join", abs(a - c) + abs(b - d)

    return sorted(found, key=order)


def _corners(path: list[Cell]) -> list[tuple[float, float]]:
    """The ends of a way and the cells where it turns."""
    kept = [path[0]]
    for before, cell, after in zip(path, path[1:], path[2:], strict=False):
        if (cell[0] - before[0], cell[1] - before[1]) != (after[0] - cell[0], after[1] - cell[1]):
            kept.append(cell)
    return [(float(x), float(y)) for x, y in [*kept, path[-1]]]


def _shortened(corners: tuple[tuple[float, float], ...], target: Piece) -> tuple[tuple[float, float], ...]:
    """The corners of a line that ends at the edge of its target's body."""
    if target.kind != "op" or len(corners) < 2:
        return corners
    (x, y), (end_x, end_y) = corners[-2:]
    dx, dy = (end_x > x) - (end_x < x), (end_y > y) - (end_y < y)
    half_x, half_y = _half(target)
    return (*corners[:-1], (end_x - half_x * dx, end_y - half_y * dy))
