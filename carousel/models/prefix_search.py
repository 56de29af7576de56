"""Prefix beam search: the likeliest texts of a network with CTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from carousel.models.ctc_model import BLANK, best_path, steps_needed
from carousel.models.word_list import WordList

State = tuple[int, ...]  # of a word list


@dataclass(frozen=True)
class PrefixSearch:
    """How texts are searched for (Hannun et al. 2014): step by step, the `beam` likeliest prefixes are followed, each
    with the probability of all its paths that were followed.

    beam: K, how many prefixes. With K as large as all prefixes the search finds the likeliest text. K = 1 is not the
        best path, because a prefix has all its paths; where at every step one symbol has P > 1/√2, both write the same.
    best: how many texts to return, `beam` at most; it changes none of them.
    never: symbols that are not written. words: only texts of these words are written.
    Raises ValueError for values that mean nothing.
    """

    beam: int = 10
    best: int = 1
    never: tuple[int, ...] = ()
    words: WordList | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.best <= self.beam:
            raise ValueError(f"a beam of {self.beam} gives 1 to {self.beam} texts, not {self.best}")


class Transcript(NamedTuple):
    """symbols: of the text. log_probability: ln P(text | source), over all paths that collapse to it."""

    symbols: tuple[int, ...]
    log_probability: float


def prefix_search(log_p: np.ndarray, how: PrefixSearch) -> list[Transcript]:
    """The `how.best` likeliest texts that were found, likeliest first; equally likely ones in the order of the beam.

    The texts of the last beam, each without a word that is not complete, and the text of the best path are compared by
    their exact probabilities. So no result is less likely than the text of the best path. With a word list the empty
    text takes part, too, so that there always is one.

    log_p: ln P of each symbol at each step, (S, symbols); symbol 0 is the blank. Where they are no numbers, there is no
    text.
    """
    log_p = np.array(log_p, np.float64)
    if np.isnan(log_p).any():
        return []
    log_p[:, list(how.never)] = -np.inf
    beam = _Beam(how)
    for row in log_p:
        beam.step(row)
    texts = [_complete(prefix).symbols() for prefix in beam.prefixes]
    greedy = tuple(one.symbol for one in best_path(log_p))
    texts += [greedy] if how.words is None or how.words.spells(greedy) else [()]
    return _likeliest(log_p, list(dict.fromkeys(texts)))[: how.best]


def log_probabilities(log_p: np.ndarray, texts: Sequence[Sequence[int]]) -> np.ndarray:
    """ln P(text | source) of each text, (N,), by the forward algorithm. -inf for one that needs more steps than there
    are.

    log_p: ln P of each symbol at each step, (S, symbols). texts: the symbols of each."""
    if not len(log_p):
        return np.array([-np.inf if len(text) else 0.0 for text in texts])
    logs = torch.from_numpy(np.ascontiguousarray(log_p, np.float64)).unsqueeze(1).expand(-1, len(texts), -1)
    sizes = torch.tensor([len(text) for text in texts], dtype=torch.int64)
    flat = torch.tensor([symbol for text in texts for symbol in text], dtype=torch.int64)
    nats = functional.ctc_loss(
        logs, flat, torch.full_like(sizes, len(log_p)), sizes, blank=BLANK, reduction="none"
    ).numpy()
    long = np.array([steps_needed(np.asarray(text, np.int64)) > len(log_p) for text in texts], bool)
    return np.where(long | np.isnan(nats), -np.inf, -nats)


class _Prefix:
    """A text that is being written, as a node of the tree of all prefixes: its last symbol, after its parent.

    state: of the word list, where there is one. children: the prefixes with one symbol more that were made so far; a
    prefix that left the beam and comes back is the same object.
    """

    __slots__ = ("children", "complete", "parent", "state", "symbol")

    def __init__(self, symbol: int, parent: _Prefix | None, state: State, *, complete: bool) -> None:
        self.symbol, self.parent, self.state, self.complete = symbol, parent, state, complete
        self.children: dict[int, _Prefix] = {}

    def child(self, symbol: int, words: WordList | None) -> _Prefix:
        if symbol not in self.children:
            state = () if words is None else words.after(self.state, symbol)
            complete = words is None or words.complete(state)
            self.children[symbol] = _Prefix(symbol, self, state, complete=complete)
        return self.children[symbol]

    def symbols(self) -> tuple[int, ...]:
        found, prefix = [], self
        while prefix.parent is not None:
            found.append(prefix.symbol)
            prefix = prefix.parent
        return tuple(reversed(found))


class _Beam:
    """The likeliest prefixes so far. blank, symbol: ln P of the paths of each that end in a blank, and in its last
    symbol, (K,) each."""

    def __init__(self, how: PrefixSearch) -> None:
        self.how = how
        start = () if how.words is None else how.words.start
        self.prefixes = [_Prefix(BLANK, None, start, complete=True)]
        self.blank, self.symbol = np.zeros(1), np.full(1, -np.inf)

    def step(self, row: np.ndarray) -> None:
        """Reads ln P of each symbol at the next step, (symbols,)."""
        count = len(self.prefixes)
        last = np.array([prefix.symbol for prefix in self.prefixes])
        total = np.logaddexp(self.blank, self.symbol)
        longer = self._longer(row, last, total)
        stays_blank = total + row[BLANK]
        stays_symbol = np.where(last == BLANK, -np.inf, self.symbol + row[last])
        index = {prefix: number for number, prefix in enumerate(self.prefixes)}
        for number, prefix in enumerate(self.prefixes):  # a prefix of the beam may be a longer one of another, too
            parent = None if prefix.parent is None else index.get(prefix.parent)
            if parent is not None:
                stays_symbol[number] = np.logaddexp(stays_symbol[number], longer[parent, prefix.symbol])
                longer[parent, prefix.symbol] = -np.inf
        order = _first(np.concatenate([np.logaddexp(stays_blank, stays_symbol), longer.ravel()]), self.how.beam)
        stay, grow = order < count, np.maximum(order - count, 0)
        parents, symbols = grow // len(row), grow % len(row)
        self.prefixes = [
            self.prefixes[number] if stays else self.prefixes[parent].child(symbol, self.how.words)
            for number, stays, parent, symbol in zip(
                order.tolist(), stay.tolist(), parents.tolist(), symbols.tolist(), strict=True
            )
        ]
        kept = np.where(stay, order, 0)
        self.blank = np.where(stay, stays_blank[kept], -np.inf)
        self.symbol = np.where(stay, stays_symbol[kept], longer[parents, symbols])

    def _longer(self, row: np.ndarray, last: np.ndarray, total: np.ndarray) -> np.ndarray:
        """ln P of each prefix with each symbol after it, (K, symbols). After the same symbol a blank must stand."""
        longer = total[:, None] + row
        numbers = np.arange(len(last))
        longer[numbers, last] = self.blank + row[last]
        longer[:, BLANK] = -np.inf
        if self.how.words is not None:
            allowed = [self.how.words.allowed(prefix.state, len(row)) for prefix in self.prefixes]
            longer[~np.stack(allowed)] = -np.inf
        return longer


def _complete(prefix: _Prefix) -> _Prefix:
    """The longest beginning of a prefix whose last word is complete."""
    while not prefix.complete and prefix.parent is not None:
        prefix = prefix.parent
    return prefix


def _first(values: np.ndarray, count: int) -> np.ndarray:
    """The indices of the `count` highest values above -inf, highest first, and the lower index first of equal ones."""
    if len(values) > count:
        chosen = np.flatnonzero((values >= np.partition(values, -count)[-count]) & (values > -np.inf))
    else:
        chosen = np.flatnonzero(values > -np.inf)
    order: np.ndarray = chosen[np.argsort(-values[chosen], kind="stable")][:count]
    return order


def _likeliest(log_p: np.ndarray, texts: list[tuple[int, ...]]) -> list[Transcript]:
    logs = log_probabilities(log_p, texts)
    order = np.argsort(-logs, kind="stable").tolist()
    return [Transcript(texts[k], float(logs[k])) for k in order if logs[k] > -np.inf]
