"""The forecaster as a user meets it: fit it, let it predict, judge it, carry it on."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch

from carousel.errors import DataError, RunError, speaking
from carousel.files import UNFINISHED
from carousel.tasks import table
from carousel.tasks.estimator import Estimator
from carousel.tasks.forecasting.answers.backtesting import OURS, Backtest, backtest, nothing_new
from carousel.tasks.forecasting.answers.charts import pictures
from carousel.tasks.forecasting.answers.forecast import as_table, forecast
from carousel.tasks.forecasting.answers.streaming import ForecastStream
from carousel.tasks.forecasting.home import Remembering, TemporaryHome
from carousel.tasks.forecasting.network.inputs import NetworkInputs
from carousel.tasks.forecasting.network.preparation import prepare
from carousel.tasks.forecasting.network.trained import TrainedForecaster
from carousel.tasks.forecasting.network.training import open_run
from carousel.tasks.forecasting.settings import Settings, require_steps
from carousel.tasks.forecasting.table import sources
from carousel.tasks.forecasting.table.ahead import require_after
from carousel.tasks.saved_model import SavedModel
from carousel.training.progress import Quiet, Report, report_for
from carousel.training.run_folder import RunFolder
from carousel.training.settings import explained_by
from carousel.training.task_run import train


@explained_by(Settings)
class Forecaster(SavedModel, Estimator):
    """Learns from series of numbers and tells what comes next, with how sure that is.

        model = Forecaster(horizon=28).fit(frame)       # pandas, polars, Arrow, NumPy, or the name of a file
        model.predict()                                 # the same kind of table: y, y_lo_80, y_hi_80, ...
        model.backtest().table                          # beside naive baselines, on time that was held out
        model.plot().savefig("forecast.png")
        model.update({"date": "2024-06-01", "sales": 12.0}).predict()

    Without arguments, the columns and everything else are found in the data, which `verbose=True` says. `describe()`
    says it afterwards. The same seed, data and number of threads give the same bits, unless training is measured in
    `minutes`.

    Works as a scikit-learn estimator: `get_params`, `set_params`, `clone`, `score` (minus MASE), in `GridSearchCV`
    with `cv=TimeSeriesSplit()`. All methods but `fit`, `load` and `resume` raise RunError before `fit`.

    verbose: whether to show what was decided and how training goes.
    """

    TASK, DEVICE = "forecasting", "cpu"

    _stream: ForecastStream | None
    _history: NetworkInputs | None

    def __init__(
        self,
        horizon: int | None = None,
        *,
        time: Any = None,
        target: Any = None,
        id: Any = None,
        known: Any = None,
        past: Any = None,
        static: Any = None,
        frequency: str | None = None,
        date_format: str | None = None,
        decimal: str | None = None,
        thousands: str | None = None,
        season: Any = None,
        allow_negative: bool = False,
        log: bool | None = None,
        form: str = "encoder-decoder",
        cell: str = "gru",
        hidden: int = 64,
        layers: int = 1,
        dropout: float | None = None,
        learning_rate: float = 2e-3,
        context: int | None = None,
        batch: int = 32,
        minutes: float | None = None,
        epochs: float | None = None,
        validation_share: float = 0.1,
        seed: int = 0,
        device: str = "auto",
        threads: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.horizon, self.time, self.target, self.id = horizon, time, target, id
        self.known, self.past, self.static = known, past, static
        self.frequency, self.date_format, self.season = frequency, date_format, season
        self.decimal, self.thousands = decimal, thousands
        self.allow_negative, self.log, self.form = allow_negative, log, form
        self.cell, self.hidden, self.layers, self.dropout = cell, hidden, layers, dropout
        self.learning_rate, self.context, self.batch = learning_rate, context, batch
        self.minutes, self.epochs, self.validation_share = minutes, epochs, validation_share
        self.seed, self.device, self.threads, self.verbose = seed, device, threads, verbose

    # -- learning ---------------------------------------------------------------------------------------------------

    @speaking(python=True)
    def fit(self, X: Any, y: Any = None, *, out: str | Path | None = None, report: Report | None = None) -> Forecaster:
        """Learns from a table, and returns this object.

        X: a table of pandas, polars or Arrow, a mapping of columns, an array of NumPy, or the name of a file.
        y: the target, if X does not have it: one value for each row.
        out: the run folder to write; without it the run is kept in a temporary folder, which goes with this object.
        report: is told of the progress. Default: nothing is shown, or with `verbose` the terminal.

        Raises DataError where the table or a setting cannot be used, RunError where `out` cannot be written,
        KeyboardInterrupt after Ctrl-C, when the step is finished; with `out` it is saved too, and `resume` goes on.
        """
        settings = Settings(**{name: value for name, value in self.get_params().items() if name != "verbose"})
        said: list[str] = []
        remembering = Remembering(report or (report_for() if self.verbose else Quiet()), said)
        with table.numbers_written(settings.decimal, settings.thousands):
            frame = sources.read(X, say=remembering.say)
        if y is not None:
            frame, settings = sources.with_target(frame, y, settings)
        home = TemporaryHome() if out is None else None  # what was fitted before keeps its own until this is done
        folder = Path(out) if home is None else home.path / "run"  # type: ignore[arg-type]
        RunFolder.require_unused(folder)
        with torch.random.fork_rng(devices=[]):  # the caller's random state stays
            prepared = prepare(frame, settings, remembering)
            run = train(prepared, open_run, out=folder, report=remembering, kept=out is not None)
        self._home, self._description = home, "\n".join(said)
        self._open(
            TrainedForecaster.of(run), table.kind_of(X), one_dimensional=table.kind_of(X) == "numpy" and np.ndim(X) == 1
        )
        self._named_step = sources.STEP in getattr(X, "columns", ())
        return self

    @classmethod
    def of(cls, folder: RunFolder, device: str = "cpu") -> Self:
        model = cls()
        model._home = None
        trained = TrainedForecaster.of(folder)
        trained.network.to(Settings(device=device).torch_device)
        return model._open(trained, "polars")

    @staticmethod
    def _usual_report() -> Report:
        return Quiet()

    @speaking(python=True)
    def save(self, run: str | Path) -> Path:
        """Copies the run to the folder `run`, and returns its path. Raises RunError where that holds something."""
        RunFolder.require_unused(Path(run))
        shutil.copytree(self.run, run, dirs_exist_ok=True, ignore=shutil.ignore_patterns(f".*{UNFINISHED}"))
        return Path(run)

    @property
    def run(self) -> Path:
        """The run folder."""
        return self._fitted().run

    def describe(self) -> str:
        """What was decided about the data, and how training went: the lines that `verbose=True` shows."""
        self._fitted()
        return getattr(self, "_description", f"loaded from {self.run}")

    # -- answering --------------------------------------------------------------------------------------------------

    @speaking(python=True)
    def predict(self, horizon: Any = None, *, data: Any = None, future: Any = None) -> Any:
        """Forecasts every series from its end, as a table of the kind that `fit` was given.

        Its columns are the time, the ids, and of each target the median and the ends of its 80 and 95 % intervals. For
        arrays the result is the medians alone, (horizon,) or (horizon, columns).

        horizon: the number of steps; default: the horizon of training. A table here is taken as `future`. data: another
        history to forecast from, with the same columns and any series. future: rows of the covariates known in advance,
        one for each step up to the last; the horizon is then the number of steps that they have. Such rows may also
        stand at the end of the history, without a target.

        Beyond the horizon of training, forecasts are fed back as if observed, and their intervals are less reliable. A
        category that training did not have is read as none of the known ones, with a warning. Raises DataError where a
        table does not fit the data, where `future` has rows inside the history or lacks some, and where two are given.
        """
        steps: int | None = None
        trained = self._fitted()
        if horizon is None or isinstance(horizon, int | np.integer):
            steps = trained.horizon if horizon is None else require_steps("A horizon", horizon)
        elif future is not None:
            raise DataError(
                "A table was given in the place of the horizon, and another as future: the first would be the future "
                "too. Give one of them, or a number of steps and the future."
            )
        else:
            future = horizon
        ahead = None if future is None else trained.read(future)
        history = None if data is None else trained.read_history(data)
        for given in (history, ahead):
            for line in [] if given is None else trained.unseen(given):
                warnings.warn(line, stacklevel=3)
        if self._stream is not None and data is None:
            frame = self._stream.forecast(steps, ahead)
        elif steps is not None:
            inputs = self._inputs_of(history, ahead)
            frame = as_table(inputs, forecast(trained, inputs, steps))
        else:
            assert ahead is not None
            inputs, asked = trained.inputs_asked(trained.history() if history is None else history, ahead)
            frame = as_table(inputs, forecast(trained, inputs, asked), asked)
        kind = self._kind if data is None else table.kind_of(data)
        if kind == "numpy":
            medians = frame.select(trained.reading.layout.roles.targets).to_numpy()
            return medians[:, 0] if self._one_dimensional else medians
        answer = table.give_back(frame, kind)
        if kind == "pandas" and trained.reading.layout.roles.time.names == (sources.STEP,) and not self._named_step:
            answer.index = answer[sources.STEP].to_numpy()  # goes on from the index that was given
        return answer

    @speaking(python=True)
    def update(self, rows: Any) -> Forecaster:
        """Takes new observations, and returns this object.

        rows: a mapping of one row's values, or a table of rows.
        It takes the same time however long the history is. Afterwards `predict` forecasts what it would forecast from
        the whole history with these rows. Raises DataError for rows that do not fit the
        history.
        """
        if isinstance(rows, dict) and not any(isinstance(value, list | np.ndarray) for value in rows.values()):
            rows = {name: [value] for name, value in rows.items()}
        frame = self._fitted().read(rows)
        if self._stream is None:
            self._stream = ForecastStream(self._fitted(), self._inputs_of(None, None))
        self._stream.update(frame)
        return self

    @speaking(python=True)
    def backtest(self, data: Any = None, *, horizon: int | None = None, stride: int = 1, start: Any = None) -> Backtest:
        """Forecasts from one origin after another, compared with the actual values and with naive baselines.

        data: a table with values after the time of training, which are forecast. Default: the part of the training's
            own table that was held out.
        horizon: steps ahead; default: the horizon of training. stride: steps from one origin to the next. start: the
        first step to forecast, as a time ("2024-07-01", a date, or a mapping of columns where several have the time;
        between two steps the later one counts), or as a number of steps after the table's first value.

        Raises DataError for a table that does not fit or has no value to judge, and for impossible numbers.
        """
        trained = self._fitted()
        inputs = self._inputs_of(data, None)
        own = data is None or (start is None and nothing_new(trained, inputs))
        return backtest(trained, inputs, horizon=horizon, stride=stride, start=start, own_data=own)

    @speaking(python=True)
    def score(self, X: Any, y: Any = None) -> float:
        """Minus the MASE of forecasts of a table that comes after the one fitted, from one origin after another.

        In scikit-learn's `GridSearchCV` and `cross_val_score`, `cv=TimeSeriesSplit()` gives such tables.
        X: the table. y: the target, if X does not have it.
        Raises DataError for a table that does not come after, lacks a column, or has no value later than all that was
        fitted.
        """
        trained = self._fitted()
        frame = trained.read(X)
        roles = trained.reading.layout.roles
        if y is not None:
            frame, _ = sources.with_target(frame, y, Settings(target=roles.targets))
        roles.check(frame)
        history = trained.history()
        try:
            later = frame.select(history.columns).cast({name: history.schema[name] for name in roles.id})
            if roles.time.names:  # written as the history is, whatever the library
                later = later.with_columns(roles.time.restore(roles.time.parse(frame)))
            whole = pl.concat([history, later], how="vertical_relaxed")
        except pl.exceptions.PolarsError as problem:
            raise DataError(
                f"What is scored must have columns of the types fitted: {str(problem).splitlines()[0]}"
            ) from None
        require_after(self._inputs_of(None, None).panel, later)
        inputs = trained.inputs(whole)
        start = trained.split.end - inputs.panel.first
        if start >= inputs.panel.steps:
            raise DataError("Scoring needs values later than all that was fitted, and this table has none.")
        result = backtest(trained, inputs, start=start, own_data=False)
        return -result.scores[OURS].mase

    @speaking(python=True)
    def plot(self, horizon: int | None = None, *, data: Any = None, future: Any = None) -> Any:
        """A matplotlib figure of the first four series: the end of the history (after `update`, the steps that are
        carried) and the forecast of `predict`.

        horizon: a number of steps. data, future: as for `predict`. Raises DataError as `predict` does.
        """
        from carousel.insight.forecast_chart import forecast_figure

        trained = self._fitted()
        steps = trained.horizon if horizon is None else require_steps("A horizon", horizon)
        ahead = None if future is None else trained.read(future)
        if self._stream is not None and data is None:
            return forecast_figure(self._stream.pictures(steps, ahead), title=f"{steps} steps ahead")
        inputs = self._inputs_of(data, ahead)
        quantiles = forecast(trained, inputs, steps)
        return forecast_figure(pictures(inputs, quantiles), title=f"{steps} steps ahead")

    @property
    def trained(self) -> TrainedForecaster:
        """The trained network, and how it reads series. Raises RunError before `fit`."""
        return self._fitted()

    @property
    def kept(self) -> bool:
        """Whether the run's folder stays when this object goes."""
        return getattr(self, "_home", None) is None

    # -- scikit-learn's manners -------------------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_trained")

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if hasattr(self, "_trained") and self._home is not None:
            self._trained.run = self._home.path / "run"

    # -- inside -----------------------------------------------------------------------------------------------------

    def _open(self, trained: TrainedForecaster, kind: str, *, one_dimensional: bool = False) -> Self:
        self._trained, self._kind, self._one_dimensional = trained, kind, one_dimensional
        self._stream, self._history, self._named_step = None, None, True
        return self

    def _fitted(self) -> TrainedForecaster:
        if not hasattr(self, "_trained"):
            raise RunError(
                "This Forecaster has not learnt anything yet: call fit(table) first, or Forecaster.load(run)."
            )
        return self._trained

    def _inputs_of(self, data: Any, future: pl.DataFrame | None) -> NetworkInputs:
        trained = self._fitted()
        if data is None and future is None:
            if self._history is None:
                self._history = trained.inputs(trained.history())
            return self._history
        return trained.inputs(trained.history() if data is None else trained.read_history(data), future)
