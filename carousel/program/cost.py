"""The cost of a cell: its parameters, and its multiply-adds in one step, both per hidden unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from carousel.program import naming
from carousel.program.program import Program

Sizes = dict[str, int]


@dataclass(frozen=True)
class PerUnit:
    """A linear function of sizes: input * I + hidden * H + ... + one, with the layer's sizes I, H, ...

    projection: of the layer's proj_size, and of sizes of the cell's own.
    """

    input: int
    hidden: int
    projection: int
    one: int

    def __str__(self) -> str:
        terms = [("I", self.input), ("H", self.hidden), ("P", self.projection), ("", self.one)]
        text = [
            letter if letter and number == 1 else f"{number} {letter}".strip() for letter, number in terms if number
        ]
        return " + ".join(text) if text else "0"


def parameters(program: Program) -> PerUnit:
    """The parameters of one layer and direction, per hidden unit; I inputs, H hidden units, P projected units."""

    def total(sizes: Sizes) -> int:
        shapes = program.parameter_shapes(sizes)
        learned = {name: prod(shape) for name, shape in shapes.items() if name not in program.constants}
        return sum(count // (program.heads if name == naming.U else 1) for name, count in learned.items())

    return _per_unit(program, total)


def multiply_adds(program: Program) -> PerUnit:
    """The multiply-adds of the matrix products of one step, per hidden unit."""

    def total(sizes: Sizes) -> int:
        of_input = sum(node.op == "input" for node in program.nodes) * sizes["hidden"] * sizes["input"]
        products = (program.weights[node.attr] for node in program.nodes if node.op == "product")
        return of_input + sum(sizes[weight.rows] * sizes[weight.columns] for weight in products)

    return _per_unit(program, total)


def _per_unit(program: Program, total: Callable[[Sizes], int]) -> PerUnit:
    """The coefficients of a total that is proportional to H and linear in the other sizes, divided by H."""
    of_parameters = {size for shape in program.parameters.values() for size in shape} - {*program.blocks}
    own = of_parameters - {"input", "hidden"} | {"projection"}
    at = {"input": 2, "hidden": 60, "one": 1, **dict.fromkeys(own, 3)}

    def per_unit(input: int = 0, hidden: int = 0, projection: int = 0) -> int:
        more = {"input": input, "hidden": hidden, **dict.fromkeys(own, projection)}
        sizes = {name: number + more.get(name, 0) for name, number in at.items()}
        return total(sizes) // sizes["hidden"]

    base = per_unit()
    by_input, by_projection = per_unit(input=1) - base, per_unit(projection=1) - base
    by_hidden = (per_unit(hidden=60) - base) // 60
    rest = base - by_input * at["input"] - by_hidden * at["hidden"] - by_projection * 3
    return PerUnit(by_input, by_hidden, by_projection, rest)
