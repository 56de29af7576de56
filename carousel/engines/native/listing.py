"""Writes the instructions of one segment for rows of one size, and gives each scratch value a slot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from carousel.engines.native.item import Across, Item, Leaf, MatrixProduct, Pointwise, Reduction
from carousel.engines.native.items import Items
from carousel.engines.native.plan import (
    BUFFER,
    COLUMN_SUMS,
    CONSTANT,
    HALVES,
    LOCAL,
    NUMBER,
    NUMBER_OF,
    OF_NUMBER,
    ROW,
    ROWS,
    SIZES,
    TWO,
    VECTOR,
    Instruction,
    Structural,
    View,
)


def place_of(items: Items, item: Item, part: int) -> View:
    """The view by which a part of the chunk reads a value that is stored in a buffer or is a leaf."""
    if isinstance(item, Leaf):
        return item.view
    homes = items.read_homes(item)
    if items.is_gathered(item):  # members add to its panel, from which all its other homes are copied
        homes.sort(key=lambda home: home != items.panel_of(item))
    return View(BUFFER, next(h for h in homes if item.part == part or items.plan.buffers[h].time != TWO))


class _Line(NamedTuple):
    """An instruction whose scratch values do not have slots yet."""

    op: int
    dst: View
    a: View
    b: View
    c: View


class Listing:
    """The instructions of one segment for rows of one size, or for numbers per row (size None)."""

    def __init__(self, items: Items, size: str | None, part: int):
        self.items, self.size, self.part = items, size, part
        self.lines: list[_Line] = []
        self.local: dict[int, View] = {}  # the values in scratch
        self.count = 0

    def add(self, op: int, dst: View, a: View, b: View | None = None, c: View | None = None) -> None:
        self.lines.append(_Line(op, dst, a, a if b is None else b, a if c is None else c))

    def save(self, item: Item) -> None:
        """Writes a number per row to the buffers that must contain it."""
        for home in item.homes:
            if self.items.plan.buffers[home].layout == NUMBER:
                self.add(Structural.SAVE_NUMBER, View(BUFFER, home), View(ROW, item.row))

    def scratch(self) -> View:
        self.count += 1
        return View(LOCAL, self.count - 1)

    def operand(self, i: int) -> View:
        """The view by which an instruction reads item i. It is loaded into scratch if it cannot be read in place."""
        item = self.items[i]
        if isinstance(item, Leaf) and item.view.kind == CONSTANT:
            return item.view
        if self.size is None:
            assert item.row >= 0
            return View(ROW, item.row)
        if i in self.local:
            return self.local[i]
        if self.items.is_row(item):
            return self._row(item)
        if item.row >= 0:
            self.local[i] = self.scratch()
            self.add(Structural.EXPAND, self.local[i], View(ROW, item.row))
            return self.local[i]
        view = place_of(self.items, item, self.part)
        if not self._in_place(view):
            self.local[i] = self.scratch()
            self.add(
                Structural.LOAD_HALVES if self.items.layout_of(view) == HALVES else Structural.LOAD_ROWS,
                self.local[i],
                view,
            )
            return self.local[i]
        return view

    def _in_place(self, view: View) -> bool:
        """Whether strips can use a view directly: not bfloat16, nor rows in torch's layout without whole blocks."""
        layout = self.items.layout_of(view)
        return layout != HALVES and (layout != ROWS or self.size in self.items.direct)

    def compute(self, i: int, item: Pointwise) -> None:
        arguments = item.args
        number = self._number(item)
        if number is None:
            self._compute(i, item, NUMBER_OF[item.name], [self.operand(a) for a in arguments])
            return
        name = item.name if arguments[0] == number else OF_NUMBER[item.name]
        others = [self.operand(a) for a in arguments if a != number] or [self.operand(number)]
        self._compute(i, item, NUMBER_OF[name], [View(ROW, self.items[number].row), *others])

    def _number(self, item: Pointwise) -> int | None:
        """The operand that is one number of each member, which a strip reads without expanding it."""
        if self.size is None or not item.members or item.name not in OF_NUMBER:
            return None
        first, second = item.args[:2]
        if self.items[first].row >= 0:
            return first
        return second if self.items[second].row >= 0 and OF_NUMBER[item.name] else None

    def _row(self, item: Item) -> View:
        """The view by which members read the row that an item spreads."""
        view = place_of(self.items, self.items[item.args[0]], self.part)
        return view if view.kind == VECTOR else view._replace(of_row=1)

    def across(self, i: int, item: Across) -> None:
        if self.items.is_gathered(item):
            self.copies(i, item)
            return
        if self.items.is_row(item):
            if item.homes:
                self._compute(i, item, NUMBER_OF["copy"], [self._row(item)])
            return
        argument = self.items[item.args[0]]
        at = View(ROW, argument.row) if argument.row >= 0 else place_of(self.items, argument, self.part)
        self._compute(i, item, item.name, [at])

    def _compute(self, i: int, item: Item, op: int, arguments: list[View]) -> None:
        if self.size is None:
            self.add(op, View(ROW, item.row), *arguments)
            return
        places = [View(BUFFER, home) for home in item.homes]
        at = next((p for p in places if self._in_place(p)), None)
        if at is None:
            at = self.local[i] = self.scratch()
        self.add(op, at, *arguments)
        if at.kind == BUFFER:
            self.local[i] = at
        self._copy_out(item, at, [p for p in places if p != at])

    def gather(self, item: Across) -> None:
        """Among members: adds what the row `item` reads to it, or finds the greatest number of each unit."""
        home = self.items.panel_of(item)
        assert home is not None, "the passes give it a panel"
        numbers = [View(ROW, self.items[a].row) for a in item.args if self.items[a].row >= 0]
        rows = [self.operand(a) for a in item.args if self.items[a].row < 0]
        self.add(item.name, View(BUFFER, home, of_row=1), *numbers, *rows)

    def copies(self, i: int, item: Item) -> None:
        """Copies a value that this segment does not compute to its homes."""
        own: list[int | None] = [*item.homes[:1]] if isinstance(item, MatrixProduct | Reduction) else []
        if self.items.is_gathered(item):
            own = [self.items.panel_of(item)]
        sizes = self.items.plan.buffers
        wanted = [
            View(BUFFER, home)
            for home in item.homes
            if home not in own and sizes[home].layout != NUMBER and sizes[home].size == SIZES[self.size or ""]
        ]
        columns = self.items.plan.column_sums
        adds = [s for s in item.sums if columns[s].size == SIZES[self.size or ""]]
        if wanted or adds:
            self._copy_out(item, self.operand(i), wanted, adds)

    def _copy_out(self, item: Item, at: View, places: list[View], sums: Iterable[int] | None = None) -> None:
        for place in places:
            store = Structural.STORE_HALVES if self.items.layout_of(place) == HALVES else Structural.STORE_ROWS
            self.add(NUMBER_OF["copy"] if self._in_place(place) else store, place, at)
        for s in item.sums if sums is None else sums:
            self.add(Structural.ADD_COLUMNS, View(COLUMN_SUMS, s), at)

    def finish(self) -> tuple[int, int]:
        """Gives scratch values slots and writes the instructions. Values that are never alive together share a slot."""
        plan = self.items.plan
        last: dict[View, int] = {}
        for n, line in enumerate(self.lines):
            for view in line[1:]:
                last[view] = n
        slot: dict[View, int] = {}
        free: list[int] = []
        used = 0
        begin = len(plan.instructions)
        for n, line in enumerate(self.lines):
            reads = [View(LOCAL, slot[v]) if v.kind == LOCAL else v for v in line[2:]]
            free += sorted({slot[v] for v in line[2:] if v.kind == LOCAL and last[v] == n})
            dst = line.dst
            if dst.kind == LOCAL:
                if dst not in slot:
                    if not free:
                        free.append(used)
                        used += 1
                    slot[dst] = free.pop()
                dst = View(LOCAL, slot[dst])
            plan.instructions.append(Instruction(line.op, *(plan.view(v) for v in (dst, *reads))))
        plan.slots = max(plan.slots, used)
        return begin, len(plan.instructions)
