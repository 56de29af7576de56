"""The order in which a scan goes over trees: level by level, every node after those that it goes on from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Levels:
    """Nodes in levels, and which earlier nodes each goes on from. Nodes are counted in the order of the scan.

    counts: how many nodes each level has, none empty; a compiler does not know how many levels there are, so that zeros
    may follow. sources: (E), the nodes that are gone on from, those of one reader together and in their order, readers
    rising. first_edge: (nodes + 1), where the sources of each node begin, and at last E. tree_of: (nodes), the tree
    that each belongs to, which no edge leaves; None where it is not known. All are int64, on the CPU.
    """

    counts: Tensor
    sources: Tensor
    first_edge: Tensor
    tree_of: Tensor | None = None

    @cached_property
    def trees(self) -> int:
        """How many trees there are; 1 where nobody said which node belongs to which."""
        return 1 if self.tree_of is None or not self.nodes else int(self.tree_of.max()) + 1

    @property
    def nodes(self) -> int:
        return self.first_edge.shape[0] - 1  # not by len: that would be a number, where a compiler leaves it open

    @property
    def edges(self) -> int:
        return self.sources.shape[0]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """How many nodes each level has."""
        return tuple(count for count in self.counts.tolist() if count)

    def check(self) -> None:
        """Raises ValueError for an order that no scan can follow: engines write where it says."""
        counts, first, sources = self.counts, self.first_edge, self.sources
        of = (counts, sources, first) if self.tree_of is None else (counts, sources, first, self.tree_of)
        if any(t.dtype != torch.int64 or t.device.type != "cpu" or t.dim() != 1 for t in of) or not len(first):
            raise ValueError("a scan over trees takes its order as int64 on the CPU, of one axis each")
        begins = (counts.cumsum(0) - counts).repeat_interleave(counts)  # of each node, the first of its level
        fits = len(begins) == self.nodes and not (self.tree_of is not None and len(self.tree_of) != self.nodes)
        rises = bool((first.diff() >= 0).all()) and first[0] == 0 and first[-1] == len(sources)
        if not (fits and rises and bool(((sources >= 0) & (sources < begins[self.readers])).all())):
            raise ValueError(
                "a scan over trees takes nodes level by level, each after those that it goes on from, but the order "
                f"that it was given is none: {len(begins)} nodes in levels, {self.nodes} nodes, {len(sources)} edges"
            )

    @cached_property
    def most_sources(self) -> int:
        """The largest number of nodes that one goes on from."""
        return int(self.first_edge.diff().max()) if self.nodes else 0

    def slots(self, count: int) -> np.ndarray:
        """The sources of each node, (nodes, count); -1 where it has fewer."""
        sources, first = self.sources.numpy(), self.first_edge.numpy()
        readers = np.repeat(np.arange(self.nodes), np.diff(first))
        found = np.full((self.nodes, count), -1, dtype=np.int64)
        found[readers, np.arange(len(sources)) - first[readers]] = sources
        return found

    @cached_property
    def readers(self) -> Tensor:
        """(E): the node that each edge leads to."""
        return torch.repeat_interleave(torch.arange(self.nodes), self.first_edge.diff())

    @cached_property
    def _pieces(self) -> dict[tuple[int, int | None], Tensor]:
        return {}

    def pieces(self, rows: int, edges: int | None) -> Tensor:
        """The levels cut into pieces of at most so many rows, and edges if that is given; one row may have more."""
        if (rows, edges) not in self._pieces:
            self._pieces[rows, edges] = torch.tensor(list(self._cut(rows, edges)), dtype=torch.int64)
        return self._pieces[rows, edges]

    def _cut(self, rows: int, edges: int | None) -> Iterator[int]:
        first, start = self.first_edge.numpy(), 0
        for end in accumulate(self.sizes):
            while start < end:
                stop = min(start + rows, end)
                if edges is not None:
                    most = int(np.searchsorted(first, first[start] + edges, side="right")) - 1
                    stop = max(start + 1, min(stop, most))
                yield stop - start
                start = stop

    @cached_property
    def _parts(self) -> dict[int, list[Part]]:
        return {}

    def parts(self, count: int) -> list[Part]:
        """The trees in at most so many parts, none empty, which have as nearly as possible the same number of nodes."""
        if count not in self._parts:
            assert self.tree_of is not None
            ends = torch.bincount(self.tree_of).cumsum(0)
            # A tree belongs to the part in which its middle lies.
            middle = 2 * ends - torch.bincount(self.tree_of)
            part_of = (middle * count // (2 * self.nodes))[self.tree_of]
            self._parts[count] = [self._part((part_of == k).nonzero().squeeze(1)) for k in part_of.unique().tolist()]
        return self._parts[count]

    def _part(self, nodes: Tensor) -> Part:
        place = torch.full((self.nodes,), -1)
        place[nodes] = torch.arange(len(nodes))
        edges = (place[self.readers] >= 0).nonzero().squeeze(1)
        first = torch.zeros(len(nodes) + 1, dtype=torch.int64)
        torch.cumsum(self.first_edge.diff()[nodes], 0, out=first[1:])
        level_of = torch.repeat_interleave(torch.arange(len(self.sizes)), torch.tensor(self.sizes))
        return Part(nodes, edges, Levels(torch.bincount(level_of[nodes]), place[self.sources[edges]], first))

    @cached_property
    def _frontiers(self) -> dict[tuple[int | None, torch.device], list[Visit]]:
        return {}

    def visits(self, slots: int | None, device: torch.device) -> list[Visit]:
        """What a scan that holds no more than it still needs does at each level; see `Visit`."""
        if (slots, device) not in self._frontiers:
            self._frontiers[slots, device] = list(self._visits(slots, device))
        return self._frontiers[slots, device]

    def _visits(self, slots: int | None, device: torch.device) -> Iterator[Visit]:
        sources, first = self.sources.numpy(), self.first_edge.numpy()
        readers = np.repeat(np.arange(self.nodes), np.diff(first))
        ends = np.fromiter(accumulate(self.sizes), np.int64, len(self.sizes))
        level_of = np.repeat(np.arange(len(self.sizes)), self.sizes)
        last_read = np.full(self.nodes, -1, dtype=np.int64)
        np.maximum.at(last_read, sources, level_of[readers])
        placed = None if slots is None else self.slots(slots)
        held = np.empty(0, dtype=np.int64)
        for level, (end, size) in enumerate(zip(ends, self.sizes, strict=True)):
            start = end - size
            wanted = sources[first[start] : first[end]] if placed is None else placed[start:end].ravel()
            # Row 0 is the initial state; then come the nodes held, in order.
            reads = np.where(wanted < 0, 0, np.searchsorted(held, wanted) + 1)
            of = readers[first[start] : first[end]] - start
            stays, new = last_read[held] > level, last_read[start:end] > level
            keeps, gives = stays.nonzero()[0] + 1, new.nonzero()[0]
            held = np.concatenate((held[stays], start + gives))
            yield Visit(size, *(torch.from_numpy(a).to(device) for a in (reads, of, keeps, gives)))


@dataclass(frozen=True, eq=False)
class Part:
    """Some of the trees: their nodes and edges among those of all, rising, and their levels."""

    nodes: Tensor
    edges: Tensor
    levels: Levels


@dataclass(frozen=True, eq=False)
class Visit:
    """One level: how many nodes it has; the rows read, of the initial state and the nodes that are held; whose row each
    of these is (of a cell with any number of children); which rows stay held after it; which of its own nodes are
    held from then on."""

    size: int
    reads: Tensor
    of: Tensor
    keeps: Tensor
    gives: Tensor
