"""The baselines: classical forecasts that a trained model must beat to be worth its training.

    naive             y_{t+h} = y_t
    seasonal naive    y_{t+h} = y_{t+h-m}, the value a season ago (the last that was seen at that phase)
    drift             y_{t+h} = y_t + h (y_t - y_first) / (t - first)
    theta             see `theta.py`; not naive, and the one to beat on a short series
    AutoARIMA, AutoETS    where statsforecast is installed; see `fitted.py`

Their quantiles lie around these by those of their own absolute errors, h steps ahead, in the training part; of a series
that it does not have they are not known, NaN, but for the median.
Source: Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd edition, section 5.2.
"""

import numpy as np

from carousel.tasks.forecasting.scoring.fitted import Fitted, fitted
from carousel.tasks.forecasting.scoring.theta import Theta
from carousel.tasks.gaps import forward_filled

ERRORS_FROM = 2_000  # origins of each series, the last ones


class Baseline:
    """One classical forecast of (T, N) values. Its intervals come from its errors on `training`, the earlier values of
    the same columns, whose row number `offset` is the first of the values."""

    def __init__(
        self, name: str, values: np.ndarray, *, training: np.ndarray, season: int = 1, offset: int = 0
    ) -> None:
        self.name = name
        self.theta = None
        if name == "theta":
            self.theta = Theta(values, training=training, season=season, offset=offset)
        self.values = values
        self.season = season
        self.training = training
        seen = np.isfinite(values)
        self.begin = np.where(seen.any(axis=0), seen.argmax(axis=0), 0)
        self.first = values[self.begin, np.arange(values.shape[1])]
        self.last = _filled(values, season if name == "seasonal naive" else 1)

    def points(self, rows: np.ndarray, columns: np.ndarray, horizon: int) -> np.ndarray:
        """Point forecasts (horizon, origins) of the steps after each origin; origin i is (rows[i], columns[i])."""
        if self.theta is not None:
            return self.theta.points(rows, columns, horizon)
        h = np.arange(1, horizon + 1)[:, None]
        if self.name == "seasonal naive":
            return self.last[np.maximum(0, rows + h - self.season * -(-h // self.season)), columns]
        now = np.broadcast_to(self.last[rows, columns], (horizon, len(rows)))
        if self.name == "drift":
            slope = (self.last[rows, columns] - self.first[columns]) / np.maximum(1, rows - self.begin[columns])
            return now + h * slope
        return now

    def quantiles(self, rows: np.ndarray, columns: np.ndarray, horizon: int, levels: np.ndarray) -> np.ndarray:
        """The quantiles of the steps after each origin, (horizon, origins, levels): the point forecast, widened by the
        errors that the baseline made on the training part at the same step ahead.
        """
        then = Baseline(self.name, self.training, training=self.training, season=self.season)
        until = len(self.training)
        spread = np.full((horizon, self.values.shape[1], len(levels)), np.nan)
        spread[..., levels == 0.5] = 0
        for column in np.unique(columns):
            known = np.arange(max(then.begin[column], until - ERRORS_FROM), until - 1)
            if not len(known):
                continue
            later = known + np.arange(1, horizon + 1)[:, None]
            actual = np.where(later < until, then.values[np.minimum(later, until - 1), column], np.nan)
            errors = actual - then.points(known, np.full(len(known), column), horizon)
            for h in range(horizon):
                of = errors[h][np.isfinite(errors[h])]
                if len(of):
                    wide = np.quantile(np.abs(of), np.abs(2 * levels - 1))
                    spread[h, column] = np.sign(levels - 0.5) * wide
                else:
                    spread[h, column] = spread[max(0, h - 1), column]
        return self.points(rows, columns, horizon)[..., None] + spread[:, columns]


def baselines(values: np.ndarray, *, training: np.ndarray, season: int, offset: int = 0) -> list[Baseline | Fitted]:
    """Naive, seasonal naive where there is a season, drift, theta, and what `fitted` finds."""
    names = ["naive", *(["seasonal naive"] if season > 1 else []), "drift", "theta"]
    plain = [Baseline(name, values, training=training, season=season, offset=offset) for name in names]
    return [*plain, *fitted(values, training=training, season=season, offset=offset)]


def _filled(values: np.ndarray, season: int) -> np.ndarray:
    """Each missing value is that of a season before; without one, the latest value before it."""
    filled = forward_filled(values, season=season)
    return np.where(np.isnan(filled), forward_filled(values), filled)
