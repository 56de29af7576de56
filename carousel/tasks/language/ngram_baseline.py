"""The naive baseline: counts of what followed the last few symbols.

    P_k(w | c) = (count(c w) + T(c) · P_{k-1}(w | c')) / (count(c) + T(c))        Witten-Bell interpolation

with c the last k - 1 symbols, c' the same without its first, T(c) how many different symbols followed c, and P_0
uniform. A context never met says P_k = P_{k-1}. A network worth its training must do better.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["NgramBaseline", "count"]

TRAINED_ON = 3_000_000  # tokens at most, the last ones before the validation text: counting sorts them all


@dataclass(frozen=True)
class NgramBaseline:
    """How well counts of symbols predict a text.

    nats: nats[k - 1] is the mean loss per token of counts of order k (1: frequencies alone, 2: pairs, ...).
    trained_on: the number of tokens that were counted.
    """

    nats: list[float]
    trained_on: int  # tokens

    @property
    def order(self) -> int:
        """The order with the lowest loss."""
        return int(np.argmin(self.nats)) + 1

    @property
    def best(self) -> float:
        """The lowest loss, in nats per token."""
        return min(self.nats)

    @property
    def name(self) -> str:
        """What reports call the best order: "3-gram counts"."""
        return f"{self.order}-gram counts"


def count(training: np.ndarray, validation: np.ndarray, symbols: int, *, orders: int = 6) -> NgramBaseline:
    """The loss of counts of each order on a validation text, whose context begins in the training text.

    training, validation: the symbols of the two texts, (tokens,) integers from 0 to `symbols` - 1. symbols: how many
        different symbols there are. orders: the highest order; all from 1 to it are measured.
    """
    training = training[-TRAINED_ON:]
    text = np.concatenate([training, validation]).astype(np.int64)
    learn, judge = slice(0, len(training)), slice(len(training), None)
    context = np.zeros(len(text), np.int64)  # a number for the symbols before each position
    probability = np.full(len(validation), 1 / symbols)
    nats = []
    for _ in range(orders):
        # Numbering (context, symbol) pairs by rank numbers the contexts of the next order as well.
        pairs, pair = np.unique(context * symbols + text, return_inverse=True)
        pair_count = np.bincount(pair[learn], minlength=len(pairs))
        contexts = int(context.max()) + 1
        context_count = np.bincount(context[learn], minlength=contexts)
        kinds = np.bincount(pairs[pair_count > 0] // symbols, minlength=contexts)
        c = context[judge]
        seen = context_count[c] > 0
        mixed = (pair_count[pair[judge]] + kinds[c] * probability) / np.maximum(1, context_count[c] + kinds[c])
        probability = np.where(seen, mixed, probability)
        nats.append(float(-np.log(probability).mean()))
        context = np.concatenate([[0], pair[:-1] + 1])  # 0: the beginning of the text, before any symbol
    return NgramBaseline(nats, len(training))
