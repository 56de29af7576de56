"""A list of words as a search for texts reads it: which symbol may come next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

State = tuple[
    int, ...
]  # nodes of the tree of words where a text may stand; several, where symbols can be read two ways


class WordList:
    """Texts that consist of words of a list. A text without words is one of them.

    words: the symbols of each word, one or more. separator: the symbol between two words; None where words follow one
    another without one, because their first symbols say that they begin. Raises ValueError for a word without symbols.
    """

    def __init__(self, words: Sequence[Sequence[int]], separator: int | None) -> None:
        self.separator = separator
        self._next: list[dict[int, int]] = [{}]  # of each node of the tree: the node after a symbol
        self._ends: list[bool] = [False]  # of each node: whether a word ends there
        for word in words:
            node = 0
            for symbol in word:
                if symbol not in self._next[node]:
                    self._next[node][symbol] = len(self._next)
                    self._next.append({})
                    self._ends.append(False)
                node = self._next[node][symbol]
            if node == 0:
                raise ValueError("a word of a word list has a symbol or more")
            self._ends[node] = True
        self._between = len(self._next)  # the node after a separator: words begin there, and no text ends
        self._next.append(self._next[0])
        self._ends.append(False)
        self._after: dict[State, dict[int, State]] = {}
        self._allowed: dict[State, np.ndarray] = {}

    @property
    def start(self) -> State:
        """The state before the first word."""
        return (0,)

    def after(self, state: State, symbol: int) -> State:
        """The state after one symbol more; the empty state where no text of these words goes on so."""
        return self._following(state).get(symbol, ())

    def complete(self, state: State) -> bool:
        """Whether a text may end here: after a whole word, or before the first."""
        return state == self.start or any(self._ends[node] for node in state)

    def allowed(self, state: State, symbols: int) -> np.ndarray:
        """Which of so many symbols may come next, (symbols,) bool."""
        if state not in self._allowed:
            mask = np.zeros(symbols, bool)
            mask[[symbol for symbol in self._following(state) if symbol < symbols]] = True
            self._allowed[state] = mask
        return self._allowed[state]

    def spells(self, text: Sequence[int]) -> bool:
        """Whether these symbols are a text of words of the list."""
        state = self.start
        for symbol in text:
            state = self.after(state, symbol)
        return self.complete(state)

    def _following(self, state: State) -> dict[int, State]:
        if state not in self._after:
            found: dict[int, set[int]] = {}
            for node in state:
                ways = list(self._next[node].items())
                if self._ends[node]:  # the next word begins
                    ways += list(self._next[0].items()) if self.separator is None else [(self.separator, self._between)]
                for symbol, target in ways:
                    found.setdefault(symbol, set()).add(target)
            self._after[state] = {symbol: tuple(sorted(nodes)) for symbol, nodes in found.items()}
        return self._after[state]
