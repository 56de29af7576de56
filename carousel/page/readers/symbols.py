"""The symbols of a text in the form in which the page shows them."""

from __future__ import annotations

import numpy as np

from carousel.tasks.vocabulary import Vocabulary


def pieces_of(vocabulary: Vocabulary, text: str) -> tuple[np.ndarray, list[str], np.ndarray]:
    """The symbols of a text, the text of each, and the index of each one's first character.

    A byte in the middle of a character is shown by its number, with the index of that character.
    """
    ids, lengths = vocabulary.encode(text)
    starts = np.cumsum(lengths) - lengths
    if vocabulary.level == "byte":
        starts = np.maximum(np.cumsum(lengths) - 1, 0)
        return ids, [symbol_text(vocabulary, i) for i in ids.tolist()], starts
    ends = starts + lengths
    return ids, [text[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)], starts


def symbol_text(vocabulary: Vocabulary, symbol: int) -> str:
    """The text of a symbol; incomplete characters and the unknown symbol have a name in brackets."""
    if symbol == vocabulary.unknown:
        return "⟨unknown⟩"
    if vocabulary.level == "byte" and symbol > 127:
        return f"⟨{symbol:02x}⟩"
    return vocabulary.decode([symbol])


class Names:
    """A list of different texts, with the index of each."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        if text not in self._places:
            self._places[text] = len(self.texts)
            self.texts.append(text)
        return self._places[text]
