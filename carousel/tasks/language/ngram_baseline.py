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
    """`nats[k - 1]`: mean loss per token of counts of order k (1: frequencies alone, 2: pairs, ...)."""

    nats: list[float]
    trained_on: int  # tokens

    @property
    def order(self) -> int:
        return int(np.argmin(self.nats)) + 1

    @property
    def best(self) -> float:
        return min(self.nats)

    @property
    def name(self) -> str:
        return f"{self.order}-gram counts"


def count(training: np.ndarray, validation: np.ndarray, symbols: int, *, orders: int = 6) -> NgramBaseline:
    """The loss of counts of order 1 to `orders` on a validation text, whose context begins in the training text."""
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
