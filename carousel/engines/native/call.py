"""One call of the native library: its arguments, its memory and its results."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from carousel.engines.call import Given, Gradients, Inputs, Sizes, Upstream, check_gradients
from carousel.engines.native import binding
from carousel.engines.native.prepared import (
    PreparedPlan,
    backward_plan,
    isa,
    library,
    library_units,
    members_each,
    prepared,
    settings,
)

# Below these numbers of multiply-adds one thread is as fast as several: in one call, because a second thread takes
# time to wake up; in one step, because a barrier takes time.
WORTH_A_TEAM = 200_000
WORTH_A_BARRIER = 40_000


def prepared_for(given: Inputs, sizes: Sizes, keep: bool, trees: bool = False) -> PreparedPlan:
    return prepared(sizes, given.x.dtype == torch.float64, isa(), keep, given.bfloat16, trees)


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
    scan.further, scan.members = units["further"], members_each(sizes)
    scan.batch_sizes = batch_sizes.data_ptr()
    scan.reverse, scan.split, scan.is_double = reverse, settings.split, x.dtype == torch.float64
    each = sizes.parameters[0][0] * (input_size + sizes.output)
    small = rows * each < WORTH_A_TEAM or batch * each < WORTH_A_BARRIER
    scan.threads = 1 if small and settings.split == 0 else torch.get_num_threads()
    alive = [binding.pointers(parameters), binding.pointers(states)]  # which are filled anew where there are more calls
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


def prefer_large_pages(t: Tensor) -> Tensor:
    """The same new tensor. If it is large, the kernel is asked for large pages."""
    if t.nbytes >= FRESH:
        library().c.carousel_prefer_large_pages(t.data_ptr(), t.nbytes)
    return t


class Forward:
    """The structures of forward calls of one shape. Two threads must not fill the same ones at a time."""

    def __init__(self, given: Inputs, keep: bool):
        sizes = given.sizes
        self.ready = prepared_for(given, sizes, keep)
        self.scan, (self.parameters, self.first) = describe(self.ready.plan, sizes, given)
        self.emitted, self.count = sizes.emitted, given.x.shape[0] * self.ready.saved
        widths = [state.shape[1] for state in given.states]
        self.is_step = len(given.batch_sizes) == 1 and list(self.emitted) == widths[:1]  # its output is like the state
        self.rows = binding.pointers((*[None] * len(sizes.emitted), *given.streams))
        self.last = binding.pointers([None] * len(given.states))
        self.scan.rows_of_steps, self.scan.last = map(ctypes.addressof, (self.rows, self.last))
        self.isa, self.workspace = isa(), library().c.carousel_forward_workspace(isa(), self.scan)
        self.address, self.call = ctypes.byref(self.scan), library().c.carousel_forward
        self.batch_sizes, self.nothing = given.batch_sizes, given.x.new_empty(0, device="cpu")

    def run(self, x: Tensor, states: Sequence[Tensor], parameters: Sequence[Tensor]) -> Given:
        """A call with tensors of those shapes, contiguous, their rows folded as a caller likes; the streams stay."""
        scan, first, after, at = self.scan, self.first, self.last, self.parameters
        last = [torch.empty_like(state) for state in states]
        emitted = [torch.empty_like(last[0])] if self.is_step else [x.new_empty(*x.shape[:-1], w) for w in self.emitted]
        saved = self.nothing if self.count == 0 else prefer_large_pages(x.new_empty(self.count))
        if settings.poison:
            saved.fill_(torch.nan)
        scan.x, scan.saved = x.data_ptr(), saved.data_ptr()
        for i, state in enumerate(states):
            first[i], after[i] = state.data_ptr(), last[i].data_ptr()
        for i, parameter in enumerate(parameters):
            at[i] = parameter.data_ptr()
        for i, of_steps in enumerate(emitted):
            self.rows[i] = prefer_large_pages(of_steps).data_ptr()
        memory = workspace(self.workspace)
        scan.workspace = memory.data_ptr()
        self.call(self.isa, self.address)
        return emitted, last, saved


class Backward:
    """The structures of backward calls of one shape. Two threads must not fill the same ones at a time."""

    def __init__(self, given: Inputs, of_streams: bool):
        program, sizes, streams = given.program, given.sizes, given.streams
        self.ready = prepared_for(given, sizes, True)
        plan = backward_plan(program, self.ready.direct, of_streams, given.bfloat16)
        self.scan, (self.parameters, self.first) = describe(plan, sizes, given)
        self.emitted, self.of_streams = len(sizes.emitted), of_streams
        self.rows = binding.pointers([None] * (1 + self.emitted + len(streams) * (2 if of_streams else 1)))
        self.grad_last, self.grad_first = (binding.pointers([None] * len(given.states)) for _ in range(2))
        self.grad_parameters = binding.pointers([None] * len(given.parameters))
        scan = self.scan
        scan.rows_of_steps, scan.grad_last = ctypes.addressof(self.rows), ctypes.addressof(self.grad_last)
        scan.grad_first, scan.grad_parameters = map(ctypes.addressof, (self.grad_first, self.grad_parameters))
        self.isa, self.call = isa(), library().c.carousel_backward
        self.workspace = library().c.carousel_backward_workspace
        self.plan, self.batch_sizes = plan, given.batch_sizes  # to which the scan points

    def run(self, given: Inputs, upstream: Upstream, wanted: Sequence[bool]) -> Gradients:
        """The gradients of `given.tensors`; None for those not wanted. given: of those shapes, as for `Forward.run`."""
        x, states, parameters, streams = given.x, given.states, given.parameters, given.streams
        outputs, saved, grad_emitted, grad_last = upstream
        a, b = 1 + len(states), 1 + len(states) + len(parameters)
        scan = self.scan
        grad_x = prefer_large_pages(torch.empty_like(x)) if wanted[0] else None
        grad_first = [torch.empty_like(s) if want else None for s, want in zip(states, wanted[1:a], strict=True)]
        grad_parameters = [
            torch.zeros_like(p) if want else None for p, want in zip(parameters, wanted[a:b], strict=True)
        ]
        grad_streams = [torch.zeros_like(s) for s in streams] if self.of_streams else []
        for to, tensors in (
            (self.first, states),
            (self.parameters, parameters),
            (self.rows, (outputs, *grad_emitted, *streams, *grad_streams)),
            (self.grad_last, grad_last),
            (self.grad_first, grad_first),
            (self.grad_parameters, grad_parameters),
        ):
            for i, t in enumerate(tensors):
                to[i] = None if t is None else t.data_ptr()
        scan.x, scan.saved = x.data_ptr(), saved.data_ptr()
        scan.grad_x = None if grad_x is None else grad_x.data_ptr()
        memory = workspace(self.workspace(self.isa, scan))  # which depends on what is wanted
        scan.workspace = memory.data_ptr()
        self.call(self.isa, scan)
        of_streams = [g if want else None for g, want in zip(grad_streams, wanted[b:], strict=False)]
        return [grad_x, *grad_first, *grad_parameters, *(of_streams or [None] * len(streams))]


def forward(given: Inputs, keep: bool) -> Given:
    """Runs a scan. Returns its emitted values, its last states, and the values kept for backward (none unless keep)."""
    given = given.contiguous()
    return Forward(given, keep).run(given.x, given.states, given.parameters)


def backward(given: Inputs, upstream: Upstream, wanted: Sequence[bool]) -> Gradients:
    """The gradients of `given.tensors`, with None for each one that is not wanted."""
    given = given.contiguous()
    check_gradients(given, saved(given, True), upstream)
    of_streams = any(wanted[len(wanted) - len(given.streams) :])
    return Backward(given, of_streams).run(given, upstream.contiguous(), wanted)
