"""Finds sums that contain matrix products, because an engine adds the products of a sum directly to its other terms."""

from __future__ import annotations

from carousel.program import Node
from carousel.program.ops import PRODUCTS


def uses_of(nodes: tuple[Node, ...], besides: dict[int, int]) -> list[int]:
    """The number of reads of each node's value. besides: {node: further reads, by something that is no node}."""
    uses = [besides.get(i, 0) for i in range(len(nodes))]
    for node in nodes:
        for a in node.args:
            uses[a] += 1
    return uses


def sum_trees(nodes: tuple[Node, ...], uses: list[int]) -> tuple[dict[int, list[int]], set[int]]:
    """The largest sums with products among their terms, {root: terms}; and the set of inner sums that they replace.

    A sum or product that is read twice is not dissolved, since its other readers need its value: it is one term.
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
    """The terms of a sum, from left to right, and the inner sums that it contains."""
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
