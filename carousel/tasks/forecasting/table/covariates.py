"""Covariates as numbers a network can read, in the way that was fixed in training."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError

CATEGORIES = 24  # the most frequent categories have a column each
FURTHEST = 8.0  # standard deviations: what is further away than that is moved there


@dataclass(frozen=True)
class Encoder:
    """One column as `width` numbers a row.

    A number: (x - mean) / deviation, 0 where it is missing, and beside it a flag for missing where training had such
    (`flagged`). A category: one column for each of the most frequent in training, 1 where it is that one.
    """

    name: str
    mean: float = 0.0
    deviation: float = 1.0
    flagged: bool = False
    categories: tuple[str, ...] | None = None

    @classmethod
    def fit(cls, column: pl.Series) -> "Encoder":
        if not _is_number(column):
            counts = column.cast(pl.String).drop_nulls().value_counts(sort=True)
            # Sorted by name where they are equally frequent, so that the order of rows plays no part.
            counts = counts.sort(["count", column.name], descending=[True, False])
            names = tuple(sorted(counts[column.name][:CATEGORIES].to_list()))
            return cls(column.name, flagged=column.null_count() > 0, categories=names)
        numbers = _numbers(column)
        seen = numbers[np.isfinite(numbers)]
        mean = float(seen.mean()) if len(seen) else 0.0
        deviation = float(seen.std()) if len(seen) else 0.0
        return cls(column.name, mean, deviation if deviation > 0 else 1.0, len(seen) < len(numbers))

    @property
    def width(self) -> int:
        return len(self.categories) if self.categories is not None else 1 + self.flagged

    @property
    def absent(self) -> np.ndarray:
        """What stands where a table has no row at all."""
        return np.array([0.0, 1.0] if self.width == 2 and self.categories is None else [0.0] * self.width, np.float32)

    def missing(self, column: pl.Series) -> np.ndarray:
        """Which rows have no value, (rows,) bool."""
        return column.is_null().to_numpy() if self.categories is not None else ~np.isfinite(_numbers(column))

    def encode(self, column: pl.Series) -> np.ndarray:
        """The numbers that the network reads for each row, (rows, width) float32. Raises DataError for text where
        training had numbers.
        """
        if self.categories is not None:
            texts = column.cast(pl.String).to_numpy()
            return (texts[:, None] == np.array(self.categories, dtype=object)).astype(np.float32)
        if not _is_number(column):
            raise DataError(f"The covariate {self.name!r} was numbers in training, and is {column.dtype} here.")
        numbers = _numbers(column)
        missing = ~np.isfinite(numbers)
        scaled = np.where(missing, 0.0, (numbers - self.mean) / self.deviation).clip(-FURTHEST, FURTHEST)
        return np.stack([scaled, missing] if self.flagged else [scaled], axis=1).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "Encoder":
        categories = saved["categories"]
        return cls(**saved | {"categories": None if categories is None else tuple(categories)})


def width(encoders: tuple[Encoder, ...]) -> int:
    return sum(encoder.width for encoder in encoders)


def absent(encoders: tuple[Encoder, ...]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *(encoder.absent for encoder in encoders)])


def encode(encoders: tuple[Encoder, ...], frame: pl.DataFrame) -> np.ndarray:
    """The numbers that the network reads for each row, of all covariates side by side, (rows, width of all) float32."""
    parts = [encoder.encode(frame[encoder.name]) for encoder in encoders]
    return np.concatenate([np.zeros((frame.height, 0), np.float32), *parts], axis=1)


def missing(encoders: tuple[Encoder, ...], frame: pl.DataFrame) -> np.ndarray:
    """Which of the numbers of `encode` only say that there is no value, (rows, width of all) bool."""
    parts = [np.repeat(e.missing(frame[e.name])[:, None], e.width, axis=1) for e in encoders]
    return np.concatenate([np.zeros((frame.height, 0), bool), *parts], axis=1)


def complete(encoders: tuple[Encoder, ...], frame: pl.DataFrame) -> np.ndarray:
    """Which rows lack no value that training always had, (rows,) bool."""
    lacking = (e.missing(frame[e.name]) for e in encoders if not e.flagged)
    return ~np.any([np.zeros(frame.height, bool), *lacking], axis=0)


def _is_number(column: pl.Series) -> bool:
    return column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)


def _numbers(column: pl.Series) -> np.ndarray:
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()
