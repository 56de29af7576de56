"""Makes the plan of a forward scan from a program, and the buffers of the values that it keeps for `backward.py`.

A plan does not depend on sizes, so that it is made once for a program. `select.py`, `passes.py` and `emit.py` do the
work.
"""

from __future__ import annotations

from typing import Any

from carousel.engines.keeping import Kept
from carousel.engines.native.emit import emit
from carousel.engines.native.items import Items
from carousel.engines.native.plan import (
    ALWAYS,
    BUFFER,
    CHUNK,
    HALVES,
    NUMBER,
    PANEL,
    PREVIOUS,
    SAVED,
    SIZES,
    TWO,
    WORKSPACE,
    Input,
    Plan,
    View,
)
from carousel.engines.native.select import select
from carousel.program import Node, Program, naming


def lower_forward(program: Program, keep: Kept | None, direct: frozenset[str], halves: bool) -> Plan:
    """The plan of a forward scan.

    keep: the values that backward needs, or None if there will be no backward.
    direct: the sizes whose rows in torch's layout are whole blocks, so that strips may read and write them in place.
    halves: whether to keep values in bfloat16 where that is possible.
    The EXTERNAL rows are the emitted values, then the streams.
    """
    b = Items(program, direct)
    stored = saved_buffers(b, program, keep, halves) if keep else {}
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
    inputs = {gate: b.buffer(PANEL, "hidden", CHUNK, WORKSPACE) for gate in program.inputs}
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

    select(b, program.nodes, leaf, homes, {}, forward_inputs=set(program.inputs) - read_later)
    for gate, buffer in inputs.items():
        bias = b.parameter(naming.B) if program.gate_bias else -1
        fused = b.fused_biases.get(buffer, (-1, -1))
        b.plan.inputs.append(Input(buffer, program.inputs.index(gate), bias, *fused))
    return emit(b)


def saved_buffers(b: Items, program: Program, keep: Kept, halves: bool) -> dict[tuple[str, Any], int]:
    """The buffers of kept values. Both plans have the same ones in the same order."""
    found: dict[tuple[str, Any], int] = {}
    for state in keep.states:
        found["state", state] = b.buffer(PANEL, program.states[state], ALWAYS, SAVED)
    for node in keep.nodes:
        size = program.nodes[node].size
        layout = NUMBER if size == "one" else HALVES if halves and node in keep.pointwise else PANEL
        found["node", node] = b.buffer(layout, "hidden" if size in ("one", "any") else size, ALWAYS, SAVED)
    return found
