"""How good the answers of a classifier of trees are: at the roots, at all nodes, and with labels merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from carousel.tasks.sequences.metrics import Evaluation, evaluate
from carousel.tasks.trees.merging import Merging
from carousel.tasks.trees.treebank import Label


@dataclass(frozen=True)
class TreeEvaluation:
    """Answers compared with true labels.

    roots: of the trees, by their roots. nats: the mean of -ln P(true label) at all labelled nodes; infinite where the
    model does not know a label. nodes: the share of these nodes that is right, and how many there are; None where the
    model learnt the labels of roots alone. merged: of the roots, with labels merged, if any are.
    """

    roots: Evaluation
    nats: float
    nodes: tuple[float, int] | None = None
    merged: Evaluation | None = None

    @property
    def accuracy(self) -> float:
        """The share of trees whose root is right."""
        return self.roots.accuracy

    @property
    def count(self) -> int:
        """How many trees there are."""
        return self.roots.count

    def words(self) -> str:
        """The accuracies in one line."""
        parts = [f"roots {self.roots.accuracy:.1%}"]
        if self.merged is not None:
            parts.append(f"merged ({' or '.join(map(str, self.merged.classes))}) {self.merged.accuracy:.1%}")
        if self.nodes is not None:
            parts.append(f"all nodes {self.nodes[0]:.1%}")
        return "accuracy: " + ", ".join(parts)

    def record(self) -> dict[str, Any]:
        """The figures for the log of a run."""
        record: dict[str, Any] = {"accuracy": self.roots.accuracy, "macro_f1": self.roots.macro_f1}
        record["majority"] = self.roots.baseline
        record |= {"trees": self.count, "nats": self.nats}
        if self.nodes is not None:
            record["nodes_accuracy"] = self.nodes[0]
        if self.merged is not None:
            record["merged_accuracy"], record["merged_trees"] = self.merged.accuracy, self.merged.count
            record["majority_merged"] = self.merged.baseline
        return record


def judged(
    logs: np.ndarray,
    truth: np.ndarray,
    roots: np.ndarray,
    classes: Sequence[Label],
    counts: Sequence[int],
    merging: Merging | None,
    *,
    nodes: bool,
) -> TreeEvaluation:
    """The scores of the answers at N nodes.

    logs: ln P of the K classes that the model knows, (N, K). truth: the number of each node's class, -1 for none, (N).
    roots: the numbers of the nodes that are roots, with labels all. classes: those that the model knows, then others.
    counts: how many roots of training were of each class. nodes: whether labels of all nodes were learnt.
    """
    labelled = np.flatnonzero(truth >= 0)
    of_nodes = evaluate(truth[labelled], logs[labelled], classes, int(np.argmax(counts)))
    return TreeEvaluation(
        evaluate(truth[roots], logs[roots], classes, int(np.argmax(counts))),
        of_nodes.nats,
        (of_nodes.accuracy, of_nodes.count) if nodes else None,
        None if merging is None else merged(logs[roots], truth[roots], classes, counts, merging),
    )


def merged(
    logs: np.ndarray, truth: np.ndarray, classes: Sequence[Label], counts: Sequence[int], merging: Merging
) -> Evaluation | None:
    """The scores of the trees whose labels are in a group; None where there is no such tree."""
    group = merging.group_of(classes)
    kept = np.flatnonzero(group[truth] >= 0)
    if not len(kept):
        return None
    commonest = np.bincount(
        group[: len(counts)][group[: len(counts)] >= 0], np.array(counts)[group[: len(counts)] >= 0]
    )
    answers = merging.log_probabilities(logs[kept], classes)
    return evaluate(group[truth[kept]], answers, merging.names, int(commonest.argmax()))
