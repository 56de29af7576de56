"""A scan that is called again and again with the same shapes: its description is kept between calls.

A small scan takes a few microseconds in the library, and several times as long in the checks and structures around
it. Here they are made once for a program and its shapes. A call looks at every tensor it is given, since weights may
have moved, and fills in addresses. It refuses nothing: what does not fit goes the general way, which says what is
wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from carousel.engines import operator
from carousel.engines.call import Given, Gradients, Inputs, Upstream, sizes_of
from carousel.engines.native import call
from carousel.engines.native.prepared import isa, settings
from carousel.engines.parameters import parameters_of
from carousel.program import Program

PLAIN = (Tensor, torch.nn.Parameter)


class ReadyNativeScan:
    """A program over so many steps, each of the same number of rows; see `engine.ReadyScan`.

    It is a `Runner` of its own shapes too: autograd keeps it for backward.
    """

    @torch.inference_mode(False)
    def __init__(
        self, program: Program, steps: int, batch: int, weights: Sequence[torch.Size], dtype: torch.dtype, reverse: bool
    ):
        self.program, self.names, self.settings = program, parameters_of(program), _settings()

        def nothing(*shape: int) -> Tensor:  # a description knows shapes only
            return torch.empty(shape, dtype=dtype, device="meta")

        parameters = [nothing(*shape) for shape in weights]
        sizes, input_size = sizes_of(program, parameters), weights[0][1]
        states = [nothing(batch, size) for size in sizes.states]
        of_steps = torch.full((steps,), batch, device="cpu")
        self.given = Inputs(
            program, nothing(steps * batch, input_size), states, parameters, (), of_steps, reverse, False
        )
        self.dtype = dtype
        # Of all tensors of a call, as a cell folds their rows, and as a layer does; by the axes of x.
        folded = [(steps, batch, input_size), *((1, batch, size) for size in sizes.states)]
        plain = [t.shape for t in (self.given.x, *states)]
        self.shapes = {2: [*plain, *weights], 3: [*map(torch.Size, folded), *weights]}
        self.free: dict[Any, list[Any]] = {False: [], True: [], "backward": []}

    def __call__(
        self, x: Tensor, states: Sequence[Tensor], parameters: Sequence[Tensor | None]
    ) -> tuple[Tensor, tuple[Tensor, ...]] | None:
        tensors: Sequence[Any] = (x, *states, *parameters)
        dtype, differs = self.dtype, False
        shapes = self.shapes.get(x.dim(), ())
        if len(tensors) != len(shapes) or settings.poison or _settings() != self.settings:
            return None
        for t, shape in zip(tensors, shapes, strict=True):
            if not (type(t) in PLAIN and t.shape == shape and t.dtype is dtype and t.is_cpu and t.is_contiguous()):
                return None
            if t.requires_grad:
                differs = True
        if differs and torch.is_grad_enabled():
            given = self.given._replace(x=x, states=states, parameters=tensors[1 + len(states) :])
            emitted, after = operator.run(self, given, True)
            return emitted[0], after
        found, last, _ = self._forward(False, x, states, parameters)
        return found[0], tuple(last)

    def _forward(self, keep: bool, x: Tensor, states: Sequence[Tensor], parameters: Any) -> Given:
        described = self._take(keep) or call.Forward(self.given, keep)
        found = described.run(x, states, parameters)
        self.free[keep].append(described)
        return found

    # As a `Runner`, of tensors that fit.

    def forward(self, given: Inputs, keep: bool) -> Given:
        return self._forward(keep, given.x, given.states, given.parameters)

    def backward(self, given: Inputs, upstream: Upstream, wanted: Sequence[bool]) -> Gradients:
        if _settings() != self.settings:  # changed since forward
            return call.backward(given.flat(), upstream, wanted)
        described = self._take("backward") or call.Backward(self.given, False)
        found = described.run(given, upstream.contiguous(), wanted)
        self.free["backward"].append(described)
        return found

    def saved(self, given: Inputs, keep: bool) -> int:
        return call.saved(given, keep)

    def _take(self, kind: Any) -> Any:
        """A description that no other thread is in the middle of."""
        try:
            return self.free[kind].pop()
        except IndexError:
            return None


def _settings() -> tuple[int, int, int]:
    return isa(), settings.split, torch.get_num_threads()
