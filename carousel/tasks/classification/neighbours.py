"""The classical baseline of every classifier: a sequence gets the class of its nearest neighbour."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LONGEST = 40  # points that a sequence is shortened to before it is compared
MOST = 300  # sequences that are judged, and as many that each is compared with
BAND = 0.1  # of the length, how far the paths of two sequences may run apart
PAIRS = 4096  # compared at once


@dataclass(frozen=True)
class Neighbours:
    """The classes that nearest neighbours give to sequences.

    judged: indices of the sequences, (n,). answers: index of the class of each one's nearest neighbour, (n,).
    """

    judged: np.ndarray
    answers: np.ndarray

    def right(self, truth: np.ndarray) -> np.ndarray:
        """Which of the answers are right, (n,) bool. truth: index of the class of every sequence."""
        return np.asarray(self.answers == truth[self.judged])


def of_held_out(
    sequences: Sequence[np.ndarray], truth: np.ndarray, folds: np.ndarray, *, symbolic: bool, seed: int
) -> Neighbours:
    """Classifies each held-out sequence by its nearest neighbour among those that its network learns from.

    sequences: numbers, (T, C) each, compared by `warped`; or symbols, (T,) each, compared by the cosine of their
    counts, each weighted by how rare the symbol is. folds: index of the network that each is held out from, -1 for
    none. Where there are more than MOST sequences to judge or to compare with, as many are drawn with `seed`.
    """
    chance = np.random.default_rng(seed)
    judged = _some(np.flatnonzero(folds >= 0), chance)
    answers = np.zeros(len(judged), np.int64)
    for fold in np.unique(folds[judged]):
        mine = np.flatnonzero(folds[judged] == fold)
        known = _some(np.flatnonzero(folds != fold), chance)
        first, second = [sequences[k] for k in judged[mine]], [sequences[k] for k in known]
        apart = _by_symbols(first, second) if symbolic else warped(*_alike(first, second))
        answers[mine] = truth[known[apart.argmin(1)]]
    return Neighbours(judged, answers)


def warped(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> np.ndarray:
    """Dynamic time warping (Sakoe and Chiba 1978) between all pairs of two lists of sequences, (m, n):

        D(i, j) = |x_i - y_j|² + min(D(i-1, j), D(i, j-1), D(i-1, j-1)),    |i/S - j/T| ≤ 1/10 or one step apart

    D(S, T) of sequences of S and T points. Such a pair is compared on the diagonals i + j, many pairs at a time.
    """
    x, lengths_x = _padded(first)
    y, lengths_y = _padded(second)
    pairs = np.indices((len(x), len(y))).reshape(2, -1).T
    found = np.empty(len(pairs))
    for start in range(0, len(pairs), PAIRS):
        a, b = pairs[start : start + PAIRS].T
        found[start : start + PAIRS] = _warped_pairs(x[a], y[b], lengths_x[a], lengths_y[b])
    return found.reshape(len(x), len(y))


def _warped_pairs(x: np.ndarray, y: np.ndarray, s: np.ndarray, t: np.ndarray) -> np.ndarray:
    squares = (x**2).sum(2)[:, :, None] + (y**2).sum(2)[:, None] - 2 * x @ y.transpose(0, 2, 1)
    i, j = np.arange(x.shape[1]), np.arange(y.shape[1])
    apart = np.abs((i[:, None] + 1) / s[:, None, None] - (j + 1) / t[:, None, None])
    width = np.maximum(BAND, 1 / np.minimum(s, t))[:, None, None]
    cost = np.where(apart <= width + 1e-9, np.maximum(squares, 0), np.inf)
    best = np.full(len(x), np.inf)
    # By i, one place further: what lies at i - 1 is a place before it. The last two diagonals are all that is needed.
    before = np.full((len(x), x.shape[1] + 1), np.inf)
    before_that = before.copy()
    before_that[:, 0] = 0  # the path begins before both first points
    for diagonal in range(x.shape[1] + y.shape[1] - 1):
        rows = np.arange(max(0, diagonal - y.shape[1] + 1), min(diagonal, x.shape[1] - 1) + 1)
        now = np.full_like(before, np.inf)
        reached = np.minimum(np.minimum(before[:, rows], before[:, rows + 1]), before_that[:, rows])
        now[:, rows + 1] = cost[:, rows, diagonal - rows] + reached
        ended = np.flatnonzero(s + t - 2 == diagonal)
        best[ended] = now[ended, s[ended]]
        before_that, before = before, now
    return best


def shortened(sequence: np.ndarray) -> np.ndarray:
    """A sequence (T, C) as at most LONGEST points, (points, C) float64, each the mean of its part of the sequence."""
    if len(sequence) <= LONGEST:
        return np.asarray(sequence, np.float64)
    ends = np.linspace(0, len(sequence), LONGEST + 1).round().astype(np.int64)
    return np.add.reduceat(sequence.astype(np.float64), ends[:-1]) / np.diff(ends)[:, None]


def _alike(first: list[np.ndarray], second: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Both lists shortened, and each channel standardised with the mean and deviation of the second list."""
    steps = np.concatenate(second).astype(np.float64)
    largest = np.abs(steps).max(0)
    unit = np.where(largest > 0, largest, 1.0)  # so that squares of large numbers do not overflow
    mean, deviation = (steps / unit).mean(0) * unit, (steps / unit).std(0)
    scale = np.where(deviation > 1e-9, deviation * unit, 1.0)
    return tuple([(shortened(one) - mean) / scale for one in some] for some in (first, second))  # type: ignore[return-value]


def _by_symbols(first: list[np.ndarray], second: list[np.ndarray]) -> np.ndarray:
    """1 - cosine between counts of symbols, (m, n), each count times ln((1 + n) / (1 + sequences that have the
    symbol))."""
    size = 1 + max(int(one.max(initial=0)) for one in [*first, *second])
    known = np.stack([np.bincount(one, minlength=size) for one in second]).astype(np.float64)
    asked = np.stack([np.bincount(one, minlength=size) for one in first]).astype(np.float64)
    rare = np.log((1 + len(known)) / (1 + (known > 0).sum(0)))
    known, asked = known * rare, asked * rare
    norms = np.linalg.norm(asked, axis=1)[:, None] * np.linalg.norm(known, axis=1)
    return np.asarray(1 - asked @ known.T / np.maximum(norms, 1e-12))


def _some(numbers: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    return numbers if len(numbers) <= MOST else np.sort(chance.choice(numbers, MOST, replace=False))


def _padded(sequences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(one) for one in sequences])
    padded = np.zeros((len(sequences), lengths.max(), sequences[0].shape[1]))
    for row, one in zip(padded, sequences, strict=True):
        row[: len(one)] = one
    return padded, lengths
