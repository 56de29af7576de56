"""What a cell costs, in numbers per hidden unit: parameters, and multiplications with addition in one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from carousel.program.program import Program

Sizes = dict[str, int]


@dataclass(frozen=True)
class PerUnit:
    """A sum of sizes: `input` times the layer's inputs, and so on. `one` is a number by itself."""

    input: int
    hidden: int
    projection: int
    one: int

    def __str__(self) -> str:
        terms = [("I", self.input), ("H", self.hidden), ("P", self.projection), ("", self.one)]
        text = [f"{number} {letter}".strip() for letter, number in terms if number]
        return " + ".join(text).replace("1 I", "I").replace("1 H", "H") if text else "0"


def parameters(program: Program) -> PerUnit:
    """The learned numbers of one layer and direction, for each hidden unit, with I inputs, H units, P projected."""

    def total(sizes: Sizes) -> int:
        return sum(map(prod, program.parameter_shapes(sizes).values()))

    return _per_unit(total)


def multiply_adds(program: Program) -> PerUnit:
    """The multiplications with addition of one step's matrix products, for each hidden unit."""

    def total(sizes: Sizes) -> int:
        of_input = sum(node.op == "input" for node in program.nodes) * sizes["hidden"] * sizes["input"]
        products = (program.weights[node.attr] for node in program.nodes if node.op == "product")
        return of_input + sum(sizes[weight.rows] * sizes[weight.columns] for weight in products)

    return _per_unit(total)


def _per_unit(total: Callable[[Sizes], int]) -> PerUnit:
    """The coefficients of what grows with the hidden units, and for each with other sizes."""
    at = {"input": 2, "hidden": 60, "projection": 3}

    def per_unit(**more: int) -> int:
        sizes = at | {name: at[name] + number for name, number in more.items()}
        return total(sizes) // sizes["hidden"]

    base = per_unit()
    by_input, by_projection = per_unit(input=1) - base, per_unit(projection=1) - base
    by_hidden = (per_unit(hidden=60) - base) // 60
    rest = base - by_input * at["input"] - by_hidden * at["hidden"] - by_projection * at["projection"]
    return PerUnit(by_input, by_hidden, by_projection, rest)
