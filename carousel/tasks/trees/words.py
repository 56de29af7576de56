"""The words that a model of trees knows, each with its number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

UNKNOWN = 0  # the number of all words that are not known


class Words:
    """words: those with a number of their own, from 1. lowercase: whether capital letters make no difference."""

    def __init__(self, words: Sequence[str], *, lowercase: bool) -> None:
        self.words, self.lowercase = tuple(words), lowercase
        self._numbers = {word: number for number, word in enumerate(self.words, start=1)}

    @classmethod
    def of(cls, words: Iterable[str], *, lowercase: bool, rare: int) -> Words:
        """The words that occur more than `rare` times, the commonest first."""
        counts = Counter(word.lower() if lowercase else word for word in words)
        known = sorted((word for word, count in counts.items() if count > rare), key=lambda word: (-counts[word], word))
        return cls(known, lowercase=lowercase)

    @property
    def size(self) -> int:
        """How many numbers there are, with the one of unknown words."""
        return len(self.words) + 1

    def numbers(self, words: Sequence[str | None]) -> np.ndarray:
        """The number of each word, -1 where there is none, (N) int64."""
        return np.array([-1 if word is None else self.number(word) for word in words], np.int64)

    def number(self, word: str) -> int:
        return self._numbers.get(word.lower() if self.lowercase else word, UNKNOWN)

    def to_json(self) -> dict[str, Any]:
        return {"words": list(self.words), "lowercase": self.lowercase}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Words:
        """Raises ValueError for a record that holds no such words."""
        words, lowercase = record["words"], record["lowercase"]
        if not isinstance(lowercase, bool) or not all(isinstance(word, str) for word in words):
            raise ValueError("the words of a run are texts")
        if len(set(words)) < len(words):
            raise ValueError("each word of a run stands once")
        return cls(words, lowercase=lowercase)
