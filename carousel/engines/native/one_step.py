"""One step without gradients that is called many times: a scan of one step whose structures are kept between calls.

For a small cell the library takes a few microseconds, and the checks and structures around it several times as long.
Here they are made once for a program and a number of rows. Each call checks every tensor, since weights may have moved,
and fills in addresses. It raises no errors: a call that does not fit goes the general way, which says what is wrong.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from carousel.engines.call import Inputs, check
from carousel.engines.native import binding
from carousel.engines.native.call import describe, prepared_for, workspace
from carousel.engines.native.prepared import isa, library, settings
from carousel.engines.parameters import parameters_of
from carousel.program import Program

PLAIN = (Tensor, torch.nn.Parameter)


class _Described:
    """The structures of one call. Each thread needs its own."""

    def __init__(self, given: Inputs):
        ready = prepared_for(given, given.sizes, False)
        self.scan, alive = describe(ready.plan, given.sizes, given)
        self.parameters, self.first = alive
        # The output is also the first of the last states, so that the emitted values are ignored.
        self.emitted = torch.empty(len(given.x), sum(given.sizes.emitted), dtype=given.x.dtype)
        self.rows, self.last = binding.pointers([self.emitted]), binding.pointers(given.states)
        self.scan.rows_of_steps, self.scan.last = ctypes.addressof(self.rows), ctypes.addressof(self.last)
        self.address = ctypes.byref(self.scan)
        self.workspace = library().c.carousel_forward_workspace(isa(), self.scan)
        self.alive = ready, given.batch_sizes


def one_step(program: Program, x: Tensor, states: Sequence[Tensor], weights: Mapping[str, Tensor]) -> OneStep | None:
    """One step, prepared for calls with tensors like these; None if a call would have to convert them first."""
    if x.dtype == torch.bfloat16 or not len(x):
        return None
    names = parameters_of(program)
    return OneStep(program, names, x, states, [weights[name] for name in names])


class OneStep:
    """One step of a program: (x, states, parameters) -> new states, or None if the tensors do not fit.

    The constructor takes the tensors of one call. Later calls need tensors of the same shapes.
    """

    @torch.inference_mode(False)
    def __init__(
        self,
        program: Program,
        names: tuple[str, ...],
        x: Tensor,
        states: Sequence[Tensor],
        parameters: Sequence[Tensor],
    ):
        """Raises ValueError for tensors that do not fit the program."""
        self.program, self.names, self.settings = program, names, self._settings()
        sizes = torch.tensor([len(x)], device="cpu")
        self.given = Inputs(program, x.detach(), [s.detach() for s in states], parameters, (), sizes, False, False)
        check(self.given, [len(x)])
        self.dtype = x.dtype
        self.shapes = [t.shape for t in (x, *states, *parameters)]
        self.free = [_Described(self.given)]
        self.run = library().c.carousel_forward

    @staticmethod
    def _settings() -> tuple[int, int, int]:
        return isa(), settings.split, torch.get_num_threads()

    def __call__(
        self, x: Tensor, states: Sequence[Tensor], parameters: Sequence[Tensor | None]
    ) -> tuple[Tensor, ...] | None:
        tensors: tuple[Any, ...] = (x, *states, *parameters)
        dtype = self.dtype
        if len(tensors) != len(self.shapes) or settings.poison or self._settings() != self.settings:
            return None
        for t, shape in zip(tensors, self.shapes, strict=True):
            fits = type(t) in PLAIN and t.shape == shape and t.dtype is dtype and t.is_cpu and t.is_contiguous()
            if not fits:
                return None
        try:
            call = self.free.pop()
        except IndexError:  # other threads use all of them at this moment
            call = _Described(self.given)
        new = tuple([torch.empty_like(state) for state in states])
        scan = call.scan
        scan.x = x.data_ptr()
        for i, (state, after) in enumerate(zip(states, new, strict=True)):
            call.first[i], call.last[i] = state.data_ptr(), after.data_ptr()
        for i, parameter in enumerate(tensors[1 + len(states) :]):
            call.parameters[i] = parameter.data_ptr()
        memory = workspace(call.workspace)
        scan.workspace = memory.data_ptr()
        self.run(self.settings[0], call.address)
        self.free.append(call)
        return new
