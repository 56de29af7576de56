"""The reference engine: a program run over time in torch ops. It is the meaning; every other engine equals it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from carousel.engines.engine import Around, Rows, Step
from carousel.engines.inside_torch import are_of_samples
from carousel.program import Interface, Program, Untraced, evaluate, ops

States = tuple[Tensor, ...]
StepAt = Callable[[int, Rows, States], tuple[Rows, States]]


def scan(
    program: Interface,
    x: Tensor,
    batch_sizes: Sequence[int],
    states: States,
    weights: Mapping[str, Tensor],
    reverse: bool = False,
    streams: Mapping[str, Tensor] | None = None,
    around: Around | None = None,
) -> tuple[Rows, States]:
    """Runs a step over time. Any device, dtype and autograd transform.

    x: (sum of batch_sizes, input), the rows of all steps one after another, as in a PackedSequence: step t has
        batch_sizes[t] rows, never more than the step before, and row b of a step continues row b of the step before.
    states: each (batch_sizes[0], size), in the program's order; with no steps, any number of rows.
    weights: the layer's parameters by name: weight_ih, weight_hh, bias_ih, bias_hh, and the cell's own.
    reverse: from the last step to the first; a row begins at its own last step.
    streams: for each of the program's streams, its rows, (sum of batch_sizes, size) or (sum of batch_sizes, 1).
    around: called as (t, step, rows, states) in the place of step(rows, states), with the same result.
    Returns what the program emits at every step, laid out like x: the output state, then recorded values; and every
    row's states after its last step.
    """
    if x.shape[0] == 0:
        return _nothing(program, x, states, weights)
    # For all steps at once, but for weights that must see each row of a batch in its place.
    pieces = x.split(list(batch_sizes)) if are_of_samples(weights.values()) else (x,)
    products = [F.linear(rows, weights["weight_ih"], weights.get("bias_ih")) for rows in pieces]
    inputs = torch.cat(products) if len(products) > 1 else products[0]
    names = program.streams if isinstance(program, Program) else {}
    given = (inputs, *((streams or {})[name] for name in names))
    # The splits are views; a step's rows are contiguous because steps are stored one after another.
    per_step = list(zip(*(rows.split(list(batch_sizes)) for rows in given), strict=True))
    step = prepare(program, weights, x)

    def step_at(t: int, rows: Rows, states: States) -> tuple[Rows, States]:
        return step(rows, states) if around is None else around(t, step, rows, states)

    run = _backward_in_time if reverse else _forward_in_time
    emitted, last = run(step_at, per_step, batch_sizes, states)
    return tuple(map(torch.cat, zip(*emitted, strict=True))), last


class Stepper:
    """One step after another from the states it holds; see `engine.Stepper`."""

    def __init__(self, program: Interface, weights: Mapping[str, Tensor], batch: int, streams: Mapping[str, Tensor]):
        self._weight, self._bias = weights["weight_ih"], weights.get("bias_ih")
        self._step = prepare(program, weights, self._weight)
        self._streams = tuple(streams[name] for name in program.streams) if isinstance(program, Program) else ()
        sizes = sizes_of(program, weights)
        self._held = tuple(self._weight.new_zeros(batch, sizes[size]) for size in program.states.values())

    @torch.no_grad()
    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        _, self._held = self._step((F.linear(x, self._weight, self._bias), *self._streams), self._held)
        output = self._held[0]
        return output.clone() if out is None else out.copy_(output)  # the caller may write to it

    @property
    def states(self) -> States:
        return tuple(state.clone() for state in self._held)

    @states.setter
    def states(self, states: States) -> None:
        self._held = tuple(state.detach().clone() for state in states)


def kept(program: Interface, sizes: dict[str, int], input: int, dtype: torch.dtype) -> int:
    """How many bytes a scan keeps for backward for each row of a step, about.

    Autograd keeps what most ops give, but not sums and products; of a step that is not traced nobody knows.
    """
    del input
    forgotten = ("add", "sub", "neg", "sum", "broadcast", "detach", "product")
    if not isinstance(program, Program):
        return 16 * sizes["hidden"] * dtype.itemsize
    kept = (node.size for node in program.nodes if node.op in ops.TABLE and node.op not in forgotten)
    return sum(sizes.get(size, 1) for size in kept) * dtype.itemsize


def _forward_in_time(step: StepAt, given: Sequence[Rows], sizes: Sequence[int], states: States) -> Any:
    emitted, finished = [], []
    for t, (rows, size) in enumerate(zip(given, sizes, strict=True)):
        if size < states[0].shape[0]:
            finished.append(tuple(s[size:] for s in states))
            states = tuple(s[:size] for s in states)
        out, states = step(t, rows, states)
        emitted.append(out)
    pieces = zip(states, *reversed(finished), strict=True)
    return emitted, tuple(torch.cat(p) if len(p) > 1 else p[0] for p in pieces)


def _backward_in_time(step: StepAt, given: Sequence[Rows], sizes: Sequence[int], first: States) -> Any:
    emitted: list[Rows] = []
    states = tuple(s[:0] for s in first)
    for t, rows, size in zip(reversed(range(len(sizes))), reversed(given), reversed(sizes), strict=True):
        if (running := states[0].shape[0]) < size:
            entering = tuple(s[running:size] for s in first)
            states = tuple(map(torch.cat, zip(states, entering, strict=True))) if running else entering
        out, states = step(t, rows, states)
        emitted.append(out)
    return emitted[::-1], states


def _nothing(program: Interface, x: Tensor, states: States, weights: Mapping[str, Tensor]) -> tuple[Rows, States]:
    """What a scan without any row gives: no rows, whose gradient by every weight is zero rather than absent."""
    nothing = x.sum() + sum(weight.sum() for weight in weights.values())
    sizes = sizes_of(program, weights) | {"one": 1}
    if isinstance(program, Program):
        emitted = [sizes[program.nodes[index].size] for index in program.emitted]
    else:
        emitted = [sizes[program.states[program.output_state]]]
    rows = tuple(x.new_zeros(0, size) + nothing for size in emitted)
    return rows, states if states[0].shape[0] else tuple(state + nothing for state in states)


def prepare(program: Interface, weights: Mapping[str, Tensor], like: Tensor) -> Step:
    """One step as a function ((the gates' W x + b in one row each, streams ...), states) -> (emitted, states).

    What does not change from step to step is done here, once. like: any tensor of the scan, for dtype and device.
    """
    if isinstance(program, Program):
        return _prepare_program(program, weights, like)
    assert isinstance(program, Untraced)
    return _prepare_untraced(program, weights)


def _prepare_program(program: Program, weights: Mapping[str, Tensor], like: Tensor) -> Step:
    gates = len(program.inputs)
    leaves: list[Tensor | None] = [None] * len(program.nodes)
    # The leaves that are new at every step: (node, its place among them).
    kinds = (("input", program.inputs), ("stream", program.streams), ("state", program.states))
    places = {key: place for place, key in enumerate((op, name) for op, names in kinds for name in names)}
    moving: list[tuple[int, int]] = []
    for index, node in enumerate(program.nodes):
        if (node.op, node.attr) in places:
            moving.append((index, places[node.op, node.attr]))
        elif node.op in ops.LEAVES:
            leaves[index] = _leaf(program, node.op, node.attr, weights, like)
    blocks = len(program.recurrents)
    products = {}  # product node -> (its group's weight, bias, how many, its place)
    for group in program.products:
        weight, bias = _stacked(group.parameter, group.gates, blocks, weights), None
        if group.bias is not None:
            bias = _stacked(group.bias, group.gates, blocks, weights)
        for place, index in enumerate(group.nodes):
            products[index] = (group.nodes[0], place, len(group.nodes), weight, bias)
    emitted = program.emitted
    results = tuple(program.outputs[state] for state in program.states)
    whole, sizes = _whole_rows(program), sizes_of(program, weights)

    def step(rows: Rows, states: States) -> tuple[Rows, States]:
        given = list(leaves)
        new = (*rows[0].chunk(gates, -1), *rows[1:], *states)
        for index, place in moving:
            given[index] = new[place]
        done: dict[int, Sequence[Tensor]] = {}

        def multiply(index: int, row: Tensor) -> Tensor:
            group, place, count, weight, bias = products[index]
            if group not in done:  # the products of one row are one matrix product
                done[group] = F.linear(row, weight, bias).chunk(count, -1)
            return done[group][place]

        values = evaluate(program, given, multiply)

        def row(index: int) -> Tensor:
            value = values[index]
            if value.dtype == torch.bool:  # a relation that is recorded: 1 where it holds
                value = value.to(rows[0].dtype)
            return (
                value
                if index in whole
                else value.expand(rows[0].shape[0], sizes[program.nodes[index].size]).contiguous()
            )

        return tuple(map(row, emitted)), tuple(map(row, results))

    return step


def _whole_rows(program: Program) -> set[int]:
    """The nodes whose values have a number for every unit of every row of the batch: the others are made of learned
    vectors or of single numbers alone, and torch leaves them as short as these."""
    found: set[int] = set()
    for index, node in enumerate(program.nodes):
        if node.op in ("input", "state", "stream", "product"):
            found |= {index} if node.size != "one" else set()
        elif node.op in ops.TABLE and ops.TABLE[node.op].kind in ("pointwise", "relation"):
            found |= {index} if any(a in found for a in node.args) else set()
    return found


def _prepare_untraced(program: Untraced, weights: Mapping[str, Tensor]) -> Step:
    names = list(program.states)

    def multiply(name: str, row: Tensor) -> Tensor:
        weight = program.weights[name]
        if weight.gate is None:
            return F.linear(row, weights[weight.parameter])
        rows = (weight.gate,), len(program.recurrents)
        bias = None if weight.bias is None else _stacked(weight.bias, *rows, weights)
        return F.linear(row, _stacked(weight.parameter, *rows, weights), bias)

    def step(rows: Rows, states: States) -> tuple[Rows, States]:
        (inputs,) = rows
        parts = dict(zip(program.inputs, inputs.chunk(len(program.inputs), -1), strict=True))

        def leaf(op: str, attr: Any) -> Tensor:
            match op:
                case "input":
                    return parts[attr]
                case "state":
                    return states[names.index(attr)]
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
    """Numbers for the size names, as the parameters have them."""
    sizes = {"hidden": weights["weight_ih"].shape[0] // len(program.inputs)}
    for weight in program.weights.values():
        sizes[weight.columns] = weights[weight.parameter].shape[1]
        if weight.gate is None:
            sizes[weight.rows] = weights[weight.parameter].shape[0]
    return sizes


def _stacked(parameter: str, gates: tuple[int, ...] | None, count: int, weights: Mapping[str, Tensor]) -> Tensor:
    """The blocks of a parameter's rows that belong to some gates; the parameter itself where it is all of them."""
    whole = weights[parameter]
    if gates is None or gates == tuple(range(count)):
        return whole
    blocks = whole.chunk(count)
    return blocks[gates[0]] if len(gates) == 1 else torch.cat([blocks[g] for g in gates])
