"""Calls that are like one before: their checks were made, and are only compared with what is given now.

A small call's checks take longer than its arithmetic. A layer or cell notes what it was called with; from the third
call of a kind on, its scans are ready (`engines.ready`) and take the tensors as they come. What does not fit them goes
the general way, which says what is wrong: nothing is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from carousel import engines
from carousel.engines.engine import ReadyScan
from carousel.engines.inside_torch import is_plain_call
from carousel.engines.parameters import parameters_of
from carousel.layers.layer import Layer
from carousel.program import Interface, Program

Key = tuple[Any, ...]
States = tuple[Tensor, ...]
Shapes = Mapping[str, tuple[int, ...]]
# A scan made ready, and the names of the module's parameters that it reads.
Ready = tuple[ReadyScan, tuple[str, ...]]

# How many kinds of calls a layer keeps in mind.
MOST = 32


def key_of(module: Any, input: Any, axes: int) -> Key | None:
    """What kind of call it is; None for one that is watched, transformed, compiled or cast, or not on the CPU."""
    if not is_plain_call() or type(input) is not Tensor or input.dim() != axes or not input.is_cpu:
        return None
    return module.engine, input.shape, input.dtype


class Calls(dict[Key, tuple[Interface, tuple[Ready, ...] | None]]):
    """The kinds of calls that were made, each with its program and its scans, made ready.

    Copies of a layer begin without any.
    """

    def __reduce__(self) -> tuple[type[Calls], tuple[()]]:
        return Calls, ()

    def find(self, key: Key, program: Interface) -> tuple[Ready, ...] | None:
        """The scans of such calls, one for each layer and direction; None where they are not ready."""
        found = self.get(key)
        return found[1] or None if found is not None and found[0] is program else None

    def note(
        self,
        key: Key,
        program: Interface,
        shapes: Callable[[str], Shapes],
        suffixes: Sequence[str] = ("",),
    ) -> None:
        """Such a call was made, and fits its layer. The second one of a kind makes the next ones quick.

        shapes: of the parameters of the scan whose names end in a suffix.
        """
        found = self.get(key)
        if found is None or found[0] is not program:
            if len(self) >= MOST:
                self.clear()
            self[key] = program, None
        elif found[1] is None:
            self[key] = program, _scans(key, program, shapes, suffixes)


def _scans(key: Key, program: Interface, shapes: Callable[[str], Shapes], suffixes: Sequence[str]) -> tuple[Ready, ...]:
    """None at all where one of them cannot be made ready."""
    engine, (*rows, _), dtype, *layout = key
    batch, steps = rows if layout and layout[0] else (rows[-1], rows[0] if layout else 1)  # batch_first or not
    if not isinstance(program, Program) or not steps or not batch:
        return ()
    # What engines are given is then not what stands in the layer, or not among its parameters.
    if any((program.own, program.streams, program.parts, program.constants, program.sparse, program.heads > 1)):
        return ()
    found, names = [], parameters_of(program)
    for suffix in suffixes:
        weights = [torch.Size(shapes(suffix)[name]) for name in names]
        ready = engines.ready(engine, program, steps, batch, weights, dtype, suffix.endswith("_reverse"))
        if ready is None:
            return ()
        found.append((ready, tuple(name + suffix for name in names)))
    return tuple(found)


def run(
    ready: Ready, x: Tensor, states: Sequence[Tensor], parameters: Mapping[str, Any]
) -> tuple[Tensor, States] | None:
    """What one scan emits, and its last states; None where something does not fit.

    parameters: the module's own; one that is parametrized is not there.
    """
    scan, names = ready
    return scan(x, states, [parameters.get(name) for name in names])


def layer_key(layer: Layer, input: Any, others: tuple[Any, ...]) -> Key | None:
    """As `key_of`, of a layer's call without anything that joins its scans. others: arguments that must be absent."""
    if any(given is not None for given in others) or layer.hooks or layer.is_read:
        return None
    if (layer.checkpoint is not None and torch.is_grad_enabled()) or layer.add_ins(layer.training).each:
        return None
    if layer.dropout and layer.training and layer.num_layers > 1:
        return None
    key = key_of(layer, input, 3)
    return None if key is None else (*key, layer.batch_first, layer.num_layers, layer.bidirectional)


def run_layer(
    layer: Layer, key: Key, input: Any, hx: Tensor | States | None, reset: Tensor | None
) -> tuple[Tensor, Tensor | States] | None:
    """A layer's results by scans that are ready; None where they are not, or something does not fit."""
    if (scans := layer._calls.find(key, layer._program)) is None:
        return None
    x = input.transpose(0, 1).contiguous() if layer.batch_first else input
    if hx is None:
        states = tuple(state.contiguous() for state in layer.fresh_states(x.shape[1]))
    else:
        states = hx if isinstance(hx, tuple) else (hx,)
    if reset is not None:
        restarted = _restarted(layer, x, states, reset)
        if restarted is None:
            return None
        states = restarted
    parameters, directions = layer._parameters, 1 + layer.bidirectional
    if len(scans) == 1:  # the states as they are, with their first axis of one
        found = run(scans[0], x, states, parameters)
    else:
        found = _run_all(scans, directions, x, states, parameters)
    if found is None:
        return None
    output, last = found
    return output.transpose(0, 1) if layer.batch_first else output, last[0] if len(last) == 1 else last


def _run_all(
    scans: tuple[Ready, ...], directions: int, x: Tensor, states: Sequence[Tensor], parameters: Mapping[str, Any]
) -> tuple[Tensor, States] | None:
    if any(type(s) is not Tensor or s.dim() != 3 or len(s) != len(scans) for s in states):
        return None
    outputs: list[Tensor] = []
    last: list[States] = []
    for k, ready in enumerate(scans):
        found = run(ready, x, [s[k : k + 1] for s in states], parameters)
        if found is None:
            return None
        outputs.append(found[0])
        last.append(found[1])
        if len(outputs) == directions:
            x, outputs = (torch.cat(outputs, -1) if directions > 1 else outputs[0]), []
    return x, tuple(map(torch.cat, zip(*last, strict=True)))


def _restarted(layer: Layer, x: Tensor, states: Sequence[Any], reset: Tensor) -> States | None:
    """The states before a single step, new ones where `reset` says so; None where this is not all that it says."""
    fits = type(reset) is Tensor and reset.dtype is torch.bool and reset.is_cpu
    if len(x) != 1 or not fits or reset.shape != ((x.shape[1], 1) if layer.batch_first else (1, x.shape[1])):
        return None
    if any(type(s) is not Tensor or s.shape[1:-1] != x.shape[1:-1] for s in states):
        return None
    rows = reset.reshape(-1, 1)
    if layer.initial_state == "zero" and not layer.cell.initial:
        return tuple(torch.where(rows, 0.0, state) for state in states)
    fresh = layer.fresh_states(x.shape[1])
    return tuple(torch.where(rows, new, state) for new, state in zip(fresh, states, strict=True))
