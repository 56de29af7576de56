"""One step of a program in torch's functions. The reference engine runs it, and it defines the result of a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from carousel.engines import of_members
from carousel.engines.context import Context
from carousel.engines.engine import Rows, Step
from carousel.program import Interface, Program, Untraced, evaluate, ops
from carousel.program.program import Product
from carousel.program.verify import states_read


def prepare(program: Interface, weights: Mapping[str, Tensor], like: Tensor, context: Context | None = None) -> Step:
    """One step as a function ((W x + b of all gates, streams ...), states) -> (emitted values, new states).

    Values that are the same at every step are computed here, once. like: any tensor of the scan, for dtype and device.
    context: of a program that reads one.
    """
    if isinstance(program, Program):
        return prepare_program(program, weights, like, context)
    assert isinstance(program, Untraced)
    return _prepare_untraced(program, weights)


class _Products:
    """The matrix products of a step.

    Those of one row with blocks of one parameter, or with several whole parameters, are computed together, at the first
    use.
    """

    def __init__(self, program: Program, weights: Mapping[str, Tensor]):
        blocks = len(program.recurrents)
        self._of: dict[int, tuple[int, int, int | list[int], Tensor, Tensor | None]] = {}
        whole: dict[int, list[Product]] = {}
        for group in program.products:
            if group.gates is None:
                whole.setdefault(group.source, []).append(group)
                continue
            weight, bias = _stacked(group.parameter, group.gates, blocks, weights), None
            if group.bias is not None:
                bias = _stacked(group.bias, group.gates, blocks, weights)
            for place, index in enumerate(group.nodes):
                self._of[index] = (group.nodes[0], place, len(group.nodes), weight, bias)
        for groups in whole.values():
            weight, bias = _below_one_another(groups, weights)
            rows = [len(weights[group.parameter]) for group in groups]
            for place, group in enumerate(groups):
                for index in group.nodes:
                    self._of[index] = (groups[0].nodes[0], place, rows, weight, bias)
        self._transposed = {
            index: _matrix(program, node.attr, weights)
            for index, node in enumerate(program.nodes)
            if node.op == "product_transposed"
        }

    def of_a_step(self) -> Callable[[int, Tensor], Tensor]:
        """A function (product node, row) -> product, for one step."""
        done: dict[int, Sequence[Tensor]] = {}

        def multiply(index: int, row: Tensor) -> Tensor:
            if index in self._transposed:
                return row @ self._transposed[index]
            group, place, parts, weight, bias = self._of[index]
            if group not in done:
                made = F.linear(row, weight, bias)
                done[group] = made.chunk(parts, -1) if isinstance(parts, int) else made.split(parts, -1)
            return done[group][place]

        return multiply


def _below_one_another(groups: Sequence[Product], weights: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
    """Whole parameters as one matrix, and their biases as one, with zeros where there is none."""
    matrices = [weights[group.parameter] for group in groups]
    if all(group.bias is None for group in groups):
        return matrices[0] if len(groups) == 1 else torch.cat(matrices), None
    biases = [m.new_zeros(len(m)) if g.bias is None else weights[g.bias] for m, g in zip(matrices, groups, strict=True)]
    return (matrices[0], biases[0]) if len(groups) == 1 else (torch.cat(matrices), torch.cat(biases))


class StepOfMembers(Protocol):
    """A step whose rows may have members. members: the children of its nodes, in a scan over trees."""

    def __call__(self, rows: Rows, states: Rows, members: ops.Members | None = None) -> tuple[Rows, Rows]: ...


def prepare_program(
    program: Program, weights: Mapping[str, Tensor], like: Tensor, context: Context | None = None
) -> StepOfMembers:
    """`prepare`, of a program. Its states may be those of a node's children, in the order of `verify.states_read`."""
    gates = len(program.inputs)
    leaves, moving = _leaves(program, weights, like)
    products = _Products(program, weights)
    emitted = program.emitted
    results = tuple(program.outputs[state] for state in program.states)
    whole, sizes = _whole_rows(program), sizes_of(program, weights)
    fold = of_members.folded(program, sizes)
    if context is not None:
        once = of_members.of_context(program, sizes, context, leaves, products.of_a_step())
        lines = tuple(line for line in program.lines if line[0] not in program.still)
    else:
        once, lines = None, program.lines

    def step(rows: Rows, states: Rows, members: ops.Members | None = None) -> tuple[Rows, Rows]:
        given = list(leaves)
        count = rows[0].shape[0]
        new = (*rows[0].chunk(gates, -1), *rows[1:], *states)
        for index, place in moving:
            given[index] = fold[index](new[place]) if index in fold else new[place]
        axes = of_members.axes(program, sizes, count, members)
        if context is not None and once is not None:
            axes[ops.CONTEXT] = context.of_first(count)
            once.give(given, count)
        multiply = of_members.with_members(program, sizes, products.of_a_step(), axes, count)
        values = evaluate(program, given, multiply, lines)

        def row(index: int) -> Tensor:
            value, node = values[index], program.nodes[index]
            if value.dtype == torch.bool:  # a recorded relation becomes 1 and 0
                value = value.to(rows[0].dtype)
            if node.members:
                return of_members.as_row(value, axes[node.members], sizes.get(node.size, 1))
            return value if index in whole else value.expand(count, sizes[node.size]).contiguous()

        return tuple(map(row, emitted)), tuple(map(row, results))

    return step


