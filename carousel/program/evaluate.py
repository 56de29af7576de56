"""The meaning of a program: its nodes are computed in order, each as its row in `ops.TABLE` defines it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from carousel.program.program import Line, Program


def evaluate(
    program: Program,
    leaves: Sequence[Tensor | None],
    multiply: Callable[[int, Tensor], Tensor],
    lines: Sequence[Line] | None = None,
) -> list[Tensor]:
    """The values of all nodes of a program, in order.

    program: a forward program or a derivative.
    leaves: an entry for each node; the entry of a leaf is its value, any other entry is ignored.
    multiply: computes a product, or an op of members: (node, row) -> row.
    lines: those of `program.lines` that are computed, None for all; the entries of other nodes are their values.
    """
    values: list[Tensor] = list(leaves)  # type: ignore[arg-type]
    for index, meaning, args in program.lines if lines is None else lines:
        if meaning is None:
            values[index] = multiply(index, values[args[0]])
        else:
            values[index] = meaning(*[values[a] for a in args])
    return values
