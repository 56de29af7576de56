"""Labels that are merged for a score: of five grades of sentiment, negative and positive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from carousel.errors import DataError, option


@dataclass(frozen=True)
class Merging:
    """Groups of labels, as texts. "0,1/3,4" has the groups 0, 1 and 3, 4; all other labels are left out.

    The probability of a group is the sum of those of its labels:  P(g) = Σ_{k in g} P(k).
    """

    groups: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, text: str) -> Merging:
        """Raises DataError unless the text has two groups or more, and each label at most once."""
        groups = tuple(tuple(label.strip() for label in group.split(",")) for group in text.split("/"))
        labels = [label for group in groups for label in group]
        if len(groups) < 2 or not all(labels) or len(set(labels)) < len(labels):
            raise DataError(
                f"Merged labels are written as groups, two or more, with each label once: "
                f"{option('merge', '0,1/3,4')}; found {text!r}."
            )
        return cls(groups)

    def require_known(self, classes: Sequence[object]) -> None:
        """Raises DataError for a label that is none of these."""
        known = list(map(str, classes))
        for label in (label for group in self.groups for label in group):
            if label not in known:
                raise DataError(
                    f"merging labels ({option('merge')}): the data have no label {label!r}; they have "
                    f"{', '.join(known[:20])}"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """The groups as classes: "0,1" and "3,4"."""
        return tuple(",".join(group) for group in self.groups)

    def group_of(self, labels: Sequence[object]) -> np.ndarray:
        """The number of each label's group, -1 for a label in none, (N) int64."""
        numbers = {label: number for number, group in enumerate(self.groups) for label in group}
        return np.array([numbers.get(str(label), -1) for label in labels], np.int64)

    def log_probabilities(self, logs: np.ndarray, classes: Sequence[object]) -> np.ndarray:
        """ln P of each group, given that one of them is right, (N, G). logs: ln P of each class, (N, K)."""
        owners, chances = self.group_of(classes[: logs.shape[1]]), np.exp(logs)
        sums = np.stack([chances[:, owners == g].sum(1) for g in range(len(self.groups))], 1)
        sums = np.maximum(sums, np.finfo(np.float64).tiny)
        return np.log(sums / sums.sum(1, keepdims=True))
