"""One call of a fused engine: the inputs of a scan, the sizes that follow from them, and the checks of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from carousel.cells.member_sizes import parted
from carousel.engines.parameters import parameters_of, shapes_of
from carousel.program import Program, ops
from carousel.program.sharing import made_once


@dataclass(frozen=True, eq=False)
class Sizes:
    """The sizes of all scans whose parameters have the same shapes. There is one object for them, compared by identity.

    units: the number for each size name. output: the width of the output state. parameters: the shapes of the
    parameters. states, emitted, streams: the widths of their rows.
    """

    program: Program
    units: dict[str, int]
    output: int
    parameters: tuple[tuple[int, ...], ...]
    states: tuple[int, ...]
    emitted: tuple[int, ...]
    streams: tuple[int, ...]


def sizes_of(program: Program, parameters: Sequence[Tensor]) -> Sizes:
    return _sizes_of_shapes(program, *[p.shape for p in parameters])


@made_once(1024)  # layers are called again and again
def _sizes_of_shapes(program: Program, *shapes: tuple[int, ...]) -> Sizes:
    names = parameters_of(program)
    units = {"projection": 0} | program.sizes_of(dict(zip(names, shapes, strict=True)))

    def of_row(row: str) -> int:
        members, size = parted(row)
        return units[size] * (units[members] if members and members not in ops.RAGGED else 1)

    return Sizes(
        program,
        units,
        units[program.states[program.output_state]],
        shapes_of(program, units),
        tuple(units[size] for size in program.states.values()),
        tuple(of_row(program.nodes[index].row) for index in program.emitted),
        tuple(of_row(row) for row in program.streams.values()),
    )


class Inputs(NamedTuple):
    """The inputs of a scan, as in `reference.scan`. parameters, streams: in the program's order.

    batch_sizes: a tensor, or plain numbers before `operator.scan` has chosen the way of the call.
    bfloat16: whether the factors of matrix products, and the values kept for backward, are rounded to bfloat16.
    """

    program: Program
    x: Tensor
    states: Sequence[Tensor]
    parameters: Sequence[Tensor]
    streams: Sequence[Tensor]
    batch_sizes: Any
    reverse: bool
    bfloat16: bool

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that may have gradients: x, states, parameters and streams."""
        return (self.x, *self.states, *self.parameters, *self.streams)

    @property
    def sizes(self) -> Sizes:
        return sizes_of(self.program, self.parameters)

    def flat(self) -> Inputs:
        """With rows in two axes, (rows, size), however a caller has folded them."""
        if self.x.dim() == 2 and all(state.dim() == 2 for state in self.states):
            return self
        x, *states = (t.reshape(-1, t.shape[-1]) for t in (self.x, *self.states))
        return self._replace(x=x, states=states)

    def contiguous(self) -> Inputs:
        if all(t.is_contiguous() for t in self.tensors):  # nearly always
            return self
        return self._replace(
            x=self.x.contiguous(),
            states=[t.contiguous() for t in self.states],
            parameters=[t.contiguous() for t in self.parameters],
            streams=[t.contiguous() for t in self.streams],
        )


class Upstream(NamedTuple):
    """The further inputs of backpropagation.

    outputs: the outputs of the scan, the first of its emitted values. saved: the values that forward kept.
    grad_emitted, grad_last: the gradients of the emitted values and of the last states.
    """

    outputs: Tensor
    saved: Tensor
    grad_emitted: Sequence[Tensor]
    grad_last: Sequence[Tensor]

    def contiguous(self) -> Upstream:
        of_emitted, of_last = ([t.contiguous() for t in of] for of in (self.grad_emitted, self.grad_last))
        return Upstream(self.outputs.contiguous(), self.saved.contiguous(), of_emitted, of_last)


Given = tuple[list[Tensor], list[Tensor], Tensor]
Gradients = Sequence[Tensor | None]


