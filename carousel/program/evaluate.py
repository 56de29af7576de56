"""The meaning of a program: walk its nodes in order, each op as its row in `ops` defines it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from carousel.program.program import Program


def evaluate(
    program: Program, leaves: Sequence[Tensor | None], multiply: Callable[[int, Tensor], Tensor]
) -> list[Tensor]:
    """The values of all nodes, given those of the leaves in their places (anything elsewhere).

    multiply: how products are done, (product node, row) -> row.
    """
    values: list[Tensor] = list(leaves)  # type: ignore[arg-type]
    for index, meaning, args in program.lines:
        if meaning is None:
            values[index] = multiply(index, values[args[0]])
        else:
            values[index] = meaning(*[values[a] for a in args])
    return values
