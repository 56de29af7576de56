"""One call of the native library: what it is given, where its memory comes from, what it gives back."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from carousel.engines.inside_torch import same_at_every_call
from carousel.engines.native import binding
from carousel.engines.native.backward import lower_backward
from carousel.engines.native.forward import kept as kept_by
from carousel.engines.native.forward import lower_forward
from carousel.engines.native.plan import SIZES, parameter_shapes, parameters_of
from carousel.errors import CarouselError
from carousel.program import Program, differentiate
from carousel.program.sharing import made_once


@dataclass
class Settings:
    """What tests and benchmarks choose; otherwise the machine's best. split: 0 by shape, 1 by rows, 2 by units."""

    isa: int | None = None
    split: int = 0
    poison: bool = False


settings = Settings()


def library() -> binding.Library:
    found = binding.find()
    assert isinstance(found, binding.Library), found  # why_not has said so before
    return found


def isa() -> int:
    """The number of the instruction set that calls use: the machine's best, or what CAROUSEL_ISA names.

    Raises CarouselError if this processor does not run the one that is named.
    """
    if settings.isa is None:
        here = library().isas_here
        name = os.environ.get("CAROUSEL_ISA") or here[0]
        if name not in here:
            raise CarouselError(
                "The environment variable CAROUSEL_ISA chooses the native engine's instruction set. "
                f"It is {name!r}, and must be one that this processor runs: {', '.join(here)}. "
                f"Without it, {here[0]} is used."
            )
        settings.isa = library().isas.index(name)
    return settings.isa


@same_at_every_call
def multiplies_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; otherwise the engine widens it first."""
    return bool(library().c.carousel_multiplies_bfloat16(isa()))


@made_once(1024)
def forward_plan(program: Program, keep: bool, direct: frozenset[str], halves: bool) -> binding.MadePlan:
    kept = kept_by(program, differentiate(program)) if keep else None
    return binding.MadePlan(lower_forward(program, kept, direct, halves))


@made_once(1024)
def backward_plan(program: Program, direct: frozenset[str], of_streams: bool, halves: bool) -> binding.MadePlan:
    derivative = differentiate(program)
    kept = kept_by(program, derivative)
    return binding.MadePlan(lower_backward(program, derivative, kept, direct, of_streams, halves))


@dataclass(frozen=True)
class Sizes:
    """The sizes of scans with such parameters, and what follows from them. direct: see `forward.lower_forward`.

    parameters, states, emitted, streams: the shapes of the parameters, and how wide the rows of the others are.
    """

    units: dict[str, int]
    output: int
    direct: frozenset[str]
    is_double: int
    parameters: tuple[tuple[int, ...], ...]
    states: tuple[int, ...]
    emitted: tuple[int, ...]
    streams: tuple[int, ...]


def sizes_of(program: Program, x: Tensor, parameters: Sequence[Tensor]) -> Sizes:
    return _sizes_of_shapes(program, x.dtype == torch.float64, isa(), *[p.shape for p in parameters])


@made_once(1024)  # layers are called again and again
def _sizes_of_shapes(program: Program, is_double: bool, isa: int, *shapes: tuple[int, ...]) -> Sizes:
    for name, shape in zip(parameters_of(program), shapes, strict=True):
        if len(shape) != len(program.parameters[name]):
            raise ValueError(f"{name} must have {len(program.parameters[name])} axes, but is {tuple(shape)}")
    units = {"one": 1, "hidden": shapes[0][0] // len(program.inputs), "projection": 0}
    for name, shape in zip(parameters_of(program), shapes, strict=True):
        found = dict(zip(program.parameters[name], shape, strict=True))
        units["projection"] = found.get("projection", units["projection"])
    block = library().c.carousel_block(isa, is_double)
    return Sizes(
        units,
        units[program.states[program.output_state]],
        frozenset(size for size in SIZES if units[size] % block == 0),
        int(is_double),
        parameter_shapes(program, units["hidden"], units["projection"], shapes[0][1]),
        tuple(units[size] for size in program.states.values()),
        tuple(units[program.nodes[index].size] for index in program.emitted),
        tuple(units[size] for size in program.streams.values()),
    )


class Inputs(NamedTuple):
    """What a scan is given; see `reference.scan`. parameters, streams: in the program's order.

    bfloat16: whether the factors of matrix products, and what is kept for backward, are rounded.
    """

    program: Program
    x: Tensor
    states: Sequence[Tensor]
    parameters: Sequence[Tensor]
    streams: Sequence[Tensor]
    batch_sizes: Tensor
    reverse: bool
    bfloat16: bool

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Those that a scan may be differentiated by."""
        return (self.x, *self.states, *self.parameters, *self.streams)

    def contiguous(self) -> Inputs:
        return self._replace(
            x=self.x.contiguous(),
            states=[t.contiguous() for t in self.states],
            parameters=[t.contiguous() for t in self.parameters],
            streams=[t.contiguous() for t in self.streams],
        )


