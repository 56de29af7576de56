"""carousel backtest"""

from pathlib import Path

from carousel.cli.own_cell import NOT_ASKED, OwnCell


def backtest(
    run: Path,
    /,
    *data: Path,
    horizon: int | None = None,
    stride: int = 1,
    decimal: str | None = None,
    thousands: str | None = None,
    out: Path | None = None,
    plot: Path | None = None,
    own: OwnCell = NOT_ASKED,
) -> None:
    """Evaluate a trained forecaster by forecasts from successive origins, compared with naive baselines.

    Without data, it uses the part of the run's data that training held out; with data, their steps after the end of
    the training data. Prints MASE, RMSE, MAE, the weighted quantile loss (WQL) and the coverage of the intervals.

    For example:

    ```
    carousel backtest runs/sales
    carousel backtest runs/sales sales-to-today.csv --stride 7 --plot backtest.png
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    data
        A longer table with the same columns.
    horizon
        Steps to forecast. Without it: the horizon of the training.
    stride
        Steps from one origin to the next.
    decimal
        The decimal sign of numbers in a text table, "." or ",". Without it: as in training, or found.
    thousands
        The sign between thousands: ",", ".", " " or "'". Without it: as in training, or found.
    out
        A file for all forecasts and the actual values: .csv, .tsv, .parquet or .arrow.
    plot
        A file for the picture: .png, .svg or .pdf.
    """
    from carousel.cli.terminal import show
    from carousel.insight.saving import PICTURES, save
    from carousel.tasks.files import require_writable
    from carousel.tasks.forecasting.task import backtest_of, show_scores
    from carousel.tasks.table import WRITTEN, numbers_written, write
    from carousel.training.run_folder import RunFolder

    require_writable(out, WRITTEN)
    require_writable(plot, PICTURES)
    with numbers_written(decimal, thousands):
        folder = RunFolder.open(run, task="forecasting", **own.allowed)
        result = backtest_of(folder, data, horizon=horizon, stride=stride)
    show_scores(result, show)
    if plot is not None:
        save(result.plot(), plot)
        show(f"{plot}\n")
    if out is not None:
        write(result.forecasts, out)
        show(f"{result.forecasts.height:,} rows: {out}\n")
