"""The baselines of sources that are arrays: the target of the nearest source of the training part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

POINTS = 12  # at which two arrays of unequal length are compared


class NearestInTime:
    """Answers steps in time with the target of the nearest training source: by the Euclidean distance of the steps at
    12 moments, evenly from the first to the last, and of ln of the length.

    standardised: gives the steps of what a run keeps, (T, channels), each channel with the mean 0 and the deviation 1.
    """

    def __init__(
        self, standardised: Callable[[Any], np.ndarray], kept: Sequence[np.ndarray], targets: Sequence[str]
    ) -> None:
        self._standardised, self._targets = standardised, targets
        self._known = np.stack([self._moments(one) for one in kept])

    def answer(self, kept: np.ndarray) -> str:
        """The target of the nearest training source; of equally near ones, of the first."""
        if not len(kept):
            return ""
        distances = ((self._known - self._moments(kept)) ** 2).sum(1)
        return self._targets[int(distances.argmin())]

    def _moments(self, kept: np.ndarray) -> np.ndarray:
        steps = self._standardised(kept)
        chosen = np.linspace(0, len(steps) - 1, POINTS).round().astype(int)
        return np.append(steps[chosen].ravel(), POINTS * np.log(len(steps)))


class NearestArray:
    """Answers an array x with the target of the training array y whose distance |x - y|² is least, over all their
    numbers; of equally near ones the first answers."""

    def __init__(self, kept: Sequence[np.ndarray], targets: Sequence[str]) -> None:
        self._targets = targets
        self._all = np.stack([one.ravel() for one in kept]).astype(np.float32)
        self._squares = (self._all.astype(np.float64) ** 2).sum(1)

    def answer(self, kept: np.ndarray) -> str:
        """The target of the nearest training array."""
        x = kept.ravel().astype(np.float32)
        return self._targets[int((self._squares - 2.0 * (self._all @ x)).argmin())]
