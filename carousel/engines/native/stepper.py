"""Runs one step at a time: the library holds packed weights and states, and each step is one call of it.

For small layers Python takes a large part of the time of a step, so the constructor does all work that it can.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

import torch
from torch import Tensor

from carousel.engines.call import Inputs, check, empty_emitted, sizes_of
from carousel.engines.native import binding
from carousel.engines.native.call import describe, prepared_for
from carousel.engines.native.prepared import isa, library
from carousel.engines.parameters import parameters_of
from carousel.program import Program

# A second thread helps if the weights do not fit into the cache of one core.
STEP_WORTH_A_TEAM = 400_000


class Stepper:
    """Runs one step after another, and holds the states; `engine.Stepper` is its interface.

    It copies the weights, so that later changes of them have no effect. With bfloat16 weights its states are float32.
    """

    def __init__(self, program: Program, weights: Mapping[str, Tensor], batch: int, streams: Mapping[str, Tensor]):
        self._narrow = weights["weight_ih"].dtype == torch.bfloat16
        wide = torch.float32 if self._narrow else weights["weight_ih"].dtype
        parameters = [weights[name].detach().to(wide).contiguous() for name in parameters_of(program)]
        # The library alternates between two halves of the buffers: a step reads one half and writes the other.
        x = parameters[0].new_zeros(2 * batch, parameters[0].shape[1])
        sizes = sizes_of(program, parameters)
        self._first = [x.new_zeros(batch, sizes.units[size]) for size in program.states.values()]
        rows = [streams[name].detach().to(wide).repeat(2, 1) for name in program.streams]
        self._streams = dict(zip(program.streams, rows, strict=True))
        batch_sizes = torch.tensor([batch, batch], device="cpu")
        given = Inputs(program, x, self._first, parameters, rows, batch_sizes, False, self._narrow)
        check(given, [batch, batch])
        made = prepared_for(given._replace(bfloat16=False), sizes, keep=False).plan
        emitted = empty_emitted(x, sizes)
        self._scan, alive = describe(made, sizes, given)
        if batch * parameters[0].shape[0] * (x.shape[1] + sizes.output) < STEP_WORTH_A_TEAM:
            self._scan.threads = 1
        self.threads = self._scan.threads
        of_steps, self._last = binding.pointers((*emitted, *rows)), binding.pointers(self._first)
        self._scan.rows_of_steps, self._scan.last = ctypes.addressof(of_steps), ctypes.addressof(self._last)
        self._c, self._isa = library().c, isa()
        size = self._c.carousel_stepper_workspace(self._isa, self._scan)
        workspace = torch.empty(size, dtype=torch.uint8, device="cpu")
        self._scan.workspace = workspace.data_ptr()
        self._c.carousel_stepper_open(self._isa, self._scan)
        self._alive = (alive, made, given, emitted, of_steps, workspace)
        # The objects that each call needs. A call returns only the first state, the output.
        self._to = binding.pointers([None] * len(self._first))
        self._step = self._c.carousel_stepper_step
        self._address, self._to_address = ctypes.addressof(self._scan), ctypes.addressof(self._to)

    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        if self._narrow:
            y = torch.empty_like(self._first[0])
            self._run(x.float(), y)
            return y.to(torch.bfloat16) if out is None else out.copy_(y)
        if out is None:
            out = torch.empty_like(self._first[0])
        self._run(x, out)
        return out

    def _run(self, x: Tensor, out: Tensor) -> None:
        x = x.contiguous()
        self._to[0] = out.data_ptr()
        self._step(self._isa, self._address, x.data_ptr(), self._to_address)

    def give(self, name: str, rows: Tensor) -> None:
        if name in self._streams:
            self._streams[name].view(2, *rows.shape).copy_(rows)

    @property
    def states(self) -> tuple[Tensor, ...]:
        now = tuple(torch.empty_like(state) for state in self._first)
        for i, state in enumerate(now):
            self._last[i] = state.data_ptr()
        self._c.carousel_stepper_states(self._isa, self._scan)
        return now

    @states.setter
    def states(self, states: tuple[Tensor, ...]) -> None:
        for held, state in zip(self._first, states, strict=True):
            held.copy_(state)
        self._c.carousel_stepper_begin(self._isa, self._scan)
