"""One step at a time: weights packed once, and each step a single call of the library on the same workspace."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

import torch
from torch import Tensor

from carousel.engines import native_binding as binding
from carousel.engines import native_call, native_plan
from carousel.program import Program

PREPARE_ONLY, PREPARED = 1, 2  # CarouselStage of native/plan.h

# A second thread pays for itself where the weights fill more than one core's cache.
STEP_WORTH_A_TEAM = 400_000


class Stepper:
    """A function (x (batch, input), states) -> new states. Changes of the weights after it is made do not reach it.

    With weights in bfloat16 the states that it gives are float32, and it takes inputs and states of either dtype.
    """

    def __init__(self, program: Program, weights: Mapping[str, Tensor], batch: int, streams: Mapping[str, Tensor]):
        bfloat16 = weights["weight_ih"].dtype == torch.bfloat16
        wide = torch.float32 if bfloat16 else weights["weight_ih"].dtype
        parameters = [weights[name].detach().to(wide).contiguous() for name in native_plan.parameters_of(program)]
        rows = [streams[name].detach().to(wide).contiguous() for name in program.streams]
        like = parameters[0]
        x = like.new_zeros(batch, like.shape[1])
        sizes = native_call.sizes_of(program, x, parameters)
        self.shape, self.dtype, self.takes = x.shape, x.dtype, (weights["weight_ih"].dtype, x.dtype)
        self.state_shapes = [(batch, sizes.units[size]) for size in program.states.values()]
        states = [x.new_zeros(shape) for shape in self.state_shapes]
        native_call.check(program, x, [batch], states, parameters, rows)
        made = native_call.forward_plan(program, False, sizes.direct)
        emitted = native_call.empty_emitted(program, x, sizes)
        batch_sizes = torch.tensor([batch])
        self.scan, alive = native_call.describe(made, sizes, x, states, parameters, batch_sizes, False, bfloat16)
        if batch * like.shape[0] * (like.shape[1] + sizes.output) < STEP_WORTH_A_TEAM:
            self.scan.threads = 1
        self.first, self.last = binding.pointers(states), binding.pointers(states)
        steps = binding.pointers((*emitted, *rows))
        self.scan.rows_of_steps, self.scan.first = ctypes.addressof(steps), ctypes.addressof(self.first)
        self.scan.last = ctypes.addressof(self.last)
        self.isa = native_call.isa()
        self.run = native_call.library().c.carousel_forward
        count = native_call.library().c.carousel_forward_workspace(self.isa, self.scan)
        workspace = torch.empty(count, dtype=torch.uint8)
        self.scan.workspace = workspace.data_ptr()
        self.alive = (alive, made, parameters, rows, emitted, batch_sizes, steps, workspace)
        self.scan.stage = PREPARE_ONLY
        self.run(self.isa, self.scan)
        self.scan.stage = PREPARED
        self.reference = ctypes.byref(self.scan)

    def __call__(self, x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if x.shape != self.shape or x.dtype not in self.takes:
            raise ValueError(f"x must be {tuple(self.shape)} of {self.takes[0]}, but is {tuple(x.shape)} of {x.dtype}")
        x = x.to(self.dtype).contiguous()
        self.scan.x = x.data_ptr()
        new = []
        kept = []  # until the call is over
        for i, (state, shape) in enumerate(zip(states, self.state_shapes, strict=True)):
            if state.shape != shape or state.dtype not in self.takes:
                raise ValueError(
                    f"a state must be {shape} of {self.takes[0]}, but is {tuple(state.shape)} of {state.dtype}"
                )
            state = state.to(self.dtype).contiguous()
            kept.append(state)
            made = torch.empty_like(state)
            new.append(made)
            self.first[i], self.last[i] = state.data_ptr(), made.data_ptr()
        self.run(self.isa, self.reference)
        return tuple(new)
