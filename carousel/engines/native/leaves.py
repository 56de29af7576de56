"""What a leaf of a tree does not need: a step that goes on from no child reads zeros in the place of states.

A product of zeros is zero, and what is only multiplied by zeros need not be computed: the forget gates of a Tree-LSTM,
for example. Half of the nodes of a binary tree are leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

from carousel.program import Derivative, Program
from carousel.program.ops import PRODUCTS

# Ops that give zero where all their arguments are zero, where one is, or where the first is.
IF_ALL = (
    *(
        "add",
        "sub",
        "neg",
        "abs",
        "sign",
        "maximum",
        "minimum",
        "sqrt",
        "sin",
        "log1p",
        "expm1",
        "erf",
        "atan",
        "floor",
    ),
    *("detach", "tanh", "relu", "sum", "highest", "broadcast", "total", "greatest", "spread"),
)
IF_ANY = ("mul",)
IF_FIRST = ("div", "sigmoid_grad", "tanh_grad", "relu_grad")


@dataclass(frozen=True)
class Idle:
    """What can be left out at leaves.

    inputs: gates whose input part has no effect. products: nodes of the program, products of zeros.
    backward: nodes of the derivative, products of which only the gradients of children are made.
    """

    inputs: frozenset[str]
    products: frozenset[int]
    backward: frozenset[int]


NOTHING = Idle(frozenset(), frozenset(), frozenset())


def idle(program: Program, derivative: Derivative) -> Idle:
    """What a scan over trees whose first states are zero leaves out."""
    zero = _zeros(program)
    needed = _reached(program, set(program.outputs.values()) - zero, zero)
    useful = {index for (kind, _), index in derivative.program.outputs.items() if kind != "state"}
    reached = _reached(derivative.program, useful, set())
    inputs = {n.attr for i, n in enumerate(program.nodes) if n.op == "input" and i in needed}
    return Idle(
        frozenset(program.inputs) - inputs,
        frozenset(i for i, n in enumerate(program.nodes) if n.op in PRODUCTS and n.args[0] in zero),
        frozenset(i for i, n in enumerate(derivative.program.nodes) if n.op in PRODUCTS and i not in reached),
    )


def _zeros(program: Program) -> set[int]:
    """The nodes that are zero at a leaf, and those that have a row for each child, of which there is none."""
    zero: set[int] = set()
    for index, node in enumerate(program.nodes):
        of = [a in zero for a in node.args]
        if (
            node.op == "state"
            or node.members
            or (node.op == "constant" and node.attr == 0)
            or (node.op in IF_ALL and all(of))
            or (node.op in IF_ANY and any(of))
            or (node.op in IF_FIRST and of[0])
            or (node.op in PRODUCTS and of[0] and program.weights[node.attr].bias is None)
            or (node.op == "where" and all(of[1:]))
        ):
            zero.add(index)
    return zero


def _reached(program: Program, from_nodes: set[int], without: set[int]) -> set[int]:
    """All nodes from which these are computed, but for those in `without`."""
    found = set(from_nodes)
    for index in reversed(range(len(program.nodes))):
        if index in found:
            found |= set(program.nodes[index].args) - without
    return found
