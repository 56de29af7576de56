"""The inputs of a network, from a panel and its signals: at a step, at an origin, and for each step ahead of it.

An origin is the last step that a forecast knows. No input uses a later step, except for what is known in advance: the
calendar and the known covariates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from carousel.tasks.forecasting.network import smoothing
from carousel.tasks.forecasting.network.signals import (
    AGE,
    BEFORE,
    COUNT,
    EACH,
    FAST,
    LAST,
    LEVEL,
    PHASE_COUNT,
    SCALE,
    SEASONS,
    SEEN,
    SMOOTH,
    Recipe,
    Tail,
    follow,
)
from carousel.tasks.forecasting.network.transform import Transform
from carousel.tasks.forecasting.table import calendar
from carousel.tasks.forecasting.table.panel import Layout, Panel

Look = Callable[[int], np.ndarray]  # signals so many steps before the origins, (..., width)

FURTHEST = 10.0  # scales away from the level: where the network stops telling values apart
MOST_NAMED = 32  # columns that the network tells apart by name


@dataclass(frozen=True)
class TableReading:
    """How a panel is read, fixed in training."""

    layout: Layout
    recipe: Recipe
    transform: Transform
    names: tuple[str, ...]  # of the columns that the network knows by name

    @property
    def step_width(self) -> int:
        own = 5 + 2 * len(self.recipe.seasons)
        layout = self.layout
        covariates = sum(e.width for part in (layout.known, layout.past, layout.static) for e in part)
        return own + calendar.width(layout.frequency) + covariates + len(self.names)

    @property
    def origin_width(self) -> int:
        return self.recipe.lags + 1 + len(self.recipe.seasons)

    @property
    def ahead_width(self) -> int:
        known = sum(encoder.width for encoder in self.layout.known)
        own = 2 * len(self.recipe.seasons) + (1 if self.recipe.smoothing else 0)
        return own + calendar.width(self.layout.frequency) + known


def step_signals(look: Look, recipe: Recipe) -> np.ndarray:
    """The features of the series itself at a step, for the scan over the history."""
    now, before = look(0), look(1)
    parts = [
        relative(now[..., LAST], now),
        now[..., SEEN],
        _scaled(now[..., LAST] - before[..., LAST], now),
        relative(now[..., FAST], now),
        np.log1p(now[..., AGE]),
    ]
    for k, m in enumerate(recipe.seasons):
        at = SEASONS + EACH * k
        parts += [_scaled(now[..., LAST] - look(m)[..., at + BEFORE], now), _scaled(now[..., at + SMOOTH], now)]
    return np.nan_to_num(np.stack(parts, axis=-1)).clip(-FURTHEST, FURTHEST)


def origin_signals(look: Look, recipe: Recipe) -> np.ndarray:
    """The features of an origin, which the anchor is linear in: the last values, their mean, and values one season
    before."""
    now = look(0)
    parts = [relative(look(lag)[..., LAST], now) for lag in range(recipe.lags)]
    parts.append(relative(now[..., FAST], now))
    for k, m in enumerate(recipe.seasons):
        parts.append(relative(look(m)[..., SEASONS + EACH * k + BEFORE], now))
    known = np.stack(parts, axis=-1)
    return np.where(np.isfinite(known), known, np.nan_to_num(known[..., :1]))  # before the first: as the last


def ahead_signals(look: Look, recipe: Recipe, ahead: int) -> np.ndarray:
    """The seasonal features of the step `ahead` steps after the origin: the value one season before it, and the usual
    value of its phase."""
    now = look(0)
    parts = []
    for k, m in enumerate(recipe.seasons):
        then, at = look(m * -(-ahead // m) - ahead), SEASONS + EACH * k
        before = relative(then[..., at + BEFORE], now)
        parts.append(np.where(np.isfinite(before), before, np.nan_to_num(relative(now[..., LAST], now))))
        parts.append(np.nan_to_num(_scaled(then[..., at + SMOOTH], now)))
    if recipe.smoothing:
        parts.append(np.nan_to_num(relative(_smoothed(look, recipe, ahead), now)))
    return np.stack(parts, axis=-1) if parts else np.zeros((*now.shape[:-1], 0))


def _smoothed(look: Look, recipe: Recipe, ahead: int) -> np.ndarray:
    """The value that exponential smoothing forecasts `ahead` steps after the origin."""
    assert recipe.smoothing is not None
    now, usual = look(0), np.zeros(look(0).shape[:-1])
    signals = now[..., recipe.smoothed :]
    if recipe.seasons:
        m = recipe.seasons[0]
        then = look(m * -(-ahead // m) - ahead)
        seen, value = then[..., SEASONS + PHASE_COUNT], then[..., recipe.smoothed + smoothing.SEASON]
        usual = np.where(now[..., COUNT] < m, 0.0, smoothing.season_of(value, seen, signals[..., smoothing.OPENING]))
    return smoothing.forecast(signals, usual, ahead, recipe.smoothing.damping)


def relative(values: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Values minus the level, divided by the scale; 0 for a series that has been constant so far."""
    return _scaled(values - now[..., LEVEL], now)


def _scaled(values: np.ndarray, now: np.ndarray) -> np.ndarray:
    scale = now[..., SCALE]
    return np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)