def check(given: Inputs, batch_sizes: Sequence[int]) -> None:
    """Raises ValueError for what the library would read past its end. batch_sizes: those of `given`, as numbers."""
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
    sizes = sizes_of(program, x, parameters)
    if x.shape != (count, parameters[0].shape[1]) or list(batch_sizes) != sorted(batch_sizes, reverse=True):
        raise ValueError(
            f"x must hold the {count} rows of all steps, of which none has more than the step before, "
            f"but x is {tuple(x.shape)} and the steps have {list(batch_sizes)[:20]} rows"
        )
    shapes = [*((batch, s) for s in sizes.states), *sizes.parameters, *((count, s) for s in sizes.streams)]

    def names() -> tuple[str, ...]:
        return (*program.states, *parameters_of(program), *program.streams)

    _check_rows(x, names, shapes, (*states, *parameters, *streams))


def check_gradients(
    given: Inputs,
    saved_each: int,
    outputs: Tensor,
    saved: Tensor,
    grad_emitted: Sequence[Tensor],
    grad_last: Sequence[Tensor],
) -> None:
    """As `check`, of what backward is given besides. saved_each: how many numbers forward kept for a row of a step."""
    program, x, states, parameters, *_ = given
    sizes = sizes_of(program, x, parameters)
    count, batch = x.shape[0], states[0].shape[0]
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


def saved_width(made: binding.MadePlan, sizes: Sizes) -> int:
    return binding.saved_width(made, isa(), sizes.is_double, sizes.units["hidden"], sizes.units["projection"])


# Multiply-adds below which one thread is as fast: those of a call, done before a second thread has woken up, and
# those of a step, done in the time of a barrier.
WORTH_A_TEAM = 200_000
WORTH_A_BARRIER = 40_000


def describe(made: binding.MadePlan, sizes: Sizes, given: Inputs) -> tuple[binding.CScan, list[Any]]:
    """The call as the library takes it, so far as forward and backward share it; and what must outlive it."""
    _, x, states, parameters, _, batch_sizes, reverse, bfloat16 = given
    scan = binding.CScan()
    scan.bfloat16 = bfloat16
    scan.plan = made.pointer
    scan.steps, scan.rows, scan.batch = batch_sizes.shape[0], x.shape[0], states[0].shape[0]
    scan.input, scan.hidden, scan.projection = x.shape[1], sizes.units["hidden"], sizes.units["projection"]
    scan.batch_sizes = batch_sizes.data_ptr()
    scan.reverse, scan.split, scan.is_double = reverse, settings.split, sizes.is_double
    each = parameters[0].shape[0] * (scan.input + sizes.output)
    small = scan.rows * each < WORTH_A_TEAM or scan.batch * each < WORTH_A_BARRIER
    scan.threads = 1 if small and settings.split == 0 else torch.get_num_threads()
    alive = [binding.pointers(parameters), binding.pointers(states)]
    scan.parameters_count = len(parameters)
    scan.x = x.data_ptr()
    scan.parameters, scan.first = map(ctypes.addressof, alive)
    return scan, alive


