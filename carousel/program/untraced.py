"""A step that is not traced, for cells outside the alphabet: the reference engine calls the cell's own Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from carousel.cells.cell import Cell
from carousel.errors import ProgramError
from carousel.program.declaration import Declaration, Map
from carousel.program.member_states import has_members
from carousel.program.program import Interface


@dataclass(frozen=True, eq=False)
class Untraced(Interface):
    """The `Interface` of a cell whose step runs as plain Python.

    declaration: the checked declaration of the cell, which calls its step.
    """

    declaration: Declaration

    def step(
        self, leaf: Callable[[str, Any], Tensor], multiply: Callable[[str, Tensor, bool], Tensor]
    ) -> tuple[Tensor, ...]:
        """Computes the new states, one row for each state in the cell's order.

        leaf: (op, attr) -> the value of a leaf. multiply: (weight, row, transposed) -> the product of a weight, or of
            its transpose, with a row.
        """
        rows = _NumericRows(leaf, multiply, self.declaration)
        results = self.declaration.with_symbols(rows).step(**self.declaration.arguments(rows))
        return self.declaration.returned(results)


def untraced(cell: Cell, bias: bool = True) -> Untraced:
    """The cell's interface and step, untraced.

    cell: the cell. bias: whether the layer has biases.
    Raises ProgramError if the declaration contradicts itself, and for a cell with children or other members: plain
    Python sees one row at a time, and a scan runs many at once.
    """
    declaration = Declaration(cell, bias)
    if has_members(cell):
        raise ProgramError(
            f"{type(cell).__name__} has states with members, a context, or several fed states, which are run as a "
            "program alone"
        )
    if declaration.children is not None:
        raise ProgramError(
            f"{type(cell).__name__} has children, and a step over many nodes at once is run as a program alone"
        )
    return Untraced(**declaration.interface(), declaration=declaration)


class _NumericRows:
    """Gives step rows of numbers where tracing gives it symbols."""

    def __init__(
        self,
        value: Callable[[str, Any], Tensor],
        multiply: Callable[[str, Tensor, bool], Tensor],
        declaration: Declaration,
    ):
        self.value, self.multiply, self.declaration = value, multiply, declaration

    def leaf(self, op: str, attr: Any, size: str = "hidden", members: str = "") -> Tensor:
        del size, members  # a row has its own
        row = self.value(op, attr)
        return row.clone() if op == "state" else row  # step may write into it, while other code reads it too

    def state(self, name: str) -> Tensor:
        return self.leaf("state", name)

    def gate(self, gate: str) -> Tensor:
        parts = []
        if gate in self.declaration.inputs:
            parts.append(self.value("input", gate))
        if gate in self.declaration.recurrents:
            parts.append(self.multiply(f"U_{gate}", self.value("state", self.declaration.states[0]), False))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def product(self, *weights: str) -> Map:
        (weight,) = weights
        return Map(lambda row, transposed: self.multiply(weight, row, transposed))
