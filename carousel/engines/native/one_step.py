"""One step without gradients, called again and again: a scan of one step whose description is kept between calls.

A call of a small cell takes a few microseconds in the library, and several times as long in the checks and structures
around it. Here they are made once for a program and a number of rows. A call looks at every tensor it is given, since
weights may have moved, and fills in addresses. It refuses nothing: what does not fit goes the general way, which says
what is wrong.
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
    """The structures of one call. Two threads must not fill the same ones."""

    def __init__(self, given: Inputs):
        ready = prepared_for(given, given.sizes, False)
        self.scan, alive = describe(ready.plan, given.sizes, given)
        self.parameters, self.first = alive
        # The output is the first of the last states too: what a step emits is not looked at.
        self.emitted = torch.empty(len(given.x), sum(given.sizes.emitted), dtype=given.x.dtype)
        self.rows, self.last = binding.pointers([self.emitted]), binding.pointers(given.states)
        self.scan.rows_of_steps, self.scan.last = ctypes.addressof(self.rows), ctypes.addressof(self.last)
        self.address = ctypes.byref(self.scan)
        self.workspace = library().c.carousel_forward_workspace(isa(), self.scan)
        self.alive = ready, given.batch_sizes


def one_step(program: Program, x: Tensor, states: Sequence[Tensor], weights: Mapping[str, Tensor]) -> OneStep | None:
    """A step made ready for calls with such tensors; None for those that are converted on their way."""
    if x.dtype == torch.bfloat16 or not len(x):
        return None
    names = parameters_of(program)
    return OneStep(program, names, x, states, [weights[name] for name in names])


class OneStep:
    """One step of a program on so many rows: (x, states, parameters) -> new states, or None where they do not fit.

    Its arguments are those of the call that it is made for; the results of later calls have the same shapes.
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
        """Raises ValueError for what does not fit the program."""
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
        except IndexError:  # another thread is in the middle of a step
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
