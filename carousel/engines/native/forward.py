"""Makes the plan of a forward scan from a program, and the buffers of the values that it keeps for `backward.py`.

A plan does not depend on sizes, so that it is made once for a program. `select.py`, `passes.py` and `emit.py` do the
work.
"""

from __future__ import annotations

from typing import Any

from carousel.cells.member_sizes import parted
from carousel.engines import over_levels
from carousel.engines.keeping import Kept
from carousel.engines.native.emit import emit
from carousel.engines.native.items import Items
from carousel.engines.native.leaves import NOTHING, Idle
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


def lower_forward(
    program: Program, keep: Kept | None, direct: frozenset[str], halves: bool, idle: Idle | None = None
) -> Plan:
    """The plan of a forward scan.

    keep: the values that backward needs, or None if there will be no backward.
    direct: the sizes whose rows in torch's layout are whole blocks, so that strips may read and write them in place.
    halves: whether to keep values in bfloat16 where that is possible.
    idle: what leaves do not need, for a scan over trees; None for one over sequences.
    The EXTERNAL rows are the emitted values, over trees then the other states, then the streams.
    """
    b = Items(program, direct)
    trees, unneeded = idle is not None, idle or NOTHING
    b.idle = unneeded.products
    stored = saved_buffers(b, program, keep, halves, trees) if keep else {}
    b.plan.state_sizes = state_sizes(program)
    emitted = {key: b.external(program.nodes[i].row) for key, i in results_of(program, trees).items()}
    streams = {name: b.external(row) for name, row in program.streams.items()}
    states: dict[Any, int] = {}
    for state, row in program.states.items():  # where nothing else holds a state, a buffer of two steps does
        known = emitted.get(state, stored.get(("state", state)))
        states[state] = b.state_buffer(row, TWO, WORKSPACE) if known is None else known
    b.plan.carried = [] if trees else list(states.values())
    nodes = keep.nodes if keep else ()
    homes: dict[int, list[int]] = {}
    for key, buffer in (states | emitted).items():
        homes.setdefault(program.outputs[key], []).append(buffer)
    for node in nodes:
        homes.setdefault(node, []).append(stored["node", node])
    inputs = {gate: b.buffer(PANEL, "hidden", CHUNK, WORKSPACE) for gate in program.inputs}
    read_later = {program.nodes[i].attr for i in nodes if program.nodes[i].op == "input"}

    def leaf(node: Node) -> int:
        match node.op:
            case "input":
                return b.leaf("input", View(BUFFER, inputs[node.attr]), "hidden")
            case "state" if trees:
                return b.children_leaf(node.attr, node.size, emitted[list(program.states)[b.child(node.attr)[0]]])
            case "state":
                view = View(PREVIOUS, list(program.states).index(node.attr))
                return b.state_leaf(view, node.size, bool(node.members))
            case "stream":
                return b.rows_leaf(streams[node.attr], node.size)
        return b.common_leaf(node)

    select(b, program.nodes, leaf, homes, {}, forward_inputs=set(program.inputs) - read_later)
    for gate, buffer in sorted(inputs.items(), key=lambda of: of[0] in unneeded.inputs):  # those come last
        bias = b.parameter(naming.B) if program.gate_bias else -1
        fused = b.fused_biases.get(buffer, (-1, -1))
        b.plan.inputs.append(Input(buffer, program.inputs.index(gate), bias, *fused, int(gate in unneeded.inputs)))
    return emit(b)


def results_of(program: Program, trees: bool) -> dict[Any, int]:
    """What a scan returns for every step, in order: result -> node. Over trees all states are among it."""
    found = over_levels.results_of(program)
    return {
        key: node for key, node in found.items() if trees or key == program.output_state or key not in program.states
    }


def state_sizes(program: Program) -> list[int]:
    """The library's size of the rows of each state, or of the rows of its members."""
    units = (parted(row)[1] for row in program.states.values())
    return [SIZES["single" if size == "one" else size] for size in units]


def saved_buffers(b: Items, program: Program, keep: Kept, halves: bool, trees: bool) -> dict[tuple[str, Any], int]:
    """The buffers of kept values. Both plans have the same ones in the same order."""
    found: dict[tuple[str, Any], int] = {}
    for state in () if trees else keep.states:  # over trees they are results
        found["state", state] = b.state_buffer(program.states[state], ALWAYS, SAVED)
    for node in keep.nodes:
        size, members = program.nodes[node].size, bool(program.nodes[node].members)
        layout = NUMBER if size == "one" else HALVES if halves and node in keep.pointwise else PANEL
        found["node", node] = b.buffer(layout, "hidden" if size in ("one", "any") else size, ALWAYS, SAVED, members)
    return found