def _sizes_of_layer(program: Program, dtype: torch.dtype, sizes: dict[str, int], input: int) -> tuple[Sizes, bool]:
    """The sizes of scans in a layer, and whether they round to bfloat16. sizes: of "hidden" and "projection"."""
    shapes = parameter_shapes(program, sizes["hidden"], sizes.get("projection", 0), input)
    bfloat16 = dtype == torch.bfloat16
    wide = torch.float32 if bfloat16 else dtype
    parameters = [torch.empty(shape, dtype=wide, device="meta") for shape in shapes]
    return sizes_of(program, parameters[0], parameters), bfloat16


def listing(program: Program, dtype: torch.dtype, sizes: dict[str, int], input: int) -> str:
    """The plans of a scan that keeps what backward needs, and of backward, as text."""
    found, bfloat16 = _sizes_of_layer(program, dtype, sizes, input)
    plans = {
        "forward": forward_plan(program, True, found.direct, bfloat16),
        "backward": backward_plan(program, found.direct, False, bfloat16),
    }
    return "\n\n".join(f"{name}:\n{made.plan}" for name, made in plans.items())


def kept(program: Program, dtype: torch.dtype, sizes: dict[str, int], input: int) -> int:
    """How many bytes a scan keeps for backward for each row of a step, its results among them."""
    found, bfloat16 = _sizes_of_layer(program, dtype, sizes, input)
    wide = torch.float32 if bfloat16 else dtype
    saved = saved_width(forward_plan(program, True, found.direct, bfloat16), found)
    return (sum(found.emitted) + saved) * wide.itemsize


def division(program: Program, dtype: torch.dtype, sizes: dict[str, int], input: int, steps: int, batch: int) -> str:
    """How the threads would divide a scan of such a shape, as a phrase. sizes: of "hidden" and "projection"."""
    wide = torch.float32 if dtype == torch.bfloat16 else dtype
    shapes = parameter_shapes(program, sizes["hidden"], sizes.get("projection", 0), input)

    def rows(*shape: int) -> Tensor:  # no memory: only sizes are read
        return torch.empty(shape, dtype=wide, device="meta")

    x, parameters = rows(steps * batch, input), [rows(*shape) for shape in shapes]
    states = [rows(batch, sizes[size]) for size in program.states.values()]
    found = sizes_of(program, x, parameters)
    made = forward_plan(program, False, found.direct, False)
    batch_sizes = torch.full((steps,), batch, dtype=torch.int64, device="cpu")
    scan, alive = describe(made, found, Inputs(program, x, states, parameters, (), batch_sizes, False, False))
    alive.append(binding.pointers([None] * (len(program.emitted) + len(program.streams))))
    scan.rows_of_steps = ctypes.addressof(alive[-1])
    threads = scan.threads
    match library().c.carousel_division(isa(), scan):
        case 0:
            return "one thread"
        case 1:
            return f"{threads} threads, each its own rows of the batch"
    return f"{threads} threads, each its own hidden units, meeting at every step"


_local = threading.local()
KEEP_WORKSPACE = 64 << 20


def _workspace(count: int) -> Tensor:
    """Memory for a call's own use, kept per thread: asking for it anew would cost a page fault every 4 KB."""
    kept = getattr(_local, "workspace", None)
    if kept is None or kept.shape[0] < count:
        with torch.inference_mode(False):  # it outlives a call in inference mode, whose tensors nobody may write to
            kept = torch.empty(count, dtype=torch.uint8, device="cpu")
        if count <= KEEP_WORKSPACE:
            _local.workspace = kept
    if settings.poison:
        kept.fill_(0xFF)  # every number of it is a NaN
    return kept


# Bytes from which malloc asks the kernel for fresh pages every time.
FRESH = 32 << 20


