"""A forecaster as a run keeps it: network, data, how they are read, and how intervals are corrected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from carousel.errors import DataError
from carousel.models.quantile_forecaster import QuantileForecaster
from carousel.tasks import table
from carousel.tasks.forecasting.network.inputs import NetworkInputs, TableReading
from carousel.tasks.forecasting.network.predicting import absolute, actual_after, quantiles_at
from carousel.tasks.forecasting.network.reading_json import reading_from_json
from carousel.tasks.forecasting.scoring.conformal import Correction
from carousel.tasks.forecasting.scoring.metrics import LEVELS
from carousel.tasks.forecasting.settings import Settings, require_steps
from carousel.tasks.forecasting.table import sources
from carousel.tasks.forecasting.table.ahead import ends_of, indices_ahead, steps_asked
from carousel.tasks.forecasting.table.apart import require_apart
from carousel.tasks.forecasting.table.panel import Panel
from carousel.training.building import build, require_counts
from carousel.training.run_faults import say_once
from carousel.training.run_folder import LOG, RunFolder

SERIES = "series.parquet"  # the table that a run was trained on, those columns that it needs
MOST_STEPS = 1_000_000  # of a season or a horizon that a run records
CALIBRATED_ON = 4096  # origins at most
PATHS_COST = 8  # an origin from which paths are sampled takes as long as so many other origins


@dataclass(frozen=True)
class Split:
    """Indices of stamps: training uses those before `until`; the held-out part has those from there to before `end`."""

    until: int
    end: int

    def rows(self, panel: Panel) -> int:
        return self.until - panel.first


@dataclass
class TrainedForecaster:
    """What a run keeps of a forecaster. correction: of its intervals; None where training has not ended."""

    settings: Settings
    reading: TableReading
    network: QuantileForecaster
    split: Split
    horizon: int
    correction: Correction | None
    run: Path

    @classmethod
    def of(cls, folder: RunFolder) -> TrainedForecaster:
        """The best forecaster of a run so far. Raises RunError where the folder is damaged."""
        trained = cls.planned(folder, trained=True)
        finals = [line["correction"] for line in folder.log_lines() if "final" in line and "correction" in line]
        of_logarithms = "floors" not in folder.config()["reading"]  # runs of before corrected what a logarithm gave
        if finals and not (of_logarithms and any(trained.reading.transform.logs)):
            try:
                trained.correction = Correction.from_json(finals[-1])
            except (ValueError, KeyError, TypeError) as problem:
                say_once(f"{folder.path / LOG} has no correction of intervals ({problem}): it is worked out again")
        return trained

    @classmethod
    def planned(cls, folder: RunFolder, *, trained: bool = False) -> TrainedForecaster:
        """The forecaster that the run's config describes. trained: with the best weights of the run so far."""
        config = folder.config()
        with folder.reading_config():
            settings, model = Settings(**config["settings"]), folder.model(config)
            require_counts(layers=model["layers"])
            reading = reading_from_json(config["reading"])
            split, horizon = Split(config["until"], config["end"]), require_steps("A horizon", config["horizon"])
            require_whole(reading, split, model, horizon)
        with torch.random.fork_rng(devices=[]):  # these weights are overwritten: the caller's random state stays
            network = build(folder, lambda: QuantileForecaster(**model, levels=LEVELS), trained=trained)
        return cls(settings, reading, network, split, horizon, None, folder.path)

    def history(self) -> pl.DataFrame:
        """The table that it was trained on. Raises RunError where the run no longer has it as it was."""
        return stored_series(RunFolder(self.run))

    def read(self, source: Any, say: Callable[[str], None] = lambda _: None) -> pl.DataFrame:
        """Reads another table. Its numbers are written with the signs that were set for training."""
        with table.numbers_written(self.settings.decimal, self.settings.thousands):
            return sources.read(source, say=say)

    def read_history(self, source: Any, say: Callable[[str], None] = lambda _: None) -> pl.DataFrame:
        """Reads a table as a history to forecast from. Raises DataError where many of its rows repeat a time."""
        frame, layout = self.read(source, say), self.reading.layout
        roles = layout.roles
        if not layout.averaged and set(roles.needed) <= set(frame.columns):
            require_apart(frame.select(roles.needed), roles.time, roles.id)
        return frame

    def inputs(self, frame: pl.DataFrame, future: pl.DataFrame | None = None) -> NetworkInputs:
        """The inputs of the network from a table, and from rows of the covariates known in advance that come after it.

        Raises DataError where the table has other columns than training had, and where the rows do not come after it.
        """
        return self.inputs_asked(frame, future)[0] if future is not None else self._read(frame)

    def inputs_asked(self, frame: pl.DataFrame, future: pl.DataFrame) -> tuple[NetworkInputs, np.ndarray]:
        """The same inputs, and for each series how many steps ahead the rows of the future go, (I,) int."""
        layout = self.reading.layout
        below = self._below(frame, future)
        indices = indices_ahead(layout, future, frame.height)
        inputs = self._read(pl.concat([frame, below], how="diagonal_relaxed"))
        asked = steps_asked(layout, below, indices, ends_of(inputs.panel))
        keys = inputs.panel.ids.rows() if layout.roles.id else [()]
        return inputs, np.array([asked.get(key, 0) for key in keys])

    def _read(self, frame: pl.DataFrame) -> NetworkInputs:
        return NetworkInputs(Panel.build(frame, self.reading.layout), self.reading)

    def unseen(self, frame: pl.DataFrame) -> list[str]:
        """Warnings about categories in a table that the training data did not have, a line for each column."""
        layout = self.reading.layout
        encoders = [e for e in (*layout.known, *layout.past, *layout.static) if e.categories is not None]
        known = self.history() if encoders else frame
        said = []
        for name in (encoder.name for encoder in encoders if encoder.name in frame.columns):
            levels = [set(some[name].cast(pl.String).drop_nulls().unique()) for some in (frame, known)]
            if new := sorted(levels[0] - levels[1]):
                said.append(
                    f"{name} has {table.listed([repr(level) for level in new])}, which training never saw: read as "
                    f"none of the categories that it knows"
                )
        return said

    def require_columns_of(self, future: pl.DataFrame) -> None:
        """Raises DataError where rows of the future lack a column that they need, or hold an infinite value."""
        roles = self.reading.layout.roles
        if missing := [n for n in (*roles.time.names, *roles.id, *roles.known) if n not in future.columns]:
            raise DataError(
                f"What is known in advance comes with {', '.join((*roles.known, 'time and series'))}; the table given "
                f"as future lacks {', '.join(missing)}."
            )
        roles.refuse_infinite(future, roles.known)

    def _below(self, frame: pl.DataFrame, future: pl.DataFrame) -> pl.DataFrame:
        """The time, the ids and the known covariates of `future`, in the types that `frame` has, with empty targets."""
        self.require_columns_of(future)
        roles = self.reading.layout.roles
        stamps = roles.time.restore(roles.time.parse(future)) if roles.time.names else future.select()
        try:
            stamps = stamps.cast({name: frame.schema[name] for name in stamps.columns})
            ids = future.select(pl.col(name).cast(frame.schema[name]) for name in roles.id)
        except pl.exceptions.PolarsError as problem:
            raise DataError(
                f"What is known in advance must name time and series as the data do: {str(problem).splitlines()[0]}"
            ) from None
        unseen = pl.Series(roles.targets[0], [None] * future.height, dtype=frame.schema[roles.targets[0]])
        return pl.concat([stamps, ids, future.select(roles.known), unseen.to_frame()], how="horizontal")

    @property
    def season(self) -> int:
        """The season of the naive baselines and of MASE: the shortest, or 1 without any."""
        return self.reading.recipe.seasons[0] if self.reading.recipe.seasons else 1

    def calibrated(self) -> Correction:
        """The correction of the run's intervals. For a run that was stopped it is fitted here, on the held-out part of
        its data with the best network so far."""
        if self.correction is None:
            inputs = self.inputs(self.history())
            rows, columns = held_out(inputs, self.split.rows(inputs.panel), CALIBRATED_ON, self.network)
            quantiles = absolute(inputs, quantiles_at(self.network, inputs, rows, columns, self.horizon), rows, columns)
            fitted = Correction.fit(quantiles, actual_after(inputs, rows, columns, self.horizon))
            self.correction = Correction.from_json(fitted.to_json())  # rounded as in the log
        return self.correction


