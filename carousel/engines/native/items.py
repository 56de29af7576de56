"""The items of a step: the form of a program between its nodes and the instructions of a plan.

An item is a value of the step: a leaf, an op, a product with one or more terms, or a reduction over units. Each item
stands in the list after the items that it reads. The passes (`passes.py`) change the list and check it after each pass.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeGuard

from carousel.cells.member_sizes import parted
from carousel.engines.native.plan import (
    ALWAYS,
    BUFFER,
    CHUNK,
    CONSTANT,
    EXTERNAL,
    FORWARD_PREVIOUS,
    GATHERS,
    HALVES,
    NUMBER,
    PANEL,
    PREVIOUS,
    ROWS,
    SIZES,
    TWO,
    VECTOR,
    WORKSPACE,
    Buffer,
    Constant,
    Gather,
    Plan,
    Structural,
    Vector,
    View,
    place_in,
)
from carousel.engines.native.sizes import members_of
from carousel.engines.parameters import parameters_of
from carousel.program import Node, Program

# The three parts of a chunk of steps, in order.
BEFORE, STEP, AFTER = range(3)


@dataclass(kw_only=True)
class Item:
    """The fields that all items share.

    size: the size of its rows; "one": one number per row; "any": one number for all rows. args: the items it reads.
    members: whether it has a row for each member of a row.
    homes: the buffers that must contain its value. sums: the column sums to which its value is added.
    part: its part of a chunk. level: its segment in that part. row: its index among the numbers per row, or -1.
    """

    size: str
    args: tuple[int, ...] = ()
    members: bool = False
    homes: list[int] = field(default_factory=list)
    sums: list[int] = field(default_factory=list)
    part: int = STEP
    level: int = 0
    row: int = -1


@dataclass(kw_only=True)
class Leaf(Item):
    """A value that exists before the step. view: where it is stored."""

    name: str
    view: View

    @property
    def is_state(self) -> bool:
        """Whether it is a state that an earlier step computed."""
        return self.name == "state"


@dataclass(kw_only=True)
class Pointwise(Item):
    """A pointwise op."""

    name: str


@dataclass(kw_only=True)
class MatrixProduct(Item):
    """start or bias + the sum of products. Term i is (weight, transposed), which multiplies args[i].

    start: the item to which the products are added, the last of args. bias: the weight whose bias is added.
    idle: whether it is left out at leaves; see `leaves.py`.
    """

    terms: tuple[tuple[str, bool], ...]
    start: int | None = None
    bias: str | None = None
    idle: bool = False


@dataclass(kw_only=True)
class Reduction(Item):
    """A reduction over the units of a row: "sum" or "highest"."""

    name: str


@dataclass(kw_only=True)
class Across(Item):
    """An op between a row and its members, or among members."""

    name: Structural


@dataclass(kw_only=True)
class Gone(Item):
    """The former place of an op that became part of another item."""


class Items:
    """The items of one step, and the plan that is made of them.

    direct: the sizes whose rows in torch's layout are whole blocks.
    adds_biases: whether products add the bias of their weight; they do in forward.
    fused_biases: {buffer of a gate's input part: (parameter, gate) of a product's bias that is added to it first}.
    idle: the products among the nodes that are left out at leaves.
    """

    def __init__(self, program: Program, direct: frozenset[str]):
        self.program, self.direct = program, direct
        self.idle: frozenset[int] = frozenset()
        self.plan = Plan(parameters_of(program), gates=len(program.gates))
        self.list: list[Item] = []
        self.fused_biases: dict[int, tuple[int, int]] = {}
        self.adds_biases = True
        self.has_slots = bool(members_of(program))

    def __getitem__(self, index: int) -> Item:
        return self.list[index]

    def users(self) -> list[list[int]]:
        """For each item, the items that read it."""
        users: list[list[int]] = [[] for _ in self.list]
        for i, item in enumerate(self.list):
            for a in item.args:
                users[a].append(i)
        return users

    # --- entries of the plan

    def parameter(self, name: str) -> int:
        return self.plan.parameters.index(name)

    def bias(self, weight: str) -> tuple[int, int]:
        """The bias of a weight: its parameter, and the gate whose block it is."""
        found = self.program.weights[weight]
        assert found.bias is not None
        return self.parameter(found.bias), -1 if found.gate is None else found.gate

    def buffer(self, layout: int, size: str, time: int, place: int, members: bool = False) -> int:
        self.plan.buffers.append(Buffer(layout, SIZES[size], time, place, members=int(members)))
        return len(self.plan.buffers) - 1

    def external(self, row: str) -> int:
        """The buffer of the scan's next EXTERNAL rows, of a size as `Node.row` names it."""
        members, size = parted(row)
        count = sum(b.place == EXTERNAL for b in self.plan.buffers)
        layout = NUMBER if size == "one" else ROWS
        self.plan.buffers.append(Buffer(layout, SIZES.get(size, 0), ALWAYS, EXTERNAL, count, int(bool(members))))
        return len(self.plan.buffers) - 1

    def state_buffer(self, row: str, time: int, place: int) -> int:
        """A buffer for states, or their gradients, of this size."""
        members, size = parted(row)
        layout = NUMBER if size == "one" else PANEL
        return self.buffer(layout, "single" if size == "one" else size, time, place, bool(members))

    def number_buffer(self, members: bool) -> int:
        self.plan.buffers.append(Buffer(NUMBER, 0, CHUNK, WORKSPACE, members=int(members)))
        return len(self.plan.buffers) - 1

    def gather(self, attr: Any, nodes: int) -> int:
        """The plan's gather of a state leaf of trees. nodes: the buffer with that state of all nodes."""
        state, slot = self.child(attr)
        known = [i for i, g in enumerate(self.plan.gathers) if g[:2] == (state, slot)]
        if not known:
            self.plan.gathers.append(Gather(state, slot, nodes, -1))
        return known[0] if known else len(self.plan.gathers) - 1

    def children_leaf(self, attr: Any, size: str, nodes: int) -> int:
        """The item of a state leaf of trees, which is brought to a panel before the step."""
        index = self.gather(attr, nodes)
        gather = self.plan.gathers[index]
        if gather.panel < 0:
            panel = self.buffer(PANEL, size, TWO, WORKSPACE, gather.slot < 0)
            self.plan.gathers[index] = gather = gather._replace(panel=panel)
        return self.leaf("state", View(BUFFER, gather.panel), size, gather.slot < 0)

    def child(self, attr: Any) -> tuple[int, int]:
        """What a state leaf of trees stands for: the index of the state and the number of the child; -1 for members."""
        name, slot = attr if isinstance(attr, tuple) else (attr, -1 if self.program.children == "any" else 0)
        return list(self.program.states).index(name), slot

    def read_homes(self, item: Item) -> list[int]:
        """The homes that this scan itself reads, without those that are rounded to bfloat16 for backward."""
        return [home for home in item.homes if self.plan.buffers[home].layout != HALVES]

    # --- items

    def leaf(self, name: str, view: View, size: str, members: bool = False) -> int:
        for i, item in enumerate(self.list):
            if isinstance(item, Leaf) and (item.name, item.view) == (name, view):
                return i
        return self._enter(Leaf(name=name, size=size, view=view, members=members))

    def number_leaf(self, view: View, members: bool = False) -> int:
        index = self.leaf("number", view, "one", members)
        self._give_row(self.list[index])
        return index

    def state_leaf(self, view: View, size: str, members: bool) -> int:
        """The item of a state, or of its gradient, as the step before left it."""
        index = self.leaf("state", view, size, members)
        if size == "one":
            self._give_row(self.list[index])
        return index

    def rows_leaf(self, buffer: int, size: str) -> int:
        view, members = View(BUFFER, buffer), bool(self.plan.buffers[buffer].members)
        return self.number_leaf(view, members) if size == "one" else self.leaf("rows", view, size, members)

    def common_leaf(self, node: Node) -> int:
        """The item of a leaf that is the same for all rows."""
        match node.op:
            case "constant":
                index = place_in(self.plan.constants, Constant(float(node.attr)))
                return self.leaf("constant", View(CONSTANT, index), "any")
            case "per_unit":
                index = place_in(self.plan.constants, Constant(0.0, SIZES[node.attr]))
                return self.leaf("constant", View(CONSTANT, index), "any")
            case "vector":
                name, gate = node.attr if isinstance(node.attr, tuple) else (node.attr, None)
                if node.size == "one":
                    index = place_in(self.plan.constants, Constant(0.0, -1, self.parameter(name)))
                    return self.leaf("constant", View(CONSTANT, index), "any")
                part = -1 if gate is None else self.program.gates.index(gate)
                key = Vector(self.parameter(name), part, SIZES[node.size])
                return self.leaf("vector", View(VECTOR, place_in(self.plan.vectors, key)), node.size)
        raise AssertionError(f"no leaf {node.op} in a plan")

    def op(self, name: str, size: str, *args: int) -> int:
        level = max(self.list[a].level for a in args)
        members = any(self.list[a].members for a in args)
        return self._enter(Pointwise(name=name, size=size, args=args, level=level, members=members))

    def reduction(self, name: str, a: int) -> int:
        argument = self.list[a]
        return self._enter(
            Reduction(name=name, size="one", args=(a,), level=argument.level + 1, members=argument.members)
        )

    def across(self, name: str, size: str, a: int, members: bool) -> int:
        """The item of an op between a row and its members, or among members. members: whether it gives members."""
        argument = self.list[a]
        if name == "spread" and isinstance(argument, Leaf) and argument.name in ("vector", "constant"):
            if not self.has_slots or size not in SIZES:  # slots read a vector where it is
                return self._enter(Pointwise(name="copy", size=size, args=(a,), members=True))  # the same for all
        elif isinstance(argument, Leaf) and argument.size in SIZES and not self._is_panel(argument.view):
            a = self.op("copy", argument.size, a)
        if name == "turn":
            name = "transpose" if members and argument.members else "as_members" if members else "as_row"
        level = self.list[a].level + 1
        return self._enter(Across(name=Structural[name.upper()], size=size, args=(a,), level=level, members=members))

    def is_given_by_row(self, item: Item) -> TypeGuard[Across]:
        """Whether an item is what slots have in common, a row or a number of it."""
        return isinstance(item, Across) and item.name == Structural.SPREAD and self.has_slots

    def is_row(self, item: Item) -> TypeGuard[Across]:
        """Whether an item is a row that its slots share: strips of members read the row itself."""
        return self.is_given_by_row(item) and item.size in SIZES

    def is_gathered(self, item: Item) -> TypeGuard[Across]:
        """Whether an item is a row to which strips of its slots add, or of which they find the greatest numbers."""
        return isinstance(item, Across) and item.name in GATHERS and item.size in SIZES and self.has_slots

    def panel_of(self, item: Item) -> int | None:
        """The first panel among the homes of an item."""
        return next((home for home in item.homes if self.plan.buffers[home].layout == PANEL), None)

    def _is_panel(self, view: View) -> bool:
        return view.kind in (BUFFER, PREVIOUS, FORWARD_PREVIOUS) and self.layout_of(view) == PANEL

    def layout_of(self, view: View) -> int:
        """The layout of the buffer that a view shows; PANEL of what is in no buffer."""
        plan = self.plan
        if view.kind not in (BUFFER, PREVIOUS, FORWARD_PREVIOUS):
            return PANEL
        through = {PREVIOUS: plan.carried, FORWARD_PREVIOUS: plan.forward_states}.get(view.kind)
        return plan.buffers[view.which if through is None else through[view.which]].layout

    def keep_in(self, i: int, home: int) -> None:
        """Demands that a buffer contains the value of item i. What is not of its kind is copied to an item that is."""
        buffer, item = self.plan.buffers[home], self.list[i]
        size = "one" if buffer.layout == NUMBER else list(SIZES)[buffer.size]
        if buffer.members and not item.members:
            i = self.across("spread", item.size if item.size in SIZES else "one", i, True)
        if buffer.layout == NUMBER and isinstance(self.list[i], Leaf):
            i = self._enter(Pointwise(name="copy", size=size, args=(i,), members=self.list[i].members))
        self.list[i].homes.append(home)

    def product(
        self, size: str, terms: list[tuple[int, str, bool]], start: int | None, bias: str | None, idle: bool = False
    ) -> int:
        """The item of a sum of terms (source, weight, transposed), added to the item `start` or to a bias."""
        sources = []
        for source, name, transposed in terms:
            item, weight = self.list[source], self.program.weights[name]
            if isinstance(item, Leaf) and item.name != "state":  # a product reads its rows from a buffer
                source = self.op("copy", weight.rows if transposed else weight.columns, source)
            sources.append(source)
        ready = max(0 if isinstance(self.list[s], Leaf) else self.list[s].level + 1 for s in sources)
        if start is not None and not isinstance(self.list[start], Leaf):
            ready = max(ready, self.list[start].level + 1)
        args = (*sources, start) if start is not None else tuple(sources)
        what = tuple((w, transposed) for _, w, transposed in terms)
        members = self.list[sources[0]].members
        made = MatrixProduct(
            size=size, args=args, terms=what, start=start, bias=bias, level=ready, members=members, idle=idle
        )
        return self._enter(made)

    def _enter(self, item: Item) -> int:
        self.list.append(item)
        if item.size in ("one", "any") and not isinstance(item, Leaf):
            self._give_row(item)
        return len(self.list) - 1

    def _give_row(self, item: Item) -> None:
        if item.row < 0:
            item.row = self.plan.numbers
            self.plan.numbers += 1
