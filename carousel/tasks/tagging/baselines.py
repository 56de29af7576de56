"""The naive baselines: the most frequent tag of a word, and the nearest mean of numbers."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

RARE = 10  # how often a word may occur whose endings tell of unknown words (Brants 2000)
LONGEST_ENDING = 4


class TagCounts:
    """How often each tag was that of a word, as a model without a network:

        P_k(t | w) = (count(e_k, t) + T(e_k) · P_k-1(t | w)) / (count(e_k) + T(e_k))          Witten-Bell interpolation

    e_0 is every word, e_1 to e_4 are the last one to four letters of words that occur up to 10 times, as unknown words
    resemble those, and e_5 is the word itself; T(e) is how many different tags e has. What never occurred says
    P_k = P_k-1. The likeliest tag is, for a known word, in all but ties its most frequent one.

    counts: for each form of a word, [tag, count, tag, count, ...]. tags: how many there are.
    """

    name = "most frequent tag of the word"

    def __init__(self, counts: dict[str, list[int]], tags: int) -> None:
        self.counts, self.tags = counts, tags
        self._overall = np.zeros(tags)
        endings: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(tags))
        for form, pairs in counts.items():
            of_tags = self._of(pairs)
            self._overall += of_tags
            if of_tags.sum() <= RARE:
                for length in range(1, min(LONGEST_ENDING, len(form)) + 1):
                    endings[form[-length:].lower()] += of_tags
        self._endings = dict(endings)

    @classmethod
    def count(cls, sentences: Iterable[Sequence[str]], tags: Iterable[np.ndarray], kinds: int) -> "TagCounts":
        """The counts of some sentences. tags: the index of each word's tag, -1 for none. kinds: how many tags exist."""
        counts: dict[str, Counter[int]] = defaultdict(Counter)
        for forms, own in zip(sentences, tags, strict=True):
            for form, tag in zip(forms, own.tolist(), strict=True):
                if tag >= 0:
                    counts[form][tag] += 1
        return cls({form: [n for pair in sorted(c.items()) for n in pair] for form, c in sorted(counts.items())}, kinds)

    def log_probabilities(self, forms: Sequence[str]) -> np.ndarray:
        """ln P of each tag for each form, (F, tags)."""
        return np.log(np.stack([self._probabilities(form) for form in forms]))

    def _probabilities(self, form: str) -> np.ndarray:
        uniform = np.full(self.tags, 1 / self.tags)
        found = _mixed(self._overall, uniform)
        for length in range(1, min(LONGEST_ENDING, len(form)) + 1):
            found = _mixed(self._endings.get(form[-length:].lower()), found)
        return _mixed(self._of(self.counts[form]) if form in self.counts else None, found)

    def _of(self, pairs: Sequence[int]) -> np.ndarray:
        of_tags = np.zeros(self.tags)
        of_tags[list(pairs[::2])] = pairs[1::2]
        return of_tags

    def to_json(self) -> dict[str, Any]:
        return {"counts": self.counts}


def _mixed(counts: np.ndarray | None, before: np.ndarray) -> np.ndarray:
    """The share of each tag by its count, mixed with what was known before."""
    if counts is None or not counts.sum():
        return before
    kinds = np.count_nonzero(counts)
    return (counts + kinds * before) / (counts.sum() + kinds)


class NearestMean:
    """Each step by itself has the tag whose mean in training is nearest:

        P(t | x) ∝ n_t · exp(-½ Σ_c ((x_c - m_tc) / s_c)²)

    m_t are the means of the steps with the tag t, s_c is the deviation of channel c around them, n_t counts the steps:
    linear discriminant analysis with one variance for each channel. means: (tags, C). scale: (C,). counts: (tags,).
    """

    name = "nearest mean, each step by itself"

    def __init__(self, means: np.ndarray, scale: np.ndarray, counts: np.ndarray) -> None:
        self.means, self.scale, self.counts = means, scale, counts

    @classmethod
    def fit(cls, steps: np.ndarray, tags: np.ndarray, kinds: int) -> "NearestMean":
        """The means of some steps (n, C) with their tags (n,), -1 for none. kinds: how many tags exist."""
        steps, tags = steps[tags >= 0].astype(np.float64), tags[tags >= 0]
        counts = np.bincount(tags, minlength=kinds).astype(np.float64)
        means = np.zeros((kinds, steps.shape[1]))
        np.add.at(means, tags, steps)
        means /= np.maximum(1, counts)[:, None]
        scale = np.sqrt(((steps - means[tags]) ** 2).mean(0))
        return cls(means, np.where(scale > 0, scale, 1.0), counts)

    def log_probabilities(self, steps: np.ndarray) -> np.ndarray:
        """ln P of each tag for each step, (n, tags). A tag without a step in training has the count of one step."""
        scores = np.stack([-0.5 * (((steps - mean) / self.scale) ** 2).sum(1) for mean in self.means], 1)
        scores += np.log(np.maximum(self.counts, 1))
        highest = scores.max(1, keepdims=True)
        result: np.ndarray = scores - highest - np.log(np.exp(scores - highest).sum(1, keepdims=True))
        return result

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name).tolist() for name in ("means", "scale", "counts")}


Baseline = TagCounts | NearestMean


def from_json(record: dict[str, Any], tags: int) -> Baseline:
    """Raises KeyError, TypeError or ValueError for what `to_json` has not written."""
    if "counts" in record and "means" not in record:
        counts = {str(form): [int(n) for n in pairs] for form, pairs in record["counts"].items()}
        if any(len(pairs) % 2 or not all(0 <= tag < tags for tag in pairs[::2]) for pairs in counts.values()):
            raise ValueError("the counts of a word are pairs of a tag and a number")
        return TagCounts(counts, tags)
    means, scale, counted = (np.array(record[name], np.float64) for name in ("means", "scale", "counts"))
    if means.ndim != 2 or means.shape != (tags, len(scale)) or counted.shape != (tags,):
        raise ValueError("the means are those of each tag in each channel")
    return NearestMean(means, scale, counted)
