"""Finds the gates that keep a state, from the equations alone: their names and spelling do not matter.

The new value of a state c is A * c + B, where A and B contain c only inside other functions. A is the share of the old
value that is kept, and B is the value that is written. A gate keeps c if A lies between 0 and 1 and rises or falls with
that gate: in f * c + i * g the gate f keeps c where f = 1, in (1 - z) * h + z * n the gate z keeps h where z = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product as combinations
from typing import Any

import torch
from torch import Tensor

from carousel.program import ops
from carousel.program.polynomial import Polynomials, Terms, atoms, plus, split, value
from carousel.program.printing import Printer
from carousel.program.program import Program
from carousel.program.sharing import made_once

# Bounds of the results of ops. An op that is not listed has no bounds.
BOUNDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "sin": (-1.0, 1.0), "cos": (-1.0, 1.0)}

NEAR = 1e-9
MOST_GATES = 8  # that keep one state; the search visits all 2^8 corners of their bounds


@dataclass(frozen=True)
class Gate:
    """A value with bounds, and the bias that moves it.

    node: the value. op: "sigmoid", "tanh", "clamp" (to its bounds), or a relation such as "gt" (0 or 1).
    name: the author's name for it. sign: 1 if it keeps (or writes) at its upper bound, -1 if at its lower bound.
    bias: the learned term of its argument, ("input", gate) for W x + b, ("vector", (name, gate)) for a vector; None
        if no learned term stands by itself. slope, offset: the argument is slope * bias + offset + ...
    """

    node: int
    op: str
    bounds: tuple[float, float]
    name: str
    sign: int
    bias: tuple[str, Any] | None
    slope: float
    offset: float

    def biases(self, logits: Tensor) -> Tensor:
        """The biases for which the gate keeps, or writes, the share sigmoid(logits) when x and h are 0."""
        logits = self.sign * logits
        match self.op:
            case "tanh":
                argument = logits / 2
            case "clamp":
                argument = self.bounds[0] + (self.bounds[1] - self.bounds[0]) * torch.sigmoid(logits)
            case _:
                argument = logits
        return (argument - self.offset) / self.slope


@dataclass(frozen=True)
class Keeping:
    """How one state is kept: new value = share * old value + written.

    name: the share in the author's names, "f" or "1 - z". share: the same as a polynomial of nodes.
    keeps: the gates that the share depends on. writes: other gates, which scale the value that is written.
    """

    state: str
    name: str
    share: Terms
    keeps: tuple[Gate, ...]
    writes: tuple[Gate, ...]


@made_once(at_most=256)
def keeping(program: Program) -> dict[str, Keeping]:
    """How each state is kept, for the states that a gate keeps. The docstring of this module defines it."""
    reader = _StepAnalysis(program)
    found = {state: reader.keeping(state) for state in program.states}
    return {state: how for state, how in found.items() if how is not None}


@made_once(at_most=256)
def candidates(program: Program) -> tuple[int, ...]:
    """The nodes of the candidates: the values that a step writes into states that it keeps, such as g in f * c + i * g.

    A candidate is no gate, and every term of B contains it. A state counts if its equations keep a share of it, even
    a fixed share; over trees, shares of the states of children. The result is empty if no state is kept, or if B is not
    one value times gates.
    """
    reader = _StepAnalysis(program)
    found: list[int] = []
    for state in program.states:
        written = reader.written(state)
        if not written:
            continue
        common = set(atoms(written)).intersection(*map(set, written))
        rows = [a for a in sorted(common) if not reader.scales(a) and program.nodes[a].op in ops.TABLE]
        rows = [a for a in rows if program.nodes[a].op != "exp" and program.nodes[a].size == "hidden"]
        if len(rows) == 1:
            found += rows
    return tuple(dict.fromkeys(found))


class _StepAnalysis:
    def __init__(self, program: Program):
        self.program = program
        self.polynomials = Polynomials(program)
        self.terms = self.polynomials.terms

    def parts(self, state: str) -> tuple[Terms, Terms]:
        """(A, B) of A * state + B."""
        nodes = self.program.nodes
        old = next((i for i, node in enumerate(nodes) if node.op == "state" and node.attr == state), None)
        new = self.terms[self.program.outputs[state]]
        return ({}, new) if old is None else split(new, old)

    def written(self, state: str) -> Terms:
        """B of A * state + B, where the state may be that of several children; nothing where no share A is kept."""
        olds = {i for i, node in enumerate(self.program.nodes) if node.state == state}
        new = self.terms[self.program.outputs[state]]
        carried = {term: sum(self._carries(atom, olds) for atom in term) for term in new}
        return {term: new[term] for term, count in carried.items() if not count} if 1 in carried.values() else {}

    def _carries(self, atom: int, olds: set[int]) -> bool:
        """Whether an atom is an old state, or a sum over children of which every term has one as a factor."""
        node = self.program.nodes[atom]
        if node.op != "total":
            return atom in olds
        return all(sum(a in olds for a in term) == 1 for term in self.terms[node.args[0]])

    def keeping(self, state: str) -> Keeping | None:
        share, written = self.parts(state)
        if not share or not all(map(self.is_gate, atoms(share))):
            return None
        if len(atoms(share)) > MOST_GATES:
            return None
        ends = {atom: self.bounds(atom) for atom in atoms(share)}
        corners = [dict(zip(ends, corner, strict=True)) for corner in combinations(*ends.values())]
        if any(not -NEAR <= value(share, corner) <= 1 + NEAR for corner in corners):
            return None
        keeps = []
        for atom in atoms(share):
            low, high = ends[atom]
            rises = {_sign(value(share, c | {atom: high}) - value(share, c | {atom: low})) for c in corners} - {0}
            gate = self.gate(atom, rises.pop()) if len(rises) == 1 else None
            keeps += [] if gate is None else [gate]
        if not keeps:
            return None
        writes = []
        for atom in set(atoms(written)) - set(atoms(share)):
            gate = self.gate(atom, self._writes(written, atom)) if self.scales(atom) else None
            writes += [] if gate is None or not gate.sign else [gate]
        return Keeping(state, self._name_of(share), share, tuple(keeps), tuple(writes))

    def is_gate(self, atom: int) -> bool:
        """Whether an atom has two bounds and rises from one to the other with its argument."""
        return self._op(atom) != "" and all(map(math.isfinite, self.bounds(atom)))

    def scales(self, atom: int) -> bool:
        """Whether an atom is a gate that is never negative, so that it does not change the sign of its factor."""
        return self.is_gate(atom) and self.bounds(atom)[0] >= 0

    def _op(self, atom: int) -> str:
        """The kind of gate that an atom is, or "" if it is no gate."""
        op = self.program.nodes[atom].op
        if op in ("sigmoid", "tanh") or self.polynomials.is_relation(atom):
            return op
        return "clamp" if self._inside(atom) != atom else ""

    def bounds(self, index: int) -> tuple[float, float]:
        """The lower and the upper bound of a value."""
        node = self.program.nodes[index]
        if node.op in BOUNDS:
            return BOUNDS[node.op]
        if node.op == "constant":
            return node.attr, node.attr
        if self.polynomials.is_relation(index):
            return 0.0, 1.0
        if node.op in ("minimum", "maximum"):
            ends = zip(*map(self.bounds, node.args), strict=True)
            low, high = (min(e) if node.op == "minimum" else max(e) for e in ends)
            return low, high
        if self._inside(index) != index:
            relation, bound = self.program.nodes[node.args[0]].op, self.program.nodes[node.args[1]].attr
            low, high = self.bounds(node.args[2])
            return (max(low, bound), high) if relation in ("lt", "le") else (low, min(high, bound))
        return -math.inf, math.inf

    def _inside(self, index: int) -> int:
        """The node a inside nested limits such as where(a < 0, 0, a) and max(a, 0); the node itself without limits."""
        node = self.program.nodes[index]
        constant = [self.program.nodes[a].op == "constant" for a in node.args]
        if node.op in ("minimum", "maximum") and any(constant):
            return self._inside(node.args[constant.index(False)]) if not all(constant) else index
        if node.op == "where" and constant[1]:
            relation = self.program.nodes[node.args[0]]
            inside = self._inside(node.args[2])
            cuts = relation.args[1] < index and self.program.nodes[relation.args[1]] == self.program.nodes[node.args[1]]
            if cuts and self._inside(relation.args[0]) == inside and relation.op in ("lt", "le", "gt", "ge"):
                return inside
        return index

    def gate(self, atom: int, sign: int) -> Gate | None:
        """The atom as a gate; None if it depends on no gate of the cell."""
        if not self._reads_input(atom):
            return None
        bias, slope, offset = self._bias(self._argument(atom))
        return Gate(atom, self._op(atom), self.bounds(atom), self._name(atom), sign, bias, slope, offset)

    def _writes(self, written: Terms, atom: int) -> int:
        """1 if `written` is atom times something, -1 if it is (1 - atom) times something, else 0."""
        by, without = split(written, atom)
        if not without:
            return 1
        return -1 if not plus(by, without) else 0

    def _argument(self, atom: int) -> Terms:
        """The argument of a gate: of its sigmoid, of its limits, or of its comparison with 0."""
        node = self.program.nodes[atom]
        if self._op(atom) == "clamp":
            return self.terms[self._inside(atom)]
        first = self.terms[node.args[0]]
        if not self.polynomials.is_relation(atom):
            return first
        second = self.terms[node.args[1]]
        return plus(second, first, -1.0) if node.op in ("lt", "le") else plus(first, second, -1.0)

    def _bias(self, argument: Terms) -> tuple[tuple[str, Any] | None, float, float]:
        """The learned term that stands by itself in a sum, or None; its slope; and the constant of the sum."""
        nodes, offset = self.program.nodes, argument.get((), 0.0)
        single = {term[0]: slope for term, slope in argument.items() if len(term) == 1}
        for op in ("input", "vector"):
            for atom, slope in single.items():
                node = nodes[atom]
                if node.op == op and (self.program.gate_bias or op == "vector"):
                    return (op, node.attr), slope, offset
        for atom, slope in single.items():  # [sigmoid(z) > 0.5] follows z
            if nodes[atom].op == "sigmoid":
                bias, inner, inner_offset = self._bias(self._argument(atom))
                return bias, inner * _sign(slope), inner_offset
        return None, 0.0, 0.0

    def _reads_input(self, node: int) -> bool:
        reads, waiting = set[int](), [node]
        while waiting:
            index = waiting.pop()
            if index not in reads:
                reads.add(index)
                waiting += self.program.nodes[index].args
        return any(self.program.nodes[i].op == "input" for i in reads)

    def _name(self, atom: int) -> str:
        """The author's name for a gate: its own name, or the name of the gate inside its sigmoid."""
        node = self.program.nodes[atom]
        if node.name:
            return node.name
        single = [(t[0], slope) for t, slope in self._argument(atom).items() if len(t) == 1]
        gates = [self.program.nodes[i].attr for i, slope in single if self.program.nodes[i].op == "input" and slope > 0]
        taken = {n.name for n in self.program.nodes if n.op in ops.TABLE} | set(self.program.states)
        if len(gates) == 1 and gates[0] not in taken and self._op(atom) in ("sigmoid", "clamp"):
            return gates[0]
        return Printer(self.program).text(atom)

    def _name_of(self, share: Terms) -> str:
        """The text of a share: the author's name for it, or an expression of names of gates such as 1 - z."""
        for index, node in enumerate(self.program.nodes):
            if node.name and node.op in ops.TABLE and self.terms[index] == share:
                return node.name
        text = ""
        for term, number in sorted(share.items()):
            factor = [] if abs(number) == 1 and term else [f"{abs(number):g}"]
            part = " ⊙ ".join(factor + [self._name(atom) for atom in term])
            sign = "-" if number < 0 else "+"
            text = f"{text} {sign} {part}" if text else f"-{part}" if number < 0 else part
        return text


def _sign(number: float) -> int:
    return (number > NEAR) - (number < -NEAR)
