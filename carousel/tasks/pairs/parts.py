"""Which pairs are learnt from, and which are held out: none that is held out says again what is learnt."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

MOST_ALIKE = 0.2  # of all pairs, in one group
DISTINCT = 0.5  # of the targets: where fewer differ, they are words for classes, and each must be learnt


def key_of(text: Any) -> Hashable:
    """What two texts share that say the same: their words and numbers, without case and marks. Of an array: its
    numbers."""
    if isinstance(text, np.ndarray):
        return text.tobytes()
    words = re.findall(r"[^\W_]+", text.casefold())
    return " ".join(words) or text.strip()


def groups_of(sources: Sequence[Any], targets: Sequence[str]) -> tuple[np.ndarray, bool]:
    """The number of the group of each pair, (N,). Pairs with the same source, or the same target, are of one group (by
    `key_of`), and so are pairs that others link so.

    The second value says whether targets link pairs: not where few targets answer many sources, so that fewer than half
    of the targets differ or a fifth of all pairs would be of one group. A target held out would else never be learnt.
    """
    for linked in (True, False) if _differ(targets) else (False,):
        parents = list(range(len(sources)))

        def root(k: int, parents: list[int] = parents) -> int:
            while parents[k] != k:
                parents[k] = parents[parents[k]]
                k = parents[k]
            return k

        for texts in (sources, targets) if linked else (sources,):
            first: dict[Hashable, int] = {}
            for k, text in enumerate(texts):
                parents[root(k)] = root(first.setdefault(key_of(text), k))
        groups = np.array([root(k) for k in range(len(sources))])
        if not linked or np.bincount(groups).max(initial=0) <= max(2, MOST_ALIKE * len(groups)):
            break
    return groups, linked


def held_out(groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which pairs are held out, (N,) bool: whole groups, in a random order, until they are the share of all pairs."""
    numbers, counts = np.unique(groups, return_counts=True)
    order = np.random.default_rng([seed, 1]).permutation(len(numbers))
    before = np.cumsum(counts[order]) - counts[order]
    wanted = max(1, round(share * len(groups)))
    chosen = numbers[order][before < wanted]
    return np.isin(groups, chosen)


def known(sources: Sequence[Any], targets: Sequence[str], learnt: Sequence[Any], texts: Sequence[str]) -> int:
    """How many pairs have a source or a target, up to case and marks, that the training part has. learnt, texts: its
    sources and targets. Only sources count where few targets answer many sources: there, most are known."""
    first, second = set(map(key_of, learnt)), set(map(key_of, texts))
    if not _differ(texts):
        second = set()
    return sum(key_of(x) in first or key_of(y) in second for x, y in zip(sources, targets, strict=True))


def _differ(targets: Sequence[str]) -> bool:
    return len(set(map(key_of, targets))) >= DISTINCT * len(targets)
