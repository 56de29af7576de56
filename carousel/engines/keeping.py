"""The smallest set of values that forward must keep for backward, for engines that run the derivative as a program."""

from __future__ import annotations

from dataclasses import dataclass

from carousel.program import Derivative, Program, ops
from carousel.program.ops import PRODUCTS

# Ops that are cheap enough to recompute in backward instead of saving their result.
CHEAP = ("add", "sub", "mul", "neg", "abs", "maximum", "minimum", "relu")
SAME_FOR_ALL_ROWS = ("constant", "per_unit", "vector")
# Those by which a value with members, which is as long as all of them, is computed again from rows and other members.
CHEAP_OF_MEMBERS = (*CHEAP, "where", "broadcast", "spread", "turn", "roll", "roll_back")


@dataclass(frozen=True)
class Kept:
    """The values that a forward scan keeps for backward: new states, and nodes.

    states: names of states. The output state is not among them, since it is a result of the scan.
    nodes: indices of nodes of the forward program. again: nodes that backward recomputes, from kept nodes and from
    values that are the same for all rows.
    pointwise: those of `nodes` that only pointwise ops compute and read, so that they may be kept in bfloat16.
    """

    states: tuple[str, ...]
    nodes: tuple[int, ...]
    again: frozenset[int]
    pointwise: frozenset[int]


def kept(program: Program, derivative: Derivative) -> Kept:
    """The smallest set of values from which backward can compute all others that it needs."""
    leaves = [node for node in derivative.program.nodes if node.op in ("state", "input")]
    multiplied = {node.args[0] for node in program.nodes if node.op in PRODUCTS}
    sources = [program.nodes[i] for i in multiplied]
    states = {node.state for node in (*leaves, *sources)} - {"", program.output_state}
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
    members = _Members(program, {*states, program.output_state}, needed, results | multiplied)
    needed, again = members.kept, again | members.again
    nodes = tuple(i for i in sorted(needed) if i not in results | again)
    # A product may compute a sum (an engine adds it to the other terms); no other pointwise op is part of a product.
    pointwise = {i for i in nodes if _is_pointwise(program.nodes[i].op) and program.nodes[i].op != "add"}
    return Kept(in_order, nodes, frozenset(again), frozenset(pointwise - multiplied))


class _Members:
    """The values with members that backward computes again, and what is kept in their place.

    states: the states that backward can read. needed: the values that it reads. fixed: those that are kept anyway.
    kept: the values that it still reads. again: those to compute again.
    """

    def __init__(self, program: Program, states: set[str], needed: set[int], fixed: set[int]):
        self.nodes, self.states, self.fixed = program.nodes, states, fixed
        self.kept, self.again = set(needed), set[int]()
        for i in sorted(needed - fixed, reverse=True):
            if self.nodes[i].members and self._is_cheap(i):
                made, rows = {i}, set[int]()
                if all(self._is_found(a, made, rows) for a in self.nodes[i].args):
                    self.again |= made
                    self.kept |= made | rows

    def _is_cheap(self, i: int) -> bool:
        return self.nodes[i].op in CHEAP_OF_MEMBERS or self._is_relation(i)

    def _is_relation(self, i: int) -> bool:
        op = self.nodes[i].op
        return op in ops.TABLE and ops.TABLE[op].kind == "relation"

    def _is_found(self, i: int, made: set[int], rows: set[int]) -> bool:
        """Whether value i is there without keeping members: kept, or computed again. Enters it in `made` or `rows`."""
        node = self.nodes[i]
        if i in self.kept | self.fixed | made | rows or node.op in SAME_FOR_ALL_ROWS:
            return True
        if node.op == "state":
            return node.state in self.states
        if self._is_cheap(i) and (node.members or all(self._is_there(a) for a in node.args)):
            made.add(i)
            return all(self._is_found(a, made, rows) for a in node.args)
        rows.add(i)
        return not node.members and not self._is_relation(i)  # a relation is no row, and cannot be kept

    def _is_there(self, i: int) -> bool:
        return i in self.kept | self.fixed or self.nodes[i].op in SAME_FOR_ALL_ROWS


def _is_pointwise(op: str) -> bool:
    return op in ops.TABLE and ops.TABLE[op].kind in ("pointwise", "relation")
