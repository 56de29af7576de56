"""Sums in which matrix products stand: an engine does the products of one sum as one, added onto its other parts."""

from __future__ import annotations

from carousel.program import Node
from carousel.program.ops import PRODUCTS


def uses_of(nodes: tuple[Node, ...], besides: dict[int, int]) -> list[int]:
    """How often each node's value is read. besides: how often it is, by what is not a node."""
    uses = [besides.get(i, 0) for i in range(len(nodes))]
    for node in nodes:
        for a in node.args:
            uses[a] += 1
    return uses


def sum_trees(nodes: tuple[Node, ...], uses: list[int]) -> tuple[dict[int, list[int]], set[int]]:
    """The largest sums with products among their parts: root -> parts; and the nodes that go up in them.

    A sum that is read twice is a part of its own, and so is a product: it must be there for whoever else reads it.
    """
    trees: dict[int, list[int]] = {}
    absorbed: set[int] = set()
    for root in reversed(range(len(nodes))):
        if nodes[root].op != "add" or root in absorbed:
            continue
        parts, inner = _parts(nodes, uses, root)
        products = [i for i in parts if nodes[i].op in PRODUCTS and uses[i] == 1]
        if products:
            trees[root] = parts
            absorbed |= {*inner, *products}
    return trees, absorbed


def _parts(nodes: tuple[Node, ...], uses: list[int], root: int) -> tuple[list[int], list[int]]:
    """What a sum adds up, from left to right, and the smaller sums within it."""
    parts: list[int] = []
    inner: list[int] = []
    waiting = list(reversed(nodes[root].args))
    while waiting:
        i = waiting.pop()
        if nodes[i].op == "add" and uses[i] == 1 and nodes[i].size == nodes[root].size:
            inner.append(i)
            waiting += reversed(nodes[i].args)
        else:
            parts.append(i)
    return parts, inner
