"""The trees of a run as arrays, and batches of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from torch import Tensor

from carousel.errors import RunError, option
from carousel.files import read, write_atomically
from carousel.layers.trees import Trees
from carousel.tasks.trees.treebank import LabelledTree
from carousel.tasks.trees.words import Words

BATCH_NODES = 4096  # in a batch that is only read, unless one tree has more

LEARNT, VALIDATED, TESTED = 0, 1, 2  # the part that a tree belongs to


@dataclass(frozen=True)
class Batch:
    """Some trees. words: (rows) int64, those of the nodes `at`, (rows). labels: (nodes) int64, -1 for none."""

    trees: Trees
    at: Tensor
    words: Tensor
    labels: Tensor

    @property
    def network_input(self) -> tuple[Tensor, Trees, Tensor]:
        """What a `TreeModel` is called with."""
        return self.words, self.trees, self.at


class StoredTrees:
    """N trees of M nodes in all. sizes: how many nodes each has, (N). Of each node, (M) int64: parents, the number of
    its parent in its tree, -1 for the root; words, -1 for none; labels, the number of its class, -1 for none.

    A tree's `Trees` is made when it is first read, and kept: epochs after the first only put them together.
    """

    FILE = "trees.safetensors"
    WHAT = "the trees that this run learns from"

    def __init__(self, sizes: np.ndarray, parents: np.ndarray, words: np.ndarray, labels: np.ndarray) -> None:
        self.sizes, self.parents, self.words, self.labels = sizes, parents, words, labels
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._made: dict[int, Trees] = {}

    @classmethod
    def of(cls, trees: Sequence[LabelledTree], words: Words, labels: Sequence[np.ndarray]) -> StoredTrees:
        """labels: the numbers of the classes of each tree's nodes."""
        stored = cls(
            np.array([tree.shape.nodes for tree in trees], np.int64),
            np.concatenate([_parents(tree.shape) for tree in trees]),
            np.concatenate([words.numbers(tree.words) for tree in trees]),
            np.concatenate(list(labels)),
        )
        stored._made = {number: tree.shape for number, tree in enumerate(trees)}
        return stored

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def roots(self) -> np.ndarray:
        """The numbers of the roots among all nodes, (N)."""
        return np.flatnonzero(self.parents < 0)

    def nodes_of(self, numbers: np.ndarray) -> np.ndarray:
        """The numbers of the nodes of these trees among all nodes, tree after tree."""
        spans = [np.arange(self._starts[number], self._starts[number + 1]) for number in numbers]
        return np.concatenate([np.empty(0, np.int64), *spans])

    def batch(self, numbers: np.ndarray, device: torch.device | str = "cpu") -> Batch:
        """The trees with these numbers, in this order."""
        nodes = self.nodes_of(numbers)
        words = torch.from_numpy(self.words[nodes])
        at = (words >= 0).nonzero().squeeze(1)
        labels = torch.from_numpy(self.labels[nodes])
        return Batch(
            Trees.batch([self._tree(int(number)) for number in numbers]), at, words[at].to(device), labels.to(device)
        )

    def batches(self, numbers: np.ndarray) -> Iterator[np.ndarray]:
        """These numbers in batches for reading, in their order."""
        start = 0
        while start < len(numbers):
            stop, nodes = start + 1, int(self.sizes[numbers[start]])
            while stop < len(numbers) and (nodes := nodes + int(self.sizes[numbers[stop]])) <= BATCH_NODES:
                stop += 1
            yield numbers[start:stop]
            start = stop

    def _tree(self, number: int) -> Trees:
        if number not in self._made:
            self._made[number] = Trees(
                torch.from_numpy(self.parents[self._starts[number] : self._starts[number + 1]].copy())
            )
        return self._made[number]

    # -- in a run folder, until training has ended ------------------------------------------------------------------

    def save(self, folder: Path, **of_trees: np.ndarray) -> None:
        """of_trees: what else is known of each tree, by name, (N) int64 each. Raises RunError where the folder cannot
        be written to."""
        arrays = {"sizes": self.sizes, "parents": self.parents, "words": self.words, "labels": self.labels}
        try:
            write_atomically(folder / self.FILE, safetensors.numpy.save(arrays | of_trees))
        except Exception as problem:
            raise RunError(
                f"{folder / self.FILE} could not be written: {problem}. Choose another {option('out')}."
            ) from None

    @classmethod
    def load(cls, folder: Path, names: Sequence[str]) -> tuple[StoredTrees, dict[str, np.ndarray]]:
        """The trees, and what was saved under these names. Raises RunError where they are not whole."""
        try:
            arrays = safetensors.numpy.load(read(folder / cls.FILE))
            of_trees = {name: arrays.pop(name) for name in names}
            stored = cls(**arrays)
            stored._require_whole(of_trees.values())
            return stored, of_trees
        except Exception as problem:
            raise RunError(
                f"{folder / cls.FILE} should hold {cls.WHAT}, and cannot be read "
                f"({str(problem).splitlines()[0][:100]}). The run cannot go on without it: train again."
            ) from None

    def _require_whole(self, of_trees: Iterable[np.ndarray]) -> None:
        """Raises ValueError unless the arrays describe trees, each with one root. A cycle is found in `batch`."""
        arrays = (self.sizes, self.parents, self.words, self.labels, *of_trees)
        whole = all(array.dtype == np.int64 and array.ndim == 1 for array in arrays)
        whole = whole and bool((self.sizes > 0).all()) and all(len(array) == len(self) for array in of_trees)
        whole = whole and all(len(array) == self.sizes.sum() for array in (self.parents, self.words, self.labels))
        if whole:
            owner = np.repeat(np.arange(len(self)), self.sizes)
            whole = bool((self.parents < self.sizes[owner]).all() and (self.parents >= -1).all())
            whole = whole and bool((np.bincount(owner[self.parents < 0], minlength=len(self)) == 1).all())
        if not whole:
            raise ValueError("it holds no trees")


def _parents(shape: Trees) -> np.ndarray:
    parents = np.full(shape.nodes, -1, np.int64)
    parents[shape.child.numpy()] = shape.parent.numpy()
    return parents