def _large(t: Tensor) -> Tensor:
    """The tensor, which nobody has written to; if it is large, with large pages under it."""
    if t.nbytes >= FRESH:
        library().c.carousel_prefer_large_pages(t.data_ptr(), t.nbytes)
    return t


def empty_emitted(x: Tensor, sizes: Sizes) -> list[Tensor]:
    return [x.new_empty(x.shape[0], size) for size in sizes.emitted]


def forward(given: Inputs, keep: bool) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """What a scan emits, its last states, and what backward will need of it (nothing unless keep)."""
    given = given.contiguous()
    x = given.x
    sizes = sizes_of(given.program, x, given.parameters)
    made = forward_plan(given.program, keep, sizes.direct, given.bfloat16)
    scan, alive = describe(made, sizes, given)
    emitted = [_large(rows) for rows in empty_emitted(x, sizes)]
    last = [torch.empty_like(s) for s in given.states]
    saved = _large(x.new_empty(x.shape[0] * saved_width(made, sizes)))
    if settings.poison:
        saved.fill_(torch.nan)
    alive += [binding.pointers((*emitted, *given.streams)), binding.pointers(last)]
    scan.rows_of_steps, scan.last = map(ctypes.addressof, alive[-2:])
    scan.saved = saved.data_ptr()
    c = library().c
    workspace = _workspace(c.carousel_forward_workspace(isa(), scan))
    scan.workspace = workspace.data_ptr()
    c.carousel_forward(isa(), scan)
    return emitted, last, saved


def backward(
    given: Inputs,
    outputs: Tensor,
    saved: Tensor,
    grad_emitted: Sequence[Tensor],
    grad_last: Sequence[Tensor],
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients of `given.tensors`; None for those not wanted.

    outputs, saved: the first of what the scan emitted, and what it kept. grad_emitted, grad_last: of what it gave.
    """
    given = given.contiguous()
    program, x, states, parameters, streams, *_ = given
    sizes = sizes_of(program, x, parameters)
    a, b = 1 + len(states), 1 + len(states) + len(parameters)
    want_x, want_states, want_parameters, want_streams = wanted[0], wanted[1:a], wanted[a:b], wanted[b:]
    made = backward_plan(program, sizes.direct, any(want_streams), given.bfloat16)
    kept = saved_width(forward_plan(program, True, sizes.direct, given.bfloat16), sizes)
    check_gradients(given, kept, outputs, saved, grad_emitted, grad_last)
    outputs, saved = outputs.contiguous(), saved.contiguous()
    grad_emitted, grad_last = ([t.contiguous() for t in of] for of in (grad_emitted, grad_last))
    scan, alive = describe(made, sizes, given)
    grad_x = _large(torch.empty_like(x)) if want_x else None
    grad_first = [torch.empty_like(s) if want else None for s, want in zip(states, want_states, strict=True)]
    grad_parameters = [
        torch.zeros_like(p) if want else None for p, want in zip(parameters, want_parameters, strict=True)
    ]
    grad_streams = [torch.zeros_like(s) for s in streams] if any(want_streams) else []
    rows_of_steps = (outputs, *grad_emitted, *streams, *grad_streams)
    alive += map(binding.pointers, (rows_of_steps, grad_last, grad_first, grad_parameters))
    scan.rows_of_steps, scan.grad_last, scan.grad_first, scan.grad_parameters = map(ctypes.addressof, alive[-4:])
    scan.saved = saved.data_ptr()
    scan.grad_x = None if grad_x is None else grad_x.data_ptr()
    c = library().c
    workspace = _workspace(c.carousel_backward_workspace(isa(), scan))
    scan.workspace = workspace.data_ptr()
    c.carousel_backward(isa(), scan)
    wanted_streams = [g if want else None for g, want in zip(grad_streams, want_streams, strict=False)]
    return [grad_x, *grad_first, *grad_parameters, *(wanted_streams or [None] * len(streams))]
