"""The drawing of a cell as SVG. In dark mode it has colours of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape

from carousel.insight.drawing.drawing import Body, Drawing, Line

At = Callable[[float, float], tuple[float, float]]  # from cells, y upwards, to pixels, y downwards

SCALE, CORNER, MARGIN = 11.0, 0.9, 3.0  # pixels a cell; the radius of bends, and the margin, in cells
STYLE = """
.cell-drawing { --ink: #333; --paper: #fff; --gate: #fbe3b4; --op: #f6d3dd; --line: #0072b2; font: 12px sans-serif }
@media (prefers-color-scheme: dark) {
  .cell-drawing { --ink: #ececf0; --paper: #1c1c1e; --gate: #5c4a1e; --op: #5e3341; --line: #56b4e9 }
}
.cell-drawing .line { fill: none; stroke: var(--ink); stroke-width: 1.4 }
.cell-drawing .under { fill: none; stroke: var(--paper); stroke-width: 5 }
.cell-drawing .line.state { stroke: var(--line); stroke-width: 2.6 }
.cell-drawing .gate { fill: var(--gate); stroke: var(--ink) } .cell-drawing .op { fill: var(--op); stroke: var(--ink) }
.cell-drawing .dot, .cell-drawing .head { fill: var(--ink) }
.cell-drawing text { fill: var(--ink); text-anchor: middle; dominant-baseline: central }
.cell-drawing text.name { font-style: italic; font-size: 11px } .cell-drawing text.port { font-size: 14px }
"""


def svg(drawing: Drawing) -> str:
    """The drawing as an `svg` element, which stands alone or in a page."""
    left, bottom, right, top = drawing.border
    width, height = (right - left + 2 * MARGIN) * SCALE, (top - bottom + 1.5) * SCALE

    def at(x: float, y: float) -> tuple[float, float]:
        return (x - left + MARGIN) * SCALE, (top - y + 0.5) * SCALE

    title = f"One step of {drawing.cell}: states {', '.join(drawing.states)}"
    found = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="cell-drawing" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img"><title>{escape(title)}</title><style>{STYLE}</style>'
    ]
    for source in dict.fromkeys(line.source for line in drawing.lines):
        ways = [(line, _path(line, at)) for line in drawing.lines if line.source == source]
        found += [f'<path class="under" d="{way}"/>' for _, way in ways]
        found += [f'<path class="line{" state" if line.state else ""}" d="{way}"/>' for line, way in ways]
    found += [_head(line, at) for line in drawing.lines if line.arrow]
    for x, y in drawing.dots:
        found.append('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="3"/>'.format(*at(x, y)))
    for body in drawing.bodies:
        x, y = at(body.x, body.y)
        half = body.half[0] * SCALE
        if body.kind == "gate":
            found.append(
                f'<rect class="gate" x="{x - half:.1f}" y="{y - SCALE:.1f}" width="{2 * half:.1f}" '
                f'height="{2 * SCALE:.1f}" rx="4"/>'
            )
        elif body.kind == "op":
            found.append(f'<ellipse class="op" cx="{x:.1f}" cy="{y:.1f}" rx="{half:.1f}" ry="{SCALE:.1f}"/>')
        else:
            x += {"port": -1.6, "end": 1.6}[body.kind] * SCALE if body.kind != "join" else 0
        found += _texts(body, x, y)
    return "\n".join([*found, "</svg>"])


def _texts(body: Body, x: float, y: float) -> list[str]:
    below = f'<tspan dy="5" font-size="10">{body.index}</tspan>' if body.index else ""
    kind = "port" if body.kind in ("port", "end") else "label"
    found = [f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(body.label)}{below}</text>'] if body.label else []
    if body.name:
        beside = x + body.half[0] * SCALE + 2
        found.append(f'<text class="name" x="{beside:.1f}" y="{y - 1.6 * SCALE:.1f}">{escape(body.name)}</text>')
    return found


def _path(line: Line, at: At) -> str:
    """A way with round bends."""
    corners = [at(*corner) for corner in line.corners]
    way = ["M{:.1f} {:.1f}".format(*corners[0])]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        begin, end = _towards(corner, before), _towards(corner, after)
        way.append("L{:.1f} {:.1f}Q{:.1f} {:.1f} {:.1f} {:.1f}".format(*begin, *corner, *end))
    return "".join([*way, "L{:.1f} {:.1f}".format(*corners[-1])])


def _towards(corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """The point where a bend at a corner begins, on the way to another point."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = math.hypot(dx, dy)
    share = min(CORNER * SCALE, length / 2) / length
    return corner[0] + share * dx, corner[1] + share * dy


def _head(line: Line, at: At) -> str:
    """The head of an arrow at the end of a line."""
    (ax, ay), (x, y) = (at(*corner) for corner in line.corners[-2:])
    length = math.hypot(x - ax, y - ay)
    ux, uy = (x - ax) / length, (y - ay) / length
    back = [(x - 7 * ux + side * 3.5 * uy, y - 7 * uy - side * 3.5 * ux) for side in (1, -1)]
    return '<path class="head" d="M{:.1f} {:.1f}L{:.1f} {:.1f}L{:.1f} {:.1f}Z"/>'.format(x, y, *back[0], *back[1])
