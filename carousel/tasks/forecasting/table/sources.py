"""Series from wherever they come, as one long table: files, folders with a file for each series, frames, arrays."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError
from carousel.tasks import table
from carousel.tasks.forecasting.settings import Settings, columns_of
from carousel.tasks.forecasting.table.apart import FILE
from carousel.tasks.forecasting.table.dates import forms_of
from carousel.tasks.forecasting.table.wide import long_form
from carousel.tasks.kinds_of_files import is_companion, visible

STEP = "step"  # the column that a pandas index of whole numbers becomes


def read(source: Any, *, rows: int | None = None, say: Callable[[str], None] = lambda _: None) -> pl.DataFrame:
    """Reads a table of series.

    A folder stands for the tables in it. Where there are several files, the column `file` has the file of each row, as
    each may be a series. An index of a pandas frame that has times becomes a column. A table with a column for each
    time is made long.

    Raises DataError as `table.read` does, and for files with different columns.
    """
    paths = files_of(source, say)
    if paths is not None and len(paths) > 1:
        frame = _several(paths, rows, say)
    else:
        frame = table.read(with_index(source) if paths is None else paths[0], rows=rows, say=say)
    lists = [name for name in frame.columns if frame[name].dtype in (pl.List, pl.Array, pl.Struct, pl.Object)]
    if lists:
        raise DataError(
            f"A table of series has one row for each time, and a number in each cell; the column {lists[0]!r} holds "
            f"{frame[lists[0]].dtype} in each. Write a row for each value: frame.explode({lists[0]!r}), with its time."
        )
    frame, said = long_form(frame)
    for line in said:
        say(line)
    return frame


def files_of(source: Any, say: Callable[[str], None] = lambda _: None) -> list[Path] | None:
    """The files that a path, or a list of them, stands for; None of anything else."""
    named: Sequence[Any] = [source] if isinstance(source, str | Path) else source
    if not isinstance(named, list | tuple) or not named or not all(isinstance(one, str | Path) for one in named):
        return None
    found: list[Path] = []
    for path in map(Path, named):
        if not path.is_dir():
            found.append(path)
            continue
        inside = visible(path)
        tables = [file for file in inside if table.is_table(file)]
        if left := [file.name for file in inside if file not in tables]:
            unread = [file.name for file in inside if file not in tables and not is_companion(file)]
            if not tables or len(unread) > len(tables):
                raise DataError(f"The folder {path} holds {table.listed(left)}, and a table of series in few or none.")
            say(f"not read, as they are no tables: {table.listed(left)}")
        if not tables:
            raise DataError(f"The folder {path} holds no table.")
        found += tables
    return found


def _several(paths: Sequence[Path], rows: int | None, say: Callable[[str], None]) -> pl.DataFrame:
    name = FILE
    frame = table.read(list(paths), rows=rows, say=say)
    if name in frame.columns:
        return frame
    heights = [table.read(path, rows=rows).height for path in paths]
    stems = [path.name.removesuffix(".gz").removesuffix(".zip").rsplit(".", 1)[0] for path in paths]
    if len(set(stems)) < len(stems):
        stems = [str(path) for path in paths]
    say(f"{len(paths):,} files, put one below the other")
    return frame.with_columns(pl.Series(name, np.repeat(stems, heights)))


def with_index(source: Any) -> Any:
    """A pandas frame or series with its index as a column, where the index has no name and holds times: texts of dates,
    or numbers other than 0, 1, 2, ..."""
    if table_kind(source) != "pandas":
        return source
    import pandas as pd

    index = source.index
    if index.name is not None or isinstance(index, pd.MultiIndex):
        return source
    if isinstance(index, pd.RangeIndex) and (index.start, index.step) != (0, 1):
        name = STEP
    elif index.dtype == object or str(index.dtype).startswith("str"):
        texts = [text for text in index if isinstance(text, str)]
        if len(texts) < len(index) or not texts or not forms_of(pl.Series(texts)):
            return source
        name = "time"
    else:
        return source
    columns = source.columns if isinstance(source, pd.DataFrame) else [source.name]
    return source if name in columns else source.rename_axis(name)


def table_kind(source: Any) -> str | None:
    try:
        return table.kind_of(source)
    except DataError:
        return None


def with_target(frame: pl.DataFrame, y: Any, settings: Settings) -> tuple[pl.DataFrame, Settings]:
    """The table with a target given beside it, one number for each row, and settings that name its column.

    Raises DataError where y is anything else."""
    name = settings.target[0] if settings.target else "y"
    try:
        values = table.read(np.asarray(y, dtype=np.float64).reshape(-1))["y"].alias(name)
    except (TypeError, ValueError):
        raise DataError("The target y of a forecaster is one number for each row of X.") from None
    if len(values) != frame.height:
        raise DataError(f"X has {frame.height:,} rows, and y {len(values):,} values: y has one for each row.")
    return frame.with_columns(values), replace(settings, target=columns_of(name))
