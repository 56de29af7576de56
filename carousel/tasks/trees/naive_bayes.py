"""The baseline beside a classifier of trees: naive Bayes of the words of a sentence and of the pairs of neighbours.

    P(k | sentence) ~ n_k / n · Π_f (count_k(f) + 1) / (Σ_g count_k(g) + V)

over the different features f of the sentence that occur in training, V of them; count_k(f): how many sentences of class
k have f. It reads no tree. Source: Wang & Manning, "Baselines and bigrams" (ACL 2012), multinomial naive Bayes with
bigrams, each counted once in a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np


class NaiveBayes:
    """Learns from sentences, sequences of words each, and the numbers of their classes, 0 to classes - 1."""

    def __init__(self, sentences: Sequence[Sequence[str]], truth: np.ndarray, classes: int) -> None:
        self._numbers: dict[object, int] = {}
        for sentence in sentences:
            for feature in _features(sentence):
                self._numbers.setdefault(feature, len(self._numbers))
        counts = np.ones((classes, max(1, len(self._numbers))))
        for sentence, label in zip(sentences, truth, strict=True):
            for feature in _features(sentence):
                counts[label, self._numbers[feature]] += 1
        self._weights = np.log(counts / counts.sum(1, keepdims=True))
        sizes = np.bincount(truth, minlength=classes)
        with np.errstate(divide="ignore"):
            self._priors = np.log(sizes / sizes.sum())

    def answer(self, sentence: Sequence[str]) -> int:
        """The number of the likeliest class."""
        known = [self._numbers[feature] for feature in _features(sentence) if feature in self._numbers]
        return int((self._priors + self._weights[:, known].sum(1)).argmax())


def _features(sentence: Sequence[str]) -> list[object]:
    """Its different words and pairs of neighbours, in the order in which they come."""
    return list(dict.fromkeys([*sentence, *pairwise(sentence)]))
