"""The derivative of a program, as a program: each op's own from its row in `ops`, from the last op to the first.

This is reverse accumulation (Griewank & Walther, "Evaluating derivatives", 2008, chapter 3), on symbols: no tensor is
made and nothing of torch is run, so that it is the same in every mode and every thread.
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
    """One step of backpropagation: from the gradients of the new states to the gradients of everything step read.

    program: its leaves are `gradient` (of each new state and recorded value), `saved` (a value of the forward
        program) and the forward program's own leaves. Its results, per row of the batch, are the gradients of
        ("state", name), ("input", gate), ("stream", name), ("vector", attr), and of what a forward product gave,
        ("product", its node). What step does not read has none.
        The gradient of a weight is the sum over steps and rows of (gradient of its product) x (row it multiplied), for
        a transposed one of (row it multiplied) x (gradient of its product); of its bias, the sum of the gradient of its
        product: engines do both as one large product over all steps.
    saved: the forward values that it reads, in order.
    """

    program: Program
    saved: tuple[int, ...]


@made_once(256)
def differentiate(program: Program) -> Derivative:
    """The derivative of a forward program, which every forward program has."""
    b = Builder(program.weights, program.nodes)  # what repeats a forward value is found, not added
    sums: dict[int, _Sum] = defaultdict(_Sum)
    for key, index in program.outputs.items():
        sums[index].add(b, b.leaf("gradient", key, program.nodes[index].size))
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
                sums[argument].add(b, _as_long_as(b, b.value(part), program.nodes[argument].size, node.size))
    return _separate(program, b, _results(program, b, gradients))


class _Sum:
    """What a node's gradient is the sum of: numbers, rows and products apart.

    To add a number to a row costs a row, and products are added onto what is there: so they come last.
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
    """p + q; where one of them is -r and the other is no product, which adds onto its place, a difference."""
    if b.nodes[q].op == "neg":
        return b.op("sub", p, Ref(b.nodes[q].args[0]))
    if b.nodes[p].op == "neg" and b.nodes[q].op not in ops.PRODUCTS:
        return b.op("sub", q, Ref(b.nodes[p].args[0]))
    return b.op("add", p, q)


def _as_long_as(b: Builder, gradient: Ref, size: str, of: str) -> Ref:
    """The gradient of an argument of this size, which may be one number that an op has used for every unit of a row.

    of: the size of the op's value. A gradient that is itself one number stands for every unit of that row.
    """
    if size != "one" or of == "one":
        return gradient
    if b.nodes[gradient].op == "neg":  # a number costs less to negate than a row
        return b.op("neg", _as_long_as(b, Ref(b.nodes[gradient].args[0]), size, of))
    return b.op("sum", b.broadcast(gradient, of))


def _results(program: Program, b: Builder, gradients: dict[int, Ref]) -> dict[Any, Ref]:
    """The gradients that are asked for, by key, each as long as the row that it is the gradient of."""

    def of(index: int) -> Ref:
        gradient = gradients.get(index)
        if gradient is None:
            return b.constant(0.0)
        return b.broadcast(gradient, program.nodes[index].size) if b.nodes[gradient].size == "one" else gradient

    read = {(n.op, n.attr): i for i, n in enumerate(program.nodes) if n.op in ("state", "input", "stream", "vector")}
    multiplied = {("product", i): i for i, node in enumerate(program.nodes) if node.op in ops.PRODUCTS}
    return {key: of(index) for key, index in (read | multiplied).items()}


def _separate(program: Program, b: Builder, results: dict[Any, Ref]) -> Derivative:
    """Cuts the backward half off: forward values that it reads become `saved` leaves."""
    forward = len(program.nodes)
    nodes = list(b.nodes)
    for index in range(forward):
        node = nodes[index]
        # A relation is no row that could be saved: it is made anew from the rows it compares.
        if node.op in ops.TABLE and ops.TABLE[node.op].kind != "relation":
            nodes[index] = Node("saved", (), node.size, index, node.name, node.line)
    kept, outputs = prune(nodes, results)
    derivative = replace(program, nodes=kept, outputs=outputs, states={})
    verify(derivative)
    return Derivative(derivative, tuple(node.attr for node in kept if node.op == "saved"))
