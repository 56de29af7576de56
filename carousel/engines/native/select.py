"""Turns the nodes of a program into items, and decides which products are computed together and what they add to."""

from __future__ import annotations

from collections.abc import Callable

from carousel.engines.native.item import Leaf, MatrixProduct
from carousel.engines.native.items import Items
from carousel.engines.native.plan import REDUCTIONS
from carousel.engines.sums import sum_trees, uses_of
from carousel.program import Node, ops
from carousel.program.ops import PRODUCTS


def select(
    items: Items,
    nodes: tuple[Node, ...],
    leaf: Callable[[Node], int],
    homes: dict[int, list[int]],
    sums: dict[int, list[int]],
    forward_inputs: set[str] | None,
) -> None:
    """Adds an item for each node.

    leaf: a function node -> item, for leaves. homes, sums: {node: the buffers that must contain its value} and
        {node: the column sums to which its value is added}.
    forward_inputs: the gates to whose input part a product may be added; None in backward.
    """
    items.adds_biases = forward_inputs is not None
    uses = uses_of(nodes, {i: len(homes.get(i, ())) + len(sums.get(i, ())) for i in (*homes, *sums)})
    trees, absorbed = sum_trees(nodes, uses)
    value: dict[int, int] = {}
    for index, node in enumerate(nodes):
        if index in absorbed:
            continue
        if node.op in ops.LEAVES:
            value[index] = leaf(node)
        elif index in trees:
            value[index] = _SumTree(items, nodes, trees[index], value).item(uses, forward_inputs)
        elif node.op in PRODUCTS:
            term = (value[node.args[0]], node.attr, node.op == "product_transposed")
            bias = node.attr if _is_biased(items, node) else None
            value[index] = items.product(node.size, [term], None, bias, index in items.idle)
        elif ops.is_of_members(node.op):
            value[index] = items.across(node.op, node.size, value[node.args[0]], bool(node.members))
        elif node.op in REDUCTIONS:
            value[index] = items.reduction(node.op, value[node.args[0]])
        elif node.op == "broadcast":
            value[index] = items.op("copy", node.size, value[node.args[0]])
        else:
            value[index] = items.op(node.op, node.size, *(value[a] for a in node.args))
        for home in homes.get(index, ()):
            items.keep_in(value[index], home)
        items[value[index]].sums += sums.get(index, ())


def _is_biased(items: Items, node: Node) -> bool:
    """Whether a product adds a bias. Only products of forward do: the products of backward multiply gradients."""
    return items.adds_biases and node.op == "product" and items.program.weights[node.attr].bias is not None


class _SumTree:
    """A sum that contains products. They become one product, which is added in place to another term if possible.

    terms, bias: those of the product. rest: the other terms of the sum.
    """

    def __init__(self, items: Items, nodes: tuple[Node, ...], parts: list[int], value: dict[int, int]):
        self.items, self.nodes, self.parts, self.value = items, nodes, parts, value
        self.size = next(nodes[i].size for i in parts if nodes[i].op in PRODUCTS)
        self.terms: list[tuple[int, str, bool]] = []
        self.rest: list[int] = []
        self.bias: str | None = None
        self.idle = True
        for i in parts:
            self._take(i)

    def _take(self, i: int) -> None:
        node, value = self.nodes[i], self.value
        biased = _is_biased(self.items, node)
        if node.op in PRODUCTS and i not in value and not (biased and self.bias):
            self.terms.append((value[node.args[0]], node.attr, node.op == "product_transposed"))
            self.bias = node.attr if biased else self.bias
            self.idle &= i in self.items.idle
        elif i not in value:  # a second product that has a bias
            term = (value[node.args[0]], node.attr, False)
            self.rest.append(self.items.product(node.size, [term], None, node.attr, i in self.items.idle))
        else:
            self.rest.append(value[i])

    def item(self, uses: list[int], forward_inputs: set[str] | None) -> int:
        total = self._onto_a_value() if forward_inputs is None else self._onto_an_input(uses, forward_inputs)
        for part in self.rest:
            total = self.items.op("add", self.size, total, part)
        return total

    def _onto_an_input(self, uses: list[int], forward_inputs: set[str]) -> int:
        """In forward: the item of the product, added to the input part of a gate if nothing else reads that part."""
        nodes = self.nodes
        free = [i for i in self.parts if nodes[i].op == "input" and uses[i] == 1 and nodes[i].attr in forward_inputs]
        if not free:
            return self.items.product(self.size, self.terms, None, self.bias, self.idle)
        start = self.value[free[0]]
        self.rest.remove(start)
        total = self.items.product(self.size, self.terms, start, None, self.idle)
        leaf = self.items[start]
        assert isinstance(leaf, Leaf)
        self.items[total].homes.append(leaf.view.which)
        if self.bias is not None:
            self.items.fused_biases[leaf.view.which] = self.items.bias(self.bias)
        return total

    def _onto_a_value(self) -> int:
        """In backward: the item of the product, added to the sum of the terms that are known before it starts."""
        items = self.items
        ready = max(items[s].level for s, *_ in self.terms)
        early = [r for r in self.rest if items[r].level <= ready and not isinstance(items[r], MatrixProduct)]
        self.rest = [r for r in self.rest if r not in early]
        start = early[0] if early else None
        for part in early[1:]:
            assert start is not None
            start = items.op("add", self.size, start, part)
        if start is not None and len(early) == 1:
            start = items.op("copy", self.size, start)  # a copy, because others may read the start
        return items.product(self.size, self.terms, start, self.bias, self.idle)
