"""What a forward scan keeps for backpropagation: the least, for every engine that runs the derivative as a program."""

from __future__ import annotations

from dataclasses import dataclass

from carousel.program import Derivative, Program, ops
from carousel.program.ops import PRODUCTS

# What costs less to compute again in backward than to write down and read.
CHEAP = ("add", "sub", "mul", "neg", "abs", "maximum", "minimum", "relu")
SAME_FOR_ALL_ROWS = ("constant", "per_unit", "vector")


@dataclass(frozen=True)
class Kept:
    """What a forward scan keeps for backward: new values of states, and nodes.

    states: by name, other than the output state, which is the scan's result. nodes: by index in the forward program.
    again: nodes that backward computes again, from kept ones and from what is the same for all rows.
    pointwise: those of `nodes` that only pointwise ops make and read, so that they may be kept in bfloat16.
    """

    states: tuple[str, ...]
    nodes: tuple[int, ...]
    again: frozenset[int]
    pointwise: frozenset[int]


def kept(program: Program, derivative: Derivative) -> Kept:
    """The least that backward needs."""
    leaves = [node for node in derivative.program.nodes if node.op in ("state", "input")]
    multiplied = {node.args[0] for node in program.nodes if node.op in PRODUCTS}
    sources = [program.nodes[i] for i in multiplied]
    states = {node.attr for node in (*leaves, *sources) if node.op == "state"} - {program.output_state}
    results = {program.outputs[s] for s in (*states, program.output_state)}
    in_order = tuple(s for s in program.states if s in states)
    multiplied = {i for i in multiplied if program.nodes[i].op != "state"}
    needed = set(derivative.saved) | multiplied
    needed |= {i for i, node in enumerate(program.nodes) if node.op == "input" and node in leaves}
    again: set[int] = set()
    for i in sorted(needed - multiplied - results):
        node = program.nodes[i]
        if node.op in CHEAP and all(a in needed or program.nodes[a].op in SAME_FOR_ALL_ROWS for a in node.args):
            again.add(i)
    nodes = tuple(i for i in sorted(needed) if i not in results | again)
    # A sum may be made by a product; the rest of the pointwise ops have nobody else to make or read them.
    pointwise = {i for i in nodes if _is_pointwise(program.nodes[i].op) and program.nodes[i].op != "add"}
    return Kept(in_order, nodes, frozenset(again), frozenset(pointwise - multiplied))


def _is_pointwise(op: str) -> bool:
    return op in ops.TABLE and ops.TABLE[op].kind in ("pointwise", "relation")
