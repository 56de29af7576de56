"""Decides, from the data, the seasons, the horizon and the held-out part of a forecaster before it is trained."""

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.forecasting.network.inputs import MOST_NAMED, TableReading
from carousel.tasks.forecasting.network.season import shown_season
from carousel.tasks.forecasting.network.signals import Recipe
from carousel.tasks.forecasting.network.trained import Split
from carousel.tasks.forecasting.network.transform import Transform
from carousel.tasks.forecasting.settings import Settings
from carousel.tasks.forecasting.table.durations import lasting
from carousel.tasks.forecasting.table.panel import Panel

FEWEST = 10  # observations of the longest series
HORIZONS = {
    "clock": 24,
    "day": 28,
    "weekday": 20,
    "week": 13,
    "open": 24,
    "integer": 12,
}  # where there is no season of months
MOST_LAGS, USUAL_LAGS = 24, 12
SPAN = 36  # observations that the level looks back on, at least; else two of the longest seasons


def seasons_of(panel: Panel, settings: Settings, until: int) -> tuple[int, ...]:
    """The seasons that the settings name; else those of the frequency that the longest series has at least twice.
    Counted steps have no usual season: then the one that the series show before row `until`."""
    if settings.season is not None:
        return settings.season
    longest = _longest(panel)
    frequency = panel.layout.frequency
    candidates = frequency.seasons if frequency.unit != "integer" else shown_season(panel.values[:until])
    return tuple(m for m in candidates if m >= 2 and 2 * m < longest)


