"""The record of one forward pass of a module, at one of its recurrent layers.

The layer stays in its module, which may embed symbols before it and score outputs after it, and which is called in its
usual way. The observation changes no weight, no `.grad` and no training flag.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from carousel.errors import DataError
from carousel.insight.border import check_finite, check_overflow
from carousel.insight.timeline import Timeline
from carousel.layers import Recurrent, RecurrentCell
from carousel.layers.arguments import as_mask
from carousel.layers.recording import Tap
from carousel.program import Program


@dataclass(frozen=True)
class Observation:
    """The values of a forward pass.

    Tensors with steps are time first, (T, B, ...), whatever the layout of the layer.
    """

    layer: Recurrent
    input: Tensor | PackedSequence  # that of the layer
    hx: Any
    options: Mapping[str, Any]  # the layer's arguments lengths, reset, ...
    result: Any  # that of the module
    output: Tensor  # that of the layer; its rows if it is packed
    finals: tuple[Tensor, ...]  # the states that the layer returned, (P, B, size) each
    timeline: Timeline
    tap: Tap | None  # this and the next only with gradients
    added: Tensor | None  # zeros added to the layer's input

    def result_tensor(self) -> Tensor:
        """The module's output: the first object that it returns. Raises DataError if that is no tensor."""
        result = self.result[0] if isinstance(self.result, tuple) and not self._is_packed(self.result) else self.result
        result = result.data if self._is_packed(result) else result
        if not isinstance(result, Tensor):
            raise DataError(
                f"A module that is measured must return a Tensor, or one first, not {type(result).__name__}."
            )
        return result

    def scores(self) -> Tensor:
        """The module's output with a last axis of numbers, which is added if the head gives one number per step."""
        result = self.result_tensor()
        return result[..., None] if tuple(result.shape) in (self.laid_out, (self.timeline.batch,)) else result

    def by_states(self, value: Tensor) -> dict[str, Tensor]:
        """The gradients with respect to the states that each step reads: (P, T, B, size), by state."""
        assert self.tap is not None
        return {state: self.time_first(found) for state, found in self.tap.gradients(value).items()}

    def by_input(self, value: Tensor) -> Tensor:
        """The gradient with respect to the layer's input, (T, B, I)."""
        assert self.added is not None
        return self._by(value, self.added)

    def by_results(self, value: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The gradients with respect to the layer's output, (T, B, D * H), and its last states, (P, B, size) each."""
        output, *finals = torch.autograd.grad(
            value, (self.output, *self.finals), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return self.time_first(output[None])[0], tuple(finals)

    def made_at(self) -> Tensor:
        """The step that computed the last states of each row in each scan, (P, B); -1 for a row without steps.

        It is the last step of the row; in the reverse direction, the first step of the row's last sequence.
        """
        last = self.timeline.last()
        # (B, T), -1 before the start of the sequence.
        begun = self.timeline.neighbours(last[None], self.timeline.steps)[0]
        first = torch.where(begun >= 0, begun, self.timeline.steps).amin(1)
        first = torch.where(last >= 0, first, -1)
        return torch.stack([first if name.endswith("reverse") else last for name in places(self.layer)])

    def _by(self, value: Tensor, leaf: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(value, leaf, retain_graph=True, allow_unused=True, materialize_grads=True)
        return self.time_first(found[None])[0]

    @property
    def laid_out(self) -> tuple[int, ...]:
        """The shape of one number for each step and sequence, in the layout of the layer's input."""
        return tuple(self.output.shape[:-1])

    def time_first(self, values: Tensor) -> Tensor:
        """Values (P, ...) in the layout of the layer's input -> (P, T, B, size), with 0 in the padding."""
        if isinstance(self.input, PackedSequence):
            rows = (pad_packed_sequence(PackedSequence(v, *self.input[1:]))[0] for v in values)
            return torch.stack(list(rows))
        if self.input.dim() == 2:
            return values.unsqueeze(2)
        return values.transpose(1, 2) if self.layer.batch_first else values

    @staticmethod
    def _is_packed(value: Any) -> bool:
        return isinstance(value, PackedSequence)


def find_layer(module: Any, layer: Recurrent | str | None) -> Recurrent:
    """The layer that is given, or named, or the only one of the module.

    Raises DataError if there are several or none.
    """
    if isinstance(layer, Recurrent):
        return layer
    if isinstance(module, RecurrentCell):
        raise DataError(
            f"A {type(module).__name__} runs one step, and its steps are in a loop of your own, which cannot be looked "
            f"into. Measure a layer with its weights: layer = Recurrent(cell.cell, {module.input_size}, "
            f"{module.hidden_size}, bias={module.bias}); "
            "layer.load_state_dict({f'{name}_l0': weight for name, weight in cell.state_dict().items()})."
        )
    if not isinstance(module, nn.Module):
        raise DataError(f"Give layer=, the recurrent layer to look at: {type(module).__name__} is no torch module.")
    held = {name: part for name, part in module.named_modules() if isinstance(part, Recurrent)}
    if layer is not None and not isinstance(layer, str):
        raise DataError(f"layer= must be a recurrent layer or its name in the module, not a {type(layer).__name__}.")
    if not held:
        for part in module.modules():
            if isinstance(part, RecurrentCell):
                find_layer(part, None)
    if layer is not None:
        if layer not in held:
            raise DataError(f"{type(module).__name__} has no recurrent layer {layer!r}; it has {_listed(held)}.")
        return held[layer]
    if len(held) != 1:
        raise DataError(
            f"{type(module).__name__} has {_listed(held)}: say which one to look at with layer=."
            if held
            else f"{type(module).__name__} has no recurrent layer of Carousel's, and so nothing to look at. "
            f"A torch.nn.LSTM becomes one by carousel.LSTM(...) and load_state_dict."
        )
    return next(iter(held.values()))


def _listed(held: Mapping[str, Recurrent]) -> str:
    return " and ".join(repr(name) for name in held) or "none"


def observe(
    module: Callable[..., Any],
    inputs: tuple[Any, ...],
    call: Mapping[str, Any],
    layer: Recurrent | str | None = None,
    *,
    gradients: bool = False,
    overflow: bool = False,
) -> Observation:
    """Calls module(*inputs, **call) in evaluation mode and observes one layer. Raises DataError if that is impossible.

    overflow: whether NaN and infinity are allowed in the layer's output. Raises NotFinite for NaN or infinity in its
    input, and in its output unless allowed.
    """
    chosen = find_layer(module, layer)
    calls: list[tuple[tuple[Any, ...], dict[str, Any], Any]] = []
    added: list[Tensor] = []

    def before(_layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not gradients:
            return None
        x, *rest = args if args else (kwargs.pop("input"),)
        if not isinstance(x, Tensor | PackedSequence):
            return None  # the layer itself reports the error
        data = x.data if isinstance(x, PackedSequence) else x
        # Adding zeros changes nothing, and their gradient is the gradient of the input.
        added.append(torch.zeros_like(data).requires_grad_())
        joined = data + added[-1]
        return (PackedSequence(joined, *x[1:]) if isinstance(x, PackedSequence) else joined, *rest), kwargs

    def after(_layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        calls.append((args, kwargs, result))

    if gradients and not isinstance(chosen.program, Program):
        raise DataError(
            f"Gradients by states are taken through a cell's program, and the step of {chosen.program.cell} runs as "
            f"plain Python: {chosen.why_untraced}"
        )
    hooks = (
        chosen.register_forward_pre_hook(before, with_kwargs=True),
        chosen.register_forward_hook(after, with_kwargs=True),
    )
    tap = chosen.tap() if gradients else None
    try:
        with evaluating(module, chosen), torch.set_grad_enabled(gradients):
            if tap is None:
                result = module(*inputs, **call)
            else:
                with tap:
                    result = module(*inputs, **call)
    finally:
        for hook in hooks:
            hook.remove()
    if len(calls) != 1:
        raise DataError(
            f"The layer must be called once in a forward pass to be measured, but was called {len(calls)} times. "
            f"Measure the layer by itself, on what it is given in one of its calls."
        )
    ((args, options, given),) = calls
    options = dict(options)
    x = args[0] if args else options.pop("input")
    hx = args[1] if len(args) > 1 else options.pop("hx", None)
    output = given[0].data if isinstance(given[0], PackedSequence) else given[0]
    finals = given[1] if isinstance(given[1], tuple) else (given[1],)
    timeline = _timeline(chosen, x, options)
    found = Observation(chosen, x, hx, options, result, output, finals, timeline, tap, added[0] if added else None)
    rows = x.data if isinstance(x, PackedSequence) else x
    received = found.time_first(rows.detach()[None])[0]
    check_finite(module if isinstance(module, nn.Module) else chosen, received, timeline.real, hx, options)
    if not overflow:
        check_overflow(type(chosen).__name__, found.time_first(output.detach()[None])[0], timeline.real)
    return found


def _timeline(layer: Recurrent, x: Tensor | PackedSequence, options: Mapping[str, Any]) -> Timeline:
    if isinstance(x, PackedSequence):
        _, lengths = pad_packed_sequence(PackedSequence(torch.zeros(len(x.data), 1, device=x.data.device), *x[1:]))
        steps, batch = len(x.batch_sizes), len(lengths)
        return Timeline(*as_mask("", steps, batch, lengths, None, None, True, False))
    batched = x.dim() == 3
    transposed = batched and layer.batch_first
    steps, batch = (x.shape[0], 1) if not batched else (x.shape[1], x.shape[0]) if transposed else x.shape[:2]
    if not (steps and batch):
        raise DataError(f"There must be a step to look at, but the layer was given an input of shape {tuple(x.shape)}.")
    cuts = options.get("lengths"), options.get("mask"), options.get("reset")
    return Timeline(*as_mask(type(layer).__name__, steps, batch, *cuts, batched, transposed))


Measure = TypeVar("Measure", bound=Callable[..., Any])


def with_gradients(measure: Measure) -> Measure:
    """A decorator: the measure has gradients even inside the caller's no_grad and inference_mode."""

    @functools.wraps(measure)
    def measured(*args: Any, **kwargs: Any) -> Any:
        with torch.inference_mode(False), torch.enable_grad():
            return measure(*(_usable(a) for a in args), **{name: _usable(a) for name, a in kwargs.items()})

    return measured  # type: ignore[return-value]


def _usable(value: Any) -> Any:
    """The same value, with copies of tensors from inference_mode, which cannot have gradients."""
    if isinstance(value, Tensor):
        return value.clone() if value.is_inference() else value
    if isinstance(value, PackedSequence):
        return PackedSequence(*(_usable(part) for part in value))
    if isinstance(value, Mapping):
        return {name: _usable(part) for name, part in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_usable(part) for part in value)
    return value


@contextmanager
def evaluating(*parts: Any) -> Iterator[None]:
    """Sets evaluation mode, and afterwards restores the mode of each module."""
    modules = [module for part in parts if isinstance(part, nn.Module) for module in part.modules()]
    were = [(module, module.training) for module in modules]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, training in were:
            module.training = training


def places(layer: Recurrent) -> tuple[str, ...]:
    """The names of the layer's scans in the order of hx: "layer 0", "layer 0 reverse", "layer 1", ..."""
    return tuple(suffix.replace("_l", "layer ", 1).replace("_", " ") for suffix in layer.suffixes())
