"""Builds programs node by node: equal nodes become one node, and operations on literal numbers are folded."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from carousel.errors import ProgramError
from carousel.program import ops
from carousel.program.program import Node, Weight

FOLD: dict[str, Callable[..., float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
}

WHERE = "torch.where(condition, a, b)"


class Ref(int):
    """The index of a node in a builder. Where a function takes a value, any number that is no Ref means itself."""


class Builder:
    """Appends nodes. The same op with the same arguments is one node. Each method takes numbers as well as nodes."""

    def __init__(self, weights: dict[str, Weight], nodes: tuple[Node, ...] = ()):
        self.weights = weights
        self.nodes = list(nodes)
        self.index = {node: i for i, node in enumerate(nodes)}
        self.line = 0
        self.lengths: dict[str, int] = {}  # the number of units that the equations demand of a size

    def leaf(self, op: str, attr: Any, size: str = "hidden", members: str = "", name: str = "") -> Ref:
        return self._enter(Node(op, (), size, attr, members, name))

    def constant(self, number: float) -> Ref:
        return self.leaf("constant", float(number), "any")

    def per_unit(self, a: Ref) -> Ref:
        """1 / (number of units in the rows of a)."""
        if self.nodes[a].size == "one":
            return self.constant(1.0)
        return self.leaf("per_unit", self.nodes[a].size, "one")

    def units(self, a: Ref) -> Ref:
        """The number of units in the rows of a."""
        return self.op("div", 1.0, self.per_unit(a))

    def demand(self, a: Ref, units: float) -> None:
        """Demands that the rows of a have this number of units; a layer checks it."""
        size = self.nodes[a].size
        if units != self.lengths.setdefault(size, int(units)) or size in ("one", "any"):
            raise ProgramError(f"a row of {units:g} units, where it has another number of them,")

    def value(self, a: Ref | float) -> Ref:
        """The node for a, where a is a node or a number. Raises ProgramError for anything else."""
        if isinstance(a, Ref):
            return a
        if not isinstance(a, int | float):
            raise ProgramError(f"an op of something that is no number: {a!r}")
        return self.constant(a)

    def op(self, name: str, *args: Ref | float) -> Ref:
        """The node that applies an op to nodes and numbers."""
        if len(args) != ops.TABLE[name].arity:
            raise ProgramError(f"{name} of {len(args)} values (it takes {ops.TABLE[name].arity})")
        nodes = tuple(map(self.value, args))
        relations = [self.is_relation(a) for a in nodes]
        if any(relations[1:] if name == "where" else relations):
            raise ProgramError(f"{name} of a relation, which only the first argument of where may: {WHERE}")
        if name == "where" and not relations[0]:
            raise ProgramError(f"where, whose first argument is not a relation: {WHERE}")
        folded = self._fold(name, nodes)
        if folded is not None:
            return folded
        sizes = {self.nodes[a].size for a in nodes} - {"any", "one"}
        if len(sizes) > 1:
            raise ProgramError(f"{name} of rows of different sizes, {' and '.join(sorted(sizes))}")
        kind = ops.TABLE[name].kind
        if kind == "members":
            return self._of_members(name, nodes[0])
        axes = {self.nodes[a].members for a in nodes} - {""}
        if len(axes) > 1:
            raise ProgramError(f"{name} of members of different kinds, {' and '.join(sorted(axes))}")
        members = axes.pop() if axes else ""
        if members:
            nodes = tuple(self.spread(a, members) for a in nodes)
        if kind == "reduction":
            if self.nodes[nodes[0]].size == "one":
                return nodes[0]
            size = "one"
        else:
            size = sizes.pop() if sizes else "one"
        return self._enter(Node(name, nodes, size, None, members, "", self.line))

    def spread(self, a: Ref, members: str) -> Ref:
        """The node that repeats the row a for each of its members; a itself if it has members, or is a number."""
        node = self.nodes[a]
        if node.members or node.op in ("constant", "per_unit"):
            return a  # a number is the same for every member
        return self._enter(Node("spread", (a,), node.size, None, members, "", self.line))

    def of_members(self, a: Ref, y: Ref) -> Ref:
        """The node a with a row for each member, as y has them; also where a is a number."""
        if self.nodes[a].op in ("constant", "per_unit"):
            a = self.broadcast(a, self.nodes[y].size)
        return self.spread(a, self.nodes[y].members)

    def like(self, a: Ref, y: Ref) -> Ref:
        """The node a with as many units and members as y has, where it stands for all of them."""
        a = self.broadcast(a, self.nodes[y].size)
        return self.of_members(a, y) if self.nodes[y].members else a

    def _of_members(self, name: str, a: Ref) -> Ref:
        """Members taken together to a row, turned, or rolled."""
        node = self.nodes[a]
        if name == "turn":
            return self._turn(a)
        if not node.members:
            raise ProgramError(
                f"{name} of a row that has no members (states whose size is a pair have a row for each member, "
                "contexts one for each position, those of a cell with children = 'any' one for each child)"
            )
        rolls = name in ("roll", "roll_back")
        if rolls and node.members in ops.RAGGED:
            raise ProgramError(f"{name} of members whose number differs from row to row ({node.members})")
        return self._enter(Node(name, (a,), node.size, None, node.members if rolls else "", "", self.line))

    def _turn(self, a: Ref) -> Ref:
        node = self.nodes[a]
        if not node.members and node.size in ("one", "any"):
            return a
        if node.members in ops.RAGGED:
            raise ProgramError(f"a transpose of members whose number differs from row to row ({node.members})")
        size, members = node.members or "one", "" if node.size == "one" else node.size
        return self._enter(Node("turn", (a,), size, None, members, "", self.line))

    def product(self, weight: str, a: Ref, transposed: bool = False) -> Ref:
        """The node weight @ a, or weight.T @ a if transposed."""
        shape = self.weights[weight]
        takes, gives = (shape.rows, shape.columns) if transposed else (shape.columns, shape.rows)
        found = self.nodes[a].size
        if found in ("one", "any") and transposed:
            a = self.broadcast(a, takes)
        elif found != takes:
            called = f"{weight}.T" if transposed else weight
            raise ProgramError(f"{called}(...) of a row of size {found!r}, where the matrix takes {takes!r}")
        name = "product_transposed" if transposed else "product"
        return self._enter(Node(name, (a,), gives, weight, self.nodes[a].members, "", self.line))

    def broadcast(self, a: Ref, size: str) -> Ref:
        """The node that repeats the number a for every unit of a row of this size; a itself if it is such a row."""
        if self.nodes[a].size == size:
            return a
        if self.nodes[a].size not in ("one", "any"):
            raise ProgramError(f"a row of size {self.nodes[a].size!r} repeated as one of size {size!r}")
        return self._enter(Node("broadcast", (a,), size, None, self.nodes[a].members, "", self.line))

    def copy(self, node: Node, args: list[Ref]) -> Ref:
        """Copies a node of another program; `args` are its arguments here."""
        if node.op in ops.LEAVES:
            return self._enter(node)
        if ops.TABLE[node.op].kind == "product":
            made = self.product(node.attr, args[0], transposed=node.op == "product_transposed")
        elif node.op == "broadcast":
            made = self.broadcast(args[0], node.size)
        elif node.op == "spread":
            made = self.spread(args[0], node.members)
        else:
            made = self.op(node.op, *args)
        if node.name:
            self.call(made, node.name)
        return made

    def call(self, a: Ref, name: str) -> None:
        """Gives a node the author's name for it. The first name stays."""
        if not self.nodes[a].name and self.nodes[a].op in ops.TABLE:
            self.nodes[a] = replace(self.nodes[a], name=name)

    def _enter(self, node: Node) -> Ref:
        # Two nodes are equal if they compute the same; their names and lines do not count.
        if node not in self.index:
            self.index[node] = len(self.nodes)
            self.nodes.append(node)
        return Ref(self.index[node])

    def is_relation(self, a: Ref) -> bool:
        """Whether a is the result of a comparison."""
        op = ops.TABLE.get(self.nodes[a].op)
        return op is not None and op.kind == "relation"

    def _number(self, a: Ref) -> float | None:
        return self.nodes[a].attr if self.nodes[a].op == "constant" else None

    def _fold(self, name: str, args: tuple[Ref, ...]) -> Ref | None:
        """The result of an op if literal numbers determine it, else None. 0 * c is 0 even where c is infinite or NaN,
        because an absent vector is a literal 0."""
        numbers = [self._number(a) for a in args]
        if name in FOLD and all(n is not None for n in numbers) and (name, numbers[-1]) != ("div", 0.0):
            return self.constant(FOLD[name](*numbers))
        match name, numbers:
            case ("mul", ([0.0, _] | [_, 0.0])) | ("sum", [0.0]):
                return self.constant(0.0)
            case ("mul", [1.0, _]) | ("add", [0.0, _]):
                return args[1]
            case ("mul", [_, 1.0]) | ("add", [_, 0.0]) | ("sub", [_, 0.0]) | ("div", [_, 1.0]):
                return args[0]
            case "sub", [0.0, _]:
                return self.op("neg", args[1])
        return None


def prune(nodes: list[Node], outputs: Mapping[Any, int]) -> tuple[tuple[Node, ...], dict[Any, int]]:
    """Removes nodes that no result needs. Returns the renumbered nodes and results."""
    needed: set[int] = set()
    waiting = list(outputs.values())
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting.extend(nodes[index].args)
    order = sorted(needed)
    new = {old: i for i, old in enumerate(order)}
    kept = tuple(replace(nodes[old], args=tuple(new[a] for a in nodes[old].args)) for old in order)
    return kept, {key: new[index] for key, index in outputs.items()}
