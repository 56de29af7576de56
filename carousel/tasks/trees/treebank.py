"""Trees as they were read: shape, words and labels of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from carousel.errors import DataError, option
from carousel.layers.trees import Trees

Label = str | int


@dataclass(frozen=True)
class LabelledTree:
    """One tree. labels, words: of each node, None where it has none. where: where it stands, "train.txt, line 3"."""

    shape: Trees
    labels: tuple[Label | None, ...]
    words: tuple[str | None, ...]
    where: str

    @cached_property
    def root(self) -> int:
        """The number of its root."""
        return int(self.shape.roots[0])

    @property
    def label(self) -> Label | None:
        """That of its root."""
        return self.labels[self.root]

    @property
    def most_children(self) -> int:
        """The largest number of children that a node has."""
        return self.shape.order(False).levels.most_sources

    def spans(self) -> list[str]:
        """The words at and under each node, in the order of their numbers, with spaces between them."""
        parents, under = [-1] * self.shape.nodes, list[list[int]]()
        for child, parent in zip(self.shape.child.tolist(), self.shape.parent.tolist(), strict=True):
            parents[child] = parent
        under = [[node] if word is not None else [] for node, word in enumerate(self.words)]
        for node in self.shape.height.argsort(stable=True).tolist():  # children before their parents
            if parents[node] >= 0:
                under[parents[node]] += under[node]
        return [" ".join(str(self.words[node]) for node in sorted(nodes)) for nodes in under]


@dataclass(frozen=True)
class Treebank(Sequence[LabelledTree]):
    """Trees in their order. said: what was decided about the files that they come from."""

    trees: tuple[LabelledTree, ...]
    said: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.trees)

    def __getitem__(self, number):  # type: ignore[no-untyped-def]
        return self.trees[number]

    def __iter__(self) -> Iterator[LabelledTree]:
        return iter(self.trees)


def learnt_labels(trees: Sequence[LabelledTree], given: str | None) -> str:
    """Which labels are learnt: "nodes", those of all nodes, or "root", those of the roots.

    given: what the user chose; None for what the trees have. Raises DataError where labels are missing, and names the
    tree."""
    if given is None:
        inner = any(label is not None for tree in trees for node, label in enumerate(tree.labels) if node != tree.root)
        given = "nodes" if inner or all(tree.shape.nodes == 1 for tree in trees) else "root"
        instead = f"Or learn the labels of the roots alone: {option('labels', 'root')}." if inner else ""
    else:
        instead = ""
    for tree in trees:
        if tree.label is None:
            raise DataError(
                f"reading labels: the root of the tree at {tree.where} has none; a labelled tree is "
                f"(label (...) (...)) or (label word)"
            )
        if given == "nodes" and None in tree.labels:
            node = tree.labels.index(None)
            raise DataError(
                f"reading labels: in the tree at {tree.where} the node {tree.spans()[node]!r:.60} has none, and others "
                f"have; label every node, or only the roots. {instead}".rstrip()
            )
    return given


def classes_of(trees: Sequence[LabelledTree], labels: str) -> tuple[Label, ...]:
    """Each label that is learnt once, numbers in order and texts by alphabet. labels: "nodes" or "root"."""
    if labels == "root":
        each = {tree.label for tree in trees}
    else:
        each = {label for tree in trees for label in tree.labels}
    there = [label for label in each if label is not None]
    return tuple(sorted(there, key=lambda label: (isinstance(label, str), label)))


def require_children(trees: Sequence[LabelledTree], most: int | None, cell: str) -> None:
    """Raises DataError for a node that has more children than the cell continues. most: None for any number."""
    for tree in trees if most is not None else ():
        if tree.most_children > most:  # type: ignore[operator]
            raise DataError(
                f"reading trees: the tree at {tree.where} has a node with {tree.most_children} children, and the cell "
                f"{cell} continues {most}; train with {option('cell', 'child-sum-tree-lstm')}, which continues any "
                f"number"
            )
