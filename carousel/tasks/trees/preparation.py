"""Everything that is decided before a classifier of trees is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from carousel.errors import DataError, option
from carousel.models.tree_model import TreeEnsemble
from carousel.tasks.sequences import splits
from carousel.tasks.table import listed
from carousel.tasks.trees import baselines, trained
from carousel.tasks.trees.merging import Merging
from carousel.tasks.trees.settings import FEWEST_EPOCHS, MOST_EPOCHS, READ, Settings
from carousel.tasks.trees.stored import LEARNT, VALIDATED, StoredTrees
from carousel.tasks.trees.treebank import (
    Label,
    LabelledTree,
    Treebank,
    classes_of,
    learnt_labels,
    require_children,
)
from carousel.tasks.trees.words import Words
from carousel.training.building import parameter_count
from carousel.training.progress import Report
from carousel.training.run_cell import absolute_cell
from carousel.training.threads import choose_threads

PARTS = ("to learn from", "to validate on", "to judge on at the end")


@dataclass(frozen=True)
class Prepared:
    """Everything that is decided before a training (a `Preparation`).

    settings: every choice is made. labels: which are learnt, "nodes" or "root". part: of each tree, (N). model: the
    arguments of each network. sources: the files that the trees were read from, as absolute names. guesses: the answers
    of the baselines, see `baselines.guesses`.
    """

    TASK: ClassVar[str] = "trees"
    DATA: ClassVar[str] = StoredTrees.FILE

    settings: Settings
    labels: str
    classes: tuple[Label, ...]
    words: Words
    stored: StoredTrees
    part: np.ndarray
    sources: tuple[str, ...]
    guesses: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def model(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "cell": settings.cell,
            "hidden": settings.hidden,
            "layers": settings.layers,
            "embedding": settings.embedding,
        }

    @property
    def counts(self) -> list[int]:
        """How many roots that are learnt from are of each class."""
        truth = self.stored.labels[self.stored.roots][self.part == LEARNT]
        return [int(count) for count in np.bincount(truth, minlength=len(self.classes))]

    @property
    def steps_per_epoch(self) -> int:
        return -(-int((self.part == LEARNT).sum()) // self.settings.batch)

    def network(self) -> TreeEnsemble:
        torch.manual_seed(self.settings.seed)
        return trained.ensemble(self.words.size, len(self.classes), self.model, self.settings.networks)

    def write(self, folder: Path) -> dict[str, Any]:
        """Writes the trees of the run."""
        self.stored.save(folder, part=self.part, **self.guesses)
        return {
            "model": self.model,
            "members": self.settings.networks,
            "labels": self.labels,
            "classes": list(self.classes),
            "counts": self.counts,
            "words": self.words.to_json(),
            "sources": list(self.sources),
            "validated": np.flatnonzero(self.part == VALIDATED)[:1].tolist(),
        }


def prepare(parts: Sequence[Treebank], settings: Settings, report: Report, sources: Sequence[Path] = ()) -> Prepared:
    """Decides and reports which labels are learnt, which trees are held out, which words are known, and which network
    learns. Trains and writes nothing.

    parts: the trees to learn from; and, where they are given, those to validate on and those to test on, either of
    which may be empty. Raises DataError where the trees or a setting cannot be used."""
    trees = [tree for part in parts for tree in part]
    for line in dict.fromkeys(line for part in parts for line in part.said):
        report.say(line)
    labels = learnt_labels(trees, settings.labels)
    classes = classes_of(trees, labels)
    _require_several(trees, classes)
    if settings.merge is not None:
        Merging.of(settings.merge).require_known(classes)
    part = _parts(parts, settings)
    settings = _resolved(settings, choose_threads(settings, report.say), trees, int((part == LEARNT).sum()))
    learnt = [tree for tree, which in zip(trees, part, strict=True) if which == LEARNT]
    words = Words.of(
        (word for tree in learnt for word in tree.words if word is not None),
        lowercase=settings.lowercase,
        rare=settings.rare,
    )
    numbers = {label: number for number, label in enumerate(classes)}
    truth = [_numbers(tree, numbers, labels) for tree in trees]
    stored = StoredTrees.of(trees, words, truth)
    guesses = baselines.guesses(trees, part, classes, settings)
    names = tuple(str(path.resolve()) for path in sources)
    prepared = Prepared(settings, labels, classes, words, stored, part, names, guesses)
    network = prepared.network()
    require_children(trees, trained.most_children(network), str(network.members[0].recurrent.cell))
    network.to(settings.torch_device)  # a device that cannot be used raises here
    _announce(prepared, trees, report)
    return prepared


def _numbers(tree: LabelledTree, numbers: dict[Label, int], labels: str) -> np.ndarray:
    found = np.full(tree.shape.nodes, -1, np.int64)
    for node, label in enumerate(tree.labels):
        if label is not None and (labels == "nodes" or node == tree.root):
            found[node] = numbers[label]
    return found


def _require_several(trees: Sequence[LabelledTree], classes: Sequence[Label]) -> None:
    if len(trees) < 2:
        raise DataError(f"training on trees needs two or more, to hold one out; there is {len(trees)}")
    if len(classes) < 2:
        raise DataError(f"training on trees needs two labels or more, and all are {classes[0]!r}")
    roots = {tree.label for tree in trees}
    if len(roots) == len(trees) > 2:
        raise DataError(
            f"training on trees needs labels that trees share, and each of the {len(trees):,} trees has one of its own "
            f"({listed(sorted(map(str, roots)), 4)}); the label of a tree stands first: (label (...) (...))"
        )


def _resolved(settings: Settings, threads: int, trees: Sequence[LabelledTree], learnt: int) -> Settings:
    """The settings with the choices that depend on the machine or the data: a resumed run repeats them. learnt: how
    many of the trees are learnt from."""
    cell, minutes, epochs = settings.cell, settings.minutes, settings.epochs
    if minutes is None and epochs is None:
        epochs = float(min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(READ / learnt))))
    if cell == "auto":
        most = max(tree.most_children for tree in trees)
        cell = "tree-lstm" if most <= 2 else "child-sum-tree-lstm"
    return replace(
        settings,
        cell=absolute_cell(cell),
        minutes=minutes,
        epochs=epochs,
        device=str(settings.torch_device),
        threads=threads,
    )


def _parts(parts: Sequence[Treebank], settings: Settings) -> np.ndarray:
    """The part of each tree. Without trees to validate on, a share of those to learn from, of each label alike."""
    part = np.concatenate([np.full(len(one), which, np.int64) for which, one in enumerate(parts)])
    if not (part == VALIDATED).any():
        roots = [tree.label for tree in parts[0]]
        held = splits.held_out(roots, None, settings.validation_share, settings.seed)
        part[: len(roots)][held] = VALIDATED
    return part


def _announce(prepared: Prepared, trees: Sequence[LabelledTree], report: Report) -> None:
    settings, stored, part = prepared.settings, prepared.stored, prepared.part
    counts = Counter(str(tree.label) for tree in trees)
    few = [f"{label}: {counts[str(label)]:,}" for label in prepared.classes if str(label) in counts]
    nodes, leaves = stored.sizes, int((stored.words >= 0).sum())
    height = max(int(tree.shape.height.max()) for tree in trees)
    report.say(
        f"{len(trees):,} trees of {nodes.min():,} to {nodes.max():,} nodes, {nodes.mean():,.0f} on average; "
        f"{leaves / len(trees):,.0f} words on average, height at most {height:,}"
    )
    report.say(f"labels of trees ({listed(few, 12)})")
    inner = {"nodes": "the labels of all nodes", "root": "the labels of the roots alone"}[prepared.labels]
    report.say(f"learns {inner} ({option('labels')})")
    said = [f"{int((part == which).sum()):,} {what}" for which, what in enumerate(PARTS) if (part == which).any()]
    report.say(f"trees: {', '.join(said)}")
    unknown = float((stored.words[stored.words >= 0] == 0).mean()) if leaves else 0.0
    case = "capital letters make no difference" if settings.lowercase else "capital letters make a difference"
    report.say(f"{prepared.words.size - 1:,} words known, {case}; {unknown:.1%} of all words are unknown")
    several = f"{settings.networks} networks vote; " if settings.networks > 1 else ""
    report.say(
        f"model: {several}{settings.cell}, {settings.layers} x {settings.hidden} units, "
        f"{parameter_count(prepared.network()):,} parameters; dropout {settings.dropout:g}; "
        f"{settings.device}, {settings.threads} threads"
    )
