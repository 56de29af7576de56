"""Words as a tagger reads them: which words it knows, and the characters of every word."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from carousel.models.tag_model import Spelled

MOST_WORDS = 100_000
LONGEST = 48  # characters: of a longer word, the first and the last half of these are read


@dataclass(frozen=True)
class WordFrontEnd:
    """Each step is a word, known by its lower case, and by its characters as they are.

    Known are the words that the training part has at least twice, the 100,000 most frequent at most, and the characters
    that it has at least twice. Number 0 is every other word, and every other character.

    known: the words, in lower case, the most frequent first. characters: in the order of code points.
    """

    known: tuple[str, ...]
    characters: str
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)
    _letters: dict[str, int] = field(init=False, repr=False, compare=False)

    kind: ClassVar[str] = "words"
    unit: ClassVar[str] = "word"

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", tuple(self.known))
        if len(set(self.known)) < len(self.known) or len(set(self.characters)) < len(self.characters):
            raise ValueError("a front end of words knows words and characters, each once")
        object.__setattr__(self, "_numbers", {word: number for number, word in enumerate(self.known, start=1)})
        object.__setattr__(self, "_letters", {one: number for number, one in enumerate(self.characters, start=1)})

    @classmethod
    def fit(cls, sentences: Iterable[Sequence[str]]) -> "WordFrontEnd":
        """The front end for these training sentences."""
        forms = Counter(form for sentence in sentences for form in sentence)
        words: Counter[str] = Counter()
        letters: Counter[str] = Counter()
        for form, count in forms.items():
            words[form.lower()] += count
            for letter in form:
                letters[letter] += count
        # Sorted by frequency, then by word, so that the same sentences always give the same numbers.
        often = sorted((word for word, count in words.items() if count > 1), key=lambda word: (-words[word], word))
        return cls(tuple(often[:MOST_WORDS]), "".join(sorted(one for one, count in letters.items() if count > 1)))

    @property
    def sizes(self) -> dict[str, Any]:
        """The arguments of `TagModel` that say what a step is."""
        return {"words": 1 + len(self.known), "characters": 1 + len(self.characters)}

    @property
    def said(self) -> str:
        return (
            f"each step: a word, known by its lower case ({len(self.known):,} that training has at least twice) and by "
            f"its characters ({len(self.characters):,} different ones)"
        )

    def knows(self, form: str) -> bool:
        return form.lower() in self._numbers

    def spell(self, forms: Sequence[str]) -> Spelled:
        """These written forms as the network reads them."""
        cut = [form if len(form) <= LONGEST else form[: LONGEST // 2] + form[-LONGEST // 2 :] for form in forms]
        lengths = np.fromiter(map(len, cut), np.int64, len(cut))
        letters = np.zeros((max(1, int(lengths.max(initial=0))), len(cut)), np.int64)
        for column, form in enumerate(cut):
            letters[: len(form), column] = [self._letters.get(letter, 0) for letter in form]
        words = np.fromiter((self._numbers.get(form.lower(), 0) for form in forms), np.int64, len(forms))
        return Spelled(torch.from_numpy(words), torch.from_numpy(letters), torch.from_numpy(lengths))

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "known": list(self.known), "characters": self.characters}


def of_forms(spelled: Spelled, forms: torch.Tensor) -> Spelled:
    """Some of the spelled forms, by their places."""
    lengths = spelled.lengths[forms]
    letters = spelled.letters[: int(lengths.max()) if len(lengths) else 0, forms]
    return Spelled(spelled.words[forms], letters, lengths)
