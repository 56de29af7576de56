"""Whether a target is learnt on the logarithmic scale."""

from typing import NamedTuple

import numpy as np

from carousel.errors import DataError, option

STEEP = 0.5  # of the slope of log spread on log level: 0 for steady spread, 1 for spread in proportion to the level
FEW_ZEROS = 0.3


class LogTransform(NamedTuple):
    """z = log(y + shift). A y of 0 where training saw none is read as `least`, the smallest that it saw above 0."""

    shift: float
    least: float

    @classmethod
    def of(cls, seen: np.ndarray) -> "LogTransform":
        """From values of 0 or more."""
        positive = seen[seen > 0]
        least = float(positive.min()) if len(positive) else 1.0
        return cls(least if (seen == 0).any() else 0.0, least)


class Transform:
    """z = y, or z = log(y + shift), of each target; monotonic, so that quantiles of z are those of y.

    The logarithm is taken where nothing is negative and the spread grows with the level: over blocks of a season, the
    slope of log(standard deviation) on log(mean) is above 0.5 (after Guerrero, Journal of Forecasting 12, 1993).
    `shift` is the smallest positive value where there are zeros, else 0.
    """

    def __init__(self, logs: list[LogTransform | None], floors: list[bool] | None = None) -> None:
        self.logs = logs  # of each target; None: no logarithm
        self.floors = floors or [log is not None for log in logs]  # of each target: forecasts end at 0

    @classmethod
    def fit(cls, values: np.ndarray, targets: int, season: int) -> "Transform":
        """From (T, N) values, targets side by side within a series."""
        return cls([_log(values[:, target::targets], max(season, 8)) for target in range(targets)])

    @classmethod
    def forced(cls, values: np.ndarray, targets: int) -> "Transform":
        """The logarithm of every target. Raises DataError for one that is negative somewhere."""
        logs: list[LogTransform | None] = []
        for target in range(targets):
            mine = values[:, target::targets]
            seen = mine[np.isfinite(mine)]
            if seen.min(initial=0.0) < 0:
                raise DataError(f"A logarithm needs values of 0 or more, and the target goes down to {seen.min():g}.")
            logs.append(LogTransform.of(seen))
        return cls(logs)

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Transforms (T, N) values. Raises DataError for negative values of a target that is learnt as a logarithm."""
        out = values.copy()
        for target, log in enumerate(self.logs):
            if log is None:
                continue
            mine = values[:, target :: len(self.logs)]
            low = np.nanmin(mine, initial=np.inf)
            if low < 0:
                raise DataError(
                    f"This model was trained on the logarithm of its target, which was never negative, and here it "
                    f"is {low:g}. Correct it, leave it empty, or train on data that have such values (or "
                    f"{option('log', False)})."
                )
            out[:, target :: len(self.logs)] = np.log(
                np.where(mine == 0, 0 if log.shift else log.least, mine) + log.shift
            )
        return out

    def backward(self, values: np.ndarray, columns: np.ndarray, axis: int) -> np.ndarray:
        """Of values whose `axis` counts these columns; nothing below 0 comes out of a logarithm."""
        out = values.copy()
        for target, log in enumerate(self.logs):
            if log is not None:
                mine = [slice(None)] * values.ndim
                mine[axis] = np.flatnonzero(columns % len(self.logs) == target)  # type: ignore[call-overload]
                out[tuple(mine)] = np.maximum(0.0, np.exp(np.minimum(values[tuple(mine)], 700.0)) - log.shift)
        return out


def _log(values: np.ndarray, block: int) -> LogTransform | None:
    seen = values[np.isfinite(values)]
    if not len(seen) or seen.min() < 0 or (seen == 0).mean() > FEW_ZEROS or len(values) < 4 * block:
        return None
    blocks = values[len(values) % block :].reshape(-1, block, values.shape[1])
    whole = np.isfinite(blocks).all(axis=1)
    mean, deviation = blocks.mean(axis=1), blocks.std(axis=1)
    x, y = [], []
    for series in range(values.shape[1]):
        use = whole[:, series] & (deviation[:, series] > 0) & (mean[:, series] > 0)
        if use.sum() >= 4:
            x.append(np.log(mean[use, series]) - np.log(mean[use, series]).mean())
            y.append(np.log(deviation[use, series]) - np.log(deviation[use, series]).mean())
    if not x:
        return None
    xs, ys = np.concatenate(x), np.concatenate(y)
    if xs.std() < 0.05 or (xs @ ys) / (xs @ xs) <= STEEP:
        return None
    return LogTransform.of(seen)
