"""Forecasts of series whose observations arrive one by one. An observation takes the same time however long the history
is.

For each series these are carried: the signals of the last few steps (`Recipe.reach`), the state of the network, and the
forecasts from the last few steps, which are judged once all their actual values have arrived. Their errors update the
correction of the intervals; see `following`. The inputs of a step may include covariates that are known of the next
step, so the last step is only read when the next one arrives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from carousel.errors import DataError
from carousel.tasks.forecasting.answers.charts import SHOWN, naming, pictures
from carousel.tasks.forecasting.answers.following import corrections_at
from carousel.tasks.forecasting.answers.forecast import as_table, require_known
from carousel.tasks.forecasting.network.inputs import NetworkInputs
from carousel.tasks.forecasting.network.predicting import (
    absolute,
    actual_after,
    corrected,
    network_inputs,
    on_device,
    quantiles_after,
    states_at,
)
from carousel.tasks.forecasting.network.signals import COUNT, advance
from carousel.tasks.forecasting.network.trained import TrainedForecaster
from carousel.tasks.forecasting.scoring import conformal
from carousel.tasks.forecasting.table import covariates
from carousel.tasks.forecasting.table.ahead import indices_ahead, keys_of, steps_asked, written
from carousel.tasks.forecasting.table.panel import Panel

MOST_PASSED = 100_000  # steps that one row may come after the last: minutes of the network's time


class ForecastStream:
    """Series that are carried on, observation by observation.

        stream = Stream(trained, inputs)      # reads the whole history, once
        stream.update(rows)                   # takes what has come
        stream.forecast(28)                   # as if everything had been read again

    A row of a series costs one step of the network, however many there were before.
    """

    def __init__(self, trained: TrainedForecaster, inputs: NetworkInputs) -> None:
        self.trained = trained
        self.layout = inputs.panel.layout
        self.series: dict[tuple[Any, ...], CarriedSeries] = {}
        rows = inputs.panel.end[inputs.panel.owner] - 2
        columns = np.arange(len(rows))
        begun = rows >= inputs.panel.begin
        states = states_at(
            trained.network, inputs, np.where(begun, rows, inputs.panel.begin.clip(0, inputs.panel.steps - 1)), columns
        )
        for number, key in enumerate(_keys(inputs.panel)):
            if inputs.panel.end[number] > 0:
                mine = slice(number * inputs.panel.targets, (number + 1) * inputs.panel.targets)
                fresh = trained.network.encoder.fresh_states(inputs.panel.targets)
                # A column that begins with its last step has read nothing yet.
                read = on_device(trained.network, begun[mine])[None, :, None]
                state = tuple(s[:, mine].where(read, f) for s, f in zip(states, fresh, strict=True))
                self.series[key] = CarriedSeries(trained, inputs, number, state)

    @cached_property
    def stepper(self) -> Any:
        """The stepper that makes the steps of the network. It keeps no state between two steps."""
        return self.trained.network.encoder.stepper(batch=len(self.layout.roles.targets))

    def __getstate__(self) -> dict[str, Any]:
        """Without the stepper, which points into this process's memory and is soon made again."""
        return {name: value for name, value in vars(self).items() if name != "stepper"}

    def update(self, frame: pl.DataFrame) -> None:
        """Takes rows of a table with the columns of training. Each row must come after the last of its series. Stamps
        in between count as missing.

        A row without a value moves time on: the forecast begins after it. Raises DataError for rows that come earlier,
        for stamps off the frequency or too far ahead, and for series that the history lacks. Then no row is taken.
        """
        steps = self._steps(frame)
        for key, index, step in steps:
            series = self.series[key]
            for _ in range(index - series.index - 1):
                series.take(self.stepper, self._nothing)
            series.take(self.stepper, step)

    def _steps(self, frame: pl.DataFrame) -> list[tuple[tuple[Any, ...], int, Step]]:
        """The rows in the order of time: the key of the series, the index of the stamp, and the values."""
        layout, roles = self.layout, self.layout.roles
        roles.check(frame)
        indices = layout.indices(frame, self._shifts)
        if roles.time.kind == "rows":  # which are counted on
            indices = indices + 1 + max(series.index for series in self.series.values())
        numbers = frame.select(pl.col(name).cast(pl.Float64) for name in roles.targets).fill_null(np.nan).to_numpy()
        observed = self.trained.reading.transform.forward(np.where(np.isfinite(numbers), numbers, np.nan))
        known, past = covariates.encode(layout.known, frame), covariates.encode(layout.past, frame)
        unknown = covariates.missing(layout.known, frame)
        keys = frame.select(roles.id).rows() if roles.id else [()] * frame.height
        last = {key: series.index for key, series in self.series.items()}
        steps = []
        for row in np.argsort(indices, kind="stable"):
            key, index = keys[row], int(indices[row])
            if key not in self.series:
                raise DataError(
                    f"There is no series {', '.join(map(str, key))} to carry on: predict from a table that has it."
                )
            if index <= last[key]:
                when = written(frame.select(roles.time.names)[int(row)])
                raise DataError(
                    f"Each row must come after the last of its series, and {when} does not. Leave out what was taken."
                )
            if index - last[key] > MOST_PASSED:
                when, whose = written(frame.select(roles.time.names)[int(row)]), f" of {', '.join(map(str, key))}"
                raise DataError(
                    f"An update passes over {MOST_PASSED:,} steps at most, each of them a step of the network, and "
                    f"{when} comes {index - last[key]:,} after the last{whose if key else ''}. If that is no slip, "
                    f"give the whole table: predict(data=table)."
                )
            last[key] = index
            steps.append((key, index, Step(observed[row], known[row], unknown[row], past[row])))
        return steps

    @property
    def _shifts(self) -> dict[tuple[Any, ...], int]:
        return {key: int(series.inputs.panel.shifts[0]) for key, series in self.series.items()}

    @property
    def _nothing(self) -> Step:
        layout = self.layout
        missing, known = np.full(len(layout.roles.targets), np.nan), covariates.absent(layout.known)
        return Step(missing, known, np.ones(known.shape, bool), covariates.absent(layout.past))

    def forecast(self, horizon: int | None, future: pl.DataFrame | None = None) -> pl.DataFrame:
        """The same table as a forecast from the whole history; see `as_table`. future: rows of the covariates known in
        advance. Without a horizon, the steps that these rows have are forecast."""
        return pl.concat([as_table(inputs, quantiles) for inputs, quantiles in self._forecasts(horizon, future)])

    def pictures(self, horizon: int, future: pl.DataFrame | None = None) -> list[dict[str, Any]]:
        """The data of `charts.pictures`, of the steps that are carried."""
        transform, shown = self.trained.reading.transform, []
        for inputs, quantiles in self._forecasts(horizon, future):
            values = transform.backward(inputs.values, np.arange(inputs.panel.targets), axis=1)
            seen = np.isfinite(values)
            begin = np.where(seen.any(axis=0), seen.argmax(axis=0), len(values) - 1)
            panel = replace(inputs.panel, values=values, begin=begin)
            shown += pictures(NetworkInputs.resumed(panel, inputs.signals, inputs), quantiles)
            if len(shown) > SHOWN:
                return naming(shown[:SHOWN], [*(one["name"] for one in shown[SHOWN:]), "those after them"])
        return shown

    def _forecasts(
        self, horizon: int | None, future: pl.DataFrame | None
    ) -> Iterator[tuple[NetworkInputs, np.ndarray]]:
        """Each series that is asked for and its forecast, (horizon, targets, levels), in the units of the data."""
        layout = self.layout
        if future is not None:
            self.trained.require_columns_of(future)
            ends = {key: series.index + 1 for key, series in self.series.items()}
            indices = indices_ahead(layout, future, max(ends.values()), self._shifts)
            asked, keys = steps_asked(layout, future, indices, ends), keys_of(future, layout)
        for key, series in self.series.items():
            inputs, steps = series.inputs, asked[key] if horizon is None else horizon
            if not steps:
                continue
            if future is not None:
                mine = np.array([k == key for k in keys])
                inputs = series.with_future(future.filter(pl.Series(mine)), indices[mine])
            require_known(inputs, np.array([steps]) if horizon is None else steps)
            rows, columns = np.full(inputs.panel.targets, series.now), np.arange(inputs.panel.targets)
            state = series.read(self.stepper, inputs)
            quantiles = quantiles_after(
                self.trained.network, inputs, state, rows, columns, steps, self.trained.settings.seed
            )
            yield inputs, corrected(inputs, absolute(inputs, quantiles, rows, columns), series.r, columns)


