"""The backtest: forecasts from one origin after another, compared with the actual values and with naive baselines."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from numbers import Integral
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError, option, speaking
from carousel.tasks.forecasting.answers.charts import SHOWN, axis, drawn, naming
from carousel.tasks.forecasting.answers.following import corrections_at
from carousel.tasks.forecasting.network.inputs import NetworkInputs
from carousel.tasks.forecasting.network.predicting import absolute, actual_after, corrected, floored, quantiles_at
from carousel.tasks.forecasting.network.trained import TrainedForecaster
from carousel.tasks.forecasting.scoring import conformal
from carousel.tasks.forecasting.scoring.baselines import baselines
from carousel.tasks.forecasting.scoring.fitted import MODELS
from carousel.tasks.forecasting.scoring.metrics import INTERVALS, LEVELS, MEDIAN, Scores, naive_error, score
from carousel.tasks.forecasting.settings import require_steps
from carousel.tasks.forecasting.table.ahead import written
from carousel.tasks.forecasting.table.panel import Panel
from carousel.tasks.forecasting.table.time_column import TimeColumn
from carousel.tasks.verdict import by_figure

MOST_ORIGINS = 2_000  # (time, series) pairs, evenly spread where there are more
OURS = "carousel"
LEVEL = 0.005  # the part of a baseline's error by which a model must differ from it


@dataclass
class Backtest:
    """What a model forecast from many origins, compared with the actual values and with naive baselines.

    scores: of the model and its baselines, by name. by_step: the mean absolute error at each step ahead, by name.
    forecasts: a row for each origin, series and step ahead, with the actual value and the intervals.
    horizon: how many steps ahead were forecast. origins: how many different origins there are. season: the season of
        the naive baselines, in steps. judged_on: in words, which values were forecast.
    pictures: the data of the chart that `plot` draws.
    """

    scores: dict[str, Scores]
    by_step: dict[str, list[float]]
    forecasts: pl.DataFrame
    horizon: int
    origins: int
    season: int
    judged_on: str  # in words
    pictures: list[dict[str, Any]] = field(repr=False, default_factory=list)

    @property
    def table(self) -> pl.DataFrame:
        """One row for each name: MASE, RMSE, MAE, WQL, coverage of 80 and 95 % intervals."""
        return pl.DataFrame([{"model": name, **scores.to_json()} for name, scores in self.scores.items()])

    def lines(self) -> list[str]:
        """The table in words; "-" where there is nothing to judge by."""
        head = f"{'':<16}{'MASE':>9}{'RMSE':>12}{'MAE':>12}{'WQL':>9}{'in 80 %':>9}{'in 95 %':>9}"
        rows = [
            f"{name:<16}{s.mase:>9.3f}{_short(s.rmse):>12}{_short(s.mae):>12}{s.wql:>9.4f}{s.coverage_80:>9.1%}"
            f"{s.coverage_95:>9.1%}"
            for name, s in self.scores.items()
        ]
        return [head, *(re.sub("nan%|nan", lambda nothing: "-".rjust(len(nothing[0])), row) for row in rows)]

    @speaking(python=True)
    def verdict(self) -> str:
        """One sentence that says whether the model is better than its baselines."""
        ours = self.scores[OURS]
        rest = {name: s for name, s in self.scores.items() if name != OURS}
        best = min(rest, key=lambda name: rest[name].mae)
        part = 1 - ours.mae / rest[best].mae if rest[best].mae > 0 else 0.0
        why = f"its mean absolute error is {abs(part):.0%} {'lower' if part > 0 else 'higher'}"
        if abs(part) <= LEVEL:
            why = "their mean absolute errors are alike"
        return str(by_figure(f"the best baseline, {best}", part, why, least=LEVEL, advice=_losing(best)))

    def plot(self) -> Any:
        """A matplotlib figure: forecasts over the actual values, and the error and coverage of each step ahead."""
        from carousel.insight.forecast_chart import backtest_figure

        held = {name: (scores.coverage_80, scores.coverage_95) for name, scores in self.scores.items()}
        return backtest_figure(self.pictures, self.by_step, held, title=self.judged_on)

    def _repr_png_(self) -> bytes:
        shown: bytes = self.plot()._repr_png_()  # in a notebook
        return shown


def backtest(
    trained: TrainedForecaster,
    inputs: NetworkInputs,
    *,
    horizon: int | None = None,
    stride: int = 1,
    start: Any = None,
    own_data: bool,
) -> Backtest:
    """Forecasts of `horizon` steps (default: as trained) from every `stride`-th origin of those whose next step comes
    after training ended, or at `start` or later: a time, or a number of steps after the first value.

    With `own_data`, the held-out part of a run's own table, the intervals of one half of its time are corrected by
    the errors in the other half. On other data they are corrected by the errors on the whole held-out part, and by
    those that were known at each origin, as in a forecast.
    Raises DataError where no origin has an actual value after it, and for a horizon, a stride or a start that cannot
    be used.
    """
    horizon = trained.horizon if horizon is None else require_steps("A horizon", horizon)
    stride = require_steps("A stride", stride)
    panel, until = inputs.panel, trained.split.rows(inputs.panel)
    first = max(1, until if start is None else _row_of(start, panel))
    if first >= panel.steps:
        raise DataError(
            "A backtest needs values that the model was not trained on: this table ends where training ended, or "
            "before. Give a longer one, or leave it away to use the part of the run's own data that was held out."
        )
    rows, columns = _origins(inputs, first, stride, horizon)
    ours = absolute(inputs, quantiles_at(trained.network, inputs, rows, columns, horizon), rows, columns)
    if own_data:
        ours = floored(inputs, conformal.crossed(ours, actual_after(inputs, rows, columns, horizon), rows), columns)
    else:
        ours = corrected(inputs, ours, corrections_at(trained, inputs, rows, columns), columns)
    later = rows + np.arange(1, horizon + 1)[:, None]
    actual = panel.values[np.minimum(later, panel.steps - 1), columns]
    actual[later >= panel.steps] = np.nan
    training = panel.values[:until] if own_data else _before_training_ended(trained, panel)
    unit = naive_error(training, trained.season)[columns]
    levels = np.array(LEVELS)
    quantiles = {OURS: ours}
    offset = len(training) - until  # training ends at the row `until` of this table
    for baseline in baselines(panel.values, training=training, season=trained.season, offset=offset):
        quantiles[baseline.name] = baseline.quantiles(rows, columns, horizon, levels)
    return Backtest(
        scores={name: score(one, actual, unit) for name, one in quantiles.items()},
        by_step={name: _by_step(one, actual) for name, one in quantiles.items()},
        forecasts=_frame(trained, inputs, rows, columns, ours, actual),
        horizon=horizon,
        origins=len(np.unique(rows)),
        season=trained.season,
        judged_on=_words(trained, inputs, rows, columns, actual),
        pictures=_pictures(inputs, rows, columns, ours, horizon),
    )


def _row_of(start: Any, panel: Panel) -> int:
    """The row of a table that a backtest is to start at. Raises DataError where it has none such."""
    time = panel.layout.roles.time
    if isinstance(start, Integral) and not isinstance(start, bool):
        row = int(start)
    elif isinstance(start, str | date | np.datetime64 | Mapping) and not time.counts:
        moment = start.astype("datetime64[us]").item() if isinstance(start, np.datetime64) else start
        parts = start if isinstance(start, Mapping) else {time.names[0]: moment}
        stamp = time.parse(pl.DataFrame({name: [part] for name, part in parts.items()}))
        index = panel.layout.frequency.indices(stamp)
        row = int(index[0]) - panel.first
        if not panel.layout.frequency.own:  # else the stamp may lie inside a step
            row += int(panel.layout.frequency.stamps(index)[0] < stamp[0])
    else:
        raise DataError(f"A backtest starts {_starts(time)}, not at {start!r}.")
    if not 0 <= row < panel.steps:
        first, last = (written(time.restore(panel.stamps(np.array([at])))) for at in (0, panel.steps - 1))
        raise DataError(
            f"A backtest starts {_starts(time)}; the values of this table go from {first} to {last}, {panel.steps:,} "
            f"steps, and {start!r} is not among them."
        )
    return row


def _starts(time: TimeColumn) -> str:
    steps = "so many steps after the first value (0, 1, ...)"
    if time.counts:
        return steps
    return f"at a time as it stands under {time.label}, or {steps}"


def _before_training_ended(trained: TrainedForecaster, panel: Panel) -> np.ndarray:
    """(T, N) what the columns of a table were until training ended: in the run's own history, which the table need not
    reach back to, and in the table itself for series that the run did not have; NaN where neither says. Rows without a
    time are counted from the first that the table has, so that nothing else can be meant."""
    layout, until = panel.layout, trained.split.until
    history = panel if layout.roles.time.kind == "rows" else Panel.build(trained.history(), layout)
    first = min(panel.first, history.first)
    values = np.full((max(1, until - first), len(panel.ids), panel.targets), np.nan)
    numbers = {key: number for number, key in enumerate(panel.ids.rows())}
    for source, keys in ((panel, numbers), (history, history.ids.rows())):
        part = source.values[: max(0, until - source.first)].reshape(-1, len(source.ids), panel.targets)
        at = source.first - first
        for number, key in enumerate(keys):
            if key in numbers:
                values[:, numbers[key]] = np.nan
                values[at : at + len(part), numbers[key]] = part[:, number]
    return values.reshape(len(values), -1)


def _origins(inputs: NetworkInputs, first: int, stride: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) of the origins: every `stride`-th row from `first` - 1 on whose next value was observed. If there
    are more than `MOST_ORIGINS`, that many are taken, evenly spread.

    Covariates that are known in advance must reach as far as the forecast, as `forecast` demands. Raises DataError if
    there is no origin.
    """
    seen = np.isfinite(inputs.values[first:])
    at, columns = np.nonzero(seen)
    rows = at + first - 1
    use = ((rows - first + 1) % stride == 0) & (rows > inputs.panel.begin[columns])
    rows, columns = rows[use], columns[use]
    if len(rows) and inputs.panel.layout.roles.known:
        reached = rows + horizon < inputs.panel.known_until[inputs.panel.owner[columns]]
        rows, columns = rows[reached], columns[reached]
        if not len(rows):
            raise DataError(
                f"A backtest of {horizon} steps needs {', '.join(inputs.panel.layout.roles.known)}, known in advance, "
                f"for "
                f"all of them, and no origin of this table has so many rows after it. Give rows with them and without "
                f"a "
                f"target, or ask for a shorter horizon ({option('horizon')})."
            )
    if not len(rows):
        raise DataError("A backtest needs values after its origins, and none of this table is both new and observed.")
    if len(rows) > MOST_ORIGINS:
        some = np.linspace(0, len(rows) - 1, MOST_ORIGINS).round().astype(int)
        rows, columns = rows[some], columns[some]
    return rows, columns


