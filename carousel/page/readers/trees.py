"""The page of a classifier of trees: its answer and its states at every node of one tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from carousel.errors import DataError
from carousel.insight import DepthFlow, figures, gradient_by_depth, node_states
from carousel.insight.figures.trees import MOST_LEAVES, positions
from carousel.page.readers import Drawings, Report, number_of
from carousel.page.readers.typed import Typing
from carousel.page.trees import DepthCurve, TreeMoments
from carousel.tasks.table import listed
from carousel.tasks.trees.reading import from_texts, read_treebank
from carousel.tasks.trees.stored import Batch, StoredTrees
from carousel.tasks.trees.trained import TrainedTrees
from carousel.tasks.trees.tree_classifier import TreeClassifier
from carousel.tasks.trees.treebank import LabelledTree, Treebank

Model = TreeClassifier


@dataclass(frozen=True)
class Chosen:
    """One tree."""

    tree: LabelledTree
    said: str


class Reader:
    """See `carousel.page.readers.Reader`."""

    task = "trees"

    def __init__(self, model: TreeClassifier) -> None:
        self.model, self.run = model, model.run
        self.trained: TrainedTrees = model.trained

    def choose(self, data: Any, *, item: str | int | None, steps: int) -> Chosen:
        if data is None:
            trees, first, whose = self._of_the_run()
        else:
            trees, first, whose = _given(data), 0, "which was given"
        number = first if item is None else number_of(item, [str(k) for k in range(len(trees))], "tree")
        tree = trees[number]
        if tree.shape.nodes > steps:
            raise DataError(
                f"The tree at {tree.where} has {tree.shape.nodes:,} nodes, and the page shows {steps:,} at most "
                f"(--steps)."
            )
        return Chosen(tree, f"the tree at {tree.where}, {whose}" if number == first else f"the tree at {tree.where}")

    def _of_the_run(self) -> tuple[Treebank, int, str]:
        """The trees that the run read, and the number of one that it did not learn from."""
        config = self.model.config
        files = [*config.get("sources", []), config["settings"].get("validation_file")]
        files = [file for file in files if file is not None]
        give = "name trees for it to read: carousel inspect RUN TREES (in Python: data=)"
        if not config.get("sources") or not config.get("validated"):
            raise DataError(f"This run does not say which trees it learnt from: {give}.")
        if lost := [file for file in files if not Path(file).exists()]:
            raise DataError(f"The trees of this run are no longer at {listed(lost, 1)}: {give}.")
        trees, number = read_treebank(files), int(config["validated"][0])
        if number >= len(trees):
            raise DataError(f"The trees at {listed(files, 1)} are no longer those that this run learnt from: {give}.")
        return trees, number, "which the run held out"

    def examine(self, name: str, chosen: Chosen, report: Report) -> tuple[TreeMoments, Drawings]:
        return examine(self.trained, name, chosen.tree, report)

    def typing(self) -> Typing:
        raise DataError(
            "Nothing can be typed for a classifier of trees: --live is for runs that read text, language models and "
            "classifiers of texts. Leave it out to write the page as a file."
        )


def _given(data: Any) -> Treebank:
    if isinstance(data, str) and data.lstrip().startswith("("):
        return from_texts([data])
    if isinstance(data, str | Path):
        return read_treebank([Path(data)])
    if isinstance(data, Sequence) and all(isinstance(one, str) for one in data):
        return from_texts(data)
    raise DataError(f"A classifier of trees reads trees in brackets, or a file of them, not {type(data).__name__}.")


def examine(
    trained: TrainedTrees, name: str, tree: LabelledTree, report: Report = lambda _: None
) -> tuple[TreeMoments, Drawings]:
    """All that a page shows of one classifier and tree, and its pictures. States are those of the first network."""
    member = trained.network.members[0]
    layer = member.recurrent
    report(f"{name}: {tree.shape.nodes:,} nodes of {layer.num_layers} x {layer.hidden_size} units")
    (logs,) = trained.log_probabilities([tree])
    batch = _batch(trained, tree)
    states = node_states(member, *batch.network_input)
    flow = gradient_by_depth(member, *batch.network_input, loss=_loss(trained, tree))
    _, rows = positions(tree.shape, [word is not None for word in tree.words])
    known = {str(label): number for number, label in enumerate(trained.classes)}
    truth = [-1 if label is None else known.get(str(label), -1) for label in tree.labels]
    several = len(states.places) > 1
    values = {
        f"{state} of {place}" if several else state: states.values[state][k].float().numpy()
        for k, place in enumerate(states.places)
        for state in states.states
    }
    moments = TreeMoments(
        name=name,
        summary=f"What the network makes of a tree of {tree.shape.nodes:,} nodes: its answer and its units at each.",
        about=_about(trained, tree),
        parents=_parents(tree),
        words=list(tree.words),
        spans=tree.spans(),
        rows=rows,
        height=tree.shape.height.numpy(),
        truth=np.array(truth),
        classes=[str(label) for label in trained.classes],
        probability=np.exp(logs).astype(np.float32),
        states=values,
        gradients=_curves(flow),
        notes=_notes(trained),
    )
    drawings: Drawings = {"gradients": partial(figures.gradient_by_depth, flow)}
    if len(tree.shape.leaves) <= MOST_LEAVES:
        likeliest = torch.from_numpy(logs.argmax(1).astype(np.float64))
        drawings["tree"] = partial(figures.coloured_tree, tree.shape, likeliest, tree.words)
    return moments, drawings


def _batch(trained: TrainedTrees, tree: LabelledTree) -> Batch:
    none = np.full(tree.shape.nodes, -1, np.int64)
    return StoredTrees.of([tree], trained.words, [none]).batch(np.array([0]), trained.device)


def _loss(trained: TrainedTrees, tree: LabelledTree) -> Any:
    """-ln P of the root's true label; where it is not known, of the likeliest one."""
    known = {str(label): number for number, label in enumerate(trained.classes)}
    truth = None if tree.label is None else known.get(str(tree.label))

    def loss(scores: torch.Tensor) -> torch.Tensor:
        wanted = scores.argmax(1) if truth is None else torch.full((len(scores),), truth, device=scores.device)
        return torch.nn.functional.cross_entropy(scores, wanted, reduction="none")

    return loss


