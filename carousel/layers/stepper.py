"""Streaming: a stepper runs one step at a time and holds the state. It keeps nothing for gradients."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from carousel import engines
from carousel.layers import contexts, parts
from carousel.layers.arguments import as_rows, as_states, check_dtype, check_input
from carousel.layers.layer import Layer
from carousel.layers.stack import stream_rows

States = tuple[Tensor, ...]


class Stepper:
    """Runs a layer one step at a time. `layer.stepper(batch)` makes it.

        stepper = layer.stepper(batch=4)
        y = stepper(x)              # x (4, I) -> y (4, H), equal to the output of layer(...) for these steps
        stepper(x, out=y)           # the same, written to y; in float32 and float64 the native engine allocates nothing
        stepper.reset([2])          # row 2 begins a new sequence
        stepper.state               # as hx of the layer, (L, B, H) each; assign to it to continue from another state

    layer: a `Recurrent`, or RNN, LSTM or GRU. batch: B, the number of sequences that it runs side by side.
    context, context_lengths: as a call of the layer takes them, for all steps to come.

    It copies the weights when it is made, and runs in evaluation mode, without dropout and gradients. Its memory does
    not grow with the number of steps.
    Raises ValueError for a bidirectional layer, for a layer with hooks, and for a batch below 1.
    """

    @torch.inference_mode(False)  # its tensors outlive inference mode, and later calls write to them
    def __init__(
        self, layer: Layer, batch: int, context: contexts.Given = None, context_lengths: contexts.Lengths = None
    ):
        if layer.bidirectional:
            raise ValueError(
                f"{type(layer).__name__}: a bidirectional layer needs the end of a sequence before its first step"
            )
        if layer.hooks:
            raise ValueError(
                f"{type(layer).__name__}: a stepper calls no hooks; remove them, or change `state` yourself"
            )
        if batch < 1:
            raise ValueError(f"{type(layer).__name__}: a stepper needs a batch of at least 1 row, got {batch}")
        self.name, self.batch, self.input_size = type(layer).__name__, batch, layer.input_size
        self._states_of, self._sizes = layer.program.states, layer.sizes
        like = layer.weight_ih_l0.detach()
        add_ins = layer.add_ins(training=False)
        self._parts = partial(parts.divided, layer.program, layer.sizes), partial(parts.streams, layer.program)
        read, others = self._parts[0](like.new_zeros(batch, layer.input_size))
        constant = add_ins.streams(stream_rows(layer, like.new_empty(batch, 1)))
        found = contexts.of_call(layer, context, context_lengths, batch, True, layer.batch_first)
        read_by_all = None if found is None else found.of_sequences(torch.arange(batch, device=like.device))
        self._made_of = []  # the arguments of each layer's step
        for suffix in layer.suffixes():
            weights = {name: weight.detach().clone() for name, weight in layer.weights_of(suffix).items()}
            first = read if suffix == "_l0" else like.new_zeros(batch, layer.scan_shapes(suffix)["weight_ih"][1])
            given = constant | self._parts[1](first, others)
            self._made_of.append((layer.engine, add_ins.program, weights, batch, given, read_by_all))
        with torch.no_grad():
            self._fresh = tuple(state.clone() for state in layer.fresh_states(batch))
        self._has_parts = bool(layer.program.parts)
        self._like, self._dtype, self._device = like, like.dtype, like.device
        self._shape, self._out_shape = torch.Size((batch, layer.input_size)), self._fresh[0][0].shape
        self._make_steps()
        self._set(self._fresh)

    def _make_steps(self) -> None:
        self._steps = [engines.stepper(*made_of) for made_of in self._made_of]
        self._top = self._steps[-1]
        # The outputs of the layers below the top, in the same memory at every step.
        self._below = [(step, torch.empty_like(self._fresh[0][0])) for step in self._steps[:-1]]

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which make new steps, because those of an engine belong to this stepper alone."""
        own = {name: value for name, value in vars(self).items() if name not in ("_steps", "_top", "_below")}
        return own | {"_held": [step.states for step in self._steps]}

    @torch.inference_mode(False)
    def __setstate__(self, state: dict[str, Any]) -> None:
        held = state.pop("_held")
        vars(self).update(state)
        self._make_steps()
        for step, states in zip(self._steps, held, strict=True):
            step.states = states

    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """The output of the next step of every sequence, (B, H).

        x: the input of the step, (B, I).
        out: a contiguous tensor of the output's shape, with the layer's dtype and device. The output is written to it,
            and it is returned.
        Raises TypeError, ValueError or RuntimeError for an input of another shape, dtype or device, and ValueError for
        an `out` that does not fit.
        """
        if type(x) is not Tensor or x.shape != self._shape or x.dtype is not self._dtype or x.device != self._device:
            x = self._checked(x)
        if out is not None:
            self._check_out(out)
        if self._has_parts:
            return self._with_parts(x, out)
        for step, between in self._below:
            x = step(x, between)
        return self._top(x, out)

    def _with_parts(self, x: Tensor, out: Tensor | None) -> Tensor:
        """As `__call__`, where a step reads parts of its input by name."""
        divided, streams_of = self._parts
        x, others = divided(x)
        for step, between in (*self._below, (self._top, out)):
            for name, rows in streams_of(x, others).items():
                step.give(name, rows)
            x = step(x, between)
        return x

    def _checked(self, x: Tensor) -> Tensor:
        """Converts an input to the form that a step reads, or raises an error that says why it does not fit."""
        check_input(self.name, x, self.input_size, (2,), self._like)
        if x.shape[0] != self.batch:
            raise RuntimeError(f"{self.name}: this stepper has {self.batch} rows, but the input has {x.shape[0]}")
        return x.detach().as_subclass(Tensor).to(self._like.dtype)

    def _check_out(self, out: Tensor) -> None:
        shape_fits = out.shape == self._out_shape and out.is_contiguous()
        if not (shape_fits and out.dtype is self._dtype and out.device == self._device):
            how = "" if out.is_contiguous() else ", not contiguous"
            raise ValueError(
                f"{self.name}: out must be {tuple(self._out_shape)} of {self._dtype} on {self._device}, contiguous, "
                f"but is {tuple(out.shape)} of {out.dtype} on {out.device}{how}"
            )
        if out.requires_grad:
            raise ValueError(f"{self.name}: a stepper keeps nothing for gradients, but out requires them")

    def reset(self, rows: Sequence[int] | Tensor | None = None) -> None:
        """Begins a new sequence in some rows; the others go on.

        rows: their indices, or a bool mask, (B,). None: all rows. Raises ValueError for others.
        """
        chosen = slice(None) if rows is None else self._rows(rows)
        for k, step in enumerate(self._steps):
            states = step.states
            for state, fresh in zip(states, self._fresh, strict=True):
                state[chosen] = fresh[k][chosen].to(state.dtype)
            step.states = states

    def _rows(self, rows: Sequence[int] | Tensor) -> Tensor:
        chosen = torch.as_tensor(rows, device="cpu")
        if chosen.dtype == torch.bool:
            fits = chosen.shape == (self.batch,)
        else:
            chosen = chosen.long() if chosen.numel() == 0 else chosen
            whole = not (chosen.dtype.is_floating_point or chosen.dtype.is_complex)
            fits = whole and bool(((chosen >= -self.batch) & (chosen < self.batch)).all())
        if not fits:
            raise ValueError(
                f"{self.name}: the rows to reset must be numbers from 0 to {self.batch - 1}, or {self.batch} bools, "
                f"but got {rows!r}"
            )
        return chosen

    @property
    def state(self) -> Tensor | States:
        """A copy of the current states, in the form of the layer's hx."""
        held = zip(*(step.states for step in self._steps), strict=True)
        states = tuple(torch.stack(of).to(self._like.dtype) for of in held)
        return states[0] if len(states) == 1 else states

    @state.setter
    def state(self, hx: Tensor | States) -> None:
        given = as_rows(as_states(self.name, hx, self._states_of), self._states_of, self._sizes, 3)
        shapes, wanted = [tuple(s.shape) for s in given], [tuple(s.shape) for s in self._fresh]
        if shapes != wanted:
            raise ValueError(f"{self.name}: the state of this stepper has the shapes {wanted}, but got {shapes}")
        for state in given:
            check_dtype("hx", state, self._like)
        self._set(given)

    def _set(self, states: States) -> None:
        for k, step in enumerate(self._steps):
            step.states = tuple(state[k].detach() for state in states)