def stored_series(folder: RunFolder) -> pl.DataFrame:
    """The table that a run was trained on. Raises RunError where it is missing or damaged."""
    what = "the series that this run was trained on"
    path = folder.data(SERIES, what)
    try:
        return table.read(path)
    except (DataError, pl.exceptions.PanicException) as problem:
        raise folder.lost_data(SERIES, what, f"cannot be read ({str(problem).splitlines()[0][:200]})") from None


def require_whole(reading: TableReading, split: Split, model: dict[str, Any], horizon: int) -> None:
    """Raises ValueError where a reading does not fit the network, or has numbers that no training writes."""
    widths = {"step": reading.step_width, "origin": reading.origin_width, "ahead": reading.ahead_width}
    for name, width in widths.items():
        if model[name] != width:
            raise ValueError(f"the network reads {model[name]} numbers ({name}), and the data are read as {width}")
    recipe, frequency = reading.recipe, reading.layout.frequency
    numbers = (split.until, split.end, recipe.span, recipe.lags, *recipe.seasons)
    numbers += (frequency.step, frequency.phase, frequency.day, frequency.time)
    if not all(isinstance(number, int) and abs(number) < 2**62 for number in numbers) or frequency.step < 1:
        raise ValueError("the ends of the parts, seasons and the frequency are whole numbers")
    if not all(2 <= length <= MOST_STEPS for length in recipe.seasons) or recipe.span < 1 or horizon > MOST_STEPS:
        raise ValueError("its seasons or its horizon are no numbers of steps")


def held_out(
    inputs: NetworkInputs, until: int, most: int, network: QuantileForecaster
) -> tuple[np.ndarray, np.ndarray]:
    """Origins (rows, columns) whose first step ahead is in the held-out part and observed.

    Evenly spread where there are more than `most`; a network that samples paths gets an eighth of `most`."""
    most = most // PATHS_COST if network.autoregressive else most
    seen = np.isfinite(inputs.values[max(1, until) :])
    at, columns = np.nonzero(seen)
    rows = at + max(1, until) - 1
    begun = rows > inputs.panel.begin[columns]
    rows, columns = rows[begun], columns[begun]
    if len(rows) > most:
        some = np.linspace(0, len(rows) - 1, most).round().astype(int)
        rows, columns = rows[some], columns[some]
    return rows, columns