def _by_step(quantiles: np.ndarray, actual: np.ndarray) -> list[float]:
    error = np.abs(actual - quantiles[..., MEDIAN])
    counts = np.isfinite(error).sum(axis=1)
    return [float(s / n) if n else float("nan") for s, n in zip(np.nansum(error, axis=1), counts, strict=True)]


def _frame(
    trained: TrainedForecaster,
    inputs: NetworkInputs,
    rows: np.ndarray,
    columns: np.ndarray,
    quantiles: np.ndarray,
    actual: np.ndarray,
) -> pl.DataFrame:
    panel = inputs.panel
    horizon = len(quantiles)
    step = np.tile(np.arange(1, horizon + 1)[:, None], (1, len(rows)))
    origin, at = np.broadcast_to(rows, step.shape), rows + step
    names = np.array([panel.name(column) for column in range(panel.values.shape[1])])
    roles = trained.reading.layout.roles
    series = np.repeat(panel.owner[columns], horizon)
    stamps = roles.time.restore(panel.stamps(at.T.reshape(-1), series))
    origins = roles.time.restore(panel.stamps(origin.T.reshape(-1), series))
    columns_of = {
        "series": np.repeat(names[columns], horizon),
        "steps_ahead" if "step" in stamps.columns else "step": step.T.reshape(-1),  # where time itself is called so
        "actual": actual.T.reshape(-1),
        "forecast": quantiles[..., MEDIAN].T.reshape(-1),
    }
    for name, (low, high) in sorted(INTERVALS.items()):
        columns_of[f"lo_{name}"] = quantiles[..., low].T.reshape(-1)
        columns_of[f"hi_{name}"] = quantiles[..., high].T.reshape(-1)
    frame = pl.DataFrame(columns_of).with_columns(pl.col("actual").fill_nan(None))
    return pl.concat([origins.rename(lambda name: f"origin_{name}"), stamps, frame], how="horizontal")


