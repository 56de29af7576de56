"""The Theta method: the classical forecast of a series without covariates (winner of the M3 competition).

Of a series without its season, z_1 ... z_t, and with b the slope of the straight line through them,

    level_t = level_t-1 + α (z_t - level_t-1)                                       level_1 = z_1
    z_{t+h} = level_t + b/2 (h - 1 + 1/α - (1 - α)^t / α)

The season has an index for each of its m phases: the mean ratio to the centred moving average of a whole season, in the
training part; the mean difference where a value is not positive. It is used where the autocorrelation at lag m of the
training part is beyond chance (90 %). α is the one with the least squared error one step ahead there.
What is missing changes nothing.

Sources: Assimakopoulos & Nikolopoulos (International Journal of Forecasting 16, 2000); Hyndman & Billah (the same
journal, 19, 2003), whose exact form this is.
"""

from typing import NamedTuple

import numpy as np

ALPHAS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
CHANCE = 1.645  # deviations: beyond them lies one normal number in ten, at either side


class SeasonIndices(NamedTuple):
    """The season of each column of values.

    indices: (m, N), what each of the m steps of a season adds to a value or multiplies it by. by_ratio: (N) bool, which
        columns they multiply.
    """

    indices: np.ndarray
    by_ratio: np.ndarray

    def of(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The index of each of these rows and columns, in their shape; row 0 is the first of the training."""
        return np.asarray(self.indices[rows % len(self.indices), columns])

    def without(self, values: np.ndarray, begin: int) -> np.ndarray:
        """Values without their season, (T, N). The first row of the values is number `begin`."""
        indices = self.of((begin + np.arange(len(values)))[:, None], np.arange(values.shape[1]))
        return np.where(self.by_ratio, values / np.where(self.by_ratio, indices, 1.0), values - indices)

    def back(self, forecast: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Forecasts with their season again, in the shape of the forecasts, rows and columns."""
        indices = self.of(rows, columns)
        return np.where(self.by_ratio[columns], forecast * indices, forecast + indices)


class Theta:
    """Theta forecasts of (T, N) values, fitted to `training`, whose row number `offset` is the first of the values."""

    def __init__(self, values: np.ndarray, *, training: np.ndarray, season: int, offset: int = 0) -> None:
        self.offset, self.season = offset, season_of(training, season)
        self.alpha = _smoothing(self.season.without(training, 0))
        z = self.season.without(values, offset)
        self.level = _levels(z, self.alpha)
        self.slope, self.count = _slopes(z)

    def points(self, rows: np.ndarray, columns: np.ndarray, horizon: int) -> np.ndarray:
        """The forecasts of the `horizon` steps after each origin, (horizon, origins); origin i is (rows[i],
        columns[i]).
        """
        h, alpha = np.arange(1, horizon + 1)[:, None], self.alpha[columns]
        ahead = h - 1 + (1 - (1 - alpha) ** self.count[rows, columns]) / alpha
        forecast = self.level[rows, columns] + self.slope[rows, columns] / 2 * ahead
        return self.season.back(forecast, self.offset + rows + h, columns)


def season_of(training: np.ndarray, m: int) -> SeasonIndices:
    """The season of each column, all alike where there is none."""
    none = SeasonIndices(np.zeros((max(1, m), training.shape[1])), np.zeros(training.shape[1], bool))
    if m < 2 or len(training) < 2 * m + 1:
        return none
    with np.errstate(invalid="ignore"):
        by_ratio = np.isfinite(training).any(0) & ~(training <= 0).any(0)
    smooth = _centred_mean(training, m)
    off = np.where(by_ratio, training / np.where(by_ratio, smooth, 1.0), training - smooth)
    sums = np.zeros((m, training.shape[1]))
    counts = np.zeros_like(sums)
    phases = np.arange(len(training)) % m
    np.add.at(sums, phases, np.nan_to_num(off))
    np.add.at(counts, phases, np.isfinite(off))
    indices = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    mean = indices.mean(0)
    indices = np.where(by_ratio, indices / np.where(mean > 0, mean, 1.0), indices - mean)
    use = _seasonal(training, m) & (counts > 0).all(0) & (~by_ratio | (indices > 0).all(0))
    return SeasonIndices(np.where(use, indices, 0.0), by_ratio & use)


def _centred_mean(values: np.ndarray, m: int) -> np.ndarray:
    """The mean of a whole season around each value, (T, N). It is NaN where no whole season surrounds the value; of an
    even m, both ends count half.
    """
    weights = np.full(m, 1 / m) if m % 2 else np.r_[0.5, np.ones(m - 1), 0.5] / m
    half = len(weights) // 2
    mean = np.full_like(values, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(values, len(weights), axis=0)
    mean[half : half + len(windows)] = windows @ weights
    return mean


def _seasonal(values: np.ndarray, m: int) -> np.ndarray:
    """Which columns have a season of m steps, (N) bool: those with |r_m| > 1.645 √((1 + 2 Σ_k<m r_k²) / T), where r_k
    is the autocorrelation at lag k.
    """
    seen = np.isfinite(values)
    count = np.maximum(seen.sum(0), 1)
    off = np.where(seen, values - np.where(seen, values, 0).sum(0) / count, 0.0)
    squares = np.maximum((off**2).sum(0), np.finfo(float).tiny)
    r = np.array([(off[k:] * off[:-k]).sum(0) / squares for k in range(1, m + 1)])
    return np.asarray(np.abs(r[-1]) > CHANCE * np.sqrt((1 + 2 * (r[:-1] ** 2).sum(0)) / count))


def _levels(z: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The smoothed level after every row, (T, ..., N) for alpha (..., N); it is NaN before the first value."""
    levels = np.empty((len(z), *alpha.shape))
    level = np.full(alpha.shape, np.nan)
    for t, y in enumerate(z):
        begun = np.where(np.isnan(level), y, level + alpha * (y - level))
        level = levels[t] = np.where(np.isfinite(y), begun, level)
    return levels


def _smoothing(z: np.ndarray) -> np.ndarray:
    """The α of each column, (N): the one of `ALPHAS` with the least mean squared error one step ahead. It is 1/2 where
    there are no errors to choose by.
    """
    tried = np.broadcast_to(np.array(ALPHAS)[:, None], (len(ALPHAS), z.shape[1]))
    total, level = np.zeros(tried.shape), np.full(tried.shape, np.nan)
    for y in z:
        off = y - level
        total += np.where(np.isfinite(off), off, 0.0) ** 2
        level = np.where(np.isfinite(off), level + tried * off, np.where(np.isnan(level), y, level))
    return np.where(total.max(0) > 0, np.array(ALPHAS)[total.argmin(0)], 0.5)


def _slopes(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The slope of the line through the values up to each row, and how many there are, (T, N) each."""
    seen = np.isfinite(z)
    t = np.arange(len(z), dtype=np.float64)[:, None]
    count = seen.cumsum(0)
    n = np.maximum(count, 1)
    first = np.where(seen.any(0), z[seen.argmax(0), np.arange(z.shape[1])], 0.0)
    y = np.where(seen, z - first, 0.0)
    times, squares = np.where(seen, t, 0).cumsum(0), np.where(seen, t**2, 0).cumsum(0)
    products, values = (t * y).cumsum(0), y.cumsum(0)
    spread = squares - times**2 / n
    return np.divide(products - times * values / n, spread, out=np.zeros_like(spread), where=count > 1), count
