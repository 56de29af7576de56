"""Exponential smoothing: level, trend and season of a series, followed observation by observation.

The classical forecast for a short seasonal series (Holt 1957, Winters 1960), and what the winner of the M4 competition
put before its network (Smyl, International Journal of Forecasting 36, 2020). With e_t what an observation is off,

    e_t     = y_t - (level_t-1 + φ trend_t-1 + season_t-m)
    level_t = level_t-1 + φ trend_t-1 + α e_t
    trend_t = φ trend_t-1 + α max(β, 1 / (n_t - m + 1)) e_t
    season_t = season_t-m + γ (1 - α) e_t

    forecast_t(h) = level_t + (φ + ... + φ^h) trend_t + season of the step t + h, as it was last

n_t: observations so far. The first season has no trend; its mean is the level after it, and what its steps are off that
mean is their season. The trend learns fast at first, since it begins at 0. A missing value leaves all as expected.
On logarithms season and trend are factors: a multiplicative season.

`fit` chooses α, β, γ, φ, the same for all series of a table, by what is judged later: the mean absolute error of
forecasts as many steps ahead as wanted, from origins all over the later part of training.
"""

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np

LEVEL, TREND, SEASON, OPENING, WIDTH = range(5)  # OPENING: the mean of the first season
ALPHAS, BETAS, GAMMAS, DAMPINGS = (0.1, 0.2, 0.3, 0.5, 0.8), (0.01, 0.05, 0.2), (0.1, 0.3, 0.5), (0.9, 1.0)
FIRST_ORIGIN = 0.4  # of the training part
MOST_ORIGINS = 200


class Rates(NamedTuple):
    """α, β, γ and φ: numbers, or arrays that broadcast with the series."""

    level: Any
    trend: Any
    season: Any
    damping: Any

    @classmethod
    def of(cls, saved: Any) -> "Rates":
        """From what a run says. Raises ValueError where these are no rates."""
        rates = cls(*map(float, saved))
        if not all(0 <= rate <= 1 for rate in rates):
            raise ValueError("the rates of a smoothing are numbers from 0 to 1")
        return rates


def advance(
    before: np.ndarray, then: np.ndarray, then_seen: np.ndarray, y: np.ndarray, count: np.ndarray, m: int, rates: Rates
) -> np.ndarray:
    """(..., WIDTH) after a step, of that before it. then: the season signal a season ago, and how many observations
    its phase had, `then_seen`. y: NaN where nothing is seen; count: observations, this one included; m: 1 for none."""
    seen = np.isfinite(y)
    value = np.where(seen, y, 0.0)
    opening = count <= m
    level, trend, mean = (np.nan_to_num(before[..., k]) for k in (LEVEL, TREND, OPENING))
    usual = season_of(then, then_seen, mean)
    expected = level + rates.damping * trend
    off = np.where(seen, value - expected - usual, 0.0)
    new_level = expected + rates.level * off
    new_trend = rates.damping * trend + rates.level * np.maximum(rates.trend, 1 / np.maximum(count - m + 1, 1)) * off
    new_season = usual + rates.season * (1 - rates.level) * off
    first_of_phase = np.where(opening, value, value - new_level + mean)  # kept as it is: see season_of
    new_season = np.where(then_seen > 0, new_season, first_of_phase)
    mean_so_far = level + (value - level) / np.maximum(count, 1)
    new_level = np.where(opening, np.where(seen, mean_so_far, level), new_level)
    return np.stack(
        [
            new_level,
            np.where(opening, 0.0, new_trend),
            np.where(seen, new_season, then) if m > 1 else np.zeros_like(new_level),
            np.where(opening, new_level, mean),
        ],
        axis=-1,
    )


def season_of(signal: np.ndarray, seen: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """A season from its signal. Where its phase was seen once, the signal is the value itself, as the mean of the first
    season was not known then."""
    return np.where(seen > 1, signal, np.where(seen == 1, np.nan_to_num(signal) - mean, 0.0))


def forecast(now: np.ndarray, usual: np.ndarray, steps: int, damping: Any) -> np.ndarray:
    """So many steps ahead of signals (..., WIDTH), where `usual` is the season of that step."""
    ahead = np.asarray(damping)[..., None] ** np.arange(1, steps + 1)
    return np.asarray(now[..., LEVEL] + ahead.sum(-1) * now[..., TREND] + usual)


def fit(values: np.ndarray, m: int, horizon: int) -> Rates | None:
    """The rates that forecast these (T, N) values best; None where the series are too short to fit them."""
    origins = np.arange(max(2 * m, int(FIRST_ORIGIN * len(values)), 3), len(values) - 1)
    if len(origins) < 2:
        return None
    origins = origins[np.unique(np.linspace(0, len(origins) - 1, MOST_ORIGINS).round().astype(int))]
    grid = np.array(list(product(ALPHAS, BETAS, GAMMAS if m > 1 else (0.0,), DAMPINGS))).T[:, :, None]
    rates = Rates(*grid)  # (choices, 1) each
    look = _followed(values, m, rates)
    changes = np.abs(np.diff(values, axis=0))
    scale = np.nansum(changes, axis=0) / np.maximum(np.isfinite(changes).sum(axis=0), 1)
    total, count = np.zeros(grid.shape[1]), 0
    for h in range(1, horizon + 1):
        mine = origins[origins + h < len(values)]
        now, _ = look(mine)
        then, seen = look(mine - (m * -(-h // m) - h))
        predicted = forecast(now, season_of(then[..., SEASON], seen, now[..., OPENING]), h, rates.damping)
        off = np.abs(values[mine + h][:, None] - predicted) / np.where(scale > 0, scale, np.inf)
        total += np.nansum(off, axis=(0, 2))
        count += int(np.isfinite(off[:, 0]).sum())
    if not count:
        return None
    return Rates(*(float(of[:, 0][np.argmin(total)]) for of in rates))


def _followed(values: np.ndarray, m: int, rates: Rates) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Runs exponential smoothing over values (T, N) with each choice of rates, for a season of m steps. Returns a
    function of rows (R,): the signals there, (R, choices, N, WIDTH), and how many observations their phase of the
    season has, (R, 1, N). Row -1 is before the first step."""
    steps, series = values.shape
    signals = np.zeros((steps + 1, len(rates.level), series, WIDTH))  # the last one: before the first step
    phases = np.zeros((steps + 1, series))
    count = np.zeros(series)
    for t, y in enumerate(values):
        then = t - m if t >= m else -1
        count = count + np.isfinite(y)
        signals[t] = advance(signals[t - 1], signals[then][..., SEASON], phases[then], y, count, m, rates)
        phases[t] = phases[then] + np.isfinite(y)

    def look(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return signals[rows], phases[rows][:, None]

    return look
