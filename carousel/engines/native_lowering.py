"""From a program to its two plans for the native engine: the scan, and backpropagation through it.

Everything here is independent of sizes, so a program is lowered once. How a plan is put together is `native_builder`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from carousel.engines.native_builder import Builder
from carousel.engines.native_plan import (
    ALWAYS,
    BUFFER,
    CHUNK,
    FORWARD_PREVIOUS,
    HALVES,
    NUMBER,
    PANEL,
    POINTWISE,
    PREVIOUS,
    SAVED,
    SIZES,
    TWO,
    WORKSPACE,
    Input,
    Plan,
    Vector,
    View,
    WeightGradient,
)
from carousel.program import Derivative, Node, Program, naming

# What costs less to compute again in backward than to write down and read.
CHEAP = ("add", "sub", "mul", "neg", "abs", "maximum", "minimum", "relu")


@dataclass(frozen=True)
class Kept:
    """What a forward scan keeps for backward: new values of states, and nodes.

    states: by name, other than the output state, which is the scan's result. nodes: by index in the forward program.
    again: nodes that backward computes again, from kept ones and from what is the same for all rows.
    pointwise: those of `nodes` that only strips make and read, so that they may be kept in bfloat16.
    """

    states: tuple[str, ...]
    nodes: tuple[int, ...]
    again: frozenset[int]
    pointwise: frozenset[int]


def kept(program: Program, derivative: Derivative) -> Kept:
    """The least that backward needs."""
    leaves = [node for node in derivative.program.nodes if node.op in ("state", "input")]
    sources = [program.nodes[g.source] for g in program.products]
    states = {node.attr for node in (*leaves, *sources) if node.op == "state"} - {program.output_state}
    results = {program.outputs[s] for s in (*states, program.output_state)}
    in_order = tuple(s for s in program.states if s in states)
    multiplied = {g.source for g in program.products if program.nodes[g.source].op != "state"}
    needed = set(derivative.saved) | multiplied
    needed |= {i for i, node in enumerate(program.nodes) if node.op == "input" and node in leaves}
    again: set[int] = set()
    for i in sorted(needed - multiplied - results):
        node = program.nodes[i]
        if node.op in CHEAP and all(
            a in needed or program.nodes[a].op in ("constant", "per_unit", "vector") for a in node.args
        ):
            again.add(i)
    nodes = tuple(i for i in sorted(needed) if i not in results | again)
    # A sum may be made by a product; the rest is made by strips.
    strips = {i for i in nodes if program.nodes[i].op in POINTWISE and program.nodes[i].op != "add"}
    return Kept(in_order, nodes, frozenset(again), frozenset(strips - multiplied))


def lower_forward(program: Program, keep: Kept | None, direct: frozenset[str], halves: bool) -> Plan:
    """The plan of a forward scan.

    keep: what backward will need, None if there will be no backward.
    direct: the sizes whose rows, as torch stores them, are whole blocks: strips may read and write those in place.
    halves: keep in bfloat16 what can be.
    The EXTERNAL rows are what the program emits, then its streams.
    """
    b = Builder(program, direct)
    stored = _saved_buffers(b, program, keep, halves) if keep else {}
    b.plan.state_sizes = [SIZES[size] for size in program.states.values()]
    homes: dict[int, list[int]] = {}
    emitted = [b.external(program.nodes[index].size) for index in program.emitted]
    streams = {name: b.external(size) for name, size in program.streams.items()}
    for state, size in program.states.items():
        if state == program.output_state:
            buffer = emitted[0]
        elif ("state", state) in stored:
            buffer = stored["state", state]
        else:
            buffer = b.buffer(PANEL, size, TWO, WORKSPACE)
        b.plan.carried.append(buffer)
        homes.setdefault(program.outputs[state], []).append(buffer)
    for node, buffer in zip(program.emitted[1:], emitted[1:], strict=True):
        homes.setdefault(node, []).append(buffer)
    for node in keep.nodes if keep else ():
        homes.setdefault(node, []).append(stored["node", node])
    inputs = {gate: b.buffer(PANEL, "hidden", CHUNK, WORKSPACE) for gate in program.gates}
    read_later = {program.nodes[i].attr for i in (keep.nodes if keep else ()) if program.nodes[i].op == "input"}

    def leaf(node: Node) -> int:
        match node.op:
            case "input":
                return b.leaf("input", View(BUFFER, inputs[node.attr]), "hidden")
            case "state":
                return b.leaf("state", View(PREVIOUS, list(program.states).index(node.attr)), node.size)
            case "stream":
                return b.rows_leaf(streams[node.attr], node.size)
        return b.common_leaf(node)

    b.translate(program.nodes, leaf, homes, {}, forward_inputs=set(program.gates) - read_later)
    for gate, buffer in inputs.items():
        bias = b.parameter(naming.B) if program.gate_bias else -1
        fused = b.fused_biases.get(buffer, (-1, -1))
        b.plan.inputs.append(Input(buffer, program.gates.index(gate), bias, *fused))
    return b.finish()


def lower_backward(
    program: Program, derivative: Derivative, keep: Kept, direct: frozenset[str], of_streams: bool, halves: bool
) -> Plan:
    """The plan of backpropagation through a scan that kept `keep`.

    The EXTERNAL rows are the output state's values, the gradients of all that was emitted, the streams, and if
    of_streams, the gradients of the streams.
    """
    b = Builder(program, direct)
    stored = _saved_buffers(b, program, keep, halves)
    states = list(program.states)
    output = program.output_state
    outputs = b.external(program.states[output])
    recorded = [key for key in program.outputs if isinstance(key, tuple)]
    upstream = {key: b.external(program.nodes[program.outputs[key]].size) for key in (output, *recorded)}
    streams = {name: b.external(size) for name, size in program.streams.items()}
    grad_streams = {name: b.external(size) for name, size in program.streams.items()} if of_streams else {}
    b.plan.state_sizes = [SIZES[size] for size in program.states.values()]
    b.plan.forward_states = [outputs if s == output else stored.get(("state", s), -1) for s in states]
    b.plan.carried = [b.buffer(PANEL, size, TWO, WORKSPACE) for size in program.states.values()]

    def forward_value(node: int) -> View:
        for state in (output, *keep.states):
            if program.outputs[state] == node:
                return View(BUFFER, outputs if state == output else stored["state", state])
        return View(BUFFER, stored["node", node])

    @cache
    def forward_item(index: int) -> int:
        node = program.nodes[index]
        if node.op in ("constant", "per_unit", "vector"):
            return b.common_leaf(node)
        if index in keep.again:
            return b.op(node.op, node.size, *map(forward_item, node.args))
        view = forward_value(index)
        return b.number_leaf(view) if node.size == "one" else b.leaf("saved", view, node.size)

    def leaf(node: Node) -> int:
        match node.op:
            case "saved":
                return forward_item(node.attr)
            case "input":
                return forward_item(program.nodes.index(node))
            case "state":
                return b.leaf("state", View(FORWARD_PREVIOUS, states.index(node.attr)), node.size)
            case "stream":
                return b.rows_leaf(streams[node.attr], node.size)
            case "gradient" if node.attr in recorded:
                return b.rows_leaf(upstream[node.attr], node.size)
            case "gradient":
                carried = b.leaf("state", View(PREVIOUS, states.index(node.attr)), node.size)
                if node.attr != output:
                    return carried
                given = b.rows_leaf(upstream[output], node.size)
                return b.op("add", node.size, carried, given)
        return b.common_leaf(node)

    homes: dict[int, list[int]] = {}
    sums: dict[int, list[int]] = {}
    gradient_of: dict[tuple[str, Any], int] = {}
    shared: dict[tuple[int, str], int] = {}  # a value that is several gradients has one buffer
    for key, index in derivative.program.outputs.items():
        kind, what = key
        if kind == "state":
            homes.setdefault(index, []).append(b.plan.carried[states.index(what)])
        elif kind == "vector":
            name, gate = what if isinstance(what, tuple) else (what, None)
            sums.setdefault(index, []).append(len(b.plan.column_sums))
            b.plan.column_sums.append(Vector(b.parameter(name), -1 if gate is None else program.gates.index(gate)))
        elif kind == "stream":
            if of_streams:
                homes.setdefault(index, []).append(grad_streams[what])
        else:
            size = "hidden" if kind == "input" else program.nodes[what].size
            if (index, size) not in shared:
                shared[index, size] = b.buffer(PANEL, size, CHUNK, WORKSPACE)
                homes.setdefault(index, []).append(shared[index, size])
            gradient_of[key] = shared[index, size]
    b.translate(derivative.program.nodes, leaf, homes, sums, forward_inputs=None)
    for state, carried in zip(states, b.plan.carried, strict=True):
        if ("state", state) not in derivative.program.outputs:  # the step does not read it
            b.items[b.common_leaf(Node("constant", (), "any", 0.0))].homes.append(carried)

    bias_ih = b.parameter(naming.B) if program.gate_bias else -1
    for g, gate in enumerate(program.gates):
        buffer = gradient_of["input", gate]
        b.plan.inputs.append(Input(buffer, g))
        of_input = WeightGradient(-1, 0, buffer, SIZES["hidden"], b.parameter(naming.W), g, bias_ih)
        b.plan.weight_gradients.append(of_input)
    for group in program.products:
        source = program.nodes[group.source]
        view = (
            View(FORWARD_PREVIOUS, states.index(source.attr)) if source.op == "state" else forward_value(group.source)
        )
        bias = -1 if group.bias is None else b.parameter(group.bias)
        for place, node in enumerate(group.nodes):
            size = program.nodes[node].size
            gate = -1 if group.gates is None else group.gates[place]
            source_size = SIZES[program.weights[program.nodes[node].attr].columns]
            buffer = gradient_of["product", node]
            parameter = b.parameter(group.parameter)
            b.plan.weight_gradients.append(
                WeightGradient(b.plan.view(view), source_size, buffer, SIZES[size], parameter, gate, bias)
            )
    b.plan.weight_gradients.sort(key=lambda w: w.source)  # neighbours share their packed source
    return b.finish()


def _saved_buffers(b: Builder, program: Program, keep: Kept, halves: bool) -> dict[tuple[str, Any], int]:
    """The saved buffers, the same and in the same order in both plans."""
    found: dict[tuple[str, Any], int] = {}
    for state in keep.states:
        found["state", state] = b.buffer(PANEL, program.states[state], ALWAYS, SAVED)
    for node in keep.nodes:
        size = program.nodes[node].size
        layout = NUMBER if size == "one" else HALVES if halves and node in keep.pointwise else PANEL
        found["node", node] = b.buffer(layout, "hidden" if size in ("one", "any") else size, ALWAYS, SAVED)
    return found
