"""Pictures of the structure: one step of a cell with its lines, and the loop written out in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carousel.errors import DataError
from carousel.insight.drawing import Drawing, drawing_of
from carousel.insight.drawing.drawing import Body, Line
from carousel.insight.drawing.svg import svg
from carousel.insight.figures.canvas import COLOURS
from carousel.layers import Recurrent
from carousel.program import Program, trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GATE, OP, INK = "#fbe3b4", "#f6d3dd", "#333333"
BEND = 0.9  # the radius of bends, in cells of the drawing
INCH = 0.15  # a cell of the drawing, in inches


def draw_cell(cell: Any, axes: Axes | None = None) -> Figure:
    """One step of a cell as boxes and lines, from its own program: any cell, also one of your own.

    A box is a gate: a weighted sum of what its lines bring, W x + U h + b, and the function in it. A circle is an
    operation, unit by unit. Blue lines lead a state from c_(t-1) to c_t. Where lines of x and h join, they are read as
    one longer vector.

    cell: a layer, a cell class, or a name of the catalogue. axes: where to draw; by default on a figure of its own.
    Raises DataError for anything else.
    """
    drawing = drawing_of(program_of(cell))
    left, bottom, right, top = drawing.border
    if axes is None:
        from carousel.insight.picture import picture

        figure = picture(max(3.0, INCH * (right - left + 6)), max(2.0, INCH * (top - bottom + 2)))
        axes = figure.add_subplot()
    _draw(drawing, axes)
    return axes.figure  # type: ignore[return-value]


def cell_svg(cell: Any) -> str:
    """The drawing of `draw_cell` as SVG text, with a style sheet of its own; a page may set its colours anew.

    cell: as for `draw_cell`. Raises DataError as it does.
    """
    return svg(drawing_of(program_of(cell)))


def draw_unrolled(cell: Any, steps: int = 4, axes: Axes | None = None) -> Figure:
    """The loop and the chain that it is: a layer whose state comes back, and its copies in time with the same weights.

    A layer of several layers is drawn as several rows; both directions of a bidirectional one stand side by side.

    cell: as for `draw_cell`. steps: how many copies. axes: where to draw; by default on a figure of its own.
    Raises DataError for fewer than 2 steps.
    """
    if steps < 2:
        raise DataError(f"A chain of {steps} steps shows no loop; draw at least 2.")
    program = program_of(cell)
    rows = cell.num_layers if isinstance(cell, Recurrent) else 1
    both = isinstance(cell, Recurrent) and cell.bidirectional
    if axes is None:
        from carousel.insight.picture import picture

        axes = picture(1.5 * (steps + 2.2), 1.2 + 1.1 * rows).add_subplot()
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-1.1, 1.5 * steps + 2.4)
    axes.set_ylim(-1.1, 1.3 * rows + 0.4)
    axes.set_title(f"{program.cell}: the loop, and the loop written out in time", fontsize=10)
    axes.text(1.25, 0.65 * rows - 0.65, "=", ha="center", va="center", fontsize=16, color=INK)
    for row in range(rows):
        _copy(axes, program.cell, 0, 1.3 * row)
        _loop(axes, program, 1.3 * row)
        for step in range(steps):
            x = 2.4 + 1.5 * step
            _copy(axes, program.cell, x, 1.3 * row)
            if step < steps - 1:
                _arrow(axes, (x + 0.45, 1.3 * row), (x + 1.05, 1.3 * row), both=both)
    for step, x in enumerate([0, *(2.4 + 1.5 * step for step in range(steps))]):
        index = "t" if step == 0 else str(step)
        axes.text(x, -0.85, f"$x_{{{index}}}$", ha="center", va="center", fontsize=11)
        axes.text(x, 1.3 * rows - 0.45, f"${program.output_state}_{{{index}}}$", ha="center", va="center", fontsize=11)
    return axes.figure  # type: ignore[return-value]


def _copy(axes: Axes, name: str, x: float, y: float) -> None:
    """A copy of a layer, with a line in from below and a line out above."""
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch((x - 0.38, y - 0.23), 0.76, 0.46, boxstyle="round,pad=0.07", facecolor=GATE, edgecolor=INK)
    )
    axes.text(x, y, name if len(name) < 9 else f"{name[:7]}…", ha="center", va="center", fontsize=8, color=INK)
    _arrow(axes, (x, y - 0.7), (x, y - 0.3))
    _arrow(axes, (x, y + 0.3), (x, y + 0.65))


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], *, both: bool = False) -> None:
    vertical = start[0] == end[0]
    look = {"color": INK if vertical else COLOURS[0], "linewidth": 1.1 if vertical else 2, "shrinkA": 0, "shrinkB": 0}
    style = "<|-|>" if both else "-|>"
    axes.annotate("", end, start, arrowprops={"arrowstyle": style, "mutation_scale": 10, **look})


def _loop(axes: Axes, program: Program, y: float) -> None:
    """The way of the states from a layer back to it, at its left."""
    way = {"arrowstyle": "-|>", "connectionstyle": "arc3,rad=1.6", "mutation_scale": 10}
    look = {"color": COLOURS[0], "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (-0.45, y - 0.12), (-0.45, y + 0.16), arrowprops={**way, **look})
    axes.text(-0.8, y + 0.3, ", ".join(program.states), ha="center", va="bottom", fontsize=9, color=COLOURS[0])


def program_of(cell: Any) -> Program:
    """The program of a layer, a cell, or a cell of the catalogue. Raises DataError for anything else."""
    if isinstance(cell, Recurrent) or isinstance(getattr(cell, "program", None), Program):
        return cell.program
    from carousel.cells import Cell, find

    if isinstance(cell, str):
        cell = find(cell)
    if isinstance(cell, type) and issubclass(cell, Cell):
        cell = cell()
    if not isinstance(cell, Cell):
        raise DataError(f"draw_cell draws a layer, a cell or a name of the catalogue, not a {type(cell).__name__}.")
    return trace(cell)


def _draw(drawing: Drawing, axes: Axes) -> None:
    left, bottom, right, top = drawing.border
    axes.set_xlim(left - 3, right + 3)
    axes.set_ylim(bottom, top)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(f"one step of {drawing.cell}", fontsize=10)
    # On small axes the text is as much smaller as the boxes are.
    width = axes.get_position().width * axes.figure.get_size_inches()[0]  # type: ignore[union-attr]
    size = 9 * min(1.0, 1.7 * width / (INCH * (right - left + 6)))
    for layer, source in enumerate(dict.fromkeys(line.source for line in drawing.lines)):
        for line in drawing.lines:
            if line.source == source:
                _draw_line(axes, line, layer)
    if drawing.dots:
        axes.plot(*zip(*drawing.dots, strict=True), "o", color=INK, markersize=3, zorder=5)
    for body in drawing.bodies:
        _draw_body(axes, body, size)


def _draw_line(axes: Axes, line: Line, layer: int) -> None:
    from matplotlib.patches import FancyArrowPatch, PathPatch
    from matplotlib.path import Path

    points: list[tuple[float, float]] = [line.corners[0]]
    codes = [Path.MOVETO]
    for before, (x, y), after in zip(line.corners, line.corners[1:], line.corners[2:], strict=False):
        points += [_towards((x, y), before), (x, y), _towards((x, y), after)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    path = Path([*points, line.corners[-1]], [*codes, Path.LINETO])
    colour, width = (COLOURS[0], 2.2) if line.state else (INK, 1.1)
    order = 1 + layer / 1000
    # A wide white line below each line shows at a crossing which of the two goes over the other.
    axes.add_patch(PathPatch(path, fill=False, edgecolor="white", linewidth=4, zorder=order))
    axes.add_patch(PathPatch(path, fill=False, edgecolor=colour, linewidth=width, zorder=order + 0.0005))
    if line.arrow:
        (ax, ay), (x, y) = line.corners[-2:]
        dx, dy = (x > ax) - (x < ax), (y > ay) - (y < ay)
        head = FancyArrowPatch(
            (x - 0.8 * dx, y - 0.8 * dy), (x, y), arrowstyle="-|>", mutation_scale=8, color=colour,
            linewidth=0, shrinkA=0, shrinkB=0, zorder=4,
        )  # fmt: skip
        axes.add_patch(head)


def _towards(corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """The point where a bend at a corner begins, on the way to another point."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = abs(dx) + abs(dy)
    share = min(BEND, length / 2) / length
    return corner[0] + share * dx, corner[1] + share * dy


