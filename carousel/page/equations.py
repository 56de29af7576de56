"""A cell's program as plain data: its equations in the cell's names, where each quantity refers to its node."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from carousel.program import Program, ops
from carousel.program.keeping import BOUNDS
from carousel.program.printing import Printer
from carousel.program.program import Node

# A quantity inside an equation's text, as the printer below marks it: its node, then its text.
MARK = re.compile("\x02(\\d+)\x03([^\x04]*)\x04")


@dataclass(frozen=True)
class Quantity:
    """A part of an equation with a value at every step: W_f x + b_f, a state, a named value."""

    node: int
    text: str


@dataclass(frozen=True)
class Equation:
    """One line: `name` = `parts`, which are texts and quantities in turn. `node` has the value of the line.

    span: the bounds of the value that follow from its last op; None without bounds.
    """

    name: str
    node: int
    parts: tuple[str | Quantity, ...]
    span: tuple[float, float] | None


def equations(program: Program) -> tuple[Equation, ...]:
    """The equations that `print(program)` shows, in order."""
    found = []
    for name, node, text in _Marked(program).rows():
        found.append(Equation(name, node, tuple(_parts(text)), BOUNDS.get(program.nodes[node].op)))
    return tuple(found)


def nodes(program: Program, kept: Collection[int], sizes: Mapping[str, int]) -> list[dict[str, Any]]:
    """The program's nodes, from which the page's script computes the values again.

    kept: those whose values the page has. Values with members, "members", are not computed there; their attr says how
    many members there are, by sizes.
    """
    return [_record(n, index in kept, sizes) for index, n in enumerate(program.nodes)]


def _record(node: Node, kept: bool, sizes: Mapping[str, int]) -> dict[str, Any]:
    if node.members:
        return {"op": "members", "args": [], "size": node.size, "attr": sizes.get(node.members)}
    op = "kept" if kept and node.op not in ops.PRODUCTS else node.op
    return {"op": op, "args": list(node.args), "size": node.size, "attr": _json(node.attr)}


class _Marked(Printer):
    """Prints marks around each quantity: leaves, products, means, and values with names."""

    def __init__(self, program: Program):
        super().__init__(program)
        self._plain = Printer(program)

    def text(self, index: int, at_least: int = 0) -> str:
        node = self.program.nodes[index]
        if node.op in ("constant", "per_unit", "broadcast"):
            return super().text(index, at_least)
        if node.op == "spread":  # a row beside members is printed as the row
            return self.text(node.args[0], at_least)
        kind = "leaf" if node.op in ops.LEAVES else ops.TABLE[node.op].kind
        if index in self.names or kind in ("leaf", "product", "reduction") or self._mean_of(node) is not None:
            return f"\x02{index}\x03{self._plain.text(index, at_least)}\x04"
        return super().text(index, at_least)


def _json(attr: Any) -> Any:
    """Writes infinity as a word, which JavaScript understands, because JSON has no infinity."""
    return ("-" if attr < 0 else "") + "Infinity" if isinstance(attr, float) and math.isinf(attr) else attr


def _parts(text: str) -> list[str | Quantity]:
    parts: list[str | Quantity] = []
    end = 0
    for mark in MARK.finditer(text):
        parts += [text[end : mark.start()], Quantity(int(mark[1]), mark[2])]
        end = mark.end()
    return [part for part in [*parts, text[end:]] if part != ""]
