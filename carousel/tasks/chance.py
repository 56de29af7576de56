"""Whether one model is better than another on the same examples, or only by chance."""

import numpy as np

BY_CHANCE = 0.05  # a difference that chance alone makes as often as this, or more often, decides nothing


def by_chance(first: np.ndarray, second: np.ndarray) -> float:
    """How often two equally good models would differ at least as much as these do, which are right (n) or not on the
    same sequences. McNemar's test, exact: of the d sequences that one alone has right, each is either's with P = 1/2,

        p = min(1, 2 Σ_{k ≤ fewer} C(d, k) / 2^d)
    """
    differ = int((first != second).sum())
    fewer = min(int((first & ~second).sum()), int((second & ~first).sum()))
    total = term = 1
    for k in range(fewer):
        term = term * (differ - k) // (k + 1)
        total += term
    return min(1.0, 2 * total / 2**differ)
