"""The classifier of trees as a Python user meets it, in scikit-learn's manners."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np

from carousel.errors import DataError, speaking
from carousel.tasks.fitted_model import FittedModel
from carousel.tasks.trees import answers
from carousel.tasks.trees.preparation import Prepared, prepare
from carousel.tasks.trees.reading import from_texts, read_treebank, with_root_labels
from carousel.tasks.trees.scores import TreeEvaluation
from carousel.tasks.trees.settings import Settings
from carousel.tasks.trees.task import parts_of
from carousel.tasks.trees.trained import TrainedTrees
from carousel.tasks.trees.treebank import Treebank
from carousel.training.progress import Report
from carousel.training.run_folder import RunFolder
from carousel.training.settings import explained_by


@explained_by(Settings)
class TreeClassifier(FittedModel[TrainedTrees]):
    """Learns the label of a tree, or of each of its nodes, as the sentiment of a sentence and of its phrases.

        model = carousel.TreeClassifier()
        model.fit(X)                            # X: trees in brackets, "(3 (2 It) (4 works))", with their labels
        model.fit(X, y)                         # or y: the labels of the roots; the trees' own do not count then
        model.predict(X), model.predict_proba(X), model.score(X)
        model.predict_nodes(X)                  # the labels of all nodes of each tree

        model.fit("train.txt")                  # anything that `carousel train` takes for trees
        model.save("runs/sentiment")
        model = carousel.TreeClassifier.load("runs/sentiment")

    X is a list of trees in brackets, one a text, or the name of a file or folder, or a list of names as pathlib.Path.
    A node is "(label word)" or "(label (...) (...))", and where a label is missing "(word)" or "((...) (...))".

    y is the label of each root: a text or a whole number. The labels that stand in the trees do not count beside it.

    It has get_params, set_params, fit, predict and score, and can be cloned: cross_val_score and GridSearchCV work. fit
    seeds torch's global generator with `seed`. All methods but `fit`, `load` and `resume` raise RunError before `fit`,
    and DataError for trees that they cannot read.

    verbose: whether to show how the training goes.
    """

    TASK = "trees"
    CALLED = "A classifier"
    _TRAINED = TrainedTrees

    def __init__(
        self,
        *,
        cell: str = "auto",
        hidden: int = 100,
        layers: int = 1,
        embedding: int = 100,
        networks: int = 3,
        dropout: float = 0.5,
        learning_rate: float = 4e-3,
        minutes: float | None = None,
        epochs: float | None = None,
        batch: int = 32,
        labels: str | None = None,
        merge: str | None = None,
        lowercase: bool = True,
        rare: int = 1,
        validation_share: float = 0.1,
        validation_file: str | Path | None = None,
        test_file: str | Path | None = None,
        seed: int = 0,
        device: str = "auto",
        threads: int | None = None,
        verbose: bool = False,
    ) -> None:
        self._store(locals())

    # -- scikit-learn's manners -------------------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        """Asked by scikit-learn, which is not needed otherwise."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=False),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(one_d_array=True, two_d_array=False, string=True),
        )

    # -- learning ---------------------------------------------------------------------------------------------------

    @speaking(python=True)
    def fit(self, X: Any, y: Any = None, *, out: str | Path | None = None, report: Report | None = None) -> Self:
        """Learns from trees and their labels, and returns this object.

        X, y: the trees, and the label of each root; see the class.
        out: the run folder to keep; without it the run leaves nothing behind, and `save` writes one.
        report: is told of the progress. Default: nothing is shown, or with `verbose` the terminal.
        Raises DataError where the trees or a parameter cannot be used, RunError where the run cannot be written,
        KeyboardInterrupt after Ctrl-C, when the step is finished; with `out` it is saved too, and `resume` goes on.
        """

        def prepared(settings: Settings, report: Report) -> Prepared:
            return prepare(parts_of(_trees(X, y), settings), settings, report, _paths_of(X))

        return self._learn(prepared, out=out, report=report)

    def _take(self, folder: RunFolder, device: str) -> None:
        super()._take(folder, device)
        self.classes_ = np.array(self.trained.classes)

    # -- answering --------------------------------------------------------------------------------------------------

    @speaking(python=True)
    def predict_proba(self, X: Any) -> np.ndarray:
        """P of each label, in the order of `classes_`, for each tree of X, (N, K) float64."""
        return np.exp(self._of_roots(X))

    @speaking(python=True)
    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label of each tree of X, (N,)."""
        chosen = self._of_roots(X).argmax(1)
        return self.classes_[chosen]

    @speaking(python=True)
    def predict_nodes(self, X: Any) -> list[np.ndarray]:
        """The likeliest label of each node, (nodes,) for each tree of X, in the order in which brackets close."""
        found = self._fitted("asked").log_probabilities(_trees(X))
        return [self.classes_[logs.argmax(1)] for logs in found]

    @speaking(python=True)
    def answers(self, X: Any, *, nodes: bool = False) -> Any:
        """A polars table with a row for each tree of X, or, with `nodes`, for each node: its words, its label where it
        has one, its prediction, P of each label."""
        return answers.table(self._fitted("asked"), _trees(X), nodes=nodes)

    @speaking(python=True)
    def evaluate(self, X: Any, y: Any = None) -> TreeEvaluation:
        """The accuracy of roots, of all nodes and with labels merged, with each label's figures, on X with its own
        labels or with those of y."""
        return self._fitted("asked").evaluate(_trees(X, y))

    @speaking(python=True)
    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """The share of trees of X whose root `predict` gets right, by their own labels or by y; each tree counts as
        much as sample_weight says, (N,), or all alike. Raises DataError for a tree without a label."""
        trees = _trees(X, y)
        for tree in trees:
            if tree.label is None:
                raise DataError(f"scoring needs labels, and the root of the tree at {tree.where} has none; give y")
        right = [str(tree.label) == str(answer) for tree, answer in zip(trees, self.predict(trees), strict=True)]
        return float(np.average(right, weights=sample_weight))

    def _of_roots(self, X: Any) -> np.ndarray:
        trees = _trees(X)
        logs = self._fitted("asked").log_probabilities(trees)
        rows = [of_nodes[tree.root] for tree, of_nodes in zip(trees, logs, strict=True)]
        return np.array(rows).reshape(len(rows), len(self._fitted("asked").classes))


def _trees(X: Any, y: Any = None) -> Treebank:
    if isinstance(X, Treebank):
        trees = X
    elif paths := _paths_of(X):
        trees = read_treebank(paths)
    else:
        texts = [one for one in X if isinstance(one, str)] if isinstance(X, Iterable) else []
        if not hasattr(X, "__len__") or len(texts) < len(X):
            raise DataError(
                f"Trees are texts in brackets, one a tree, or the name of a file of them; {type(X).__name__} is given"
            )
        trees = from_texts(texts)
    return trees if y is None else with_root_labels(trees, [_plain(label) for label in y])


def _plain(label: Any) -> str | int:
    value = label.item() if hasattr(label, "item") else label
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"A label is a text or a whole number, not {value!r:.40}")
    return value


def _paths_of(X: Any) -> list[Path]:
    """The files and folders that X names; none where X is trees itself."""
    if isinstance(X, str | Path):
        return [Path(X)]
    return list(X) if isinstance(X, list | tuple) and X and all(isinstance(one, Path) for one in X) else []
