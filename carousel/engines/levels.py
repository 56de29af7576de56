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

    sizes: how many nodes each level has, none empty. sources: (E), the nodes that are gone on from, those of one reader
    together and in their order, readers rising; on the CPU, as first_edge is. first_edge: (nodes + 1), where the
    sources of each node begin, and at last E.
    """

    sizes: tuple[int, ...]
    sources: Tensor
    first_edge: Tensor

    @property
    def nodes(self) -> int:
        return len(self.first_edge) - 1

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
class Visit:
    """One level: how many nodes it has; the rows read, of the initial state and the nodes that are held; whose row each
    of these is (of a cell with any number of children); which rows stay held after it; which of its own nodes are
    held from then on."""

    size: int
    reads: Tensor
    of: Tensor
    keeps: Tensor
    gives: Tensor
