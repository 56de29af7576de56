"""One forward pass of a module, seen at one of its recurrent layers.

A layer is observed where it stands: a module may embed symbols before it and score outputs after it, and is called as
its author calls it. Observing changes no weight, no `.grad` and no training flag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from carousel.errors import DataError
from carousel.insight.timeline import Timeline
from carousel.layers import Recurrent
from carousel.layers.arguments import as_mask
from carousel.layers.recording import Tap
from carousel.program import Program


@dataclass(frozen=True)
class Observation:
    """What a forward pass showed. Tensors of steps are time first, (T, B, ...), however the layer is laid out."""

    layer: Recurrent
    input: Tensor | PackedSequence  # as the layer received it
    hx: Any
    options: Mapping[str, Any]  # lengths, reset, ... as it received them
    result: Any  # of the module
    output: Tensor  # of the layer: its rows if packed
    timeline: Timeline
    tap: Tap | None  # these two only where gradients were asked for
    added: Tensor | None  # zeros added to the layer's input

    def scores(self) -> Tensor:
        """The module's output: the first thing that it returns."""
        result = self.result[0] if isinstance(self.result, tuple) and not self._is_packed(self.result) else self.result
        result = result.data if self._is_packed(result) else result
        if not isinstance(result, Tensor):
            raise DataError(
                f"A module that is measured must return a Tensor, or one first, not {type(result).__name__}."
            )
        return result

    def by_states(self, value: Tensor) -> dict[str, Tensor]:
        """Gradients by the state that each step reads: (P, T, B, size) by state."""
        assert self.tap is not None
        return {state: self.time_first(found) for state, found in self.tap.gradients(value).items()}

    def by_input(self, value: Tensor) -> Tensor:
        """The gradient by the layer's input: (T, B, I)."""
        assert self.added is not None
        return self._by(value, self.added)

    def by_output(self, value: Tensor) -> Tensor:
        """The gradient by the layer's output: (T, B, D * H)."""
        return self._by(value, self.output)

    def _by(self, value: Tensor, leaf: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(value, leaf, retain_graph=True, allow_unused=True, materialize_grads=True)
        return self.time_first(found[None])[0]

    def time_first(self, values: Tensor) -> Tensor:
        """(P, ...) values of steps, laid out as the layer's input -> (P, T, B, size); 0 where there is padding."""
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
    """The layer that is meant: given, named, or the only one there is. Raises DataError where that is not clear."""
    if isinstance(layer, Recurrent):
        return layer
    if not isinstance(module, nn.Module):
        raise DataError(f"Give layer=, the recurrent layer to look at: {type(module).__name__} is no torch module.")
    held = {name: part for name, part in module.named_modules() if isinstance(part, Recurrent)}
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
) -> Observation:
    """Calls module(*inputs, **call) in evaluation mode and looks at one layer. Raises DataError where it cannot."""
    chosen = find_layer(module, layer)
    seen: list[tuple[tuple[Any, ...], dict[str, Any], Any]] = []
    added: list[Tensor] = []

    def before(_layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not gradients:
            return None
        x, *rest = args if args else (kwargs.pop("input"),)
        data = x.data if isinstance(x, PackedSequence) else x
        # Zeros of the graph: adding them changes nothing, and their gradient is that by the input.
        added.append(torch.zeros_like(data).requires_grad_())
        joined = data + added[-1]
        return (PackedSequence(joined, *x[1:]) if isinstance(x, PackedSequence) else joined, *rest), kwargs

    def after(_layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        seen.append((args, kwargs, result))

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
        with _evaluating(module, chosen), torch.set_grad_enabled(gradients):
            if tap is None:
                result = module(*inputs, **call)
            else:
                with tap:
                    result = module(*inputs, **call)
    finally:
        for hook in hooks:
            hook.remove()
    if len(seen) != 1:
        raise DataError(
            f"The layer must be called once in a forward pass to be measured, but was called {len(seen)} times. "
            f"Measure the layer by itself, on what it is given in one of its calls."
        )
    ((args, options, given),) = seen
    options = dict(options)
    x = args[0] if args else options.pop("input")
    hx = args[1] if len(args) > 1 else options.pop("hx", None)
    output = given[0].data if isinstance(given[0], PackedSequence) else given[0]
    return Observation(
        chosen, x, hx, options, result, output, _timeline(chosen, x, options), tap, added[0] if added else None
    )


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


@contextmanager
def _evaluating(*parts: Any) -> Iterator[None]:
    """Evaluation mode, and afterwards each module's own mode again."""
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
    """What the layer's scans are called, in the order of hx: "layer 0", "layer 0 reverse", "layer 1", ..."""
    return tuple(suffix.replace("_l", "layer ", 1).replace("_", " ") for suffix in layer.suffixes())
