"""The native engine as torch operators, `torch.ops.carousel.scan` and its backward: one op each for compile and export.

A program enters as a key (its equations' hash, so the same in every process) into a registry of programs.
"""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from carousel.engines import native_binding as binding
from carousel.engines import native_lowering as lowering
from carousel.engines import reference
from carousel.program import Program, differentiate

_programs: dict[str, Program] = {}
_library = torch.library.Library("carousel", "DEF")
_library.define(
    "scan(Tensor x, Tensor[] states, Tensor[] parameters, Tensor[] streams, Tensor batch_sizes, str program,"
    " bool reverse, bool keep) -> (Tensor[], Tensor[], Tensor)"
)
_library.define(
    "scan_backward(Tensor[] grad_emitted, Tensor[] grad_last, Tensor x, Tensor outputs, Tensor saved, Tensor[] states,"
    " Tensor[] parameters, Tensor[] streams, Tensor batch_sizes, str program, bool reverse, bool[] wanted) -> Tensor[]"
)


@lru_cache(maxsize=1024)
def key_of(program: Program) -> str:
    """The program's key; enters it into the registry."""
    what = (program.nodes, program.outputs, program.gates, program.states, program.weights, program.gate_bias)
    key = f"{program.cell}-{hashlib.sha256(repr(what).encode()).hexdigest()[:16]}"
    _programs.setdefault(key, program)
    return key


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
    if settings.isa is None:
        settings.isa = library().isas.index(library().isas_here[0])
    return settings.isa


@lru_cache(maxsize=1024)
def forward_plan(program: Program, keep: bool, direct: frozenset[str]) -> binding.MadePlan:
    kept = lowering.kept(program, differentiate(program)) if keep else None
    return binding.MadePlan(lowering.lower_forward(program, kept, direct))


@lru_cache(maxsize=1024)
def backward_plan(program: Program, direct: frozenset[str], of_streams: bool) -> binding.MadePlan:
    derivative = differentiate(program)
    kept = lowering.kept(program, derivative)
    return binding.MadePlan(lowering.lower_backward(program, derivative, kept, direct, of_streams))


@dataclass(frozen=True)
class Sizes:
    """The sizes of one call, and what follows from them. direct: see `lowering.lower_forward`."""

    units: dict[str, int]
    output: int
    direct: frozenset[str]
    is_double: int


