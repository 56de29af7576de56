"""The baseline of translations: the target of the nearest source of the training part, a translation memory."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

WORD = re.compile(r"\w+|[^\w\s]")


class TranslationMemory:
    """Answers a source with the target of the training source that is nearest by the cosine of tf-idf vectors,

        x_w = n_w · ln(N / N_w),   cos(x, y) = x · y / (|x| |y|),

    over words and pairs of words w, where n_w counts w in the source, and N_w is the number of the N training sources
    that have w. Of equally near sources the first answers; a source that shares no word has the answer "".
    """

    def __init__(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        self._targets = targets
        features = [_features(source) for source in sources]
        having: Counter[str] = Counter()
        for one in features:
            having.update(one.keys())
        self._idf = {word: math.log((1 + len(sources)) / (1 + count)) for word, count in having.items()}
        postings: dict[str, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
        for number, one in enumerate(features):
            for word, weight in self._unit(one).items():
                postings[word][0].append(number)
                postings[word][1].append(weight)
        self._postings = {word: (np.array(at), np.array(weights)) for word, (at, weights) in postings.items()}

    def answer(self, source: str) -> str:
        """The target of the nearest training source."""
        near = np.zeros(len(self._targets))
        for word, weight in self._unit(_features(source)).items():
            if word in self._postings:
                at, weights = self._postings[word]
                near[at] += weight * weights
        return self._targets[int(near.argmax())] if near.any() else ""

    def _unit(self, features: Counter[str]) -> dict[str, float]:
        weighted = {word: count * self._idf.get(word, 0.0) for word, count in features.items()}
        norm = math.sqrt(sum(weight * weight for weight in weighted.values()))
        return {word: weight / norm for word, weight in weighted.items()} if norm else {}


def _features(text: str) -> Counter[str]:
    words = WORD.findall(text.casefold())
    return Counter([*words, *(f"{one} {other}" for one, other in pairwise(words))])
