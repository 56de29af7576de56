"""A scan as a chain of steps, each a function from state to state, with the state that it started from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from carousel.engines import reference
from carousel.errors import DataError
from carousel.insight.observation import Observation, places
from carousel.layers.parameters import parameter_shapes

States = tuple[Tensor, ...]


@dataclass(frozen=True)
class Unrolled:
    """One scan, step by step on the reference engine, in evaluation mode.

    step(given, state) -> state: one step, with `given` from one row of `given` below; the state whole, its parts one
        behind the other (rows, n). parts: where each state stands in it. before: (T, B, n), the state each step reads.
    order: the steps in the order of the scan, last first in a reverse direction.
    """

    step: Callable[[tuple[Tensor, ...], Tensor], Tensor]
    given: tuple[Tensor, ...]
    before: Tensor
    parts: dict[str, slice]
    order: range


def unroll(seen: Observation, place: int) -> Unrolled:
    """Runs the scans of an observed call up to one of them. Raises DataError for a place that there is not."""
    layer = seen.layer
    names = places(layer)
    if not -len(names) <= place < len(names):
        listed = ", ".join(f"{i} ({name})" for i, name in enumerate(names))
        raise DataError(f"There is no place {place}: there is {listed}.")
    if {"keep", "add"} & {name for name, value in seen.options.items() if value is not None}:
        raise DataError("A step's Jacobian is that of the cell: call the layer without keep= and add= to measure it.")
    place %= len(names)
    x = padded_input(seen)
    fresh = layer.fresh_states(x.shape[1])
    given = fresh if seen.hx is None else seen.hx if isinstance(seen.hx, tuple) else (seen.hx,)
    given = tuple(s.unsqueeze(1) if s.dim() == 2 else s for s in given)
    directions = 2 if layer.bidirectional else 1
    with torch.no_grad():
        for k in range(0, place + 1, directions):
            both = [
                _scan(seen, x, scan, [s[scan] for s in given], [s[scan] for s in fresh])
                for scan in range(k, k + directions)
            ]
            if place < k + directions:
                return both[place - k][0]
            x = torch.cat([output for _, output in both], -1)
    raise AssertionError("the place is among the scans")


def _scan(seen: Observation, x: Tensor, scan: int, state: list[Tensor], fresh: list[Tensor]) -> tuple[Unrolled, Tensor]:
    """One scan over (T, B, I), and its outputs (T, B, H)."""
    layer, suffix = seen.layer, seen.layer.suffixes()[scan]
    program = layer.regularizers.rewritten(layer.program, training=False)
    weights = {name: getattr(layer, name + suffix).detach() for name in parameter_shapes(layer.program, 1, layer.sizes)}
    units = {name: layer.sizes[size] for name, size in layer.program.states.items()}
    cell = reference.prepare(program, weights, x)
    ends = torch.tensor([0, *units.values()]).cumsum(0).tolist()
    parts = {name: slice(a, b) for name, (a, b) in zip(units, pairwise(ends), strict=True)}

    def step(given: tuple[Tensor, ...], whole: Tensor) -> Tensor:
        return torch.cat(cell(given, whole.split(list(units.values()), -1))[1], -1)

    steps, batch = x.shape[:2]
    streams = layer.regularizers.streams(units, x.new_empty(steps * batch, 1), training=False)
    given = (
        F.linear(x, weights["weight_ih"], weights.get("bias_ih")),
        *(stream.view(steps, batch, -1) for stream in streams.values()),
    )
    order = range(steps - 1, -1, -1) if suffix.endswith("reverse") else range(steps)
    first, new = torch.cat(state, -1), torch.cat(fresh, -1)
    output = next(iter(parts.values()))
    real, starts = seen.timeline.real.to(x.device), seen.timeline.starts.to(x.device)
    later = starts.cumsum(0) > 0  # steps of a row's second sequence and those after it: they begin anew
    begins = _begins(starts, order)
    now, before, outputs = first, [first] * steps, [first[:, output]] * steps
    for t in order:
        now = torch.where(begins[t][:, None], torch.where(later[t][:, None], new, first), now)
        before[t] = now
        now = torch.where(real[t][:, None], step(tuple(g[t] for g in given), now), now)
        outputs[t] = torch.where(real[t][:, None], now[:, output], 0.0)
    return Unrolled(step, given, torch.stack(before), parts, order), torch.stack(outputs)


def _begins(starts: Tensor, order: range) -> Tensor:
    """(T, B), at which steps a scan begins a sequence: at its first, and at resets; in reverse, one before them."""
    begins = starts.clone()
    if order.step < 0:
        begins[:-1], begins[-1] = starts[1:], False
    begins[order[0]] = True
    return begins


def padded_input(seen: Observation) -> Tensor:
    """The layer's input as (T, B, I), detached."""
    x = seen.input.detach() if isinstance(seen.input, Tensor) else seen.input
    if isinstance(x, PackedSequence):
        return pad_packed_sequence(x)[0].detach()
    return seen.time_first(x[None])[0].to(seen.layer.weight_ih_l0.dtype)