def _draw_body(axes: Axes, body: Body, size: float) -> None:
    from matplotlib.patches import Ellipse, FancyBboxPatch

    half_x, half_y = body.half
    text: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": size, "color": INK, "zorder": 7}
    if body.kind == "gate":
        box = FancyBboxPatch(
            (body.x - half_x + 0.3, body.y - half_y + 0.3), 2 * half_x - 0.6, 2 * half_y - 0.6,
            boxstyle="round,pad=0.3,rounding_size=0.4", facecolor=GATE, edgecolor=INK, zorder=6,
        )  # fmt: skip
        axes.add_patch(box)
    elif body.kind == "op":
        axes.add_patch(
            Ellipse((body.x, body.y), 2 * half_x, 2 * half_y, facecolor=OP, edgecolor=INK, linewidth=0.9, zorder=6)
        )
    else:
        _draw_port(axes, body)
        return
    axes.text(body.x, body.y, body.label, **text)
    if body.name:
        axes.text(body.x + half_x, body.y + half_y + 0.1, body.name, fontstyle="italic", fontsize=size, va="bottom",
                  color=INK, zorder=7)  # fmt: skip


def _draw_port(axes: Axes, body: Body) -> None:
    if body.kind == "join":
        return
    label = f"${body.label}_{{{body.index}}}$" if body.index and body.label.isalnum() else body.label
    comes_in = body.index == "t−1" or "_" in body.label
    if body.kind == "end":
        axes.text(body.x + 0.4, body.y, label, ha="left", va="center", fontsize=11, zorder=7)
    elif comes_in:
        axes.text(body.x - 0.4, body.y, label, ha="right", va="center", fontsize=11, zorder=7)
    else:
        axes.text(body.x, body.y - 0.4, label, ha="center", va="top", fontsize=11, zorder=7)
