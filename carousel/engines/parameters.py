"""The parameters that a scan reads: their names in the order in which engines take them, and their shapes."""

from __future__ import annotations

from collections.abc import Mapping

from carousel.program import Program, naming, ops
from carousel.program.sharing import made_once


@made_once(1024)
def parameters_of(program: Program) -> tuple[str, ...]:
    """The names of the parameters that a program reads, weight_ih first. A layer without biases has no bias_ih."""
    found = [naming.W, naming.B] if program.gate_bias else [naming.W]
    for node in program.nodes:
        if node.op in ops.PRODUCTS:
            weight = program.weights[node.attr]
            found.append(weight.parameter)
            if node.op == "product" and weight.bias is not None:
                found.append(weight.bias)
        elif node.op == "vector":
            found.append(node.attr[0] if isinstance(node.attr, tuple) else node.attr)
    return tuple(dict.fromkeys(found))


def shapes_of(program: Program, sizes: Mapping[str, int]) -> tuple[tuple[int, ...], ...]:
    """The shapes of `parameters_of` a program. sizes: a number for each size name, "input" among them."""
    shapes = program.parameter_shapes(sizes)
    return tuple(shapes[name] for name in parameters_of(program))
