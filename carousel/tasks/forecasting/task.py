"""The forecasting task as the catalogue of tasks needs it; see `carousel.tasks.catalogue`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import polars as pl

from carousel.errors import CarouselError, option
from carousel.lazy import importer
from carousel.tasks import table
from carousel.tasks.files import make_folder, require_folder
from carousel.tasks.forecasting.answers.backtesting import Backtest, backtest, nothing_new
from carousel.tasks.forecasting.answers.charts import pictures
from carousel.tasks.forecasting.answers.forecast import as_table, forecast, require_known
from carousel.tasks.forecasting.network import preparation
from carousel.tasks.forecasting.network.trained import TrainedForecaster
from carousel.tasks.forecasting.settings import Settings
from carousel.tasks.forecasting.table import sources
from carousel.tasks.forecasting.table.roles import find_roles
from carousel.tasks.forecasting.table.stamps import FormatError, TwoReadings
from carousel.tasks.forecasting.table.time_column import TimeColumn
from carousel.tasks.forecasting.table.times import find_time
from carousel.tasks.kinds_of_files import visible
from carousel.training.progress import Report, meter
from carousel.training.run_folder import RunFolder

if TYPE_CHECKING:
    from carousel.tasks.forecasting.answers.portable import portable
    from carousel.tasks.forecasting.network.training import open_run

__all__ = ["Settings", "conclude", "evaluate", "open_run", "portable", "prepare", "recognize"]

# Imported when they are used first, so that who only asks a model does not wait for them.
__getattr__ = importer(
    __name__,
    {
        "open_run": "carousel.tasks.forecasting.network.training",
        "portable": "carousel.tasks.forecasting.answers.portable",
    },
)

FAR = 10  # horizons of training: further than that, a longer training horizon is no advice
OURS = ("target", "known", "past", "static", "horizon", "frequency", "season", "time")  # of the options


def recognize(paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:
    """Recognises a table with a column of times and one of numbers, a single column of numbers, whose rows are steps,
    and any table where an option is given that only this task has. A table with a few mistakes in it is recognised too:
    training reports the mistakes."""
    if not paths or not all(table.looks_like_table(path) or _holds_tables(path) for path in paths):
        return None
    if meant := [name for name in OURS if name in options]:
        return f"a table of series to forecast ({option(meant[0])})"
    try:
        frame = sources.read(paths[0], rows=1000)
        found = find_time(frame)
        if found.kind == "rows" and frame.width > 1:
            return None
        if not _has_roles(frame, found):
            return None
    except TwoReadings:
        return "a table of series"
    except FormatError:
        return "a table of series with slips in it"
    except CarouselError:
        return None
    if found.kind == "rows":
        return f"one column of numbers ({frame.columns[0]}), whose rows are steps in time"
    if paths[0].is_dir():
        return f"a folder of tables with a time column ({found.label})"
    return f"a table with a time column ({found.label})"


def _has_roles(frame: pl.DataFrame, time: TimeColumn) -> bool:
    """Whether the columns have roles that training would take, or refuse with words of its own."""
    try:
        find_roles(frame, time=time.names)
    except (TwoReadings, FormatError):
        raise
    except CarouselError:
        return time.kind != "rows" and any(frame[name].dtype.is_numeric() for name in frame.columns)
    return True


def _holds_tables(path: Path) -> bool:
    return path.is_dir() and any(table.is_table(file) for file in visible(path))


def prepare(paths: Sequence[Path], settings: Settings, report: Report) -> preparation.Prepared:
    """Reads the tables, and decides as `preparation.prepare` does."""
    with table.numbers_written(settings.decimal, settings.thousands):
        frame = sources.read(list(paths), say=report.say)
    files = [{"file": str(path), "bytes": path.stat().st_size} for path in paths]
    return preparation.prepare(frame, settings, report, files)


def conclude(folder: RunFolder, report: Report) -> None:
    """Judges the model on the held-out part, draws its forecast, and says what to type next."""
    from carousel.insight.forecast_chart import forecast_figure
    from carousel.insight.saving import save

    run, trained = folder.path, TrainedForecaster.of(folder)
    inputs = trained.inputs(trained.history())
    result = backtest(trained, inputs, own_data=True)
    report.say(f"\n{result.judged_on}:")
    for line in (*result.lines(), result.verdict()):
        report.say(line)
    name = quote(str(run))
    save(result.plot(), run / "backtest.png")
    report.say(f"\nThe learning curve: {run / 'curve.png'}\nForecasts beside the actual values: {run / 'backtest.png'}")
    known = trained.reading.layout.roles.known
    if not known:
        quantiles = forecast(trained, inputs, trained.horizon)
        save(forecast_figure(pictures(inputs, quantiles), title=f"{run.name}: what comes next"), run / "forecast.png")
        report.say(f"What comes next: {run / 'forecast.png'}")
    if past := trained.reading.layout.roles.past:
        report.say(
            f"\n{', '.join(past)}: read up to now, and taken as unknown in advance. If you know some of them for the "
            f"steps to "
            f"come, as holidays or planned prices are known, forecasts of such steps can be far better:\n"
            f"  carousel train {_of_files(folder)} {option('known', ','.join(past))}"
        )
    report.say("What to type next:")
    future = f" --future FILE-WITH-{'-'.join(known).upper()}" if known else ""
    report.say(f"  carousel forecast {name}{future} --horizon {trained.horizon} --out forecast.csv --plot forecast.png")
    report.say(f"  carousel backtest {name} --plot backtest.png")
    report.say(f"  carousel inspect {name}")


def _of_files(folder: RunFolder) -> str:
    """The files of a run's data for a shell; DATA where the run does not say them."""
    files = [str(one["file"]) for one in folder.config().get("sources", [])]
    return " ".join(map(quote, files)) or "DATA"


