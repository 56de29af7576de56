"""What a step does with members in torch's functions: a memory's slots, a node's children, a context's positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from carousel.engines.context import Context
from carousel.program import Program, evaluate, ops

Axes = dict[str, ops.Members | ops.Slots]


def axes(program: Program, sizes: Mapping[str, int], rows: int, children: ops.Members | None) -> Axes:
    """The members of these rows, by what `Node.members` calls them; those of a context are added by its scan."""
    fixed = {node.members for node in program.nodes} - {"", *ops.RAGGED}
    found: Axes = {name: ops.Slots(rows, sizes[name]) for name in fixed}
    return found if children is None else found | {ops.CHILDREN: children}


def folded(program: Program, sizes: Mapping[str, int]) -> dict[int, Callable[[Tensor], Tensor]]:
    """For each leaf of members of a fixed number, what makes them of the one row that a scan is given."""

    def fold(members: int, units: int) -> Callable[[Tensor], Tensor]:
        return lambda row: row.unflatten(-1, (members, units))

    return {
        index: fold(sizes[node.members], sizes[node.size])
        for index, node in enumerate(program.nodes)
        if node.op in ("state", "stream") and node.members not in ("", *ops.RAGGED)
    }


def with_members(
    program: Program,
    sizes: Mapping[str, int],
    multiply: Callable[[int, Tensor], Tensor],
    axes: Axes,
    rows: int,
) -> Callable[[int, Tensor], Tensor]:
    """What evaluates a product, or an op of members."""

    def value(index: int, row: Tensor) -> Tensor:
        node = program.nodes[index]
        if not ops.is_of_members(node.op):
            return multiply(index, row)
        argument = program.nodes[node.args[0]]
        axis = axes.get(argument.members if node.op in ("total", "greatest") else node.members)
        units = sizes.get(argument.size, 1)
        if not argument.members:  # a learned vector, or what is made of it, is one row for all
            row = row.expand(rows, units)
        elif isinstance(of := axes[argument.members], ops.Slots):
            row = row.expand(rows, of.count, units)
        else:
            row = row.expand(len(of.of), units)
        return ops.TABLE[node.op].meaning(row, axis)

    return value


def as_row(value: Tensor, axis: ops.Members | ops.Slots, units: int) -> Tensor:
    """The one row that a scan gives for members, (rows, members * units); of a node's children a row for each."""
    if isinstance(axis, ops.Slots):
        return value.expand(axis.rows, axis.count, units).reshape(axis.rows, -1)
    value = value.expand(len(axis.of), units)
    as_rows = getattr(axis, "as_rows", None)
    found: Tensor = value.contiguous() if as_rows is None else as_rows(value)
    return found


class OfContext:
    """The values that a step computes of its context and of weights alone, for all sequences of a scan."""

    def __init__(self, program: Program, context: Context, values: Mapping[int, Tensor]):
        self._program, self._context, self._values = program, context, values

    def give(self, values: list[Tensor | None], sequences: int) -> None:
        """Enters those of the first sequences among the values of a step."""
        for index, value in self._values.items():
            if index in self._program.of_context and sequences < self._context.sequences:
                members = self._program.nodes[index].members
                value = value[: self._context.count(sequences) if members else sequences]
            values[index] = value


def of_context(
    program: Program,
    sizes: Mapping[str, int],
    context: Context,
    leaves: Sequence[Tensor | None],
    multiply: Callable[[int, Tensor], Tensor],
) -> OfContext:
    """Computes them. leaves: of the step, those that are the same at every step."""
    given = list(leaves)
    for index, node in enumerate(program.nodes):
        if node.op == "context":
            given[index] = context.rows[node.attr]
    every: Axes = {ops.CONTEXT: context.of_first(context.sequences)}
    lines = tuple(line for line in program.lines if line[0] in program.still)
    with_rows = with_members(program, sizes, multiply, every, context.sequences)
    values = evaluate(program, given, with_rows, lines)
    return OfContext(program, context, {index: values[index] for index in program.still})
