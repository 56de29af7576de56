"""Prints a program as equations, in the field's notation and with the author's names.

Each value with a name has a line of its own: a value that the author named, a new state (c'), and a value without a
name that is used more than once (t1, t2, ...). All other values are written where they are used.
"""

from __future__ import annotations

from collections import Counter

from carousel.program import ops
from carousel.program.program import Node, Program

LEAF_BINDING = 9


def equations(program: Program) -> str:
    """The text of a program: one line with its declarations, then one equation per line."""
    rows = Printer(program).rows()
    width = max((len(name) for name, _, _ in rows), default=0)
    states = f"states {', '.join(program.states)}; " if program.states else ""
    head = f"{program.cell}: {states}gates {', '.join(program.gates)}"
    return "\n".join([head, *(f"  {name:<{width}} = {text}" for name, _, text in rows)])


class Printer:
    """Writes the values of a program as text. A subclass may override `text` to write some of them in another way."""

    def __init__(self, program: Program):
        self.program = program
        self.uses = Counter(a for node in program.nodes for a in node.args)
        self.names = self._names()

    def rows(self) -> list[tuple[str, int, str]]:
        """The equations in order, each as (name on the left, node, text on the right)."""
        rows = [(self.names[i], i, self.expression(i)[0]) for i in sorted(self.names)]
        # A result that is a leaf or equals another result has an equation of its own.
        shown = {index: key for key, index in reversed(self.program.outputs.items())}
        for key, index in self.program.outputs.items():
            if shown.get(index) != key or self.program.nodes[index].op in ops.LEAVES:
                rows.append((_result_name(key), index, self.text(index)))
        return rows

    def _names(self) -> dict[int, str]:
        """{node: name} for the nodes that have an equation of their own."""
        results = {index: _result_name(key) for key, index in reversed(self.program.outputs.items())}
        given = {node.attr for node in self.program.nodes if node.op in ("vector", "stream")}
        taken = {*results.values(), *self.program.states, *given}
        names: dict[int, str] = {}
        unnamed = 0
        for index, node in enumerate(self.program.nodes):
            if node.op in ops.LEAVES or self._is_part_of_mean(index):
                continue
            if index in results:
                names[index] = results[index]
            elif node.name:
                names[index] = _free(node.name, taken)
            elif self.uses[index] > 1 and node.op != "spread":
                unnamed += 1
                names[index] = f"t{unnamed}"
            taken.add(names.get(index, ""))
        return names

    def text(self, index: int, at_least: int = 0) -> str:
        """The text of a value inside an expression, in brackets if its precedence is below `at_least`."""
        if index in self.names:
            return self.names[index]
        text, binding = self.expression(index)
        return text if binding >= at_least else f"({text})"

    def expression(self, index: int) -> tuple[str, int]:
        """The expression that computes a node, and its precedence."""
        node = self.program.nodes[index]
        if node.op in ops.LEAVES:
            return self._leaf(node)
        row = ops.TABLE[node.op]
        if (averaged := self._mean_of(node)) is not None:
            return f"mean({self.text(averaged)})", LEAF_BINDING
        if row.kind == "product":
            return self._product(node, row)
        if node.op == "spread":
            (row_of_all,) = node.args
            return (
                self.expression(row_of_all) if row_of_all not in self.names else (self.names[row_of_all], LEAF_BINDING)
            )
        if node.op == "broadcast":
            return self.text(node.args[0]), 0
        # Brackets and bars may contain any expression. Operands need at least the precedence of the operator, and the
        # right operand of - and / needs a higher one.
        inside = 0 if row.binding == LEAF_BINDING else row.binding
        right = inside + (node.op in ("sub", "div"))
        parts = [self.text(a, right if place else inside) for place, a in enumerate(node.args)]
        return row.text.format(*parts), row.binding

    def _leaf(self, node: Node) -> tuple[str, int]:
        match node.op:
            case "input" if self.program.gate_bias:
                return f"W_{node.attr} x + b_{node.attr}", 5
            case "input":
                return f"W_{node.attr} x", 8
            case "vector" | "state":
                return "_".join(map(str, node.attr)) if isinstance(node.attr, tuple) else node.attr, LEAF_BINDING
            case "constant":
                return f"{node.attr:g}", LEAF_BINDING if node.attr >= 0 else 7
            case "per_unit":
                return f"1/{node.attr}", 6
            case "gradient":
                return "∂" + _result_name(node.attr), LEAF_BINDING
            case "saved":
                return node.name or f"v{node.attr}", LEAF_BINDING
        return str(node.attr), LEAF_BINDING

    def _product(self, node: Node, row: ops.Op) -> tuple[str, int]:
        weight = self.program.weights[node.attr]
        of = node.attr.removeprefix("W_") if weight.gate is None else self.program.recurrents[weight.gate]
        bias = f" + {'b' if weight.gate is None else 'c'}_{of}" if weight.bias else ""
        if node.op == "product_transposed":
            bias = ""
        text = row.text.replace("{weight}", node.attr).replace("{bias}", bias)
        return text.format(self.text(node.args[0], LEAF_BINDING)), row.binding if bias else 8

    def _mean_of(self, node: Node) -> int | None:
        """The value of which this node is the mean (the sum over units times 1 / units), or None."""
        if node.op != "mul":
            return None
        for total, share in (node.args, node.args[::-1]):
            if self.program.nodes[total].op == "sum" and self.program.nodes[share].op == "per_unit":
                return self.program.nodes[total].args[0]
        return None

    def _is_part_of_mean(self, index: int) -> bool:
        readers = [n for n in self.program.nodes if index in n.args]
        return self.program.nodes[index].op == "sum" and all(self._mean_of(n) is not None for n in readers)


def _result_name(key: object) -> str:
    """The name of a result: c' for a new state; ∂c, the gradient of c, for a result of a derivative."""
    if not isinstance(key, tuple):
        return f"{key}'"
    kind, what = key
    match kind:
        case "input":
            return f"∂x_{what}"
        case "product":
            return f"∂y{what}"
        case "record":
            return f"record {what}"
    return "∂" + ("_".join(map(str, what)) if isinstance(what, tuple) else str(what))


def _free(name: str, taken: set[str]) -> str:
    number = 2
    free = name
    while free in taken:
        free = f"{name}{number}"
        number += 1
    return free
