"""Streaming: one step at a time, with the state held here and nothing kept for gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from carousel import engines
from carousel.layers.arguments import as_states, check_dtype, check_input
from carousel.layers.parameters import parameter_shapes

if TYPE_CHECKING:
    from carousel.layers.recurrent import Recurrent

States = tuple[Tensor, ...]


class Stepper:
    """A layer that is fed one step at a time, as made by `layer.stepper(batch)`.

        stepper = layer.stepper(batch=4)
        y = stepper(x)              # x (4, I) -> y (4, H): what layer(...) gives for these steps one after another
        stepper.reset([2])          # row 2 begins a new sequence
        stepper.state               # as hx of the layer, (L, B, H) each; may be assigned, to go on from elsewhere

    It holds the weights as they are when it is made, prepared once, and runs in evaluation mode: no dropout, no
    gradients. Memory does not grow with the number of steps.
    """

    def __init__(self, layer: Recurrent, batch: int):
        if layer.bidirectional:
            raise ValueError(
                f"{type(layer).__name__}: a bidirectional layer needs the end of a sequence before its first step"
            )
        if layer._hooks:
            raise ValueError(
                f"{type(layer).__name__}: a stepper calls no hooks; remove them, or change `state` yourself"
            )
        if batch < 1:
            raise ValueError(f"{type(layer).__name__}: a stepper needs a batch of at least 1 row, got {batch}")
        self.name, self.batch, self.input_size = type(layer).__name__, batch, layer.input_size
        self._states_of = layer.program.states
        program = layer.regularizers.rewritten(layer.program, training=False)
        like = layer.weight_ih_l0.detach()
        units = {state: layer.sizes[size] for state, size in layer.program.states.items()}
        constant = layer.regularizers.streams(units, like.new_empty(batch, 1), training=False)
        self._steps = []
        for suffix in layer.suffixes():
            names = parameter_shapes(layer.program, 1, layer.sizes)
            weights = {name: getattr(layer, name + suffix).detach().clone() for name in names}
            self._steps.append(engines.stepper(layer.engine, program, weights, batch, constant))
        with torch.no_grad():
            self._fresh = tuple(state.clone() for state in layer.fresh_states(batch))
        self._states = [tuple(s[k].clone() for s in self._fresh) for k in range(len(self._steps))]
        self._like = like

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        """The output of the next step, (batch, H), for its input, (batch, I)."""
        check_input(self.name, x, self.input_size, (2,), self._like)
        if x.shape[0] != self.batch:
            raise RuntimeError(f"{self.name}: this stepper has {self.batch} rows, but the input has {x.shape[0]}")
        for k, step in enumerate(self._steps):
            self._states[k] = step(x, self._states[k])
            x = self._states[k][0]
        # A copy: the caller may write to it, and a state may be finer than the layer's dtype.
        return x.to(self._like.dtype, copy=True)

    def reset(self, rows: Sequence[int] | None = None) -> None:
        """Lets these rows (all of them if None) begin a new sequence."""
        chosen = slice(None) if rows is None else torch.as_tensor(rows, dtype=torch.long)
        with torch.inference_mode():
            for k, states in enumerate(self._states):
                self._states[k] = tuple(s.clone() for s in states)
                for state, fresh in zip(self._states[k], self._fresh, strict=True):
                    state[chosen] = fresh[k][chosen]

    @property
    def state(self) -> Tensor | States:
        """The states now, a copy, in the form of the layer's hx."""
        with torch.inference_mode(False):
            held = zip(*self._states, strict=True)
            states = tuple(torch.stack([s.to(self._like.dtype, copy=True) for s in of]) for of in held)
        return states[0] if len(states) == 1 else states

    @state.setter
    def state(self, hx: Tensor | States) -> None:
        given = as_states(self.name, hx, self._states_of)
        shapes, wanted = [tuple(s.shape) for s in given], [tuple(s.shape) for s in self._fresh]
        if shapes != wanted:
            raise ValueError(f"{self.name}: the state of this stepper has the shapes {wanted}, but got {shapes}")
        for state in given:
            check_dtype("hx", state, self._like)
        self._states = [tuple(s[k].detach().clone() for s in given) for k in range(len(self._steps))]
