"""Whether exponential smoothing stands beside what a forecast begins with: where the past of short series says so."""

from dataclasses import dataclass, replace

import numpy as np

from carousel.tasks.forecasting.network import anchor, smoothing
from carousel.tasks.forecasting.network.examples import warm_up
from carousel.tasks.forecasting.network.inputs import NetworkInputs, TableReading
from carousel.tasks.forecasting.scoring.metrics import LEVELS
from carousel.tasks.forecasting.table.panel import Panel

SHORT = 500  # steps to learn from: of more, the network learns what smoothing would say
MOST_VALUES = 50_000  # of all series
CLEARLY = 0.98  # of the error without it: a choice by a hair is one by chance


@dataclass(frozen=True)
class Smoothed:
    """reading: with smoothing, or as it was. loss, without: the mean absolute errors over rolling origins of the
    training part with it and without, in scales; None where it was not tried."""

    reading: TableReading
    loss: float | None = None
    without: float | None = None

    @property
    def said(self) -> str | None:
        """The choice in words."""
        if self.loss is None or self.without is None:
            return None
        rates, recipe = self.reading.recipe.smoothing, self.reading.recipe
        figures = f"error {self.loss:.3f} against {self.without:.3f} without, in scales, from earlier origins"
        if rates is None:
            return f"exponential smoothing is left out: {figures}"
        parts = ["level", "no trend" if rates.trend == 0 else "trend" if rates.damping == 1 else "damped trend"]
        if recipe.seasons:
            logs = self.reading.transform.logs
            kind = "multiplicative" if all(logs) else "additive" if not any(logs) else "additive or multiplicative"
            parts.append(f"{kind} season of {recipe.seasons[0]}")
        return f"begins with exponential smoothing of {', '.join(parts)}: {figures}"


def with_smoothing(panel: Panel, reading: TableReading, *, until: int, horizon: int, seed: int) -> Smoothed:
    """The reading with exponential smoothing, where series are short and the anchor forecasts earlier origins clearly
    better with it than without."""
    if until > SHORT or until * panel.values.shape[1] > MOST_VALUES:
        return Smoothed(reading)
    inputs, seasons = NetworkInputs(panel, reading), reading.recipe.seasons
    rates = smoothing.fit(inputs.values[:until], seasons[0] if seasons else 1, horizon)
    if rates is None:
        return Smoothed(reading)
    smoothed = replace(reading, recipe=replace(reading.recipe, smoothing=rates))
    with_it = _loss(NetworkInputs(panel, smoothed), until, horizon, seed)
    without = _loss(inputs, until, horizon, seed)
    if not np.isfinite(without):
        return Smoothed(reading)
    return Smoothed(smoothed if with_it < CLEARLY * without else reading, with_it, without)


def _loss(inputs: NetworkInputs, until: int, horizon: int, seed: int) -> float:
    begin = inputs.panel.begin + warm_up(inputs, until)
    rows, columns = np.nonzero(np.arange(until - 1)[:, None] >= begin)
    if not len(rows):
        return np.inf
    origins = anchor.Origins(inputs, rows, columns, until=until, horizon=horizon, seed=seed)
    return anchor.fit(origins, np.array(LEVELS)).loss
