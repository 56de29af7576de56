"""Text: words or characters, each a symbol with an embedding of its own."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from carousel.errors import DataError
from carousel.tasks.sequences.examples import Examples

WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
MOST_WORDS = 20_000
SOME = 2000  # texts that the choice between words and characters looks at


@dataclass(frozen=True)
class TextFrontEnd:
    """Each step is a word (or mark) in lower case, or a character as it is.

    Known are those that the training part has at least twice, the 20,000 most frequent; symbol 0 is every other.
    """

    level: str  # "word" or "char"
    known: tuple[str, ...]
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    kind = "text"
    symbolic = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", tuple(self.known))
        if self.level not in ("word", "char") or len(set(self.known)) < len(self.known):
            raise ValueError("a front end of texts knows words or characters, each once")
        object.__setattr__(self, "_numbers", {piece: number for number, piece in enumerate(self.known, start=1)})

    @classmethod
    def fit(cls, examples: Examples, *, level: str | None, differences: bool | None) -> "TextFrontEnd":
        if differences is not None:
            raise DataError("Differences are for series of numbers, and these are texts: leave them out.")
        level = level or _level_for(examples.items)
        if level not in ("word", "char"):
            raise DataError(f"A text is classified by word or by char; the level {level!r} is neither.")
        counts: Counter[str] = Counter()
        for text in examples.items:
            counts.update(pieces(text, level))
        # Sorted by frequency, then by piece, so that the same texts always give the same numbers.
        often = sorted(
            (piece for piece, count in counts.items() if count > 1), key=lambda piece: (-counts[piece], piece)
        )
        return cls(level, tuple(often[:MOST_WORDS]))

    @property
    def unit(self) -> str:
        return {"word": "word", "char": "character"}[self.level]

    @property
    def size(self) -> int:
        return 1 + len(self.known)

    @property
    def said(self) -> str:
        what = "word or mark, in lower case" if self.level == "word" else "character"
        return f"each step: a {what}; {len(self.known):,} are known, those met at least twice in training"

    def steps(self, item: str) -> np.ndarray:
        return self._symbols(pieces(item, self.level))

    def stream(self) -> "TextStream":
        return TextStream(self)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "level": self.level, "known": list(self.known)}

    def _symbols(self, found: Iterator[str]) -> np.ndarray:
        return np.array([self._numbers.get(piece, 0) for piece in found], np.int64)


class TextStream:
    """Text as it arrives. A word is complete once white space follows it."""

    def __init__(self, front_end: TextFrontEnd) -> None:
        self._front_end = front_end
        self._waiting = ""

    def push(self, piece: str) -> np.ndarray:
        if not isinstance(piece, str):
            raise DataError(f"A text arrives as strings, and this is {type(piece).__name__}.")
        self._waiting += piece
        cut = len(self._waiting)
        if self._front_end.level == "word":
            while cut and not self._waiting[cut - 1].isspace():
                cut -= 1
        complete, self._waiting = self._waiting[:cut], self._waiting[cut:]
        return self._front_end.steps(complete)

    def finish(self) -> np.ndarray:
        rest, self._waiting = self._waiting, ""
        return self._front_end.steps(rest)


def pieces(text: str, level: str) -> Iterator[str]:
    if level == "char":
        return iter(text)
    return (match.group() for match in WORD.finditer(text.lower()))


def _level_for(texts: Any) -> str:
    """Words, unless texts are a word or two long (names), or most words are met once (no spaces, codes)."""
    some = texts[:: max(1, len(texts) // SOME)]
    counts = Counter(piece for text in some for piece in pieces(text, "word"))
    total = sum(counts.values())
    repeated = sum(count for count in counts.values() if count > 1)
    return "word" if total >= 4 * len(some) and repeated >= total / 2 else "char"
