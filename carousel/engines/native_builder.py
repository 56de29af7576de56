"""From nodes to the instructions of a plan: the values of a step, the segment each belongs to, and where it lives.

A step becomes segments. A segment starts with matrix products, then does the numbers per row, then the strips; where it
reads what other units have made (a product's row, a sum over units) all threads meet before it. A value that is used in
the segment that makes it lives in scratch; one that crosses segments, feeds a product or is kept has a buffer.

Not all of a step need be done step by step. Where a sum over units or a product reads no state, it is made for all rows
of a chunk of steps before the first of them; where no state reads it, after the last: one pass over many rows, instead
of many over few, and no meeting of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from carousel.engines.native_plan import (
    ADD_COLUMNS,
    ALWAYS,
    BUFFER,
    CHUNK,
    COLUMN_SUMS,
    CONSTANT,
    EXPAND,
    EXTERNAL,
    FORWARD_PREVIOUS,
    HALVES,
    LOAD_HALVES,
    LOAD_NUMBER,
    LOAD_ROWS,
    LOCAL,
    NUMBER,
    NUMBER_OF,
    PANEL,
    PARTIAL,
    PARTIAL_SUM,
    PREVIOUS,
    ROW,
    ROWS,
    SAVE_NUMBER,
    SIZES,
    STORE_HALVES,
    STORE_ROWS,
    TOTAL_SUM,
    TWO,
    VECTOR,
    WORKSPACE,
    Buffer,
    Constant,
    Instruction,
    Plan,
    Product,
    Segment,
    Term,
    Vector,
    View,
    parameters_of,
    place_in,
)
from carousel.engines.native_verify import verify
from carousel.program import Node, Program, ops

# The parts of a chunk of steps, in order.
BEFORE, STEP, AFTER = range(3)


@dataclass
class _Item:
    """A value of the step: a leaf, an op, a product (of one or more terms), or a sum over units.

    view: where a leaf's value is. args: the items it reads; a product's are its sources, then what it is added to.
    homes: the buffers its value must be in. sums: the column sums it adds to. part: of a chunk. level: its segment.
    """

    kind: str
    name: str
    size: str
    args: tuple[int, ...] = ()
    view: View | None = None
    terms: tuple[tuple[str, bool], ...] = ()  # of a product: (weight, transposed), in the order of args
    start: int | None = None  # of a product: the item that it is added to
    bias: str | None = None  # of a product: the weight whose bias starts it
    homes: list[int] = field(default_factory=list)
    sums: list[int] = field(default_factory=list)
    part: int = STEP
    level: int = 0
    row: int = -1  # of a number per row: its ROW


class Builder:
    def __init__(self, program: Program, direct: frozenset[str]):
        self.program = program
        self.plan = Plan(parameters_of(program), gates=len(program.gates))
        self.direct = direct
        self.items: list[_Item] = []
        self.fused_biases: dict[int, tuple[int, int]] = {}  # input buffer -> (parameter, gate) of a product's bias

    # What a plan is made of.

    def parameter(self, name: str) -> int:
        return self.plan.parameters.index(name)

    def buffer(self, layout: int, size: str, time: int, place: int) -> int:
        self.plan.buffers.append(Buffer(layout, SIZES[size], time, place))
        return len(self.plan.buffers) - 1

    def external(self, size: str) -> int:
        """The next of the scan's rows of steps: one number per row, or a row of units."""
        count = sum(b.place == EXTERNAL for b in self.plan.buffers)
        layout = NUMBER if size == "one" else ROWS
        self.plan.buffers.append(Buffer(layout, SIZES.get(size, 0), ALWAYS, EXTERNAL, count))
        return len(self.plan.buffers) - 1

    def rows_leaf(self, buffer: int, size: str) -> int:
        view = View(BUFFER, buffer)
        return self.number_leaf(view) if size == "one" else self.leaf("rows", view, size)

    def leaf(self, name: str, view: View, size: str) -> int:
        for i, item in enumerate(self.items):
            if item.kind == "leaf" and (item.name, item.view) == (name, view):
                return i
        return self._enter(_Item("leaf", name, size, view=view))

    def number_leaf(self, view: View) -> int:
        index = self.leaf("number", view, "one")
        self._give_row(self.items[index])
        return index

    def common_leaf(self, node: Node) -> int:
        match node.op:
            case "constant":
                index = place_in(self.plan.constants, Constant(float(node.attr)))
                return self.leaf("constant", View(CONSTANT, index), "any")
            case "per_unit":
                index = place_in(self.plan.constants, Constant(0.0, SIZES[node.attr]))
                return self.leaf("constant", View(CONSTANT, index), "any")
            case "vector":
                name, gate = node.attr if isinstance(node.attr, tuple) else (node.attr, None)
                key = Vector(self.parameter(name), -1 if gate is None else self.program.gates.index(gate))
                return self.leaf("vector", View(VECTOR, place_in(self.plan.vectors, key)), node.size)
        raise AssertionError(f"no leaf {node.op} in a plan")

    def op(self, name: str, size: str, *args: int) -> int:
        level = max(self.items[a].level for a in args)
        return self._enter(_Item("op", name, size, args, level=level))

    def sum(self, a: int) -> int:
        return self._enter(_Item("sum", "sum", "one", (a,), level=self.items[a].level + 1))

    def _enter(self, item: _Item) -> int:
        self.items.append(item)
        if item.size in ("one", "any") and item.kind != "leaf":
            self._give_row(item)
        return len(self.items) - 1

    def _give_row(self, item: _Item) -> None:
        if item.row < 0:
            item.row = self.plan.numbers
            self.plan.numbers += 1

    def product(self, size: str, terms: list[tuple[int, str, bool]], start: int | None, bias: str | None) -> int:
        """Sum of terms (source, weight, transposed) on top of an item or a bias."""
        sources = []
        for source, *_ in terms:
            item = self.items[source]
            if item.kind == "leaf" and item.name != "state":  # a product reads a buffer
                source = self.op("copy", self.program.weights[terms[0][1]].columns, source)
            sources.append(source)
        ready = max(0 if self.items[s].kind == "leaf" else self.items[s].level + 1 for s in sources)
        if start is not None and self.items[start].kind != "leaf":
            ready = max(ready, self.items[start].level + 1)
        args = (*sources, start) if start is not None else tuple(sources)
        what = tuple((w, transposed) for _, w, transposed in terms)
        return self._enter(_Item("product", "product", size, args, terms=what, start=start, bias=bias, level=ready))

    # From nodes to items.

    def translate(
        self,
        nodes: tuple[Node, ...],
        leaf: Callable[[Node], int],
        homes: dict[int, list[int]],
        sums: dict[int, list[int]],
        forward_inputs: set[str] | None,
    ) -> None:
        """Enters all nodes. forward_inputs: gates whose input part a product may be added onto; None in backward."""
        uses = [len(homes.get(i, ())) + len(sums.get(i, ())) for i in range(len(nodes))]
        for node in nodes:
            for a in node.args:
                uses[a] += 1
        trees, absorbed = _sum_trees(nodes, uses)
        value: dict[int, int] = {}
        for index, node in enumerate(nodes):
            if index in absorbed:
                continue
            if node.op in ops.LEAVES:
                value[index] = leaf(node)
            elif index in trees:
                value[index] = self._sum_tree(nodes, uses, trees[index], value, forward_inputs)
            elif node.op in ("product", "product_transposed"):
                term = (value[node.args[0]], node.attr, node.op == "product_transposed")
                biased = node.attr if node.op == "product" and self.program.weights[node.attr].bias else None
                value[index] = self.product(node.size, [term], None, biased)
            elif node.op == "sum":
                value[index] = self.sum(value[node.args[0]])
            elif node.op == "broadcast":
                value[index] = self.op("copy", node.size, value[node.args[0]])
            else:
                value[index] = self.op(node.op, node.size, *(value[a] for a in node.args))
            self.items[value[index]].homes += homes.get(index, ())
            self.items[value[index]].sums += sums.get(index, ())

    def _sum_tree(
        self,
        nodes: tuple[Node, ...],
        uses: list[int],
        leaves: list[int],
        value: dict[int, int],
        forward_inputs: set[str] | None,
    ) -> int:
        """A sum in which products stand: they are one product, added onto another of its parts where that is free."""
        size = next(nodes[i].size for i in leaves if nodes[i].op in ("product", "product_transposed"))
        terms, rest = [], []
        bias: str | None = None
        start: int | None
        for i in leaves:
            node = nodes[i]
            biased = node.op == "product" and self.program.weights[node.attr].bias is not None
            if node.op in ("product", "product_transposed") and i not in value and not (biased and bias):
                terms.append((value[node.args[0]], node.attr, node.op == "product_transposed"))
                bias = node.attr if biased else bias
            elif i not in value:  # a second product with a bias
                rest.append(self.product(node.size, [(value[node.args[0]], node.attr, False)], None, node.attr))
            else:
                rest.append(value[i])
        if forward_inputs is not None:
            free = [i for i in leaves if nodes[i].op == "input" and uses[i] == 1 and nodes[i].attr in forward_inputs]
            if free:
                start = value[free[0]]
                rest.remove(start)
                total = self.product(size, terms, start, None)
                buffer = self.items[start].view.which  # type: ignore[union-attr]
                self.items[total].homes.append(buffer)
                if bias is not None:
                    self.fused_biases[buffer] = self._bias(bias)
            else:
                total = self.product(size, terms, None, bias)
        else:
            ready = max(self.items[s].level for s, *_ in terms)
            early = [r for r in rest if self.items[r].level <= ready and self.items[r].kind != "product"]
            rest = [r for r in rest if r not in early]
            start = self._chain(size, early) if early else None
            if start is not None and len(early) == 1:
                start = self.op("copy", size, start)  # its own place: others may read what it starts from
            total = self.product(size, terms, start, bias)
        for r in rest:
            total = self.op("add", size, total, r)
        return total

    def _chain(self, size: str, parts: list[int]) -> int:
        total = parts[0]
        for part in parts[1:]:
            total = self.op("add", size, total, part)
        return total

    # From items to instructions.

    def finish(self) -> Plan:
        self._divide()
        self._fuse()
        self._level()
        self._sink()
        self._share_starts()
        self._give_homes()
        for item in self.items:
            if item.kind == "sum":
                time = TWO if item.part == STEP else CHUNK
                item.homes.insert(0, self.buffer(PARTIAL, self.items[item.args[0]].size, time, WORKSPACE))
        counts = []
        for part in (BEFORE, STEP, AFTER):
            first = len(self.plan.segments)
            levels = [item.level for item in self.items if item.part == part and item.kind not in ("leaf", "gone")]
            for level in range(max(levels, default=0 if part == STEP else -1) + 1):
                self._segment(part, level)
            counts.append(len(self.plan.segments) - first)
        self.plan.before, _, self.plan.after = counts
        return verify(self.plan)

    def _users(self) -> list[list[int]]:
        users: list[list[int]] = [[] for _ in self.items]
        for i, item in enumerate(self.items):
            for a in item.args:
                users[a].append(i)
        return users

    def _divide(self) -> None:
        """Takes out of the step what can be done before or after a chunk's steps, where that saves sums or products.

        A pointwise op alone is cheapest in the step, which has its operands at hand.
        """
        state = [item.view is not None and item.view.kind in (PREVIOUS, FORWARD_PREVIOUS) for item in self.items]
        ahead: list[bool] = []
        for i, item in enumerate(self.items):
            ahead.append(not state[i] and all(ahead[a] for a in item.args))
        users = self._users()
        carried = set(self.plan.carried)
        later = [False] * len(self.items)
        for i, item in reversed(list(enumerate(self.items))):
            here = item.kind == "leaf" or not carried.isdisjoint(item.homes) or any(state[a] for a in item.args)
            later[i] = not here and all(later[u] for u in users[i])
        for part, possible in ((BEFORE, ahead), (AFTER, later)):
            chosen = [
                i for i, item in enumerate(self.items) if possible[i] and item.part == STEP and item.kind != "leaf"
            ]
            if any(self.items[i].kind in ("sum", "product") for i in chosen):
                for i in chosen:
                    self.items[i].part = part

    def _fuse(self) -> None:
        """a * b + c in one pass, and the copies that a start of its own does not need."""
        users = self._users()

        def alone(i: int, user: _Item) -> bool:
            item = self.items[i]
            only = len(users[i]) == 1 and not item.homes and not item.sums
            return item.kind == "op" and only and (item.size, item.part) == (user.size, user.part)

        for item in self.items:
            if item.kind != "op" or item.size not in SIZES:
                continue
            if item.name == "copy" and alone(item.args[0], item):
                inner = self.items[item.args[0]]
                item.name, item.args = inner.name, inner.args
                inner.kind, inner.args = "gone", ()
            for own, name, places in (("mul_add", "add", (0, 1)), ("mul_sub", "sub", (1,))):
                if item.name != name:
                    continue
                for place in places:
                    product = item.args[place]
                    if alone(product, item) and self.items[product].name == "mul":
                        item.name, item.args = own, (*self.items[product].args, item.args[1 - place])
                        self.items[product].kind, self.items[product].args = "gone", ()
                        break
        # Other pairs would go here: a row in native/ops.h, a rewrite here.

    def _level(self) -> None:
        """Segments anew, part by part: what another part has made is there from the start."""
        for item in self.items:
            own = [
                self.items[a].level
                for a in item.args
                if self.items[a].kind != "leaf" and self.items[a].part == item.part
            ]
            match item.kind:
                case "op":
                    item.level = max(own, default=0)
                case "sum":
                    item.level = max(own, default=0) + 1
                case "product":
                    item.level = max((level + 1 for level in own), default=0)

    def _sink(self) -> None:
        """Moves ops to the segment that needs them, so that fewer values cross segments."""
        users = self._users()
        for i in reversed(range(len(self.items))):
            item = self.items[i]
            if item.kind != "op" or item.homes or not users[i]:
                continue
            if any(self.items[u].part != item.part for u in users[i]):
                continue
            needed = [self.items[u].level - (self.items[u].kind != "op") for u in users[i]]
            item.level = max(item.level, min(needed))

    def _share_starts(self) -> None:
        """One buffer for a product and the value it starts from: the product is added onto it."""
        for item in self.items:
            if item.kind != "product" or item.start is None or self.items[item.start].kind != "op":
                continue
            start = self.items[item.start]
            lasts = start.part == item.part or (item.homes and self.plan.buffers[item.homes[0]].time != TWO)
            if not item.homes or not lasts:
                time = TWO if start.part == item.part == STEP else CHUNK
                item.homes.insert(0, self.buffer(PANEL, item.size, time, WORKSPACE))
            start.homes.append(item.homes[0])

    def _give_homes(self) -> None:
        """Buffers for what products make or read, and for what crosses segments or parts of a chunk."""
        for item, users in zip(list(self.items), self._users(), strict=True):
            if item.kind not in ("op", "product", "sum"):
                continue
            crosses = any(self.items[u].part != item.part for u in users)
            if item.size not in SIZES:
                if crosses:
                    item.homes.append(self._number_buffer())
                continue
            own = self._read_homes(item)
            if crosses and all(self.plan.buffers[home].time == TWO for home in own):
                item.homes.append(self.buffer(PANEL, item.size, CHUNK, WORKSPACE))
            elsewhere = item.kind == "product" or any(
                self.items[u].kind == "product" or (self.items[u].kind == "op" and self.items[u].level != item.level)
                for u in users
            )
            if elsewhere and not self._read_homes(item):
                time = TWO if item.part == STEP else CHUNK
                item.homes.append(self.buffer(PANEL, item.size, time, WORKSPACE))

    def _read_homes(self, item: _Item) -> list[int]:
        """Those that this scan reads again: not what is rounded for another."""
        return [home for home in item.homes if self.plan.buffers[home].layout != HALVES]

    def _number_buffer(self) -> int:
        self.plan.buffers.append(Buffer(NUMBER, 0, CHUNK, WORKSPACE))
        return len(self.plan.buffers) - 1

    def place_of(self, item: _Item, part: int) -> View:
        """Where a part of the chunk reads a value that has a place of its own."""
        if item.view is not None:
            return item.view
        homes = self._read_homes(item)
        return View(BUFFER, next(h for h in homes if item.part == part or self.plan.buffers[h].time != TWO))

    def _segment(self, part: int, level: int) -> None:
        plan = self.plan
        everything = [(i, item) for i, item in enumerate(self.items) if item.kind != "gone"]
        here = [(i, item) for i, item in everything if (item.part, item.level) == (part, level)]
        # A sum over units has its parts taken at the end of the segment before its own.
        next_sums = [s for _, s in everything if s.kind == "sum" and (s.part, s.level) == (part, level + 1)]
        first_product = len(plan.products)
        for _, item in here:
            if item.kind == "product":
                self._emit_product(item)
        bounds = [first_product, len(plan.products)]
        totals = False
        numbers = _Listing(self, None, part)
        if level == 0:
            self._load_numbers(numbers)
        for i, item in here:
            if item.kind == "sum":
                numbers.add(TOTAL_SUM, View(ROW, item.row), View(BUFFER, item.homes[0]))
                totals = True
            elif item.kind == "op" and item.row >= 0:
                numbers.compute(i, item)
            if item.row >= 0 and item.kind != "leaf":
                numbers.save(item)
        bounds += numbers.finish()
        for size in SIZES:
            strips = _Listing(self, size, part)
            for i, item in everything:
                if (item.part, item.level) == (part, level):
                    if item.kind == "op" and item.size == size:
                        strips.compute(i, item)
                    else:
                        strips.copies(i, item)
                for s in next_sums:
                    if s.args[0] == i and item.size == size:
                        strips.add(PARTIAL_SUM, View(BUFFER, s.homes[0]), strips.operand(i))
            bounds += strips.finish()
        waits = bounds[0] < bounds[1] or totals
        plan.segments.append(Segment._make((*bounds, int(waits))))

    def _load_numbers(self, listing: _Listing) -> None:
        """Numbers per row that this part of the chunk reads and has not made."""
        part = listing.part
        read = {a for item in self.items if item.part == part for a in item.args}
        read |= {i for i, item in enumerate(self.items) if item.part == part and (item.homes or item.sums)}
        for i in sorted(read):
            item = self.items[i]
            if item.kind == "leaf" and item.name == "number":
                assert item.view is not None
                listing.add(LOAD_NUMBER, View(ROW, item.row), item.view)
            elif item.kind != "leaf" and item.row >= 0 and item.part != part:
                home = next(h for h in item.homes if self._is_lasting_number(h))
                listing.add(LOAD_NUMBER, View(ROW, item.row), View(BUFFER, home))

    def _is_lasting_number(self, home: int) -> bool:
        buffer = self.plan.buffers[home]
        return buffer.layout == NUMBER and buffer.time != TWO

    def _emit_product(self, item: _Item) -> None:
        plan = self.plan
        first = len(plan.terms)
        for source, (name, transposed) in zip(item.args, item.terms, strict=False):
            weight = self.program.weights[name]
            made = self.items[source]
            at = self.place_of(made, item.part)
            size = weight.rows if transposed else weight.columns
            parameter = self.parameter(weight.parameter), -1 if weight.gate is None else weight.gate
            plan.terms.append(Term(plan.view(at), SIZES[size], *parameter, int(transposed)))
        bias, gate = (-1, -1) if item.bias is None else self._bias(item.bias)
        dst = plan.view(View(BUFFER, item.homes[0]))
        accumulate = int(item.start is not None)
        plan.products.append(Product(dst, SIZES[item.size], accumulate, bias, gate, first, len(item.terms)))

    def _bias(self, weight: str) -> tuple[int, int]:
        """The parameter that is a weight's bias, and the gate whose part of it."""
        found = self.program.weights[weight]
        assert found.bias is not None
        return self.parameter(found.bias), -1 if found.gate is None else found.gate