def trained_until(trained: TrainedForecaster, inputs: NetworkInputs) -> np.ndarray:
    """(N,) the row up to which training had the values of each column, learnt from or held out; 0 for a series that it
    did not have. Rows without a time are the same where their values are."""
    panel, roles = inputs.panel, trained.reading.layout.roles
    history, end = trained.history(), min(panel.steps, max(0, trained.split.end - panel.first))
    if roles.time.kind == "rows":
        was = trained.inputs(history).panel.values[:end]
        here = panel.values[:end]
        return np.full(len(panel.owner), end if np.array_equal(was[: len(here)], here, equal_nan=True) else 0)
    there = set(history.select(roles.id).unique().rows()) if roles.id else {panel.ids.row(0)}
    return np.array([end if key in there else 0 for key in panel.ids.rows()])[panel.owner]


def nothing_new(trained: TrainedForecaster, inputs: NetworkInputs) -> bool:
    """Whether a table has only values that the run was trained on. Then only its held-out part can be judged."""
    return bool((trained_until(trained, inputs) >= inputs.panel.end[inputs.panel.owner]).all())


def _words(
    trained: TrainedForecaster, inputs: NetworkInputs, rows: np.ndarray, columns: np.ndarray, actual: np.ndarray
) -> str:
    time, horizon = trained.reading.layout.roles.time, len(actual)
    ends = time.restore(
        inputs.panel.stamps(np.array([rows.min() + 1, min(rows.max() + horizon, inputs.panel.steps - 1)]))
    )
    first, last = ("-".join(map(str, row)) for row in ends.rows())
    series = f" of {len(np.unique(columns)):,} series" if inputs.values.shape[1] > 1 else ""
    later = (rows + np.arange(1, horizon + 1)[:, None])[np.isfinite(actual)]
    known = np.broadcast_to(trained_until(trained, inputs)[columns], actual.shape)[np.isfinite(actual)]
    learnt = later < np.minimum(known, trained.split.rows(inputs.panel))
    shares = {
        "learnt from in training": learnt.mean(),
        "held out in training": (~learnt & (later < known)).mean(),
        "new to the model": (later >= known).mean(),
    }
    there = {name: share for name, share in shares.items() if share}
    parts = list(there) if len(there) == 1 else [f"{share:.0%} of them {name}" for name, share in there.items()]
    return f"{len(rows):,} forecasts of {horizon} steps{series}, {first} to {last}, {', '.join(parts)}"


