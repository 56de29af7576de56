"""The shapes of trees: which node is whose child, for one tree or a batch of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from carousel.engines.inside_torch import is_compiled
from carousel.engines.levels import Levels
from carousel.errors import DataError

Parents = Tensor | Sequence[int]


class Order(NamedTuple):
    """The order in which a scan runs nodes.

    nodes: the nodes in that order. place: (nodes), the place of each node in it. edges: the edges in the order of the
    nodes that go on. levels: which places make a level, and from which places a node goes on.
    """

    nodes: Tensor
    place: Tensor
    edges: Tensor
    levels: Levels


class Trees:
    """A batch of trees, forests or graphs without cycles, of any shapes. It does not change once it is made.

        trees = Trees([-1, 0, 0])                       # a root, node 0, with the children 1 and 2
        trees = Trees.from_brackets("(3 (2 It) (4 works))")
        trees = Trees.from_edges([(1, 0), (2, 0)])      # (child, parent)
        batch = Trees.batch([trees, trees])             # nodes of the second come after those of the first

    parents: the parent of each node, -1 for a root; of several trees a sequence of these.
    The children of a node are in the order of their numbers; of `from_edges`, in the order of the edges.

    len(trees) is the number of trees, `nodes` that of all nodes, `sizes` that of each tree's. `roots` and `leaves` are
    the numbers of the nodes without a parent and without children, (number of them) int64, in rising order. `offsets`
    are the numbers of each tree's first node. `child` and `parent` are the ends of each edge, (edges) int64, and
    `tree_of` the number of the tree that each node belongs to, (nodes) int64.
    Raises TypeError for parents that are no whole numbers; DataError for a parent that there is not, and for a cycle,
    naming a node on it.
    """

    def __init__(self, parents: Parents | Sequence[Parents]):
        several = isinstance(parents, list | tuple) and any(isinstance(p, Tensor | list | tuple) for p in parents)
        if several:
            made = [Trees(each) for each in parents]  # type: ignore[arg-type]
            self._take(Trees.batch(made))
            return
        parent = _whole_numbers("the parents of nodes", parents)
        if ((parent < -1) | (parent >= len(parent))).any():
            node = int(((parent < -1) | (parent >= len(parent))).nonzero()[0])
            raise DataError(
                f"making trees: the parent of node {node} is {int(parent[node])}; it must be one of the "
                f"{len(parent)} nodes, 0 to {len(parent) - 1}, or -1 for a root"
            )
        child = (parent >= 0).nonzero().squeeze(1)
        self._set(child, parent[child], (len(parent),))
        self._rank(downwards=False)  # a cycle is found now

    @classmethod
    def from_edges(
        cls, edges: Tensor | Sequence[tuple[int, int]], nodes: int | None = None, *, shared: bool = False
    ) -> Trees:
        """A graph of edges from children to parents.

        edges: (child, parent) pairs, (E, 2) or a sequence of E pairs.
        nodes: how many there are; None for the largest number and one more. shared: whether a node may have several
            parents. Raises TypeError for edges that are no whole numbers; DataError for a node that there is not, a
            node with two parents without `shared`, and a cycle.
        """
        given = _whole_numbers("the edges of trees", edges).reshape(-1, 2)
        count = nodes if nodes is not None else int(given.max()) + 1 if len(given) else 0
        if ((given < 0) | (given >= count)).any():
            edge = int(((given < 0) | (given >= count)).any(1).nonzero()[0])
            raise DataError(
                f"making trees: edge {edge}, {tuple(given[edge].tolist())}, must join two of the {count} nodes, "
                f"0 to {count - 1}"
            )
        child, parent = given.unbind(1)
        of_each = torch.bincount(child, minlength=count)
        if not shared and count and of_each.max() > 1:
            node = int((of_each > 1).nonzero()[0])
            two = parent[child == node][:2].tolist()
            raise DataError(
                f"making trees: node {node} has two parents, {two[0]} and {two[1]}; in a tree a node has one. "
                "Give shared=True for a graph whose nodes may have several"
            )
        made = cls.__new__(cls)
        made._set(child.contiguous(), parent.contiguous(), (count,))
        made._rank(downwards=False)
        return made

    @classmethod
    def from_brackets(cls, text: str | Iterable[str]) -> Trees:
        """A tree for each line of a text in brackets; `read_brackets` gives their labels and words too.

        text: lines such as "(3 (2 It) (4 works))", as one text or one by one. Raises DataError, naming the line, for
            anything else.
        """
        from carousel.layers.trees.brackets import read_brackets

        return read_brackets(text).trees

    @classmethod
    def batch(cls, trees: Sequence[Trees]) -> Trees:
        """Several batches of trees in one. The nodes of each stand after the nodes of those before it.

        trees: the batches to join; none give a batch without trees.
        """
        made = cls.__new__(cls)
        offsets = [0, *accumulate(each.nodes for each in trees)]
        child, parent = (
            torch.cat([torch.empty(0, dtype=torch.int64), *(e + o for e, o in zip(edges, offsets, strict=False))])
            for edges in ([each.child for each in trees], [each.parent for each in trees])
        )
        made._set(child, parent, tuple(size for each in trees for size in each.sizes))
        # What each knows of its heights and depths holds for the batch as well.
        for downwards in (False, True):
            if trees and all(downwards in each._ranks for each in trees):
                made._ranks[downwards] = torch.cat([each._ranks[downwards] for each in trees])
        return made

    def _set(self, child: Tensor, parent: Tensor, sizes: tuple[int, ...]) -> None:
        self.child, self.parent, self.sizes = child, parent, sizes
        self.tree_of = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes, dtype=torch.int64))
        self.roots, self.leaves = (
            (torch.bincount(e, minlength=self.nodes) == 0).nonzero()[:, 0] for e in (child, parent)
        )
        self._ranks: dict[bool, Tensor] = {}
        self._orders: dict[bool, Order] = {}

    def _take(self, other: Trees) -> None:
        vars(self).update(vars(other))

    def __len__(self) -> int:
        return len(self.sizes)

    def __repr__(self) -> str:
        return f"Trees of {self.nodes} nodes in {len(self)}"

    def __getstate__(self) -> dict[str, object]:
        return {"child": self.child, "parent": self.parent, "sizes": self.sizes}

    def __setstate__(self, state: dict[str, Tensor]) -> None:
        self._set(state["child"], state["parent"], state["sizes"])  # type: ignore[arg-type]

    @property
    def offsets(self) -> Tensor:
        """The number of the first node of each tree, (trees) int64."""
        return torch.tensor([0, *accumulate(self.sizes)][: len(self)], dtype=torch.int64)

    @property
    def nodes(self) -> int:
        """The number of nodes of all trees."""
        return len(self.tree_of)

    @property
    def height(self) -> Tensor:
        """(nodes): how many edges the longest way down from each node has; 0 for a leaf."""
        return self._rank(downwards=False)

    @property
    def depth(self) -> Tensor:
        """(nodes): how many edges the longest way up from each node has; 0 for a root."""
        return self._rank(downwards=True)

    def _rank(self, *, downwards: bool) -> Tensor:
        if downwards not in self._ranks:
            first, then = (self.parent, self.child) if downwards else (self.child, self.parent)
            self._ranks[downwards] = _ranks(self.nodes, first, then)
        return self._ranks[downwards]

    def order(self, downwards: bool) -> Order:
        """The order in which a scan runs the nodes.

        downwards: whether it runs from the roots to the leaves, and not from the leaves to the roots.
        """
        if is_compiled():
            known = self._ranks.get(downwards)
            nodes, place, edges, *levels = torch.ops.carousel.order(
                self.child, self.parent, self.tree_of, known, downwards
            )
            return Order(nodes, place, edges, Levels(*levels))
        if downwards not in self._orders:
            rank = self._rank(downwards=downwards)
            nodes, place, edges, *levels = _order(self.child, self.parent, self.tree_of, rank, downwards)
            self._orders[downwards] = Order(nodes, place, edges, Levels(*levels))
        return self._orders[downwards]


def _order(child: Tensor, parent: Tensor, tree_of: Tensor, rank: Tensor, downwards: bool) -> list[Tensor]:
    """The fields of `Order` and of its levels. rank: see `_ranks`."""
    count = len(rank)
    order = rank.argsort(stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(count)
    source, reader = (parent, child) if downwards else (child, parent)
    reader = place[reader]
    by_reader = reader.argsort(stable=True)
    first = torch.zeros(count + 1, dtype=torch.int64)
    torch.cumsum(torch.bincount(reader, minlength=count), 0, out=first[1:])
    return [order, place, by_reader, torch.bincount(rank), place[source][by_reader], first, tree_of[order]]


@torch.library.custom_op("carousel::order", mutates_args=())
def _order_for_compilers(
    child: Tensor, parent: Tensor, tree_of: Tensor, rank: Tensor | None, downwards: bool
) -> list[Tensor]:
    """As `_order`, with shapes that do not depend on values: zeros follow the sizes of levels."""
    nodes = len(tree_of)
    if rank is None:
        rank = _ranks(nodes, *((parent, child) if downwards else (child, parent)))
    order, place, edges, counts, *rest = _order(child, parent, tree_of, rank, downwards)
    return [order, place, edges, torch.cat((counts, counts.new_zeros(nodes - len(counts)))), *rest]


@_order_for_compilers.register_fake
def _(child: Tensor, parent: Tensor, tree_of: Tensor, rank: Tensor | None, downwards: bool) -> list[Tensor]:
    del parent, rank, downwards
    nodes, edges = tree_of.shape[0], child.shape[0]
    return [child.new_empty(count) for count in (nodes, nodes, edges, nodes, edges, nodes + 1, nodes)]


def _whole_numbers(what: str, given: object) -> Tensor:
    found = torch.as_tensor(given)
    if found.numel() == 0:
        return found.to(torch.int64)
    if found.is_floating_point() or found.dtype == torch.bool or found.is_complex():
        raise TypeError(f"making trees: {what} must be whole numbers, but they are {found.dtype}")
    return found.to("cpu", torch.int64)


def _ranks(nodes: int, first: Tensor, then: Tensor) -> Tensor:
    """How many edges the longest way to each node has. Raises DataError for a cycle.

    Plain Python, once a tree and linear in it: a chain of 100,000 nodes has as many levels, and needs no recursion.
    """
    by_first = first.argsort(stable=True)
    ends = torch.bincount(first, minlength=nodes).cumsum(0).tolist()
    following, waits = then[by_first].tolist(), torch.bincount(then, minlength=nodes).tolist()
    ready = [node for node, count in enumerate(waits) if not count]
    rank = [0] * nodes
    for node in ready:  # which grows meanwhile
        for edge in range(ends[node - 1] if node else 0, ends[node]):
            after = following[edge]
            rank[after] = max(rank[after], rank[node] + 1)
            waits[after] -= 1
            if not waits[after]:
                ready.append(after)
    if len(ready) < nodes:
        raise DataError(
            f"making trees: there is a cycle through node {_on_a_cycle(waits, first.tolist(), then.tolist())}; going "
            "from child to parent must end at a root"
        )
    return torch.tensor(rank, dtype=torch.int64)


def _on_a_cycle(waits: list[int], first: list[int], then: list[int]) -> int:
    """A node that is on a cycle, and not merely above one."""
    before = {after: node for node, after in zip(first, then, strict=True) if waits[node]}
    node = next(n for n, count in enumerate(waits) if count)
    for _ in range(len(waits)):
        node = before[node]
    return node
