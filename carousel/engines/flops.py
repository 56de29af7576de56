"""Counts the floating-point operations of a fused engine's scan, for torch.utils.flop_counter.

A multiply-add is two operations. As in torch's own counts, only matrix products count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

from carousel.engines.parameters import parameters_of
from carousel.program import Program
from carousel.program.ops import PRODUCTS

Shape = Sequence[int]


def register(program_of: Callable[[str], Program]) -> None:
    """Registers the counts of the operators with torch. program_of: text -> the program."""

    # The arguments are those of the schemas in `operator.py`, with shapes in the place of tensors.

    @register_flop_formula(torch.ops.carousel.scan)
    def _(
        x: Shape, states: Any, parameters: list[Shape], streams: Any, sizes: Any, key: str, *_: Any, **__: Any
    ) -> int:
        del states, streams, sizes
        of_input, of_products = _multiply_adds(program_of(key), parameters)
        return 2 * x[0] * (of_input + sum(of_products.values()))

    @register_flop_formula(torch.ops.carousel.scan_backward)
    def _(
        x: Shape, states: Any, parameters: list[Shape], streams: Any, sizes: Any, key: str, *more: Any, **_: Any
    ) -> int:
        del streams, sizes
        wanted = more[-1]
        program = program_of(key)
        of_input, of_products = _multiply_adds(program, parameters)
        names = parameters_of(program)
        begin = 1 + len(states)
        is_wanted = dict(zip(names, wanted[begin : begin + len(names)], strict=True))
        # Backpropagation always needs the gradient of a product's row; the gradient of its matrix only if it is wanted.
        of_rows = of_input * wanted[0] + sum(of_products.values())
        of_matrices = of_input * is_wanted["weight_ih"] + sum(n * is_wanted[name] for name, n in of_products.items())
        return 2 * x[0] * (of_rows + of_matrices)


def register_over_trees(program_of: Callable[[str], Program]) -> None:
    """The same of scans over trees. A product of members is one for each edge."""

    def count(x: Shape, parameters: list[Shape], order: list[Shape], key: str) -> int:
        program = program_of(key)
        of_input, _ = _multiply_adds(program, parameters)
        nodes, edges = order[3][0], order[1][0]
        shapes = dict(zip(parameters_of(program), parameters, strict=True))
        total = x[0] * of_input
        for node in program.nodes:
            if node.op in PRODUCTS:
                weight = program.weights[node.attr]
                units, width = shapes[weight.parameter]
                units = units if weight.gate is None else units // len(program.recurrents)
                total += (edges if node.members else nodes) * units * width
        return 2 * total

    @register_flop_formula(torch.ops.carousel.scan_levels)
    def _(
        x: Shape, first: Any, parameters: Any, streams: Any, order: Any, at: Any, key: str, *_: Any, **__: Any
    ) -> int:
        del first, streams, at
        return count(x, parameters, order, key)

    @register_flop_formula(torch.ops.carousel.scan_levels_backward)
    def _(
        x: Shape, first: Any, parameters: Any, streams: Any, order: Any, at: Any, key: str, *_: Any, **__: Any
    ) -> int:
        del first, streams, at
        return 2 * count(x, parameters, order, key)  # of rows, and of matrices


def _multiply_adds(program: Program, parameters: list[Shape]) -> tuple[int, dict[str, int]]:
    """The multiply-adds for one row: of the product with the input, and of the products of a step, by parameter."""
    shapes = dict(zip(parameters_of(program), parameters, strict=True))
    rows, columns = shapes["weight_ih"]
    found: dict[str, int] = {}
    for node in program.nodes:
        if node.op in PRODUCTS:
            weight = program.weights[node.attr]
            units, width = shapes[weight.parameter]
            units = units if weight.gate is None else units // len(program.recurrents)
            found[weight.parameter] = found.get(weight.parameter, 0) + units * width
    return rows * columns, found