def sizes_of(program: Program, x: Tensor, parameters: Sequence[Tensor]) -> Sizes:
    units = {"one": 1, "hidden": parameters[0].shape[0] // len(program.gates), "projection": 0}
    names = lowering.parameters_of(program)
    for weight in program.weights.values():
        if weight.parameter in names:
            matrix = parameters[names.index(weight.parameter)]
            units[weight.columns] = matrix.shape[1]
            if weight.gate is None:
                units[weight.rows] = matrix.shape[0]
    is_double = int(x.dtype == torch.float64)
    block = library().c.carousel_block(isa(), is_double)
    direct = frozenset(size for size in lowering.SIZES if units[size] % block == 0)
    return Sizes(units, units[program.states[program.output_state]], direct, is_double)


def check(
    program: Program,
    x: Tensor,
    batch_sizes: Sequence[int],
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    streams: Sequence[Tensor],
) -> None:
    """Raises ValueError for what the library would read past its end."""
    count, batch = sum(batch_sizes), batch_sizes[0]
    if x.dim() != 2 or x.shape[0] != count or any(a < b for a, b in itertools.pairwise(batch_sizes)):
        raise ValueError(
            f"x must hold the {count} rows of all steps, of which none has more than the step before, "
            f"but x is {tuple(x.shape)} and the steps have {list(batch_sizes)[:20]} rows"
        )
    units = sizes_of(program, x, parameters).units
    names = (*program.states, *lowering.parameters_of(program), *program.streams)
    shapes = (
        *((batch, units[size]) for size in program.states.values()),
        *lowering.parameter_shapes(program, units["hidden"], units["projection"], x.shape[1]),
        *((count, units[size]) for size in program.streams.values()),
    )
    for name, shape, t in zip(names, shapes, (*states, *parameters, *streams), strict=True):
        if t.shape != shape or t.dtype != x.dtype or t.device != x.device:
            raise ValueError(
                f"{name} must be {shape} of {x.dtype} on {x.device}, but is {tuple(t.shape)} of {t.dtype} on {t.device}"
            )


def _saved_width(made: binding.MadePlan, sizes: Sizes) -> int:
    return binding.saved_width(made, isa(), sizes.is_double, sizes.units["hidden"], sizes.units["projection"])


# Work below this many multiply-adds is done before a second thread has woken up.
WORTH_A_TEAM = 200_000


def describe(
    made: binding.MadePlan,
    sizes: Sizes,
    x: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    batch_sizes: Tensor,
    reverse: bool,
) -> tuple[binding.CScan, list[Any]]:
    scan = binding.CScan()
    scan.plan = made.pointer
    scan.steps, scan.rows, scan.batch = batch_sizes.shape[0], x.shape[0], states[0].shape[0]
    scan.input, scan.hidden, scan.projection = x.shape[1], sizes.units["hidden"], sizes.units["projection"]
    scan.batch_sizes = batch_sizes.data_ptr()
    scan.reverse, scan.split, scan.is_double = reverse, settings.split, sizes.is_double
    work = scan.rows * parameters[0].shape[0] * (scan.input + sizes.output)
    scan.threads = 1 if work < WORTH_A_TEAM and settings.split == 0 else torch.get_num_threads()
    alive = [binding.pointers(parameters), binding.pointers(states)]
    scan.parameters_count = len(parameters)
    scan.x = x.data_ptr()
    scan.parameters, scan.first = map(ctypes.addressof, alive)
    return scan, alive


_local = threading.local()
KEEP_WORKSPACE = 64 << 20


def _workspace(count: int) -> Tensor:
    """Memory for a call's own use, kept per thread: asking for it anew would cost a page fault every 4 KB."""
    kept = getattr(_local, "workspace", None)
    if kept is None or kept.shape[0] < count:
        kept = torch.empty(count, dtype=torch.uint8)
        if count <= KEEP_WORKSPACE:
            _local.workspace = kept
    if settings.poison:
        kept.fill_(0xFF)  # every number of it is a NaN
    return kept


def _contiguous(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [t.contiguous() for t in tensors]


def empty_emitted(program: Program, x: Tensor, sizes: Sizes) -> list[Tensor]:
    return [x.new_empty(x.shape[0], sizes.units[program.nodes[index].size]) for index in program.emitted]


def _scan(
    x: Tensor,
    states: list[Tensor],
    parameters: list[Tensor],
    streams: list[Tensor],
    batch_sizes: Tensor,
    program: str,
    reverse: bool,
    keep: bool,
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    which = _programs[program]
    sizes = sizes_of(which, x, parameters)
    made = forward_plan(which, keep, sizes.direct)
    x, states, parameters, streams = x.contiguous(), _contiguous(states), _contiguous(parameters), _contiguous(streams)
    scan, alive = describe(made, sizes, x, states, parameters, batch_sizes, reverse)
    emitted = empty_emitted(which, x, sizes)
    last = [torch.empty_like(s) for s in states]
    saved = x.new_empty(x.shape[0] * _saved_width(made, sizes))
    if settings.poison:
        saved.fill_(torch.nan)
    alive += [binding.pointers((*emitted, *streams)), binding.pointers(last)]
    scan.rows_of_steps, scan.last = map(ctypes.addressof, alive[-2:])
    scan.saved = saved.data_ptr()
    c = library().c
    workspace = _workspace(c.carousel_forward_workspace(isa(), scan))
    scan.workspace = workspace.data_ptr()
    c.carousel_forward(isa(), scan)
    return emitted, last, saved


def _fake_scan(
    x: Tensor,
    states: list[Tensor],
    parameters: list[Tensor],
    streams: list[Tensor],
    batch_sizes: Tensor,
    program: str,
    reverse: bool,
    keep: bool,
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    del batch_sizes, reverse, streams
    which = _programs[program]
    sizes = sizes_of(which, x, parameters)
    made = forward_plan(which, keep, sizes.direct)
    saved = x.new_empty(x.shape[0] * _saved_width(made, sizes))
    return empty_emitted(which, x, sizes), [torch.empty_like(s) for s in states], saved


def _scan_backward(
    grad_emitted: list[Tensor],
    grad_last: list[Tensor],
    x: Tensor,
    outputs: Tensor,
    saved: Tensor,
    states: list[Tensor],
    parameters: list[Tensor],
    streams: list[Tensor],
    batch_sizes: Tensor,
    program: str,
    reverse: bool,
    wanted: list[bool],
) -> list[Tensor]:
    which = _programs[program]
    sizes = sizes_of(which, x, parameters)
    a, b = 1 + len(states), 1 + len(states) + len(parameters)
    want_x, want_states, want_parameters, want_streams = wanted[0], wanted[1:a], wanted[a:b], wanted[b:]
    made = backward_plan(which, sizes.direct, any(want_streams))
    x, states, parameters, streams = x.contiguous(), _contiguous(states), _contiguous(parameters), _contiguous(streams)
    grad_emitted, grad_last = _contiguous(grad_emitted), _contiguous(grad_last)
    scan, alive = describe(made, sizes, x, states, parameters, batch_sizes, reverse)
    grad_x = torch.empty_like(x) if want_x else None
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
    nothing = x.new_empty(0)
    made_streams = grad_streams or [nothing] * len(streams)
    return [nothing if g is None else g for g in (grad_x, *grad_first, *grad_parameters, *made_streams)]


def _fake_scan_backward(
    grad_emitted: list[Tensor],
    grad_last: list[Tensor],
    x: Tensor,
    outputs: Tensor,
    saved: Tensor,
    states: list[Tensor],
    parameters: list[Tensor],
    streams: list[Tensor],
    batch_sizes: Tensor,
    program: str,
    reverse: bool,
    wanted: list[bool],
) -> list[Tensor]:
    del grad_emitted, grad_last, outputs, saved, batch_sizes, program, reverse
    inputs = (x, *states, *parameters, *streams)
    return [torch.empty_like(t) if want else x.new_empty(0) for t, want in zip(inputs, wanted, strict=True)]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    x, states, parameters, streams, batch_sizes, program, reverse, keep = inputs
    emitted, _, saved = output
    ctx.save_for_backward(x, *states, *parameters, *streams, batch_sizes, emitted[0], saved)
    ctx.counts = len(states), len(parameters)
    ctx.program, ctx.reverse, ctx.keep = program, reverse, keep
    ctx.mark_non_differentiable(saved)


def _backward(ctx: Any, grad_emitted: list[Tensor], grad_last: list[Tensor], _: Any) -> Any:
    x, *rest, batch_sizes, outputs, saved = ctx.saved_tensors
    a, b = ctx.counts[0], sum(ctx.counts)
    states, parameters, streams = rest[:a], rest[a:b], rest[b:]
    need_x, need_states, need_parameters, need_streams, *_ = ctx.needs_input_grad
    wanted = [
        need_x,
        *_each(need_states, states),
        *_each(need_parameters, parameters),
        *_each(need_streams, streams),
    ]
    gradients = (*grad_emitted, *grad_last)
    if torch.is_grad_enabled() and any(t.requires_grad for t in (x, *states, *parameters, *streams, *gradients)):
        found = _differentiable(ctx, x, states, parameters, streams, batch_sizes, gradients, wanted)
    elif not ctx.keep:
        raise RuntimeError(
            "a native scan that kept nothing for backward was asked for gradients: "
            "call it through carousel.engines.scan, which knows when gradients are wanted"
        )
    else:
        given = (x, outputs, saved, states, parameters, streams, batch_sizes)
        backward = torch.ops.carousel.scan_backward.default
        made = backward(grad_emitted, grad_last, *given, ctx.program, ctx.reverse, wanted)
        found = [g if want else None for g, want in zip(made, wanted, strict=True)]
    return found[0], found[1 : 1 + a], found[1 + a : 1 + b], found[1 + b :], None, None, None, None


def _each(needs: Any, tensors: list[Tensor]) -> list[bool]:
    return list(needs) if isinstance(needs, (list, tuple)) else [bool(needs)] * len(tensors)


def _differentiable(
    ctx: Any,
    x: Tensor,
    states: list[Tensor],
    parameters: list[Tensor],
    streams: list[Tensor],
    batch_sizes: Tensor,
    gradients: tuple[Tensor, ...],
    wanted: list[bool],
) -> list[Tensor | None]:
    """Gradients that can be differentiated again (create_graph=True): the scan is run anew by the reference engine."""
    program = _programs[ctx.program]
    weights = dict(zip(lowering.parameters_of(program), parameters, strict=True))
    inputs = [t for t, want in zip((x, *states, *parameters, *streams), wanted, strict=True) if want]
    with torch.enable_grad():
        given = dict(zip(program.streams, streams, strict=True))
        emitted, last = reference.scan(program, x, batch_sizes.tolist(), tuple(states), weights, ctx.reverse, given)
        found = iter(torch.autograd.grad((*emitted, *last), inputs, gradients, create_graph=True, allow_unused=True))
    return [next(found) if want else None for want in wanted]


_library.impl("scan", _scan, "CPU")
_library.impl("scan_backward", _scan_backward, "CPU")
torch.library.register_fake("carousel::scan", _fake_scan, lib=_library)
torch.library.register_fake("carousel::scan_backward", _fake_scan_backward, lib=_library)
torch.library.register_autograd("carousel::scan", _backward, setup_context=_setup, lib=_library)
