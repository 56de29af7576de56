"""The forecast itself: a table like the one it continues, with intervals."""

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.forecasting.answers.following import corrections_at
from carousel.tasks.forecasting.network.inputs import NetworkInputs
from carousel.tasks.forecasting.network.predicting import absolute, corrected, quantiles_at
from carousel.tasks.forecasting.network.trained import TrainedForecaster
from carousel.tasks.forecasting.scoring.metrics import INTERVALS, MEDIAN
from carousel.tasks.forecasting.settings import require_steps
from carousel.tasks.forecasting.table.ahead import written
from carousel.training.progress import Progress, silent

MOST_AHEAD = 100_000  # steps
YEAR_10000 = 253_402_300_800_000_000  # microseconds since 1970


def forecast(
    trained: TrainedForecaster, inputs: NetworkInputs, horizon: int | np.ndarray, progress: Progress = silent
) -> np.ndarray:
    """Forecasts every series from its end: quantiles (horizon, N, levels), in the units of the data.

    horizon: the number of steps, or one for each series, (I,). Then the longest is forecast for all.

    Raises DataError unless the horizon is a number of steps, 1 or more, and where a covariate that is known in advance
    does not reach it.
    """
    rows, columns = ends(inputs)
    require_known(inputs, horizon)
    return forecast_at(trained, inputs, rows, columns, int(np.max(horizon)), progress)


def forecast_at(
    trained: TrainedForecaster,
    inputs: NetworkInputs,
    rows: np.ndarray,
    columns: np.ndarray,
    horizon: int,
    progress: Progress = silent,
) -> np.ndarray:
    """Forecasts from any origins, (rows of time, columns of values), each from the values up to it: quantiles (horizon,
    origins, levels). Covariates known in advance are taken from the table; beyond its end they stay as in its last row.
    """
    quantiles = quantiles_at(
        trained.network, inputs, rows, columns, horizon, seed=trained.settings.seed, progress=progress
    )
    quantiles = absolute(inputs, quantiles, rows, columns)
    return corrected(inputs, quantiles, corrections_at(trained, inputs, rows, columns), columns)


def ends(inputs: NetworkInputs) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns): the origin at the end of each column of values, (N,) each."""
    columns = np.arange(inputs.values.shape[1])
    return np.maximum(0, inputs.panel.end[inputs.panel.owner] - 1), columns


def require_known(inputs: NetworkInputs, horizon: int | np.ndarray) -> None:
    """A horizon of each series is one that rows of a table ask for: those must be there, one after the other."""
    if not isinstance(horizon, np.ndarray):
        require_steps("A horizon", horizon)
    panel, names = inputs.panel, ", ".join(inputs.panel.layout.roles.known)
    last = panel.stamps(np.max(panel.end + horizon, keepdims=True))
    if np.max(horizon) > MOST_AHEAD or not (panel.layout.roles.time.counts or last[0] < YEAR_10000):
        raise DataError(
            f"A forecast goes {MOST_AHEAD:,} steps ahead at most, and not beyond the year 9999: {np.max(horizon):,} "
            f"steps are too many. Ask for fewer, or train on a coarser frequency ({option('frequency')})."
        )
    steps = np.where(panel.end > 0, horizon, 0)
    short = np.flatnonzero(panel.known_until < panel.end + steps)
    if not len(short) or not (names or isinstance(horizon, np.ndarray)):
        return
    worst = int(short[np.argmin(panel.known_until[short])])
    last, until = panel.end[worst] + steps[worst] - 1, panel.known_until[worst]
    needed, given, lacking = (
        written(panel.layout.roles.time.restore(panel.stamps(np.array([row]), worst)))
        for row in (last, until - 1, until)
    )
    whose = f" of {panel.name(worst * panel.targets)}" if panel.layout.roles.id else ""
    if not names:
        raise DataError(
            f"A table given as future has a row for each step after the history; this one goes{whose} up to {needed}, "
            f"and lacks {lacking}. Add it, or ask for a number of steps: predict({steps[worst]})."
        )
    raise DataError(
        f"A forecast of {steps[worst]} steps needs {names}, known in advance, up to {needed}; the table has "
        f"{'it' if len(panel.layout.roles.known) == 1 else 'them'}{whose} up to {given}, and none for {lacking}. Add "
        f"rows with {names} and without a target (or give them apart, {option('future')}), or ask for a shorter "
        f"horizon ({option('horizon')})."
    )


def as_table(inputs: NetworkInputs, quantiles: np.ndarray, asked: np.ndarray | None = None) -> pl.DataFrame:
    """The forecasts as rows in the columns and types of the data: time, ids, each target, and the ends of its
    intervals; of each series so many steps as are asked for, (I,), or all.

    A target of whole numbers becomes one of decimals: a median is no count.
    """
    panel, roles = inputs.panel, inputs.panel.layout.roles
    horizon, targets, series = len(quantiles), panel.targets, len(panel.end)
    filled = np.flatnonzero(panel.end > 0)
    later = panel.end[filled][:, None] + np.arange(horizon)
    stamps = roles.time.restore(panel.stamps(later.reshape(-1), np.repeat(filled, horizon)))
    by_series = (
        quantiles.reshape(horizon, series, targets, -1)[:, filled]
        .transpose(1, 0, 2, 3)
        .reshape(-1, targets, quantiles.shape[-1])
    )
    values: dict[str, np.ndarray] = {}
    for k, name in enumerate(roles.targets):
        mine = by_series[:, k].astype(np.float32 if name in panel.layout.narrow else np.float64)
        values[name] = mine[:, MEDIAN]
        for interval, (low, high) in sorted(INTERVALS.items()):
            values[f"{name}_lo_{interval}"] = mine[:, low]
            values[f"{name}_hi_{interval}"] = mine[:, high]
    frame = pl.DataFrame(values).fill_nan(None)
    ids = panel.ids[np.repeat(filled, horizon)] if roles.id else None
    whole = pl.concat([part for part in (stamps, ids, frame) if part is not None], how="horizontal")
    if asked is not None:
        whole = whole.filter(pl.Series((np.arange(horizon) < asked[filled][:, None]).reshape(-1)))
    first = [name for name in roles.needed if name in stamps.columns or name in roles.id]
    return whole.select(*(first or stamps.columns), *frame.columns)
