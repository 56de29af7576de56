"""The reference engine: a program run over time in torch ops. It is the meaning; every other engine equals it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from carousel.program import Interface, Program, Untraced, evaluator, ops

States = tuple[Tensor, ...]
Step = Callable[[Tensor, States], States]


def scan(
    program: Interface,
    x: Tensor,
    batch_sizes: Sequence[int],
    states: States,
    weights: Mapping[str, Tensor],
    reverse: bool = False,
) -> tuple[Tensor, States]:
    """Runs a step over time. Any device, dtype and autograd transform.

    x: (sum of batch_sizes, input), the rows of all steps one after another, as in a PackedSequence: step t has
        batch_sizes[t] rows, never more than the step before, and row b of a step continues row b of the step before.
    states: each (batch_sizes[0], size), in the program's order; with no steps, any number of rows.
    weights: the layer's parameters by name: weight_ih, weight_hh, bias_ih, bias_hh, and the cell's own.
    reverse: from the last step to the first; a row begins at its own last step.
    Returns the output state of every step, laid out like x, and every row's states after its last step.
    """
    inputs = F.linear(x, weights["weight_ih"], weights.get("bias_ih"))
    # The splits are views; a step's input is contiguous because steps are stored one after another.
    per_step = inputs.split(list(batch_sizes)) if batch_sizes else []
    step = prepare(program, weights, x)
    run = _backward_in_time if reverse else _forward_in_time
    outputs, last = run(step, per_step, batch_sizes, states)
    if not outputs:
        return states[0].new_zeros(0, states[0].shape[-1]), states
    return torch.cat(outputs), last


def _forward_in_time(step: Step, inputs: Sequence[Tensor], sizes: Sequence[int], states: States) -> Any:
    outputs, finished = [], []
    for x, size in zip(inputs, sizes, strict=True):
        if size < states[0].shape[0]:
            finished.append(tuple(s[size:] for s in states))
            states = tuple(s[:size] for s in states)
        states = step(x, states)
        outputs.append(states[0])
    pieces = zip(states, *reversed(finished), strict=True)
    return outputs, tuple(torch.cat(p) if len(p) > 1 else p[0] for p in pieces)


def _backward_in_time(step: Step, inputs: Sequence[Tensor], sizes: Sequence[int], first: States) -> Any:
    outputs: list[Tensor] = []
    states = tuple(s[:0] for s in first)
    for x, size in zip(reversed(inputs), reversed(sizes), strict=True):
        if (running := states[0].shape[0]) < size:
            entering = tuple(s[running:size] for s in first)
            states = tuple(map(torch.cat, zip(states, entering, strict=True))) if running else entering
        states = step(x, states)
        outputs.append(states[0])
    return outputs[::-1], states


def prepare(program: Interface, weights: Mapping[str, Tensor], like: Tensor) -> Step:
    """One step as a function (inputs of all gates (batch, gates * hidden), states) -> new states.

    What does not change from step to step is done here, once. like: any tensor of the scan, for dtype and device.
    """
    if isinstance(program, Program):
        return _prepare_program(program, weights, like)
    assert isinstance(program, Untraced)
    return _prepare_untraced(program, weights)


def _prepare_program(program: Program, weights: Mapping[str, Tensor], like: Tensor) -> Step:
    evaluate = _evaluator(program)
    gates = len(program.gates)
    leaves: list[Tensor | None] = [None] * len(program.nodes)
    moving: list[tuple[int, bool, int]] = []  # leaves that are new at every step: (node, is an input, which)
    for index, node in enumerate(program.nodes):
        if node.op == "input":
            moving.append((index, True, program.gates.index(node.attr)))
        elif node.op == "state":
            moving.append((index, False, list(program.states).index(node.attr)))
        elif node.op in ops.LEAVES:
            leaves[index] = _leaf(program, node.op, node.attr, weights, like)
    products = {}  # product node -> (its group's weight, bias, how many, its place)
    for group in program.products:
        weight, bias = _stacked(group.parameter, group.gates, gates, weights), None
        if group.bias is not None:
            bias = _stacked(group.bias, group.gates, gates, weights)
        for place, index in enumerate(group.nodes):
            products[index] = (group.nodes[0], place, len(group.nodes), weight, bias)
    results = tuple(program.outputs[state] for state in program.states)

    def step(inputs: Tensor, states: States) -> States:
        given = list(leaves)
        parts = inputs.chunk(gates, -1)
        for index, is_input, which in moving:
            given[index] = parts[which] if is_input else states[which]
        done: dict[int, Sequence[Tensor]] = {}

        def multiply(index: int, row: Tensor) -> Tensor:
            group, place, count, weight, bias = products[index]
            if group not in done:  # the products of one row are one matrix product
                done[group] = F.linear(row, weight, bias).chunk(count, -1)
            return done[group][place]

        values = evaluate(given, multiply)
        return tuple(values[index] for index in results)

    return step


# One evaluator per program: layers call prepare once a scan.
_evaluator = lru_cache(maxsize=256)(evaluator)


def _prepare_untraced(program: Untraced, weights: Mapping[str, Tensor]) -> Step:
    names = list(program.states)

    def multiply(name: str, row: Tensor) -> Tensor:
        weight = program.weights[name]
        if weight.gate is None:
            return F.linear(row, weights[weight.parameter])
        rows = (weight.gate,), len(program.gates)
        bias = None if weight.bias is None else _stacked(weight.bias, *rows, weights)
        return F.linear(row, _stacked(weight.parameter, *rows, weights), bias)

    def step(inputs: Tensor, states: States) -> States:
        parts = dict(zip(program.gates, inputs.chunk(len(program.gates), -1), strict=True))

        def leaf(op: str, attr: Any) -> Tensor:
            match op:
                case "input":
                    return parts[attr]
                case "state":
                    return states[names.index(attr)]
            return _leaf(program, op, attr, weights, inputs)

        return program.step(leaf, multiply)

    return step


def _leaf(program: Interface, op: str, attr: Any, weights: Mapping[str, Tensor], like: Tensor) -> Tensor:
    """The value of a leaf that is the same at every step."""
    match op:
        case "vector" if isinstance(attr, tuple):
            name, gate = attr
            return weights[name].chunk(len(program.gates))[program.gates.index(gate)]
        case "vector":
            return weights[attr]
        case "constant":
            return torch.tensor(attr, dtype=like.dtype, device=like.device)
        case "per_unit":
            weight = weights["weight_hh"]
            units = weight.shape[1] if attr == "projection" else weight.shape[0] // len(program.gates)
            return torch.tensor(1 / units, dtype=like.dtype, device=like.device)
    raise AssertionError(f"a forward program has no leaf {op}")


def _stacked(parameter: str, gates: tuple[int, ...] | None, count: int, weights: Mapping[str, Tensor]) -> Tensor:
    """The blocks of a parameter's rows that belong to some gates; the parameter itself where it is all of them."""
    whole = weights[parameter]
    if gates is None or gates == tuple(range(count)):
        return whole
    blocks = whole.chunk(count)
    return blocks[gates[0]] if len(gates) == 1 else torch.cat([blocks[g] for g in gates])
