"""The symbols of a text as the page shows them."""

from __future__ import annotations

import numpy as np

from carousel.tasks.language.vocabulary import Vocabulary


def pieces_of(vocabulary: Vocabulary, text: str) -> tuple[np.ndarray, list[str], np.ndarray]:
    """The symbols of a text, what each is in it, and the place of each one's first character.

    A byte that only goes on with a character another byte began is shown by its number, at that character's place.
    """
    ids, lengths = vocabulary.encode(text)
    starts = np.cumsum(lengths) - lengths
    if vocabulary.level == "byte":
        starts = np.maximum(np.cumsum(lengths) - 1, 0)
        return ids, [symbol_text(vocabulary, i) for i in ids.tolist()], starts
    ends = starts + lengths
    return ids, [text[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)], starts


def symbol_text(vocabulary: Vocabulary, symbol: int) -> str:
    """A symbol by itself, as text; half characters and the unknown by a name in brackets."""
    if symbol == vocabulary.unknown:
        return "⟨unknown⟩"
    if vocabulary.level == "byte" and symbol > 127:
        return f"⟨{symbol:02x}⟩"
    return vocabulary.decode([symbol])


class Names:
    """Texts, each once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        if text not in self._places:
            self._places[text] = len(self.texts)
            self.texts.append(text)
        return self._places[text]