class Step(NamedTuple):
    """The observation of a series at a step: its targets, transformed, NaN where missing, and covariates, encoded."""

    observed: np.ndarray
    known: np.ndarray
    unknown: np.ndarray  # which of these are no values: what was told in advance stays
    past: np.ndarray


class CarriedSeries:
    """One series (all its targets): a panel of its last few steps, rolled on by one at each observation, with what is
    known in advance of the steps to come."""

    def __init__(self, trained: TrainedForecaster, inputs: NetworkInputs, number: int, state: tuple[Any, ...]) -> None:
        panel, recipe = inputs.panel, inputs.recipe
        self.trained = trained
        self.correction = trained.calibrated()
        self.wait = 0 if trained.network.autoregressive else trained.horizon
        # Origins not judged yet, with the correction of then.
        self.pending: deque[tuple[tuple[Any, ...], np.ndarray]] = deque(maxlen=self.wait)
        self.state = state  # before the last step
        # The row of the last step: one more than is looked back on by a forecast, and by that which is judged.
        self.now = recipe.reach + self.wait
        end, targets = int(panel.end[number]), panel.targets
        columns = np.arange(number * targets, (number + 1) * targets)
        rows = np.arange(end - 1 - self.now, end)
        signals = inputs.signals[np.maximum(rows, 0)][:, columns]
        signals[rows < 0] = recipe.fresh(1)[0]
        at = np.maximum(rows, 0)
        known = np.concatenate([at, np.arange(end, len(panel.known))])
        mini = Panel(
            panel.layout,
            panel.first + end - 1 - self.now,
            panel.ids[number],
            panel.shifts[[number]],
            np.where((rows >= 0)[:, None], inputs.values[np.maximum(rows, 0)][:, columns], np.nan),
            np.zeros(targets, np.int64),
            np.array([len(rows)]),
            panel.known[known][:, [number]],
            panel.given[known][:, [number]],
            panel.past[at][:, [number]],
            panel.static[[number]],
            duplicates=0,
            merged=0,
            moved=0,
            furthest=0,
            gaps=0,
        )
        self.inputs = NetworkInputs.resumed(mini, signals, inputs, columns)
        last = np.full(targets, max(0, end - 1))
        self.r = corrections_at(trained, inputs, last, columns)

    @property
    def index(self) -> int:
        return self.inputs.panel.first + self.now

    def take(self, stepper: Any, step: Step) -> None:
        """The next step: now that it is known, the network reads the one before it."""
        inputs, panel = self.inputs, self.inputs.panel
        extended = self.knowing(np.array([self.now + 1]), step.known[None], step.unknown[None], np.zeros(1, bool))
        self.state = self.read(stepper, NetworkInputs.resumed(extended, inputs.signals, inputs))
        if self.wait and self.index >= self.trained.split.end - 1:
            self.pending.append((self.state, self.r))
        back = [inputs.signals[1 + self.now - m] for m in inputs.recipe.seasons]
        signals = advance(inputs.recipe, inputs.signals[-1], back, step.observed)
        self.inputs = NetworkInputs.resumed(
            replace(
                panel,
                first=panel.first + 1,
                values=np.concatenate([panel.values[1:], step.observed[None]]),
                known=extended.known[1:],
                given=extended.given[1:],
                past=np.concatenate([panel.past[1:], step.past[None, None]]),
            ),
            np.concatenate([inputs.signals[1:], signals[None]]),
            inputs,
        )
        self.inputs.floored = inputs.floored & ~(step.observed < 0)
        if self.wait and len(self.pending) == self.wait:
            self._judge(*self.pending[0])

    def _judge(self, state: tuple[Any, ...], used: np.ndarray) -> None:
        """Move the correction by the errors of the forecast whose last step has just come."""
        inputs = self.inputs
        rows, columns = np.full(inputs.panel.targets, self.now - self.wait), np.arange(inputs.panel.targets)
        quantiles = quantiles_after(self.trained.network, inputs, state, rows, columns, self.wait, seed=0)
        quantiles = absolute(inputs, quantiles, rows, columns)
        found = conformal.errors(quantiles, actual_after(inputs, rows, columns, self.wait))
        self.r = self.correction.moved(self.r, used, found)

    def read(self, stepper: Any, inputs: NetworkInputs) -> tuple[Any, ...]:
        """The state after the last step, which `inputs` may know more about than the series itself."""
        network = self.trained.network
        rows, columns = np.full(inputs.panel.targets, self.now), np.arange(inputs.panel.targets)
        stepper.state = self.state if len(self.state) > 1 else self.state[0]
        stepper(on_device(network, network_inputs(network, inputs, rows, columns)))
        after = stepper.state
        after = after if isinstance(after, tuple) else (after,)
        begun = on_device(network, inputs.signals[-1, :, COUNT] > 0)[None, :, None]
        return tuple(new.where(begun, old) for new, old in zip(after, self.state, strict=True))

    def with_future(self, future: pl.DataFrame, indices: np.ndarray) -> NetworkInputs:
        """The inputs of the series with these rows of covariates known in advance, at these indices after the last."""
        inputs, encoders = self.inputs, self.inputs.panel.layout.known
        known, unknown, given = (
            f(encoders, future) for f in (covariates.encode, covariates.missing, covariates.complete)
        )
        panel = self.knowing(indices - inputs.panel.first, known, unknown, given)
        return NetworkInputs.resumed(panel, inputs.signals, inputs)

    def knowing(self, rows: np.ndarray, known: np.ndarray, unknown: np.ndarray, given: np.ndarray) -> Panel:
        """The panel of the series with covariates known in advance. Where the new rows have no value, the old value
        stays."""
        panel = self.inputs.panel
        more = max(0, int(rows.max(initial=0)) + 1 - len(panel.known))
        nothing = np.tile(covariates.absent(panel.layout.known), (more, 1, 1))
        whole = np.concatenate([panel.known, nothing])
        there = np.concatenate([panel.given, np.zeros((more, 1), bool)])
        whole[rows, 0] = np.where(unknown, whole[rows, 0], known)
        there[rows, 0] |= given
        return replace(panel, known=whole, given=there)


def _keys(panel: Panel) -> list[tuple[Any, ...]]:
    return panel.ids.rows() if panel.layout.roles.id else [()]
