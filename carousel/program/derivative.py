"""The derivative of a program, as another program. The derivative of each op stands in its row of `ops.TABLE`.

This is reverse accumulation (Griewank & Walther, "Evaluating derivatives", 2008, chapter 3), from the last op to the
first. It works on symbols and runs nothing of torch, so that the result is the same in every mode and every thread.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from carousel.program import ops
from carousel.program.builder import Builder, Ref, prune
from carousel.program.program import Node, Program
from carousel.program.sharing import made_once
from carousel.program.verify import verify


@dataclass(frozen=True)
class Derivative:
    """One step of backpropagation: gradients of the new states in, gradients of all values that step read out.

    program: its leaves are `gradient` (of a new state or of a recorded value), `saved` (a value of the forward
        program) and the leaves of the forward program. Its results are gradients per row of the batch, with the keys
        ("state", name), ("input", gate), ("stream", name), ("context", name) and ("vector", attr); and
        ("product", node) for the result of each product of the forward program. A value that step does not read has no
        gradient here.
        Engines compute the gradients of weights from these, as one large product over all steps. For a product W v
        the gradient of W is the sum over steps and rows of (gradient of W v) vᵀ, for a transposed one of
        v (gradient of Wᵀ v)ᵀ; the gradient of the bias is the sum of the gradient of W v.
    saved: the nodes of the forward program whose values the derivative reads, in order.
    """

    program: Program
    saved: tuple[int, ...]


@made_once(256)
def differentiate(program: Program) -> Derivative:
    """The derivative of a forward program. Every forward program has one."""
    b = Builder(program.weights, program.nodes)  # an op that repeats a forward value becomes that node
    sums: dict[int, _Sum] = defaultdict(_Sum)
    for key, index in program.outputs.items():
        sums[index].add(b, b.leaf("gradient", key, program.nodes[index].size, program.nodes[index].members))
    gradients: dict[int, Ref] = {}
    for index, node in reversed(list(enumerate(program.nodes))):
        if index not in sums:
            continue
        gradients[index] = gradient = sums[index].total(b)
        if node.op in ops.LEAVES:
            continue
        row = ops.TABLE[node.op]
        arguments = (node.attr,) if row.kind == "product" else tuple(map(Ref, node.args))
        for argument, part in zip(node.args, row.derivative(b, gradient, Ref(index), *arguments), strict=True):
            if part is not None and program.nodes[argument].op not in ("constant", "per_unit"):
                # What is turned has its own size; elsewhere one number stands for every unit of a longer row.
                of = program.nodes[argument].size if row.kind == "members" else node.size
                sums[argument].add(b, _as_long_as(b, b.value(part), program.nodes[argument].size, of))
    return _separate(program, b, _results(program, b, gradients))


class _Sum:
    """The terms of a node's gradient, in three groups: single numbers, rows, and products.

    Numbers are added first among themselves, which is cheap. Products come last, because an engine adds a product to
    a value that exists.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, Ref] = {}

    def add(self, b: Builder, part: Ref) -> None:
        node = b.nodes[part]
        kind = "product" if node.op in ops.PRODUCTS else "number" if node.size in ("one", "any") else "row"
        self.kinds[kind] = _plus(b, self.kinds[kind], part) if kind in self.kinds else part

    def total(self, b: Builder) -> Ref:
        present = [self.kinds[kind] for kind in ("number", "row", "product") if kind in self.kinds]
        return reduce(lambda total, part: _plus(b, total, part), present)


def _plus(b: Builder, p: Ref, q: Ref) -> Ref:
    """p + q, written as p - r where q is -r, unless p is a product, which an engine adds to its other term."""
    if b.nodes[q].op == "neg":
        return b.op("sub", p, Ref(b.nodes[q].args[0]))
    if b.nodes[p].op == "neg" and b.nodes[q].op not in ops.PRODUCTS:
        return b.op("sub", q, Ref(b.nodes[p].args[0]))
    return b.op("add", p, q)


def _as_long_as(b: Builder, gradient: Ref, size: str, of: str) -> Ref:
    """The gradient of an argument of this size.

    If the argument is one number that the op used for every unit of a row, its gradient is the sum over the units.
    of: the size of the op's value. A gradient that is one number stands for every unit of that row.
    """
    if size != "one" or of == "one":
        return gradient
    if b.nodes[gradient].op == "neg":  # it is cheaper to negate the sum than the row
        return b.op("neg", _as_long_as(b, Ref(b.nodes[gradient].args[0]), size, of))
    return b.op("sum", b.broadcast(gradient, of))


def _results(program: Program, b: Builder, gradients: dict[int, Ref]) -> dict[Any, Ref]:
    """The results of the derivative by key. Each gradient has the size of its row."""

    def of(index: int) -> Ref:
        gradient = gradients.get(index)
        if gradient is None:
            return b.constant(0.0)
        return b.broadcast(gradient, program.nodes[index].size) if b.nodes[gradient].size == "one" else gradient

    kinds = ("state", "input", "stream", "context", "vector")
    read = {(n.op, n.attr): i for i, n in enumerate(program.nodes) if n.op in kinds}
    multiplied = {("product", i): i for i, node in enumerate(program.nodes) if node.op in ops.PRODUCTS}
    return {key: of(index) for key, index in (read | multiplied).items()}


def _separate(program: Program, b: Builder, results: dict[Any, Ref]) -> Derivative:
    """Separates the derivative from the forward nodes: each forward value that it reads becomes a `saved` leaf."""
    forward = len(program.nodes)
    nodes = list(b.nodes)
    for index in range(forward):
        node = nodes[index]
        # A relation cannot be saved, since it is no row: it is computed again from the rows that it compares.
        if node.op in ops.TABLE and ops.TABLE[node.op].kind != "relation":
            nodes[index] = Node("saved", (), node.size, index, node.members, node.name, node.line)
    kept, outputs = prune(nodes, results)
    derivative = replace(program, nodes=kept, outputs=outputs, states={})
    verify(derivative)
    return Derivative(derivative, tuple(node.attr for node in kept if node.op == "saved"))
