"""The naive baseline of a missing word: counts of pairs, read from both sides.

Pairs of neighbours are counted with Witten-Bell interpolation, as in `ngram_baseline`:

    P(w | l) = (count(l w) + T(l) · P(w)) / (count(l) + T(l))

and a text whose words depend on the word before alone, a Markov chain, says of a missing word between l and r

    P(w | l, r) = P(w | l) · P(r | w) / Σ_v P(v | l) · P(r | v)

exactly. This is what pairs can say of it at best; P(w | l) is the usual bigram, which does not look at r.
"""

from dataclasses import dataclass

import numpy as np
import torch

NAME = "pairs with both neighbours"
AT_ONCE = 256  # left neighbours whose products are computed together


@dataclass(frozen=True)
class NeighbourCounts:
    """Counts of a text. single: P(w), (V,). kinds: T(l), (V,). totals: count(l), (V,).

    left, right, counts: the pairs that occur, and how often, (n,) each, sorted by left.
    """

    single: np.ndarray
    kinds: np.ndarray
    totals: np.ndarray
    left: np.ndarray
    right: np.ndarray
    counts: np.ndarray

    @property
    def _beyond(self) -> np.ndarray:
        """(V,), T(l) / (count(l) + T(l)): what P(w | l) has of P(w)."""
        return np.where(self.totals > 0, self.kinds / np.maximum(1, self.totals + self.kinds), 1.0)

    def bigram_nats(self, text: np.ndarray) -> float:
        """The mean of -ln P(w | l) over all symbols of a text but the first."""
        text = text.astype(np.int64)
        return float(-np.log(self._following(text[:-1], text[1:])).mean())

    def nats(self, text: np.ndarray) -> float:
        """The mean of -ln P(w | l, r) over all symbols of a text but the first and the last."""
        text = text.astype(np.int64)
        left, middle, right = text[:-2], text[1:-1], text[2:]
        own = self._following(left, middle) * self._following(middle, right)
        return float((np.log(self._sums(left, right)) - np.log(own)).mean())

    def _following(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """P(right | left) for n pairs of symbols that follow one another, (n,)."""
        symbols = len(self.single)
        keys = self.left * symbols + self.right
        wanted = left * symbols + right
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        counts = np.where(keys[at] == wanted, self.counts[at], 0)
        beyond = self._beyond
        known = np.maximum(1, self.totals + self.kinds)
        found: np.ndarray = counts / known[left] + beyond[left] * self.single[right]
        return found

    def _sums(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Σ_v P(v | l) · P(r | v) for n pairs of symbols, l to the left and r to the right of a gap; (n,).

        With P(v | l) = S_lv + β_l p_v, where S is sparse, the sum is (S S)_lr + (S β)_l p_r + β_l (p S)_r + β_l p_r
        Σ_v p_v β_v. The product S S is computed for a few rows l at a time.
        """
        symbols, beyond = len(self.single), self._beyond
        share = self.counts / np.maximum(1, self.totals + self.kinds)[self.left]
        after = np.bincount(self.left, share * beyond[self.right], symbols)  # (S β)_l
        before = np.bincount(self.right, self.single[self.left] * share, symbols)  # (p S)_r
        both = float((self.single * beyond).sum())
        sums = after[left] * self.single[right] + beyond[left] * (before[right] + both * self.single[right])
        places = torch.from_numpy(np.stack([self.right, self.left]))
        turned = torch.sparse_coo_tensor(places, torch.from_numpy(share), (symbols, symbols), check_invariants=False)
        first = np.searchsorted(self.left, np.arange(symbols + 1))
        order = np.argsort(left, kind="stable")
        rows, begins = np.unique(left[order], return_index=True)
        begins = np.append(begins, len(order))
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            dense = torch.zeros(symbols, len(some), dtype=torch.float64)
            for column, row in enumerate(some.tolist()):
                pairs = slice(first[row], first[row + 1])
                dense[torch.from_numpy(self.right[pairs]), column] = torch.from_numpy(share[pairs])
            product = (turned @ dense).numpy()  # (r, l)
            judged = order[begins[start] : begins[min(start + AT_ONCE, len(rows))]]
            sums[judged] += product[right[judged], np.searchsorted(some, left[judged])]
        return sums


def count(text: np.ndarray, symbols: int) -> NeighbourCounts:
    """The counts of a text of so many different symbols. P(w) counts every symbol once more than it occurs."""
    text = text.astype(np.int64)
    pairs, counts = np.unique(text[:-1] * symbols + text[1:], return_counts=True)
    left, right = pairs // symbols, pairs % symbols
    occurring = np.bincount(text, minlength=symbols).astype(np.float64)
    seen = np.count_nonzero(occurring)
    # Witten-Bell again, beside all symbols alike.
    single = (occurring + seen / symbols) / (occurring.sum() + seen)
    totals = np.bincount(left, counts, symbols)
    kinds = np.bincount(left, minlength=symbols).astype(np.float64)
    return NeighbourCounts(single, kinds, totals, left, right, counts.astype(np.float64))