def evaluate(folder: RunFolder, paths: Sequence[Path], *, out: Path | None, say: Callable[[str], None]) -> None:
    """Shows a backtest on other data, or on the held-out part; with `out`, writes its tables and picture there."""
    if out is not None:
        require_folder(out)
    result = backtest_of(folder, list(paths))
    show_scores(result, say)
    if out is not None:
        from carousel.insight.saving import save

        make_folder(out)
        table.write(result.table, out / "scores.csv")
        table.write(result.forecasts, out / "forecasts.csv")
        save(result.plot(), out / "backtest.png")
        say(f"scores.csv, forecasts.csv, backtest.png: {out}\n")


def backtest_of(folder: RunFolder, paths: Sequence[Path], *, horizon: int | None = None, stride: int = 1) -> Backtest:
    """The backtest of a run on files, or on the held-out part of its own data."""
    trained = TrainedForecaster.of(folder)
    inputs = trained.inputs(trained.read_history(list(paths)) if paths else trained.history())
    own = not paths or nothing_new(trained, inputs)
    return backtest(trained, inputs, horizon=horizon, stride=stride, own_data=own)


def show_scores(result: Backtest, say: Callable[[str], None]) -> None:
    say(f"{result.judged_on}\n\n")
    for line in result.lines():
        say(f"{line}\n")
    say(f"\n{result.verdict()}\n")


def forecast_of(
    folder: RunFolder,
    paths: Sequence[Path],
    *,
    horizon: int | None,
    future: Path | None,
    say: Callable[[str], None],
) -> tuple[Any, Callable[[], Any]]:
    """The forecast of a run as a table, and a function that draws it.

    paths: tables with a newer history; without any, the history of the run. horizon: steps ahead; None means the
    horizon of training. future: a table of the covariates known in advance. say: called, before the forecast begins,
    with each line that a user should know of it."""
    trained = TrainedForecaster.of(folder)
    steps = trained.horizon if horizon is None else horizon
    frame = trained.read_history(list(paths), say) if paths else trained.history()
    ahead = None if future is None else trained.read(future, say)
    for given in (frame, ahead):
        for line in [] if given is None else trained.unseen(given):
            say(line)
    inputs = trained.inputs(frame, ahead)
    require_known(inputs, steps)
    if steps > trained.horizon:
        say(beyond(trained.horizon, steps))
    with meter("forecasting") as progress:
        quantiles = forecast(trained, inputs, steps, progress)

    def draw() -> Any:
        from carousel.insight.forecast_chart import forecast_figure

        return forecast_figure(pictures(inputs, quantiles), title=f"{folder.path.name}: {steps} steps ahead")

    return as_table(inputs, quantiles), draw


def beyond(horizon: int, steps: int) -> str:
    """What a user should know of a forecast of so many steps, beyond the horizon of training."""
    said = (
        f"The model was trained for {horizon:,} steps: beyond them its own forecasts are fed back, and the intervals "
        f"are not calibrated."
    )
    if steps > FAR * horizon:
        return (
            f"{said} {steps:,} steps are {steps / horizon:,.0f} times as far: expect what is usual there, and nothing "
            f"that the end of the data says."
        )
    return f"{said} To do better: carousel train ... --horizon {steps}"