def _curves(flow: DepthFlow) -> list[DepthCurve]:
    curves = []
    for place, name in enumerate(flow.places):
        for state in flow.states:
            factor = flow.factor(state, place)
            words = (
                f"The gradient of the root's loss becomes {factor:.3g} times as large from one level to the next."
                if np.isfinite(factor)
                else "The tree has one level: there is no depth to follow."
            )
            curves.append(
                DepthCurve(
                    f"{state} of {name}" if len(flow.places) > 1 else state,
                    flow.norms[state][place].float().numpy(),
                    flow.by_depth(state, place).float().numpy(),
                    words,
                )
            )
    return curves


def _parents(tree: LabelledTree) -> np.ndarray:
    parents = np.full(tree.shape.nodes, -1, np.int64)
    parents[tree.shape.child.numpy()] = tree.shape.parent.numpy()
    return parents


def _notes(trained: TrainedTrees) -> list[str]:
    found = []
    if trained.labels == "root":
        found.append("The network learnt the labels of roots alone: what it says at other nodes it was never taught.")
    if len(trained.network.members) > 1:
        found.append(
            f"{len(trained.network.members)} networks vote; units and gradients are those of the first of them."
        )
    return found


def _about(trained: TrainedTrees, tree: LabelledTree) -> list[tuple[str, str]]:
    """Facts for the end of the page. It names files without folders, because a page may be sent to others."""
    layer = trained.network.members[0].recurrent
    unknown = sum(1 for word in tree.words if word is not None and trained.words.number(word) == 0)
    return [
        ("tree", f"{Path(tree.where).name}; {tree.shape.nodes:,} nodes, {len(tree.shape.leaves):,} leaves"),
        ("network", f"{layer.cell}, {layer.num_layers} x {layer.hidden_size} units"),
        *([("unknown", f"{unknown:,} words that the model has no vector for")] if unknown else []),
    ]