def _leaves(
    program: Program, weights: Mapping[str, Tensor], like: Tensor
) -> tuple[list[Tensor | None], list[tuple[int, int]]]:
    """The values by node of leaves that are the same at every step, and (node, index) for leaves that change."""
    kinds = (("input", program.inputs), ("stream", program.streams), ("state", states_read(program)))
    places = {key: place for place, key in enumerate((op, name) for op, names in kinds for name in names)}
    same: list[Tensor | None] = [None] * len(program.nodes)
    new: list[tuple[int, int]] = []
    for index, node in enumerate(program.nodes):
        if (node.op, node.attr) in places:
            new.append((index, places[node.op, node.attr]))
        elif node.op in ops.LEAVES and node.op != "context":
            same[index] = _leaf(program, node.op, node.attr, weights, like)
    return same, new


def _whole_rows(program: Program) -> set[int]:
    """The nodes whose values have the full shape (batch, units).

    All other values come from learned vectors and single numbers alone, and torch gives them a smaller shape.
    """
    found: set[int] = set()
    for index, node in enumerate(program.nodes):
        if node.op in ("input", "state", "stream", *ops.PRODUCTS):
            found |= {index} if node.size != "one" else set()
        elif node.op in ops.TABLE and ops.TABLE[node.op].kind in ("pointwise", "relation"):
            found |= {index} if any(a in found for a in node.args) else set()
    return found


def _prepare_untraced(program: Untraced, weights: Mapping[str, Tensor]) -> Step:
    names = list(program.states)

    def multiply(name: str, row: Tensor, transposed: bool) -> Tensor:
        weight = program.weights[name]
        matrix = _matrix(program, name, weights)
        if transposed or weight.bias is None:
            return row @ matrix if transposed else F.linear(row, matrix)
        gates = None if weight.gate is None else (weight.gate,)
        return F.linear(row, matrix, _stacked(weight.bias, gates, len(program.recurrents), weights))

    def step(rows: Rows, states: Rows) -> tuple[Rows, Rows]:
        inputs, *beside = rows
        given = dict(zip(program.parts, beside, strict=True))
        parts = dict(zip(program.inputs, inputs.chunk(len(program.inputs), -1), strict=True))

        def leaf(op: str, attr: Any) -> Tensor:
            match op:
                case "input":
                    return parts[attr]
                case "state":
                    return states[names.index(attr)]
                case "stream":
                    return given[attr]
            return _leaf(program, op, attr, weights, inputs)

        new = program.step(leaf, multiply)
        return new[:1], new

    return step


def _leaf(program: Interface, op: str, attr: Any, weights: Mapping[str, Tensor], like: Tensor) -> Tensor:
    """The value of a leaf that is the same at every step."""
    match op:
        case "vector" if isinstance(attr, tuple):
            name, gate = attr
            return weights[name].chunk(len(program.gates))[program.gates.index(gate)]
        case "vector":
            return weights[attr]
        case "constant":
            return torch.tensor(attr, dtype=like.dtype, device=like.device)
        case "per_unit":
            return torch.tensor(1 / sizes_of(program, weights)[attr], dtype=like.dtype, device=like.device)
    raise AssertionError(f"a forward program has no leaf {op}")


def sizes_of(program: Interface, weights: Mapping[str, Tensor]) -> dict[str, int]:
    """The number for each size name, from the shapes of the parameters."""
    return program.sizes_of({name: w.shape for name, w in weights.items() if name not in program.own})


def _matrix(program: Interface, name: str, weights: Mapping[str, Tensor]) -> Tensor:
    """The matrix of a weight, by its name: a parameter, or a block of its rows."""
    weight = program.weights[name]
    gates = None if weight.gate is None else (weight.gate,)
    return _stacked(weight.parameter, gates, len(program.recurrents), weights)


def _stacked(parameter: str, gates: tuple[int, ...] | None, count: int, weights: Mapping[str, Tensor]) -> Tensor:
    """The blocks of a parameter's rows that belong to these gates; the parameter itself if these are all blocks."""
    whole = weights[parameter]
    if gates is None or gates == tuple(range(count)):
        return whole
    blocks = whole.chunk(count)
    return blocks[gates[0]] if len(gates) == 1 else torch.cat([blocks[g] for g in gates])
