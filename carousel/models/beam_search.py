"""Beam search: the likeliest sequences that a decoder can write, for a batch of sources at once."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Hypotheses(Protocol):
    """Hypotheses in progress, one in each of R rows: at first one row for each source."""

    def step(self, symbols: Tensor) -> tuple[Tensor, Tensor | None]:
        """Each row goes on with its symbol, (R). Returns ln P of each next symbol, (R, V), and the weights of the
        attention that led to them, (R, S) with 0 at padding; None for a decoder without attention."""

    def select(self, rows: Tensor) -> None:
        """Goes on with these rows, (R'), each as often as it is named."""


@dataclass(frozen=True)
class Search:
    """How sequences are searched for. A sequence of n symbols, its end counted, has the score

        score = ln P / ((5 + n) / 6)^length_penalty + coverage_penalty · Σ_s ln min(1, Σ_t a_ts)

    (Wu et al. 2016, equation 14), where a_ts is the attention at symbol t to step s of the source. Hypotheses of equal
    length compete by ln P alone. Of equally likely ones the first in the order of their prefixes, then of the index of
    their last symbol, is kept.

    beam: K, how many hypotheses are followed at once. K = 1 is greedy search. A hypothesis that ends leaves the beam,
        which has one place less from then on. With K > 1 the greedy sequence always takes part, so that no result
        has a lower score than it.
    best: how many sequences to return for each source, `beam` at most; it changes none of them.
    shortest, longest: the number of symbols of a sequence without its end; longest may differ by source, (B). At the
        longest a sequence ends, with the probability of its end.
    never: symbols that are not written.
    Raises ValueError for values that mean nothing.
    """

    beam: int = 5
    best: int = 1
    length_penalty: float = 0.0
    coverage_penalty: float = 0.0
    shortest: int = 0
    longest: int | Sequence[int] = 100
    never: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.best <= self.beam:
            raise ValueError(f"a beam of {self.beam} gives 1 to {self.beam} sequences, not {self.best}")
        if self.length_penalty < 0 or self.coverage_penalty < 0:
            raise ValueError("the penalties of a beam search are 0 or more")
        longest = [self.longest] if isinstance(self.longest, int) else list(self.longest)
        if self.shortest < 0 or any(one < max(1, self.shortest) for one in longest):
            raise ValueError(f"the longest sequence must have 1 symbol or more, and the shortest, {self.shortest}")


class Found(NamedTuple):
    """symbols: without the end. score: see `Search`. log_probability: ln P, the end included. attention: (n + 1, S), of
    each symbol and the end; None for a decoder without attention."""

    symbols: tuple[int, ...]
    score: float
    log_probability: float
    attention: Tensor | None


def search(begin: Callable[[], Hypotheses], sources: int, how: Search, *, end: int = 0) -> list[list[Found]]:
    """The `how.best` sequences with the highest scores that were found for each source, highest first.

    begin: makes a decoder with a row for each of the sources; it is called twice if K > 1. end: the symbol that ends a
    sequence, and stands before its first symbol.
    """
    if sources == 0:
        return []
    found = _Beams(begin(), sources, how, how.beam, end).run()
    if how.beam > 1:
        greedy = _Beams(begin(), sources, how, 1, end).run()
        for mine, one in zip(found, greedy, strict=True):
            mine += [other for other in one if other.symbols not in {known.symbols for known in mine}]
    return [sorted(mine, key=lambda one: -one.score)[: how.best] for mine in found]


class _Beams:
    """The hypotheses of all sources that are still searched for: A sources with K places each, of which some are
    empty (ln P = -inf). Row k of a source stands in row a·K + k of the decoder."""

    def __init__(self, decoder: Hypotheses, sources: int, how: Search, beam: int, end: int) -> None:
        self.decoder, self.how, self.beam, self.end = decoder, how, beam, end
        longest = [how.longest] * sources if isinstance(how.longest, int) else list(how.longest)
        self.found: list[list[Found]] = [[] for _ in range(sources)]
        self.active = torch.arange(sources)  # the number of each source
        self.longest = torch.tensor(longest)
        self.log_p = torch.zeros(sources, 1, dtype=torch.float64)
        self.symbols = torch.full((sources, 1, 1), end)
        self.attention: Tensor | None = None  # (A, k, t, S)

    def run(self) -> list[list[Found]]:
        while len(self.active):
            self._step()
        return self.found

    def _step(self) -> None:
        sources, places, length = self.symbols.shape
        logs, weights = self.decoder.step(self.symbols[:, :, -1].flatten())
        logs = self._allowed(logs.detach().double().cpu().view(sources, places, -1), length - 1)
        total = (self.log_p.unsqueeze(-1) + logs).flatten(1)
        order = _first(total, min(self.beam, total.shape[1]))
        self.log_p = total.gather(1, order)
        parents, symbol = order // logs.shape[-1], order % logs.shape[-1]
        source = torch.arange(sources).unsqueeze(1)
        self.symbols = torch.cat([self.symbols[source, parents], symbol.unsqueeze(-1)], -1)
        if weights is not None:
            now = weights.detach().double().cpu().view(sources, places, 1, -1)
            before = now if self.attention is None else torch.cat([self.attention, now], 2)
            self.attention = before[source, parents]
        left = self.beam - torch.tensor([len(self.found[number]) for number in self.active.tolist()])
        lives = torch.arange(order.shape[1]) < left.unsqueeze(1)
        self.log_p = self.log_p.masked_fill(~lives, -math.inf)
        self._end(symbol == self.end)
        going = self._going()
        rows = (source * places + parents)[going].flatten()
        self.decoder.select(rows)
        self.active, self.longest = self.active[going], self.longest[going]
        self.log_p, self.symbols = self.log_p[going], self.symbols[going]
        self.attention = None if self.attention is None else self.attention[going]

    def _allowed(self, logs: Tensor, written: int) -> Tensor:
        """ln P of the symbols that may come after so many; -inf for the others."""
        logs = logs.clone()
        logs[..., list(self.how.never)] = -math.inf
        if written < self.how.shortest:
            logs[..., self.end] = -math.inf
        last = self.longest <= written
        ends = logs[last][..., self.end].clone()
        logs[last] = -math.inf
        logs[last, :, self.end] = ends
        return logs

    def _end(self, ends: Tensor) -> None:
        """Takes the hypotheses that have ended out of the beam."""
        for a, k in (ends & self.log_p.isfinite()).nonzero().tolist():
            symbols, log_p = self.symbols[a, k].tolist(), float(self.log_p[a, k])
            attention = None if self.attention is None else self.attention[a, k].clone()
            score = log_p / self._penalty(len(symbols) - 1) + self._coverage(attention)
            self.found[int(self.active[a])].append(Found(tuple(symbols[1:-1]), score, log_p, attention))
        self.log_p = self.log_p.masked_fill(ends, -math.inf)

    def _going(self) -> Tensor:
        """The sources whose search goes on: a hypothesis is left, and it may still have one of the `best` scores."""
        bound = self.log_p.max(1).values / torch.tensor([self._penalty(n + 1) for n in self.longest.tolist()])
        scores = [sorted((one.score for one in self.found[a]), reverse=True) for a in self.active.tolist()]
        worst = [have[self.how.best - 1] if len(have) >= self.how.best else -math.inf for have in scores]
        return (bound > torch.tensor(worst, dtype=torch.float64)).nonzero().flatten()

    def _penalty(self, length: int) -> float:
        return float(((5 + length) / 6) ** self.how.length_penalty)

    def _coverage(self, attention: Tensor | None) -> float:
        if attention is None or self.how.coverage_penalty == 0:
            return 0.0
        covered = attention.sum(0)
        covered = covered[covered > 0]  # padding has no attention
        return self.how.coverage_penalty * float(covered.clamp(max=1).log().sum())


def _first(total: Tensor, count: int) -> Tensor:
    """The indices of the `count` highest numbers of each row, highest first, and the lower index first of equal ones.

    `topk` alone chooses any of equal numbers. So, where the last that it chooses has an equal, the row is sorted.
    """
    values, chosen = total.topk(count)
    chosen, by_index = chosen.sort(1)
    values = values.gather(1, by_index)
    chosen = chosen.gather(1, values.argsort(dim=1, descending=True, stable=True))
    tied = (total >= values.min(1, keepdim=True).values).sum(1) > count
    if bool(tied.any()):
        chosen[tied] = total[tied].argsort(dim=1, descending=True, stable=True)[:, :count]
    return chosen
