"""carousel forecast"""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from carousel.cli.own_cell import NOT_ASKED, OwnCell

if TYPE_CHECKING:
    import polars as pl


def forecast(
    run: Path,
    /,
    *data: Path,
    horizon: int | None = None,
    future: Path | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    out: Path | None = None,
    plot: Path | None = None,
    own: OwnCell = NOT_ASKED,
) -> None:
    """Forecast with a trained forecaster, with 80 % and 95 % intervals.

    For example:

    ```
    carousel forecast runs/sales
    carousel forecast runs/sales --horizon 28 --out forecast.csv --plot forecast.png
    carousel forecast runs/sales sales-to-today.csv
    carousel forecast runs/sales --future planned-prices.csv
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    data
        A newer table with the same columns; the forecast starts at its end. Without it: the training table.
    horizon
        Steps to forecast. Without it: the horizon of the training. Beyond that, forecasts are fed back.
    future
        A table of covariates that are known in advance. They may also stand below the data, without a target.
    decimal
        The decimal sign of numbers in a text table, "." or ",". Without it: as in training, or found.
    thousands
        The sign between thousands: ",", ".", " " or "'". Without it: as in training, or found.
    out
        A file for the table: .csv, .tsv, .parquet or .arrow. Without it, the table is printed: the first rows for
        people on a terminal, all rows as CSV in a pipe.
    plot
        A file for the picture: .png, .svg or .pdf.
    """
    from carousel.cli.terminal import read_by_people, remark, show, show_exactly
    from carousel.tasks.files import require_writable
    from carousel.tasks.forecasting.task import forecast_of
    from carousel.tasks.table import WRITTEN, numbers_written, write
    from carousel.training.run_folder import RunFolder

    require_writable(out, WRITTEN)
    if plot is not None:
        from carousel.insight.saving import PICTURES, save

        require_writable(plot, PICTURES)
    with numbers_written(decimal, thousands):
        folder = RunFolder.open(run, task="forecasting", **own.allowed)
        frame, draw = forecast_of(folder, data, horizon=horizon, future=future, say=remark)
    if plot is not None:
        save(draw(), plot)
        show(f"{plot}\n")
    if out is not None:
        write(frame, out)
        show(f"{frame.height:,} rows: {out}\n")
    elif read_by_people():
        show(f"{for_people(frame)}\n")
        show(f"To keep it: carousel forecast {quote(str(run))} --out forecast.csv --plot forecast.png\n")
    else:
        show_exactly(frame.write_csv(float_precision=4))


def for_people(frame: "pl.DataFrame", rows: int = 20) -> str:
    """The first rows of a table in columns of text, with numbers of four digits."""
    columns = []
    for column in frame.head(rows):
        cells = [column.name, *map(_shown, column)]
        width = max(map(len, cells))
        columns.append([cell.rjust(width) if column.dtype.is_numeric() else cell.ljust(width) for cell in cells])
    lines = ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
    more = [f"... and {frame.height - rows:,} rows more"] if frame.height > rows else []
    return "\n".join([*lines, *more])


def _shown(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
