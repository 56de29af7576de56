"""The ways of lines between parts: shortest paths on a grid, around all parts, with few bends and crossings.

The router is that of C. Y. Lee, "An algorithm for path connections and its applications" (1961), with costs. A line
may use the way of another line from the same part at almost no cost, so that lines from one part branch late.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field

Cell = tuple[int, int]
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
BEND, CROSSING, BESIDE, SAME = 3.0, 4.0, 60.0, 0.15
AHEAD = 0.4  # what a cell of distance to the end is thought to cost: more finds a way sooner, less finds a better one


@dataclass
class Grid:
    """A grid with parts in it.

    blocked: the cells that bodies of parts cover. used: {(cell, axis): the source of the line that runs there}, where
    the axis is 0 for a horizontal line and 1 for a vertical one.
    """

    width: range
    height: range
    blocked: set[Cell] = field(default_factory=set)
    used: dict[tuple[Cell, int], int] = field(default_factory=dict)

    def route(self, source: int, start: Cell, end: Cell, doors: set[Cell], *, leave: int, up: bool) -> list[Cell]:
        """The way of a line from a part to another, as cells.

        source: the part where it starts, so that lines from one part share their way. doors: the cells of the two parts
        through which it may go. leave: the direction in which it must leave, as an index of STEPS, or -1 for any. up:
        whether it must end upwards.
        """
        queue: list[tuple[float, int, float, Cell, int]] = [(0.0, 0, 0.0, start, leave)]
        best: dict[tuple[Cell, int], float] = {(start, leave): 0.0}
        before: dict[tuple[Cell, int], tuple[Cell, int]] = {}
        count = 0
        while queue:
            _, _, cost, cell, way = heapq.heappop(queue)
            if cell == end and (not up or way == 1):
                return _walk(before, (cell, way))
            if cost > best[cell, way]:
                continue
            for turn, (dx, dy) in enumerate(STEPS):
                following = (cell[0] + dx, cell[1] + dy)
                if way >= 0 and turn != way and (turn == (way + 2) % 4 or cell in self.blocked):
                    continue  # a line turns round nowhere, and turns nowhere inside of a part
                if not self._free(following, doors):
                    continue
                price = cost + self._price(source, cell, following, turn) + (BEND if way not in (-1, turn) else 0)
                if price < best.get((following, turn), float("inf")):
                    best[following, turn] = price
                    before[following, turn] = (cell, way)
                    count += 1
                    ahead = AHEAD * (abs(end[0] - following[0]) + abs(end[1] - following[1]))
                    heapq.heappush(queue, (price + ahead, count, price, following, turn))
        raise AssertionError(f"there is no way from part {source} to {end}")

    def _free(self, cell: Cell, doors: set[Cell]) -> bool:
        inside = cell[0] in self.width and cell[1] in self.height
        return inside and (cell not in self.blocked or cell in doors)

    def _price(self, source: int, cell: Cell, following: Cell, turn: int) -> float:
        axis = turn % 2
        if self.used.get((cell, axis)) == source and self.used.get((following, axis)) == source:
            return SAME
        if following in self.blocked:
            return 1.0  # lines may meet inside of a part
        others = [self.used.get((place, axis), source) for place in (following, cell) if place not in self.blocked]
        price = 1.0 + BESIDE * any(one != source for one in others)
        return price + CROSSING * (self.used.get((following, 1 - axis), source) != source)

    def keep(self, source: int, path: list[Cell]) -> None:
        """Marks the cells of a line as used. A bend is used along both axes, so that no line crosses there."""
        for a, b in itertools.pairwise(path):
            axis = 0 if a[1] == b[1] else 1
            for cell in (a, b):
                self.used.setdefault((cell, axis), source)


def _walk(before: dict[tuple[Cell, int], tuple[Cell, int]], end: tuple[Cell, int]) -> list[Cell]:
    path = [end]
    while path[-1] in before:
        path.append(before[path[-1]])
    return [cell for cell, _ in reversed(path)]