class _Line(NamedTuple):
    """An instruction whose scratch values have no slots yet."""

    op: int
    dst: View
    a: View
    b: View
    c: View


class _Listing:
    """The instructions of one segment for rows of one size; size None: for numbers per row."""

    def __init__(self, builder: Builder, size: str | None, part: int):
        self.b, self.size, self.part = builder, size, part
        self.lines: list[_Line] = []
        self.local: dict[int, View] = {}  # values that are in scratch
        self.count = 0

    def add(self, op: int, dst: View, a: View, b: View | None = None, c: View | None = None) -> None:
        self.lines.append(_Line(op, dst, a, a if b is None else b, a if c is None else c))

    def save(self, item: _Item) -> None:
        """Writes a number per row where it is kept."""
        for home in item.homes:
            if self.b.plan.buffers[home].layout == NUMBER:
                self.add(SAVE_NUMBER, View(BUFFER, home), View(ROW, item.row))

    def scratch(self) -> View:
        self.count += 1
        return View(LOCAL, self.count - 1)

    def operand(self, i: int) -> View:
        """Where item i can be read from here; loads it into scratch where it cannot be read in place."""
        item = self.b.items[i]
        if item.view is not None and item.view.kind == CONSTANT:
            return item.view
        if self.size is None:
            assert item.row >= 0
            return View(ROW, item.row)
        if i in self.local:
            return self.local[i]
        if item.row >= 0:
            self.local[i] = self.scratch()
            self.add(EXPAND, self.local[i], View(ROW, item.row))
            return self.local[i]
        view = self.b.place_of(item, self.part)
        if not self._in_place(view):
            self.local[i] = self.scratch()
            self.add(LOAD_HALVES if self._layout(view) == HALVES else LOAD_ROWS, self.local[i], view)
            return self.local[i]
        return view

    def _layout(self, view: View) -> int:
        plan = self.b.plan
        if view.kind not in (BUFFER, PREVIOUS, FORWARD_PREVIOUS):
            return PANEL
        through = {PREVIOUS: plan.carried, FORWARD_PREVIOUS: plan.forward_states}.get(view.kind)
        return plan.buffers[view.which if through is None else through[view.which]].layout

    def _in_place(self, view: View) -> bool:
        """Whether strips use a place as it is: not bfloat16, nor rows as torch stores them that fill no blocks."""
        layout = self._layout(view)
        return layout != HALVES and (layout != ROWS or self.size in self.b.direct)

    def compute(self, i: int, item: _Item) -> None:
        arguments = [self.operand(a) for a in item.args]
        if self.size is None:
            self.add(NUMBER_OF[item.name], View(ROW, item.row), *arguments)
            return
        places = [View(BUFFER, home) for home in item.homes]
        at = next((p for p in places if self._in_place(p)), None)
        if at is None:
            at = self.local[i] = self.scratch()
        self.add(NUMBER_OF[item.name], at, *arguments)
        if at.kind == BUFFER:
            self.local[i] = at
        self._copy_out(item, at, [p for p in places if p != at])

    def copies(self, i: int, item: _Item) -> None:
        """Homes beside its own place of a value that this segment does not compute."""
        own = item.homes[:1] if item.kind in ("product", "sum") else []
        sizes = self.b.plan.buffers
        wanted = [
            View(BUFFER, home)
            for home in item.homes
            if home not in own and sizes[home].layout != NUMBER and sizes[home].size == SIZES[self.size or ""]
        ]
        adds = item.sums if self.size == "hidden" else []
        if wanted or adds:
            self._copy_out(item, self.operand(i), wanted, adds)

    def _copy_out(self, item: _Item, at: View, places: list[View], sums: Iterable[int] | None = None) -> None:
        for place in places:
            store = STORE_HALVES if self._layout(place) == HALVES else STORE_ROWS
            self.add(NUMBER_OF["copy"] if self._in_place(place) else store, place, at)
        for s in item.sums if sums is None else sums:
            self.add(ADD_COLUMNS, View(COLUMN_SUMS, s), at)

    def finish(self) -> tuple[int, int]:
        """Gives scratch values slots, those that are never alive together the same one, and enters the lines."""
        plan = self.b.plan
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


def _sum_trees(nodes: tuple[Node, ...], uses: list[int]) -> tuple[dict[int, list[int]], set[int]]:
    """The largest sums with products among their parts: root -> parts; and the nodes that go up in them."""
    trees: dict[int, list[int]] = {}
    absorbed: set[int] = set()
    for root in reversed(range(len(nodes))):
        if nodes[root].op != "add" or root in absorbed:
            continue
        parts: list[int] = []
        inner: list[int] = []
        waiting = list(reversed(nodes[root].args))
        while waiting:
            i = waiting.pop()
            if nodes[i].op == "add" and uses[i] == 1 and nodes[i].size == nodes[root].size:
                inner.append(i)
                waiting += reversed(nodes[i].args)
            else:
                parts.append(i)
        products = [i for i in parts if nodes[i].op in ("product", "product_transposed") and uses[i] == 1]
        if products:
            trees[root] = parts
            absorbed |= {*inner, *products}
    return trees, absorbed