class Runner(Protocol):
    """How a fused engine runs scans, on the tensors of one device.

    forward: (given, keep) -> (emitted values, last states, values kept for backward). Nothing is kept unless keep.
    backward: (given, upstream, wanted) -> the gradients of `given.tensors`; None for each one that is not wanted.
    saved: (given, keep) -> the count of numbers that forward keeps for each row of a step.
    """

    def forward(self, given: Inputs, keep: bool) -> Given: ...

    def backward(self, given: Inputs, upstream: Upstream, wanted: Sequence[bool]) -> Gradients: ...

    def saved(self, given: Inputs, keep: bool) -> int: ...


def empty_emitted(x: Tensor, sizes: Sizes) -> list[Tensor]:
    return [x.new_empty(x.shape[0], size) for size in sizes.emitted]


def check(given: Inputs, batch_sizes: Sequence[int]) -> None:
    """Raises ValueError for tensors so short that an engine would read past their ends. batch_sizes: as numbers."""
    program, x, states, parameters, streams, *_ = given
    count, batch = sum(batch_sizes), batch_sizes[0]
    if x.dtype not in (torch.float32, torch.float64) or given.batch_sizes.dtype != torch.int64:
        raise ValueError(
            f"a native scan takes rows of float32 or float64 and the numbers of rows as int64, but x is {x.dtype} and "
            f"batch_sizes {given.batch_sizes.dtype}"
        )
    counts = len(states), len(parameters), len(streams)
    expected = len(program.states), len(parameters_of(program)), len(program.streams)
    if counts != expected:
        raise ValueError(
            f"a native scan of {program.cell} takes {expected[0]} states, {expected[1]} parameters and {expected[2]} "
            f"streams, but got {counts[0]}, {counts[1]} and {counts[2]}"
        )
    sizes = given.sizes
    if x.shape != (count, parameters[0].shape[1]) or list(batch_sizes) != sorted(batch_sizes, reverse=True):
        raise ValueError(
            f"x must hold the {count} rows of all steps, of which none has more than the step before, "
            f"but x is {tuple(x.shape)} and the steps have {list(batch_sizes)[:20]} rows"
        )
    shapes = [*((batch, s) for s in sizes.states), *sizes.parameters, *((count, s) for s in sizes.streams)]

    def names() -> tuple[str, ...]:
        return (*program.states, *parameters_of(program), *program.streams)

    _check_rows(x, names, shapes, (*states, *parameters, *streams))


def check_gradients(given: Inputs, saved_each: int, upstream: Upstream) -> None:
    """As `check`, for the further inputs of backward. saved_each: the count of numbers kept for each row of a step."""
    program, x, sizes = given.program, given.x, given.sizes
    outputs, saved, grad_emitted, grad_last = upstream
    count, batch = x.shape[0], given.states[0].shape[0]
    if (len(grad_emitted), len(grad_last)) != (len(sizes.emitted), len(sizes.states)):
        raise ValueError(
            f"backward of a native scan of {program.cell} takes the gradients of {len(sizes.emitted)} rows that it "
            f"emits and of {len(sizes.states)} states, but got {len(grad_emitted)} and {len(grad_last)}"
        )

    def names() -> tuple[str, ...]:
        of_emitted = (f"gradient {i} of what was emitted" for i in range(len(grad_emitted)))
        return ("the output", "what forward kept", *of_emitted, *(f"the gradient of {s}" for s in program.states))

    shapes = [(count, sizes.output), (count * saved_each,), *((count, s) for s in sizes.emitted)]
    shapes += [(batch, s) for s in sizes.states]
    _check_rows(x, names, shapes, (outputs, saved, *grad_emitted, *grad_last))


def _check_rows(
    x: Tensor, names: Callable[[], Sequence[str]], shapes: Sequence[tuple[int, ...]], rows: Sequence[Tensor]
) -> None:
    dtype, device = x.dtype, x.device
    for i, (shape, t) in enumerate(zip(shapes, rows, strict=True)):
        if t.shape != shape or t.dtype is not dtype or t.device != device:
            raise ValueError(
                f"{names()[i]} must be {shape} of {x.dtype} on {x.device}, but is {tuple(t.shape)} of {t.dtype} on "
                f"{t.device}"
            )
