"""A scan as a chain of steps: each is a function from state to state, with the state before it."""

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
from carousel.layers.stack import stream_rows
from carousel.program import Program

States = tuple[Tensor, ...]


@dataclass(frozen=True)
class Unrolled:
    """One scan, step by step on the reference engine, in evaluation mode.

    step(t, state) -> state: all that the layer does in step t: hooks, keep= and add=, the cell, zoneout. A state here
        is the whole state, (B, n), with its parts one after another.
    parts: the range of each part among the n. before: (T, B, n), the state before each step.
    order: the steps in the order of the scan; in the reverse direction the last step comes first.
    """

    step: Callable[[int, Tensor], Tensor]
    before: Tensor
    parts: dict[str, slice]
    order: range


def unroll(observation: Observation, place: int) -> Unrolled:
    """Runs the scans of an observed call up to the scan `place`. Raises DataError for an unknown place."""
    layer = observation.layer
    names = places(layer)
    if not -len(names) <= place < len(names):
        listed = ", ".join(f"{i} ({name})" for i, name in enumerate(names))
        raise DataError(f"There is no place {place}: there is {listed}.")
    place %= len(names)
    x = padded_input(observation)
    fresh = layer.fresh_states(x.shape[1])
    given = (
        fresh if observation.hx is None else observation.hx if isinstance(observation.hx, tuple) else (observation.hx,)
    )
    given = tuple(s.unsqueeze(1) if s.dim() == 2 else s for s in given)
    directions = 2 if layer.bidirectional else 1
    with torch.no_grad():
        for k in range(0, place + 1, directions):
            both = [
                _scan(observation, x, scan, [s[scan] for s in given], [s[scan] for s in fresh])
                for scan in range(k, k + directions)
            ]
            if place < k + directions:
                return both[place - k][0]
            x = torch.cat([output for _, output in both], -1)
    raise AssertionError("the place is among the scans")


def _scan(
    observation: Observation, x: Tensor, scan: int, state: list[Tensor], fresh: list[Tensor]
) -> tuple[Unrolled, Tensor]:
    """Runs one scan over x, (T, B, I). Returns it and its outputs, (T, B, H)."""
    layer, suffix = observation.layer, observation.layer.suffixes()[scan]
    steps, batch = x.shape[:2]
    units = {name: layer.sizes[size] for name, size in layer.program.states.items()}
    by_step = observation.options.get("keep"), observation.options.get("add")
    joined = layer.given_by_step(observation.input, *by_step) if isinstance(observation.input, Tensor) else ()
    add_ins = layer.add_ins(False, *joined)
    program, streams = add_ins.program, add_ins.streams(stream_rows(layer, x.new_empty(steps * batch, 1)))
    weights = {name: weight.detach() for name, weight in layer.weights_of(suffix).items()}
    cell, changed = reference.prepare(program, weights, x), add_ins.change(suffix[1:])
    ends = torch.tensor([0, *units.values()]).cumsum(0).tolist()
    parts = {name: slice(a, b) for name, (a, b) in zip(units, pairwise(ends), strict=True)}
    if layer.program.parts:
        raise DataError(
            f"A step of {program.cell} reads parts of its input by name, and steps that do are not unrolled for this "
            "measure."
        )
    names = program.streams if isinstance(program, Program) else ()
    given = (
        F.linear(x, weights["weight_ih"], weights.get("bias_ih")),
        *(streams[name].detach().view(steps, batch, -1) for name in names),
    )

    def step(t: int, whole: Tensor) -> Tensor:
        states = whole.split(list(units.values()), -1)
        states = states if changed is None else changed(t, states)
        return torch.cat(cell(tuple(rows[t] for rows in given), states)[1], -1)

    order = range(steps - 1, -1, -1) if suffix.endswith("reverse") else range(steps)
    first, new = torch.cat(state, -1), torch.cat(fresh, -1)
    output = next(iter(parts.values()))
    real, starts = observation.timeline.real.to(x.device), observation.timeline.starts.to(x.device)
    later = starts.cumsum(0) > 0  # steps of all sequences of a row except the first; these begin from `fresh`
    begins = _begins(starts, order)
    now, before, outputs = first, [first] * steps, [first[:, output]] * steps
    for t in order:
        now = torch.where(begins[t][:, None], torch.where(later[t][:, None], new, first), now)
        before[t] = now
        now = torch.where(real[t][:, None], step(t, now), now)
        outputs[t] = torch.where(real[t][:, None], now[:, output], 0.0)
    return Unrolled(step, torch.stack(before), parts, order), torch.stack(outputs)


def jacobian(scan: Unrolled, t: int) -> Tensor:
    """d s_t / d s_{t-1} for every row, (B, n, n), at the state before step t. Rows are independent of one another."""
    state = scan.before[t].detach().requires_grad_()
    after = scan.step(t, state)
    # One backward pass gives one row of the Jacobian of every sequence: the gradient of one number of its new state.
    each = torch.eye(state.shape[1], dtype=state.dtype, device=state.device)[:, None].expand(-1, len(state), -1)
    return _gradients(after, state, each).transpose(0, 1)


def pushed(scan: Unrolled, t: int, q: Tensor) -> Tensor:
    """J q for directions q, (B, n, k), at each row's state, without computing J."""
    state = scan.before[t].detach().requires_grad_()
    # A gradient v -> v J is linear in v. The gradient of that function is u -> J u.
    v = torch.zeros_like(state).requires_grad_()
    (pulled,) = torch.autograd.grad(scan.step(t, state), state, v, create_graph=True, materialize_grads=True)
    return _gradients(pulled, v, q.permute(2, 0, 1).to(state)).permute(1, 2, 0)


def _gradients(value: Tensor, leaf: Tensor, weights: Tensor) -> Tensor:
    """The gradients of (weights * value).sum() with respect to a leaf, for each entry of the first axis of weights."""
    if not value.requires_grad:  # the step reads no state, or a hook detaches it
        return leaf.new_zeros(len(weights), *leaf.shape)
    (found,) = torch.autograd.grad(value, leaf, weights, is_grads_batched=True, allow_unused=True)
    return leaf.new_zeros(len(weights), *leaf.shape) if found is None else found


def _begins(starts: Tensor, order: range) -> Tensor:
    """(T, B) bool, True where a scan begins a sequence: at its first step and at resets; in reverse, a step before
    them."""
    begins = starts.clone()
    if order.step < 0:
        begins[:-1], begins[-1] = starts[1:], False
    begins[order[0]] = True
    return begins


def padded_input(observation: Observation) -> Tensor:
    """The detached layer's input as (T, B, I)."""
    x = observation.input.detach() if isinstance(observation.input, Tensor) else observation.input
    if isinstance(x, PackedSequence):
        return pad_packed_sequence(x)[0].detach()
    return observation.time_first(x[None])[0].to(observation.layer.weight_ih_l0.dtype)
