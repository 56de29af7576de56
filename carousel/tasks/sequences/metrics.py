"""How good the predictions of a classifier are."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ClassScore:
    """The figures of one class, 0 where there is nothing to divide by:

        precision = right / predicted,   recall = right / true,   F1 = 2 right / (predicted + true)

    true: how many sequences are of this class. predicted: how many were predicted to be. right: how many are both.
    """

    label: Hashable
    precision: float
    recall: float
    f1: float
    true: int  # sequences that are of this class
    predicted: int  # sequences that were said to be


@dataclass(frozen=True)
class Evaluation:
    """Predictions compared with the true classes.

    classes: the K classes, those that the model knows first.
    confusion: (K, K) int64; confusion[i, j] is the number of sequences of class i that were predicted as class j.
    nats: the mean of -ln P(true class); infinite where the model does not know the true class. baseline: the accuracy
        of a model that always answers the class that was commonest in training.
    """

    classes: tuple[Hashable, ...]
    confusion: np.ndarray
    nats: float
    baseline: float

    @property
    def count(self) -> int:
        """The number of sequences."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """The share of sequences whose prediction is right, from 0 to 1."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def macro_f1(self) -> float:
        """The mean of F1 over the classes that occur in truth or predictions, as scikit-learn computes it."""
        return float(np.mean([score.f1 for score in self.by_class if score.true or score.predicted]))

    @property
    def by_class(self) -> list[ClassScore]:
        """The figures of each class, in the order of `classes`."""
        return [self._score(k) for k in range(len(self.classes))]

    def plot(self) -> Any:
        """A matplotlib figure: the confusion matrix."""
        from carousel.insight.confusion import confusion_figure

        title = f"accuracy {self.accuracy:.1%} of {self.count:,}; always the commonest class: {self.baseline:.1%}"
        return confusion_figure(self.confusion, self.classes, title=title)

    def _repr_png_(self) -> bytes:
        shown: bytes = self.plot()._repr_png_()  # in a notebook
        return shown

    def _score(self, k: int) -> ClassScore:
        right, true, predicted = self.confusion[k, k], self.confusion[k].sum(), self.confusion[:, k].sum()
        return ClassScore(
            self.classes[k],
            precision=float(right / predicted) if predicted else 0.0,
            recall=float(right / true) if true else 0.0,
            f1=float(2 * right / (true + predicted)) if true + predicted else 0.0,
            true=int(true),
            predicted=int(predicted),
        )


def evaluate(
    truth: Sequence[int] | np.ndarray, log_probabilities: np.ndarray, classes: Sequence[Hashable], commonest: int
) -> Evaluation:
    """Compares n predictions with the true classes.

    truth: index in `classes` of the class of each sequence, (n,). log_probabilities: ln P of the K classes that the
    model knows, which stand first, (n, K). commonest: index of the class of most training sequences.
    """
    true, predicted = np.asarray(truth, np.int64), log_probabilities.argmax(1)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (true, predicted), 1)
    known = true < log_probabilities.shape[1]
    picked = np.full(len(true), -np.inf)
    picked[known] = log_probabilities[known, true[known]]
    return Evaluation(tuple(classes), confusion, float(-picked.mean()), float((true == commonest).mean()))