def horizon_of(panel: Panel, settings: Settings) -> int:
    """The horizon of the settings; else the usual one of the frequency, at most a fifth of the longest series."""
    longest = _longest(panel)
    if settings.horizon is not None:
        if settings.horizon > longest // 3:
            raise DataError(
                f"A horizon of {settings.horizon} steps needs a series of {3 * settings.horizon} or more to learn "
                f"from; the longest has {longest}. Choose {option('horizon', max(1, longest // 5))} or less."
            )
        return settings.horizon
    frequency = panel.layout.frequency
    usual = HORIZONS.get(frequency.unit) or {1: 12, 3: 8}.get(frequency.step, 5)
    if frequency.unit == "day" and frequency.step >= 7:
        usual = 13
    if frequency.unit in ("clock", "open") and (seasons := seasons_of(panel, settings, panel.steps)):
        usual = min(seasons[0], 96)
    return max(1, min(usual, longest // 5))


def reading_for(panel: Panel, settings: Settings, seasons: tuple[int, ...], until: int) -> TableReading:
    """How the network reads the series: signals, logarithms, targets without negative values, names of series."""
    lags = min(max(seasons[0], 3), MOST_LAGS) if seasons else USUAL_LAGS
    lags = max(1, min(lags, _longest(panel) // 8))
    recipe = Recipe(span=max(SPAN, 2 * max(seasons, default=0)), seasons=seasons, lags=lags)
    targets = panel.targets
    if settings.log is None:
        transform = Transform.fit(panel.values[:until], targets, seasons[0] if seasons else 1)
    elif settings.log:
        transform = Transform.forced(panel.values[:until], targets)
    else:
        transform = Transform([None] * targets)
    if not settings.allow_negative:
        lowest = np.nanmin(panel.values, axis=0, initial=np.inf)
        never = [bool((lowest[k::targets] >= 0).all()) for k in range(targets)]
        transform = Transform(transform.logs, never)
    columns = panel.values.shape[1]
    names = tuple(panel.name(column) for column in range(columns)) if 2 <= columns <= MOST_NAMED else ()
    return TableReading(panel.layout, recipe, transform, names)


def split_of(panel: Panel, settings: Settings, horizon: int) -> Split:
    """The last part of time is held out: the share given, or two horizons where that is more and no more than
    a quarter; a third of it all at most."""
    held = max(round(settings.validation_share * panel.steps), min(2 * horizon, panel.steps // 4))
    held = max(1, min(held, panel.steps // 3))
    return Split(panel.first + panel.steps - held, panel.first + panel.steps)


def context_of(settings: Settings, seasons: tuple[int, ...], horizon: int, until: int) -> int:
    """How many steps a training example has before its origin: two seasons or so, at most the steps before `until`."""
    wanted = settings.context or max(2 * seasons[0] if seasons else 32, min(horizon, 96), 32)
    return max(2, min(wanted, 192 if settings.context is None else wanted, until - 1))


def dropout_of(settings: Settings, examples: int) -> float:
    """The dropout of the settings; else the more, the fewer examples there are, as few are soon learnt by heart."""
    if settings.dropout is not None:
        return settings.dropout
    return 0.2 if examples < 2_000 else 0.1 if examples < 20_000 else 0.0


def require_enough(panel: Panel) -> None:
    """Raises DataError where the longest series is too short to learn from, or every series is constant."""
    longest = _longest(panel)
    if longest < FEWEST:
        raise DataError(
            f"A forecaster learns from the past of a series, and the longest here has {longest} "
            f"observation{'s' * (longest != 1)}: it needs {FEWEST} or more. Give a longer history, or check that the "
            f"series are told apart as you mean it ({option('id')})."
        )
    spread = np.nanmax(panel.values, axis=0, initial=-np.inf) - np.nanmin(panel.values, axis=0, initial=np.inf)
    if not (spread > 0).any():
        raise DataError(
            "Every series here is constant: its forecast is the same value again, and there is nothing to learn. "
            f"Check the target ({option('target')})."
        )


def describe(panel: Panel, frame: pl.DataFrame) -> list[str]:
    """The lines that report which series a table has, and what is missing in them."""
    observed = np.isfinite(panel.values)
    lengths = observed.sum(axis=0)
    columns = len(lengths)
    frequency = panel.layout.frequency
    first, last = panel.layout.roles.time.restore(panel.between()).rows()
    which = "1 series" if columns == 1 else f"{columns:,} series"
    length = f"{lengths.max():,}" if lengths.min() == lengths.max() else f"{lengths.min():,} to {lengths.max():,}"
    zone = f", {frequency.zone}" if frequency.zone else ""
    between = f"{_written(first)} to {_written(last)}"
    said = [
        f"{frame.height:,} rows: {which} of {length} values, {frequency.words}{zone}, {between} ({option('frequency')})"
    ]
    inside = np.arange(panel.steps)[:, None] >= panel.begin
    missing = int((inside & ~observed & (np.arange(panel.steps)[:, None] < panel.end[panel.owner])).sum())
    if panel.gaps:
        said.append(f"{panel.gaps:,} stamps have no row: taken as missing")
    if missing:
        said.append(f"{missing:,} missing values: passed over by the model, which is told of them")
    if panel.moved:
        far = lasting(panel.furthest) if not panel.layout.roles.time.counts else f"{panel.furthest:g}"
        which = "the nearest stamp" if panel.layout.nearest else "the last stamp before them"
        said.append(f"{panel.moved:,} rows count for {which} of the frequency named, at most {far} away")
    if panel.merged:
        said.append(f"{frame.height:,} rows are averaged into {frame.height - panel.merged:,}, one a series and stamp")
    if panel.duplicates:
        said.append(f"{panel.duplicates:,} rows repeat a series' stamp: averaged")
    with np.errstate(invalid="ignore"):
        constant = int(
            (np.nanmax(panel.values, axis=0, initial=-np.inf) == np.nanmin(panel.values, axis=0, initial=np.inf)).sum()
        )
    if constant:
        said.append(f"{constant:,} series never change: forecast as they are")
    if empty := int((lengths == 0).sum()):
        said.append(f"{empty:,} series have no value: left out of the forecasts")
    return said


def _written(row: tuple[object, ...]) -> str:
    return str(row[0]) if len(row) == 1 else "-".join(f"{part:02}" for part in row)


def _longest(panel: Panel) -> int:
    return int(np.isfinite(panel.values).sum(axis=0).max())