class NetworkInputs:
    """A panel whose values are transformed and whose signals are computed: it gives the inputs of any step."""

    floored: np.ndarray  # (N,) columns whose forecasts end at 0, as neither training nor they themselves go below

    def __init__(self, panel: Panel, reading: TableReading) -> None:
        values = reading.transform.forward(panel.values)
        self._set(panel, reading, values, follow(values, reading.recipe))
        negative = np.nanmin(panel.values, axis=0, initial=0.0) < 0
        self.floored = np.resize(np.array(reading.transform.floors), values.shape[1]) & ~negative

    @classmethod
    def resumed(
        cls, panel: Panel, signals: np.ndarray, before: "NetworkInputs", columns: Any = slice(None)
    ) -> "NetworkInputs":
        """Inputs of the last steps of a series whose signals, (T, N, width), are computed already. columns: where the
        inputs `before` have the same series."""
        inputs = cls.__new__(cls)
        inputs._set(panel, before.reading, panel.values, signals)
        inputs.identity, inputs.floored = before.identity[columns], before.floored[columns]
        return inputs

    def _set(self, panel: Panel, reading: TableReading, values: np.ndarray, signals: np.ndarray) -> None:
        self.panel, self.reading, self.recipe = panel, reading, reading.recipe
        self.values, self.signals = values, signals
        self._calendar = np.zeros((0, calendar.width(panel.layout.frequency)), np.float32)
        self._fresh = self.recipe.fresh(1)[0]

    @cached_property
    def identity(self) -> np.ndarray:
        """Which name each column has, (N, names): 1 where it has one of the names that the network knows, else 0."""
        mine = [self.panel.name(column) for column in range(self.values.shape[1])] if self.reading.names else []
        return np.array([[name == known for known in self.reading.names] for name in mine], np.float32).reshape(
            self.values.shape[1], len(self.reading.names)
        )

    def look(self, rows: np.ndarray, columns: np.ndarray) -> Look:
        """Signals before these rows of time in these columns (of one shape, or that broadcast)."""

        def back(steps: int) -> np.ndarray:
            at = rows - steps
            found = self.signals[np.maximum(at, 0), columns]
            if steps and (at < 0).any():
                found[at < 0] = self._fresh
            return found

        return back

    def at_steps(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Inputs of the scan over the history, (..., step_width) float32. A row before 0 has no value."""
        own = step_signals(self.look(rows, columns), self.recipe)
        return self.with_covariates(own, np.maximum(rows, 0), columns)

    def with_covariates(
        self, own: np.ndarray, rows: np.ndarray, columns: np.ndarray, past_rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Features of the series with its covariates beside them. past_rows: the rows to take past covariates from, for
        steps whose own are not known yet."""
        panel, owner = self.panel, self.panel.owner[columns]
        past_rows = rows if past_rows is None else past_rows
        rows, owner = np.broadcast_arrays(rows, owner)
        shape = rows.shape
        named = np.broadcast_to(self.identity[columns], (*shape, self.identity.shape[1]))
        known = panel.known[np.minimum(rows, len(panel.known) - 1), owner]
        parts = [own, self.calendar(rows), known, panel.past[past_rows, owner], panel.static[owner], named]
        return np.concatenate(parts, axis=-1, dtype=np.float32)

    def at_origins(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The features of these origins, (..., origin_width) float32."""
        return origin_signals(self.look(rows, columns), self.recipe).astype(np.float32)

    def ahead(self, rows: np.ndarray, columns: np.ndarray, horizon: int) -> np.ndarray:
        """The features of the steps ahead of each origin, (horizon, ..., ahead_width) float32."""
        look = self.look(rows, columns)
        own = [ahead_signals(look, self.recipe, h) for h in range(1, horizon + 1)]
        return self.with_known(np.stack(own), rows, columns)

    def with_known(self, own: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        later = np.asarray(rows)[None] + np.arange(1, len(own) + 1).reshape(-1, *[1] * np.ndim(rows))
        owner = np.broadcast_to(self.panel.owner[columns], later.shape)
        known = self.panel.known
        if known.shape[2]:  # beyond what is known, training reads the last row: its outcomes are masked there
            known = known[np.minimum(later, len(known) - 1), owner]
        else:
            known = np.zeros((*later.shape, 0), np.float32)
        return np.concatenate([own, self.calendar(later), known], axis=-1, dtype=np.float32)

    def outcomes(self, rows: np.ndarray, columns: np.ndarray, horizon: int) -> np.ndarray:
        """The actual values after each origin, (horizon, ...) float32, in scales from the level at the origin; NaN
        where no value was observed."""
        now = self.look(rows, columns)(0)
        later = np.asarray(rows)[None] + np.arange(1, horizon + 1).reshape(-1, *[1] * np.ndim(rows))
        beyond = later >= len(self.values)
        actual = self.values[np.minimum(later, len(self.values) - 1), np.broadcast_to(columns, later.shape)]
        still = ~(now[..., SCALE] > 0)
        actual = np.where(beyond | still, np.nan, actual)
        return relative(actual, np.broadcast_to(now, (*later.shape, now.shape[-1]))).astype(np.float32) + np.where(
            beyond | still, np.float32(np.nan), np.float32(0)
        )

    def calendar(self, rows: np.ndarray) -> np.ndarray:
        most = int(rows.max(initial=-1)) + 1
        if most > len(self._calendar):
            indices = self.panel.first + np.arange(max(most, len(self.values) + 64, 2 * len(self._calendar)))
            self._calendar = calendar.features(self.panel.layout.frequency, indices)
        return self._calendar[rows]

    def tail(self, rows: np.ndarray, columns: np.ndarray) -> Tail:
        return Tail.before(self.recipe, self.signals, rows, columns)
