"""The meaning of a program: walk its nodes in order, each op as its row in `ops` defines it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from carousel.program import ops
from carousel.program.program import Program

Multiply = Callable[[int, Tensor], Tensor]


def evaluator(program: Program) -> Callable[[Sequence[Tensor | None], Multiply], list[Tensor]]:
    """A function from the values of a program's leaves to the values of all its nodes.

    It takes the leaves in their places (anything elsewhere), and how to multiply: (product node, row) -> row.
    """
    lines = [
        (index, None if (row := ops.TABLE[node.op]).kind == "product" else row.meaning, node.args)
        for index, node in enumerate(program.nodes)
        if node.op in ops.TABLE
    ]

    def evaluate(leaves: Sequence[Tensor | None], multiply: Multiply) -> list[Tensor]:
        values: list[Tensor] = list(leaves)  # type: ignore[arg-type]
        for index, meaning, args in lines:
            if meaning is None:
                values[index] = multiply(index, values[args[0]])
            else:
                values[index] = meaning(*[values[a] for a in args])
        return values

    return evaluate
