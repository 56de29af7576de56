"""A trained classifier of trees: networks, words and the names of the classes, as a run holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from carousel.errors import DataError
from carousel.models.tree_model import TreeEnsemble, TreeModel
from carousel.program import Program
from carousel.tasks.trees.merging import Merging
from carousel.tasks.trees.scores import TreeEvaluation, judged
from carousel.tasks.trees.stored import StoredTrees
from carousel.tasks.trees.treebank import Label, LabelledTree, require_children
from carousel.tasks.trees.words import Words
from carousel.training.building import build, naming_cell, require_counts
from carousel.training.run_folder import RunFolder


@dataclass
class TrainedTrees:
    """Answers for trees. labels: which were learnt, "nodes" or "root". counts: how many roots of training were of each
    class. merging: labels that a second score merges, if any."""

    network: TreeEnsemble
    words: Words
    classes: tuple[Label, ...]
    counts: tuple[int, ...]
    labels: str
    merging: Merging | None

    @classmethod
    def described_by(cls, folder: RunFolder, config: dict[str, Any], *, trained: bool, device: str) -> TrainedTrees:
        """As a run's config.json describes it; `trained`: with the best weights of the run so far."""
        with folder.reading_config():
            model, members = folder.model(config), config["members"]
            require_counts(layers=model["layers"], networks=members)
            words, labels = Words.from_json(config["words"]), config["labels"]
            classes, counts = tuple(config["classes"]), tuple(config["counts"])
            _require_classes(classes, counts, labels)
            merge = config["settings"]["merge"]
            merging = None if merge is None else Merging.of(merge)
        network = build(folder, lambda: ensemble(words.size, len(classes), model, members), trained=trained)
        return cls(network.to(device).eval(), words, classes, counts, labels, merging)

    @classmethod
    def of(cls, folder: RunFolder, device: str = "cpu") -> TrainedTrees:
        """The best model of a run so far. Raises RunError where the folder is damaged."""
        return cls.described_by(folder, folder.config(), trained=True, device=device)

    @property
    def commonest(self) -> int:
        """The number of the class of most roots of training."""
        return int(np.argmax(self.counts))

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def log_probabilities(self, trees: Sequence[LabelledTree]) -> list[np.ndarray]:
        """ln P of each class at each node of each tree, (nodes, classes) float64.

        Raises DataError for a node with more children than the cell continues."""
        require_children(trees, most_children(self.network), str(self.network.members[0].recurrent.cell))
        if not trees:
            return []
        none = [np.full(tree.shape.nodes, -1, np.int64) for tree in trees]
        stored = StoredTrees.of(trees, self.words, none)
        logs = self.of_stored(stored, np.arange(len(stored)))
        return np.split(logs, np.cumsum(stored.sizes)[:-1])

    @torch.inference_mode()
    def of_stored(self, stored: StoredTrees, numbers: np.ndarray) -> np.ndarray:
        """ln P of each class at each node of these trees, tree after tree, (nodes, classes) float64."""
        logs = [
            self.network(*stored.batch(some, self.device).network_input).double().cpu().numpy()
            for some in stored.batches(numbers)
        ]
        return np.concatenate([np.empty((0, len(self.classes))), *logs])

    def numbers_of(self, tree: LabelledTree, classes: Sequence[Label]) -> np.ndarray:
        """The number of the class of each node whose label was learnt, -1 for others, (nodes) int64."""
        numbers = {str(label): number for number, label in enumerate(classes)}
        learnt = tree.labels if self.labels == "nodes" else _only_root(tree)
        return np.array([-1 if label is None else numbers[str(label)] for label in learnt], np.int64)

    def evaluate(self, trees: Sequence[LabelledTree]) -> TreeEvaluation:
        """How good the answers are. Raises DataError for a tree whose root has no label."""
        for tree in trees:
            if tree.label is None:
                raise DataError(f"evaluating needs labels, and the root of the tree at {tree.where} has none")
        known = {str(label) for label in self.classes}
        learnt = [tree.labels if self.labels == "nodes" else (tree.label,) for tree in trees]
        strange = {str(label): label for of_tree in learnt for label in of_tree if label is not None}
        classes = (*self.classes, *(label for name, label in sorted(strange.items()) if name not in known))
        sizes = [tree.shape.nodes for tree in trees]
        roots = np.array([tree.root for tree in trees]) + np.concatenate([[0], np.cumsum(sizes)[:-1]])
        return judged(
            np.concatenate(self.log_probabilities(trees)),
            np.concatenate([self.numbers_of(tree, classes) for tree in trees]),
            roots.astype(np.int64),
            classes,
            self.counts,
            self.merging,
            nodes=self.labels == "nodes",
        )


def _only_root(tree: LabelledTree) -> list[Label | None]:
    return [label if node == tree.root else None for node, label in enumerate(tree.labels)]


def ensemble(words: int, classes: int, model: dict[str, Any], members: int) -> TreeEnsemble:
    """The networks of a run, freshly drawn. Raises DataError for a cell that cannot be theirs."""
    with naming_cell(model["cell"], "classifier of trees"):
        return TreeEnsemble([TreeModel(words, classes, **model) for _ in range(members)])


def most_children(network: TreeEnsemble) -> int | None:
    """How many children a node may have; None for any number."""
    program = network.members[0].recurrent.program
    assert isinstance(program, Program)
    return None if program.children == "any" else program.children or 1  # type: ignore[return-value]


def _require_classes(classes: tuple[Any, ...], counts: tuple[Any, ...], labels: Any) -> None:
    """Raises ValueError for what are no classes, each once, and how many roots were of each."""
    if labels not in ("nodes", "root"):
        raise ValueError("labels is nodes or root")
    if not all(isinstance(label, str | int) for label in classes) or len(set(map(str, classes))) < len(classes):
        raise ValueError("classes are texts or whole numbers, each once")
    if len(counts) != len(classes) or not all(isinstance(count, int) and count >= 0 for count in counts):
        raise ValueError("of each class there is a count of trees")
    if not classes:
        raise ValueError("a run has classes")
