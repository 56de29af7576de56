"""What the drawing of a cell shows: the parts of its program, and which part reads which.

A program has a node for each operation, too many for a picture. Three rules make parts of them:

- A *gate* is a box: a sum of matrix products and learned vectors, with the function that is applied to it alone.
- An *op* is a circle: an operation between values, unit by unit. Constants and learned vectors stand in its label.
- Several operations that scale one value by sums over units, as layer normalization does, are one circle: "norm". Where
  the sums are over several values, their lines are left out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from carousel.program import Program, ops
from carousel.program.program import Node

LITERALS = ("constant", "per_unit", "vector")
ALIASES = ("broadcast", "spread", "detach")
ACTIVATIONS = ("sigmoid", "tanh", "relu", "softplus", "logsigmoid", "exp", "sin", "cos")
SIGNS = {
    "mul": "×", "add": "+", "sub": "−", "div": "÷", "neg": "−", "where": "if", "highest": "max", "total": "Σ",
    "maximum": "max", "minimum": "min"}  # fmt: skip
X = "x"


@dataclass(frozen=True)
class Piece:
    """A part of a drawing.

    kind: "gate", "op", or "port", where a state or an input comes in. label: what stands in it. name: the author's name
    of its value, or "". sources: the parts that it reads. state: of a port, the state that comes in; None for an input.
    """

    kind: str
    label: str
    name: str = ""
    sources: tuple[int, ...] = ()
    state: str | None = None


@dataclass(frozen=True)
class Parts:
    """The parts of a cell in the order in which they are drawn. outputs: {state: the part that makes its new value}.

    lines: {state: its parts from the port to the new value} for each state that ops alone lead to its new value.
    """

    cell: str
    parts: tuple[Piece, ...]
    outputs: dict[str, int]
    lines: dict[str, tuple[int, ...]]


def parts_of(program: Program) -> Parts:
    """The parts of a forward program."""
    reader = _PartMaker(program)
    # The new states in the order in which the step makes them, so that the drawing goes from left to right.
    order = sorted(program.states, key=lambda state: program.outputs[state])
    outputs = {state: reader.part(program.outputs[state]) for state in order}
    parts = tuple(reader.parts)
    return Parts(program.cell, parts, outputs, _lines(parts, program.states, outputs, program.output_state))


class _PartMaker:
    """Makes parts of nodes, each node once."""

    def __init__(self, program: Program):
        self.program = program
        self.uses = Counter(argument for node in program.nodes for argument in node.args)
        self.parts: list[Piece] = []
        self._made: dict[object, int] = {}
        self._affine: dict[int, tuple[object, ...] | None] = {}

    def enter(self, part: Piece) -> int:
        self.parts.append(part)
        return len(self.parts) - 1

    def part(self, key: object) -> int:
        """The part of a node, or of X, the input of the step."""
        if key not in self._made:
            self._made[key] = self._make(key)
        return self._made[key]

    def _make(self, key: object) -> int:
        if key == X:
            return self.enter(Piece("port", X))
        assert isinstance(key, int)
        node = self.program.nodes[key]
        if node.op == "state":
            name = "_".join(map(str, node.attr)) if isinstance(node.attr, tuple) else node.attr
            return self.enter(Piece("port", name, state=name))
        if node.op in ("stream", "context") or node.op in LITERALS:
            return self.enter(Piece("port", _literal(node)))
        if node.op in ALIASES:
            return self.part(node.args[0])
        if (gate := self._gate(key)) is not None:
            return gate
        if (root := self._root(key)) is not None:
            return self.enter(Piece("op", "norm", self._name(node), (self.part(root),)))
        return self._operation(node)

    def _gate(self, index: int) -> int | None:
        """A box: the activation of a sum of products, or that sum."""
        node = self.program.nodes[index]
        label = "W"
        read = self.affine(index)
        if read is None and node.op in ACTIVATIONS and self.uses[node.args[0]] == 1:
            read, label = self.affine(node.args[0]), _function(node)
        if not read:
            return None
        return self.enter(Piece("gate", label, self._name(node), tuple(dict.fromkeys(map(self.part, read)))))

    def affine(self, index: int) -> tuple[object, ...] | None:
        """The nodes of which a node is a weighted sum, with weights that are learned; None if it is something else."""
        if index not in self._affine:
            self._affine[index] = self._weighted(self.program.nodes[index])
        return self._affine[index]

    def _weighted(self, node: Node) -> tuple[object, ...] | None:
        if node.op == "input":
            return (X,)
        if node.op in ops.PRODUCTS:
            return (node.args[0],)
        if node.op == "vector":
            return ()
        if node.op == "mul":
            weighed = [a for a in node.args if self.program.nodes[a].op not in LITERALS]
            vectors = [a for a in node.args if self.program.nodes[a].op == "vector"]
            if len(weighed) == 1 and vectors:
                return (weighed[0],)
        if node.op in ("add", "sub", "neg", "sum", *ALIASES):
            read = [self.affine(a) if self.uses[a] == 1 else None for a in node.args]
            if all(one is not None for one in read):
                return tuple(key for one in read for key in one or ())
        return None

    def _root(self, index: int) -> int | None:
        """The one value from which a node is computed with a sum over units; None if it is not so computed."""
        root, sums = self._source(index)
        return root if sums and root != index else None

    def _source(self, index: int) -> tuple[int | None, bool]:
        node = self.program.nodes[index]
        if node.op in LITERALS:
            return None, False
        if node.op in (*ops.LEAVES, *ops.PRODUCTS, *ACTIVATIONS) or self.affine(index) is not None:
            return index, False
        if node.size == "one":
            return None, True  # one number for all units, such as a mean
        found = [self._source(a) for a in node.args]
        roots = {root for root, _ in found if root is not None}
        if len(roots) != 1:
            return index, False
        return roots.pop(), node.op in ("sum", "highest") or any(sums for _, sums in found)

    def _operation(self, node: Node) -> int:
        literals = [self.program.nodes[a].op in LITERALS for a in node.args]
        read = tuple(self.part(a) for a, literal in zip(node.args, literals, strict=True) if not literal)
        return self.enter(Piece("op", self._label(node, literals), self._name(node), read))

    def _label(self, node: Node, literals: list[bool]) -> str:
        sign = SIGNS.get(node.op, ops.TABLE[node.op].name)
        if node.op not in SIGNS and "(" not in ops.TABLE[node.op].text and node.op != "pow":
            sign = ops.TABLE[node.op].text.replace("{}", "").strip() or sign
        if node.op in ACTIVATIONS:
            sign = _function(node)
        if not any(literals):
            return sign
        texts = [_literal(self.program.nodes[a]) if one else "" for a, one in zip(node.args, literals, strict=True)]
        if len(texts) == 2 and node.op != "maximum" and node.op != "minimum":
            return f"{texts[0]}{sign}{texts[1]}"
        return f"{sign} {' '.join(filter(None, texts))}"

    def _name(self, node: Node) -> str:
        return "" if node.name in self.program.states else node.name


def _function(node: Node) -> str:
    return {"sigmoid": "σ", "logsigmoid": "log σ"}.get(node.op, node.op)


def _literal(node: Node) -> str:
    if node.op == "constant":
        return f"{node.attr:.3g}".replace("-", "−")
    if node.op == "per_unit":
        return "1/H"
    return "_".join(map(str, node.attr)) if isinstance(node.attr, tuple) else str(node.attr)


def _lines(
    parts: tuple[Piece, ...], states: dict[str, str], outputs: dict[str, int], output_state: str
) -> dict[str, tuple[int, ...]]:
    """The line of each state: the shortest way of ops from its port to its new value. Memory goes first."""
    found: dict[str, tuple[int, ...]] = {}
    taken: set[int] = set()
    for state in sorted(states, key=lambda state: state == output_state):
        way = _shortest(parts, state, outputs[state], taken)
        if way is not None:
            found[state] = way
            taken.update(way)
    return found


def _shortest(parts: tuple[Piece, ...], state: str, end: int, taken: set[int]) -> tuple[int, ...] | None:
    ways: list[tuple[int, ...]] = [(end,)]
    seen = {end}
    while ways:
        way, *ways = ways
        part = parts[way[0]]
        if part.state == state:
            return way
        if part.kind == "op" and way[0] not in taken:
            ways += [(source, *way) for source in part.sources if source not in seen]
            seen.update(part.sources)
    return None
