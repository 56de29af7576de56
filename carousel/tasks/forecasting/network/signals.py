"""Signals: what is remembered of each series at each step, by recurrences that only look back.

A series is never handed to the network as it is, but relative to a level and a scale that follow it:

    a_t = max(1 / n_t, 1 / span)                            n_t observations so far: a mean at first, later a moving one
    level_t = level_t-1 + a_t (y_t - level_t-1)
    scale_t = scale_t-1 + max(1 / (n_t - 1), 1 / span) (|y_t - last_t-1| - scale_t-1)
    fast_t  = fast_t-1  + max(1 / n_t, 1 / 4) (y_t - fast_t-1)
    last_t  = y_t
    before_t[m] = y_t, smooth_t[m] += max(1 / k, 1 / 4) (y_t - level_t - smooth_t-m[m])   for each season length m

where y_t is observed; where it is missing everything stays, `before` and `smooth` as they were a season ago (k counts
the observations of that phase). Where the recipe has a smoothing, the signals of `smoothing.py` stand beside these.
So forecasts move with the series: of a y + b they are a times those of y, plus b; a
step costs the same however long the history is; and a series that was not in training needs no fitting. The scale is
the mean change, not the mean distance from the level: that would grow with a trend, which the level lags behind, and a
trend that slows would be told to go on.
"""

from dataclasses import dataclass

import numpy as np

from carousel.tasks.forecasting.network import smoothing
from carousel.tasks.forecasting.network.smoothing import Rates

LAST, LEVEL, SCALE, FAST, SEEN, COUNT, AGE, SEASONS = range(8)
BEFORE, SMOOTH, PHASE_COUNT, EACH = 0, 1, 2, 3  # for each season, from SEASONS on
FAST_RATE = 0.25
PHASE_RATE = 0.25


@dataclass(frozen=True)
class Recipe:
    """`span`: observations that the level looks back on; `seasons`: the lengths; `lags`: last values kept in reach;
    `smoothing`: the rates of an exponential smoothing, with the first of the seasons, or None for none."""

    span: int
    seasons: tuple[int, ...]
    lags: int
    smoothing: Rates | None = None

    @property
    def width(self) -> int:
        """Signals of a series at a step: last, level, scale, fast, whether y was seen, how many were, steps since then;
        and before, smooth and their count for each season; and those of the smoothing."""
        return self.smoothed + (smoothing.WIDTH if self.smoothing else 0)

    @property
    def smoothed(self) -> int:
        """The index of the first signal of exponential smoothing."""
        return SEASONS + EACH * len(self.seasons)

    @property
    def reach(self) -> int:
        """Steps whose signals the next step, and any forecast, may look back on. They are all that is remembered."""
        return max((self.lags, *self.seasons)) + 1

    def fresh(self, series: int) -> np.ndarray:
        """The signals before the first step, (N, width)."""
        row = np.full((series, self.width), np.nan)
        row[:, [SCALE, SEEN, COUNT, AGE]] = 0.0
        row[:, SEASONS + PHASE_COUNT : self.smoothed : EACH] = 0.0
        return row


def advance(recipe: Recipe, previous: np.ndarray, a_season_ago: list[np.ndarray], observed: np.ndarray) -> np.ndarray:
    """The signals after a step, (N, width), from those of the step before, those of the step a season before (for each
    season), and what is observed, (N,), NaN where nothing is."""
    row = previous.copy()
    seen = np.isfinite(observed)
    row[:, SEEN] = seen
    row[:, COUNT] += seen
    row[:, AGE] = np.where(seen, 0.0, row[:, AGE] + 1)
    mean_rate = 1 / np.maximum(row[:, COUNT], 1)
    first = seen & (row[:, COUNT] == 1)
    change = np.where(seen & ~first, np.abs(observed - previous[:, LAST]), row[:, SCALE])
    row[:, SCALE] += np.maximum(1 / np.maximum(row[:, COUNT] - 1, 1), 1 / recipe.span) * (change - row[:, SCALE])
    row[first, LEVEL] = row[first, FAST] = observed[first]
    row[:, LAST] = np.where(seen, observed, row[:, LAST])
    slow = np.where(seen, np.maximum(mean_rate, 1 / recipe.span), 0.0)
    y = row[:, LAST]  # the observation, where there is one; elsewhere the rates are 0
    row[:, LEVEL] += slow * (y - row[:, LEVEL])
    away = y - row[:, LEVEL]
    row[:, FAST] += np.where(seen, np.maximum(mean_rate, FAST_RATE), 0.0) * (y - row[:, FAST])
    for k, back in enumerate(a_season_ago):
        at = SEASONS + EACH * k
        counts = back[:, at + PHASE_COUNT] + seen
        smooth = back[:, at + SMOOTH]
        learnt = smooth + np.maximum(1 / np.maximum(counts, 1), PHASE_RATE) * (away - smooth)
        row[:, at + PHASE_COUNT] = counts
        row[:, at + SMOOTH] = np.where(seen, np.where(counts > 1, learnt, away), smooth)
        row[:, at + BEFORE] = np.where(seen, observed, back[:, at + BEFORE])
    if recipe.smoothing:
        at = recipe.smoothed
        then, then_seen = np.zeros(len(row)), np.zeros(len(row))
        if recipe.seasons:
            then, then_seen = a_season_ago[0][:, at + smoothing.SEASON], a_season_ago[0][:, SEASONS + PHASE_COUNT]
        m = recipe.seasons[0] if recipe.seasons else 1
        row[:, at:] = smoothing.advance(previous[:, at:], then, then_seen, observed, row[:, COUNT], m, recipe.smoothing)
    return row


def follow(values: np.ndarray, recipe: Recipe) -> np.ndarray:
    """The signals after every step of (T, N) values: (T, N, width)."""
    signals = np.empty((*values.shape, recipe.width))
    fresh = recipe.fresh(values.shape[1])
    for t, observed in enumerate(values):
        previous = signals[t - 1] if t else fresh
        signals[t] = advance(recipe, previous, [signals[t - m] if t >= m else fresh for m in recipe.seasons], observed)
    return signals


class Tail:
    """The last `reach` steps of signals, of any rows: what a series is carried on with, step after step.

    Kept in a ring, so that a step costs one row of time, however far back the ring reaches.
    """

    def __init__(self, recipe: Recipe, signals: np.ndarray) -> None:
        """signals: (reach, rows, width), in order of time; steps before the first are `recipe.fresh`."""
        self.recipe = recipe
        self._ring = signals
        self._now = len(signals) - 1

    @classmethod
    def before(cls, recipe: Recipe, signals: np.ndarray, origins: np.ndarray, columns: np.ndarray) -> "Tail":
        """What is remembered at each of these origins (rows of time) of these columns, out of `follow`'s signals."""
        rows = origins[None] + np.arange(1 - recipe.reach, 1)[:, None]
        tail = signals[np.maximum(rows, 0), columns[None]]
        tail[rows < 0] = recipe.fresh(1)[0]
        return cls(recipe, tail)

    def look(self, back: int) -> np.ndarray:
        """The signals so many steps ago, (rows, width)."""
        return self._ring[(self._now - back) % len(self._ring)]

    def step(self, observed: np.ndarray) -> None:
        # The next step is one nearer to what was a season ago.
        a_season_ago = [self.look(m - 1) for m in self.recipe.seasons]
        row = advance(self.recipe, self.look(0), a_season_ago, observed)
        self._now = (self._now + 1) % len(self._ring)
        self._ring[self._now] = row
