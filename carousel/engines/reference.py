"""The reference engine runs a program over time in torch ops. It defines the results of every other engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from carousel.engines.context import Context
from carousel.engines.engine import Around, Rows
from carousel.engines.inside_torch import are_of_samples
from carousel.engines.step import prepare, sizes_of
from carousel.program import Interface, Program, ops

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
    context: Context | None = None,
) -> tuple[Rows, States]:
    """Runs a program over time, on any device, in any dtype and under any autograd transform.

    x: (sum of batch_sizes, input), the rows of all steps one after another, as in a PackedSequence: step t has
        batch_sizes[t] rows, never more than the step before, and row b of a step continues row b of the step before.
    states: each (batch_sizes[0], size), in the program's order; with no steps, any number of rows.
    weights: the layer's parameters by name: weight_ih, weight_hh, bias_ih, bias_hh, and the cell's own.
    reverse: whether to go from the last step to the first. A sequence then starts at its own last step.
    streams: the rows of each of the program's streams, (sum of batch_sizes, size) or (sum of batch_sizes, 1).
    context: of a program that reads one, of the sequences in the order of the first step's rows.
    around: called as (t, step, rows, states) in the place of step(rows, states), with the same result.
    Returns the emitted values, laid out like x: the output state, then the recorded values; and the states of each
    sequence after its last step. A value with members is one row, of the units of all members: a state's, of as many as
    it has; a context's, of as many as the longest context, with zeros after the last.
    """
    if x.shape[0] == 0:
        return _nothing(program, x, states, weights, context)
    # For all steps at once, except where torch must see each sample of a batch (per-sample gradients).
    pieces = x.split(list(batch_sizes)) if are_of_samples(weights.values()) else (x,)
    products = [F.linear(rows, weights["weight_ih"], weights.get("bias_ih")) for rows in pieces]
    inputs = torch.cat(products) if len(products) > 1 else products[0]
    names = program.streams if isinstance(program, Program) else program.parts
    given = (inputs, *((streams or {})[name] for name in names))
    # The splits are views; a step's rows are contiguous because steps are stored one after another.
    per_step = list(zip(*(rows.split(list(batch_sizes)) for rows in given), strict=True))
    step = prepare(program, weights, x, context)

    def step_at(t: int, rows: Rows, states: States) -> tuple[Rows, States]:
        return step(rows, states) if around is None else around(t, step, rows, states)

    run = _backward_in_time if reverse else _forward_in_time
    emitted, last = run(step_at, per_step, batch_sizes, states)
    return tuple(map(torch.cat, zip(*emitted, strict=True))), last


class Stepper:
    """Runs one step after another, and holds the states. `engine.Stepper` is its interface."""

    def __init__(
        self,
        program: Interface,
        weights: Mapping[str, Tensor],
        batch: int,
        streams: Mapping[str, Tensor],
        context: Context | None = None,
    ):
        self._weight, self._bias = weights["weight_ih"], weights.get("bias_ih")
        with torch.no_grad():
            self._step = prepare(program, weights, self._weight, context)
        names = program.streams if isinstance(program, Program) else program.parts
        self._streams = {name: streams[name] for name in names}
        sizes = sizes_of(program, weights)
        self._held = tuple(self._weight.new_zeros(batch, sizes[size]) for size in program.states.values())

    @torch.no_grad()
    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        _, self._held = self._step((F.linear(x, self._weight, self._bias), *self._streams.values()), self._held)
        output = self._held[0]
        return output.clone() if out is None else out.copy_(output)  # a copy: the caller may write to it

    def give(self, name: str, rows: Tensor) -> None:
        if name in self._streams:
            self._streams[name] = rows

    @property
    def states(self) -> States:
        return tuple(state.clone() for state in self._held)

    @states.setter
    def states(self, states: States) -> None:
        self._held = tuple(state.detach().clone() for state in states)


def kept(program: Interface, sizes: dict[str, int], dtype: torch.dtype) -> int:
    """The approximate number of bytes that a scan keeps for backward for each row of a step.

    Autograd keeps the results of most ops, but not those of sums and products. For a step that is not traced the number
    is unknown.
    """
    forgotten = ("add", "sub", "neg", "sum", "broadcast", "detach", "product")
    if not isinstance(program, Program):
        return 16 * sizes["hidden"] * dtype.itemsize
    kept = (node for node in program.nodes if node.op in ops.TABLE and node.op not in forgotten)
    return sum(sizes.get(node.size, 1) * sizes.get(node.members, 1) for node in kept) * dtype.itemsize


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


def _nothing(
    program: Interface, x: Tensor, states: States, weights: Mapping[str, Tensor], context: Context | None
) -> tuple[Rows, States]:
    """The results of a scan without rows. The gradient of every weight is then zero, not None."""
    nothing = x.sum() + sum(weight.sum() for weight in weights.values())
    sizes = sizes_of(program, weights)
    if context is not None:
        nothing = nothing + sum(rows.sum() for rows in context.rows.values())
        sizes = sizes | {ops.CONTEXT: context.most}
    if isinstance(program, Program):
        nodes = [program.nodes[index] for index in program.emitted]
        emitted = [sizes.get(node.size, 1) * (sizes[node.members] if node.members else 1) for node in nodes]
    else:
        emitted = [sizes[program.states[program.output_state]]]
    rows = tuple(x.new_zeros(0, size) + nothing for size in emitted)
    return rows, states if states[0].shape[0] else tuple(state + nothing for state in states)