def _pictures(
    inputs: NetworkInputs, rows: np.ndarray, columns: np.ndarray, quantiles: np.ndarray, horizon: int
) -> list[dict[str, Any]]:
    """The data of a chart of up to four series: values, and forecasts that follow one another without overlap."""
    panel, every = inputs.panel, np.unique(columns)
    shown = []
    for column in every[:SHOWN]:
        mine = np.flatnonzero(columns == column)
        picked: list[int] = []
        for index in mine[np.argsort(rows[mine])]:
            if not picked or rows[index] >= rows[picked[-1]] + horizon:
                picked.append(int(index))
        picked = picked[-8:]
        begin = max(0, rows[picked[0]] - 2 * horizon)
        end = min(panel.steps, rows[picked[-1]] + horizon + 1)
        shown.append(
            {
                "name": panel.name(int(column)),
                "x": axis(inputs, np.arange(begin, end), int(column)),
                "y": panel.values[begin:end, column],
                "forecasts": [drawn(inputs, rows[k], int(column), quantiles[:, k]) for k in picked],
            }
        )
    return naming(shown, [panel.name(int(column)) for column in every[SHOWN:]])


def _losing(best: str) -> str:
    how = {"theta": " (AutoTheta of statsforecast, ThetaForecaster of sktime)"}.get(best, "")
    how = " of statsforecast" if best in MODELS else how
    return (
        f"use {best}{how}, or train longer ({option('minutes')}), give covariates "
        f"({option('known')}), or another horizon ({option('horizon')})"
    )


def _short(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
