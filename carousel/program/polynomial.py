"""The values of a step as polynomials, so that all spellings of the same sum have one form.

(1 - z) * h + z * n, h + z * (n - h), torch.lerp(h, n, z) and h - z * h + z * n are different programs but one
polynomial. Its variables, here called atoms, are the nodes that are neither sums nor products.
"""

from __future__ import annotations

from collections import Counter
from itertools import product as combinations

from carousel.program import ops
from carousel.program.builder import Builder, Ref
from carousel.program.program import Program

# A sum of terms: {the nodes of a product, in rising order: its factor}. The empty product stands for the constant.
Terms = dict[tuple[int, ...], float]

MOST = 64  # terms; a value with more is treated as an atom


class Polynomials:
    """Every value of a program as a polynomial of atoms: leaves, and ops other than + - *, a / number and where.

    where(a > b, x, y) is [a > b] x + (1 - [a > b]) y where x or y reads a state directly; its atom [a > b] is 1 or 0.
    """

    def __init__(self, program: Program):
        self.program = program
        self.terms: list[Terms] = []
        self.states = {i for i, node in enumerate(program.nodes) if node.op == "state"}
        for index in range(len(program.nodes)):
            found = self._of(index)
            self.terms.append({(index,): 1.0} if found is None or len(found) > MOST else found)

    def _of(self, index: int) -> Terms | None:
        """The polynomial of a node, or None if the node is an atom."""
        node = self.program.nodes[index]
        args = [self.terms[a] for a in node.args]
        match node.op:
            case "constant":
                return {(): node.attr} if node.attr else {}
            case "add":
                return plus(args[0], args[1])
            case "sub":
                return plus(args[0], args[1], -1.0)
            case "neg":
                return plus({}, args[0], -1.0)
            case "mul":
                return times(args[0], args[1])
            case "div" if set(args[1]) == {()}:
                return plus({}, args[0], 1 / args[1][()])
            case "where" if self._reads_state(args[1]) or self._reads_state(args[2]):
                chosen: Terms = {(node.args[0],): 1.0}
                return plus(times(chosen, args[1]), plus(args[2], times(chosen, args[2]), -1.0))
            case "broadcast":
                return args[0]
        return None

    def _reads_state(self, terms: Terms) -> bool:
        return any(atom in self.states for term in terms for atom in term)

    def is_relation(self, atom: int) -> bool:
        op = self.program.nodes[atom].op
        return op in ops.TABLE and ops.TABLE[op].kind == "relation"


def plus(a: Terms, b: Terms, factor: float = 1.0) -> Terms:
    """a + factor * b."""
    found = dict(a)
    for term, number in b.items():
        found[term] = found.get(term, 0.0) + factor * number
    return {term: number for term, number in found.items() if number}


def times(a: Terms, b: Terms) -> Terms:
    found: Terms = {}
    for (x, m), (y, n) in combinations(a.items(), b.items()):
        term = tuple(sorted((*x, *y)))
        found[term] = found.get(term, 0.0) + m * n
    return {term: number for term, number in found.items() if number}


def split(terms: Terms, atom: int) -> tuple[Terms, Terms]:
    """(A, B) of A * atom + B, where A does not contain the atom. Terms with its square belong to neither."""
    once = {tuple(a for a in term if a != atom): n for term, n in terms.items() if Counter(term)[atom] == 1}
    without = {term: n for term, n in terms.items() if atom not in term}
    return once, without


def atoms(terms: Terms) -> tuple[int, ...]:
    """The atoms of a polynomial, in rising order."""
    return tuple(sorted({atom for term in terms for atom in term}))


def value(terms: Terms, at: dict[int, float]) -> float:
    """The value of a polynomial. at: the values of its atoms."""
    total = 0.0
    for term, number in terms.items():
        for atom in term:
            number *= at[atom]
        total += number
    return total


def build(b: Builder, program: Program, terms: Terms) -> Ref:
    """The node that computes a polynomial, in a builder that holds the program."""
    total: Ref | float = 0.0
    # The constant comes first, so that the text is 1 - z and not -z + 1.
    for term, number in sorted(terms.items()):
        part: Ref | float = abs(number)
        for atom in term:
            row: Ref = Ref(atom)
            if program.nodes[atom].op in ops.TABLE and ops.TABLE[program.nodes[atom].op].kind == "relation":
                row = b.op("where", row, 1.0, 0.0)
            part = b.op("mul", part, row)
        total = b.op("sub" if number < 0 else "add", total, part)
    return b.value(total)
