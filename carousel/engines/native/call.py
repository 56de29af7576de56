"""One call of the native library: its arguments, its memory and its results."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from carousel.engines.call import Given, Gradients, Inputs, Sizes, Upstream, check_gradients, empty_emitted
from carousel.engines.native import binding
from carousel.engines.native.prepared import (
    Prepared,
    backward_plan,
    isa,
    library,
    library_units,
    prepared,
    settings,
)

# Below these numbers of multiply-adds one thread is as fast as several: in one call, because a second thread takes
# time to wake up; in one step, because a barrier takes time.
WORTH_A_TEAM = 200_000
WORTH_A_BARRIER = 40_000


def prepared_for(given: Inputs, sizes: Sizes, keep: bool) -> Prepared:
    return prepared(sizes, given.x.dtype == torch.float64, isa(), keep, given.bfloat16)


def saved(given: Inputs, keep: bool) -> int:
    """The count of numbers that forward keeps for each row of a step."""
    return prepared_for(given, given.sizes, keep).saved


def describe(made: binding.MadePlan, sizes: Sizes, given: Inputs) -> tuple[binding.CScan, list[Any]]:
    """The structure of a call with the fields that forward and backward share, and the objects that must outlive it."""
    _, x, states, parameters, _, batch_sizes, reverse, bfloat16 = given
    scan = binding.CScan()
    scan.bfloat16 = bfloat16
    scan.plan = made.pointer
    rows, input_size = x.shape
    batch = states[0].shape[0]
    scan.steps, scan.rows, scan.batch = batch_sizes.shape[0], rows, batch
    units = library_units(sizes)
    scan.input, scan.hidden, scan.projection = input_size, units["hidden"], units["projection"]
    scan.batch_sizes = batch_sizes.data_ptr()
    scan.reverse, scan.split, scan.is_double = reverse, settings.split, x.dtype == torch.float64
    each = sizes.parameters[0][0] * (input_size + sizes.output)
    small = rows * each < WORTH_A_TEAM or batch * each < WORTH_A_BARRIER
    scan.threads = 1 if small and settings.split == 0 else torch.get_num_threads()
    alive = [binding.pointers(parameters), binding.pointers(states)]
    scan.parameters_count = len(parameters)
    scan.x = x.data_ptr()
    scan.parameters, scan.first = map(ctypes.addressof, alive)
    return scan, alive


_local = threading.local()
KEEP_WORKSPACE = 64 << 20


def workspace(count: int) -> Tensor:
    """Memory for the use of one call. Each thread keeps it, because new memory costs a page fault per 4 KB."""
    kept = getattr(_local, "workspace", None)
    if kept is None or kept.shape[0] < count:
        with torch.inference_mode(False):  # later calls, outside inference mode, write to it too
            kept = torch.empty(count, dtype=torch.uint8, device="cpu")
        if count <= KEEP_WORKSPACE:
            _local.workspace = kept
    if settings.poison:
        kept.fill_(0xFF)  # every number is NaN
    return kept


# For this many bytes or more, malloc asks the kernel for new pages at each call.
FRESH = 32 << 20


def _large(t: Tensor) -> Tensor:
    """The same new tensor. If it is large, the kernel is asked for large pages."""
    if t.nbytes >= FRESH:
        library().c.carousel_prefer_large_pages(t.data_ptr(), t.nbytes)
    return t


def forward(given: Inputs, keep: bool) -> Given:
    """Runs a scan. Returns its emitted values, its last states, and the values kept for backward (none unless keep)."""
    given = given.contiguous()
    x, sizes = given.x, given.sizes
    ready = prepared_for(given, sizes, keep)
    scan, alive = describe(ready.plan, sizes, given)
    emitted = [_large(rows) for rows in empty_emitted(x, sizes)]
    last = [torch.empty_like(s) for s in given.states]
    saved = _large(x.new_empty(x.shape[0] * ready.saved))
    if settings.poison:
        saved.fill_(torch.nan)
    alive += [binding.pointers((*emitted, *given.streams)), binding.pointers(last)]
    scan.rows_of_steps, scan.last = map(ctypes.addressof, alive[-2:])
    scan.saved = saved.data_ptr()
    c = library().c
    memory = workspace(c.carousel_forward_workspace(isa(), scan))
    scan.workspace = memory.data_ptr()
    c.carousel_forward(isa(), scan)
    return emitted, last, saved


def backward(given: Inputs, upstream: Upstream, wanted: Sequence[bool]) -> Gradients:
    """The gradients of `given.tensors`, with None for each one that is not wanted."""
    given = given.contiguous()
    program, x, states, parameters, streams, *_ = given
    sizes = given.sizes
    ready = prepared_for(given, sizes, True)
    check_gradients(given, ready.saved, upstream)
    outputs, saved, grad_emitted, grad_last = upstream.contiguous()
    a, b = 1 + len(states), 1 + len(states) + len(parameters)
    want_x, want_states, want_parameters, want_streams = wanted[0], wanted[1:a], wanted[a:b], wanted[b:]
    scan, alive = describe(backward_plan(program, ready.direct, any(want_streams), given.bfloat16), sizes, given)
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
    memory = workspace(c.carousel_backward_workspace(isa(), scan))
    scan.workspace = memory.data_ptr()
    c.carousel_backward(isa(), scan)
    wanted_streams = [g if want else None for g, want in zip(grad_streams, want_streams, strict=False)]
    return [grad_x, *grad_first, *grad_parameters, *(wanted_streams or [None] * len(streams))]
