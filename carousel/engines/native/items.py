"""The items of a step: the form of a program between its nodes and the instructions of a plan.

An item is a value of the step; `item.py` has their kinds. Each stands in the list after the items that it reads. The
passes (`passes.py`) change the list and check it after each pass.
"""

from __future__ import annotations

from typing import Any, TypeGuard

from carousel.engines.native.entries import Entries
from carousel.engines.native.item import Across, Item, Leaf, MatrixProduct, Pointwise, Reduction
from carousel.engines.native.plan import (
    BUFFER,
    CONSTANT,
    GATHERS,
    NUMBER,
    PANEL,
    SIZES,
    TWO,
    VECTOR,
    WORKSPACE,
    Constant,
    Structural,
    Vector,
    View,
    place_in,
)
from carousel.engines.native.sizes import members_of
from carousel.program import Node, Program


class Items(Entries):
    """The items of one step, and the plan that is made of them.

    direct: the sizes whose rows in torch's layout are whole blocks.
    adds_biases: whether products add the bias of their weight; they do in forward.
    fused_biases: {buffer of a gate's input part: (parameter, gate) of a product's bias that is added to it first}.
    idle: the products among the nodes that are left out at leaves.
    """

    def __init__(self, program: Program, direct: frozenset[str]):
        super().__init__(program)
        self.direct = direct
        self.idle: frozenset[int] = frozenset()
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

    def children_leaf(self, attr: Any, size: str, nodes: int) -> int:
        """The item of a state leaf of trees, which is brought to a panel before the step."""
        index = self.gather(attr, nodes)
        gather = self.plan.gathers[index]
        if gather.panel < 0:
            panel = self.buffer(PANEL, size, TWO, WORKSPACE, gather.slot < 0)
            self.plan.gathers[index] = gather = gather._replace(panel=panel)
        return self.leaf("state", View(BUFFER, gather.panel), size, gather.slot < 0)

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
        elif isinstance(argument, Leaf) and argument.size in SIZES and not self.is_panel(argument.view):
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
