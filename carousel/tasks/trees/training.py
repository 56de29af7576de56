"""The training of a classifier of trees: its networks, batches and losses, from the trees that a run folder holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from carousel.insight.confusion import draw_confusion
from carousel.models.tree_model import TreeEnsemble, mean_loss
from carousel.tasks.trees import baselines
from carousel.tasks.trees.batches import NodeBatches
from carousel.tasks.trees.preparation import Prepared
from carousel.tasks.trees.scores import TreeEvaluation, judged
from carousel.tasks.trees.settings import Settings
from carousel.tasks.trees.stored import LEARNT, TESTED, VALIDATED, StoredTrees
from carousel.tasks.trees.trained import TrainedTrees
from carousel.tasks.verdict import longer
from carousel.training.measure import Measure
from carousel.training.run_folder import RunFolder
from carousel.training.task_run import Judgement, TaskRun

NAMES = ("part", baselines.BAYES, baselines.MERGED)  # what is stored of each tree


class TreesRun(TaskRun):
    """A training of a classifier on the trees in a run folder. check: whether the file is as it was written."""

    measure = validation_measure = Measure("node")
    reads = "training trees"
    samples = "on the trees held out"
    unneeded = (StoredTrees.FILE,)  # the data are the user's: a finished run needs no copy of them

    network: TreeEnsemble

    def __init__(self, folder: RunFolder, *, check: bool) -> None:
        config = folder.config()
        with folder.reading_config():
            self.settings = settings = Settings(**config["settings"])
            torch.manual_seed(settings.seed)
            device = str(settings.torch_device)
            self.trained = trained = TrainedTrees.described_by(folder, config, trained=False, device=device)
        if check:
            folder.data(StoredTrees.FILE, StoredTrees.WHAT)
        self.stored, self.of_trees = _stored(folder, trained)
        self.network = trained.network.train()
        self.network.set_dropout(settings.dropout)
        self.recurrent = self.network.members[0].recurrent
        self.learnt, self.validated, self.tested = (
            np.flatnonzero(self.of_trees["part"] == part) for part in (LEARNT, VALIDATED, TESTED)
        )
        self.batches = NodeBatches(self.stored.sizes[self.learnt], settings.batch, self._loss, seed=settings.seed)
        self.baseline = ("label frequencies", self._entropy())
        self.latest: TreeEvaluation | None = None

    def _loss(self, model: nn.Module, indices: torch.Tensor) -> torch.Tensor:
        batch = self.stored.batch(self.learnt[indices.numpy()], self.settings.torch_device)
        assert isinstance(model, TreeEnsemble)
        return mean_loss(model, *batch.network_input, batch.labels)

    def validate(self) -> float:
        """The mean of -ln P(true label), in nats, at all nodes that have one."""
        self.latest, _ = self._judge(self.validated)
        return self.latest.nats

    def sample(self, step: int) -> str:  # noqa: ARG002
        assert self.latest is not None
        return self.latest.words()

    def dropout_for(self, epochs: float) -> None:
        """None: the dropout does not depend on the length of the training, and the preparation reported it."""

    def judge(self) -> Judgement:
        """Judges the networks beside naive Bayes and the commonest label, on the trees held out, and on those to test
        on where there are any."""
        record: dict[str, Any] = {"final": self.validate()}
        lines, advice = [], f"{longer(self.settings)}, or give more trees"
        for numbers, what in ((self.validated, "held out"), (self.tested, "to test on")):
            if not len(numbers):
                continue
            result, right = self._judge(numbers)
            truth = self.stored.labels[self.stored.roots][numbers]
            by_bayes = self.of_trees[baselines.BAYES][numbers] == truth
            merged_bayes = self._merged_bayes(numbers, truth)
            figures = result.record() | {"naive_bayes": float(by_bayes.mean())}
            if merged_bayes is not None:
                figures["naive_bayes_merged"] = merged_bayes
            record |= figures if what == "held out" else {"test": figures}
            lines.append(
                f"best model: {result.words()} on {result.count:,} trees {what}; always the commonest label: "
                f"{result.roots.baseline:.1%}"
            )
            lines += baselines.said(result, right, by_bayes, merged_bayes, advice=advice)
        return Judgement(record, tuple(lines))

    def draw(self, folder: RunFolder) -> None:
        """Draws the learning curve and the confusion matrix."""
        super().draw(folder)
        assert self.latest is not None
        result = self.latest.roots
        title = f"{folder.path.name}: roots of trees held out, accuracy {result.accuracy:.1%}"
        draw_confusion(folder.path / "confusion.png", result.confusion, result.classes, title=title)

    def _entropy(self) -> float:
        """The loss of a model that knows only how frequent each label is: mean -ln(n_c / n) over the nodes held out. A
        label that is never learnt counts as one met half a time."""
        learnt, held = (self.stored.labels[self.stored.nodes_of(part)] for part in (self.learnt, self.validated))
        counts = np.bincount(learnt[learnt >= 0], minlength=len(self.trained.classes))
        return float(-np.log(np.maximum(counts, 0.5)[held[held >= 0]] / counts.sum()).mean())

    def _judge(self, numbers: np.ndarray) -> tuple[TreeEvaluation, np.ndarray]:
        """The scores on these trees, and which of their roots are right. It leaves the network's mode as it is."""
        was_training = self.network.training
        self.network.eval()
        logs = self.trained.of_stored(self.stored, numbers)
        self.network.train(was_training)
        nodes = self.stored.nodes_of(numbers)
        roots = np.flatnonzero(self.stored.parents[nodes] < 0)
        truth = self.stored.labels[nodes]
        trained = self.trained
        result = judged(
            logs, truth, roots, trained.classes, trained.counts, trained.merging, nodes=trained.labels == "nodes"
        )
        return result, logs[roots].argmax(1) == truth[roots]

    def _merged_bayes(self, numbers: np.ndarray, truth: np.ndarray) -> float | None:
        merging = self.trained.merging
        if merging is None:
            return None
        groups, answers = merging.group_of(self.trained.classes)[truth], self.of_trees[baselines.MERGED][numbers]
        kept = groups >= 0
        return float((groups == answers)[kept].mean()) if kept.any() else None


def open_run(folder: RunFolder, prepared: Prepared | None = None) -> TreesRun:
    """See `carousel.training.task_run.OpenRun`."""
    return TreesRun(folder, check=prepared is None)


def _stored(folder: RunFolder, trained: TrainedTrees) -> tuple[StoredTrees, dict[str, np.ndarray]]:
    """The trees of the run, and what is known of each. Raises RunError where they do not fit this run's networks and
    classes."""
    stored, of_trees = StoredTrees.load(folder.path, NAMES)
    words, labels, part = stored.words, stored.labels, of_trees["part"]
    fits = bool((words >= -1).all() and (words < trained.words.size).all())
    fits = fits and bool((labels >= -1).all() and (labels < len(trained.classes)).all())
    fits = fits and bool((labels[stored.roots] >= 0).all() and np.isin(part, (LEARNT, VALIDATED, TESTED)).all())
    if not (fits and (part == LEARNT).any() and (part == VALIDATED).any()):
        raise folder.lost_data(StoredTrees.FILE, StoredTrees.WHAT, "holds others")
    return stored, of_trees
