"""Frames and columns of pandas, polars and Arrow that a Python program gives as sequences."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError
from carousel.tasks.sequences.columns import found, roles
from carousel.tasks.sequences.examples import Columns
from carousel.tasks.sequences.values import as_numbers
from carousel.tasks.table import kind_of, listed, read
from carousel.tasks.table.columns import Cells, typed


def is_frame(x: Any) -> bool:
    """Whether this is a table of pandas, polars or Arrow, with names for its columns."""
    if isinstance(x, np.ndarray | list | tuple | str | bytes | Path) or is_column(x):
        return False
    try:
        kind_of(x)
    except DataError:
        return False
    return True


def is_column(x: Any) -> bool:
    """Whether this is a column of pandas or polars whose entries are sequences: texts, or cells of numbers."""
    return hasattr(x, "to_numpy") and hasattr(x, "to_list") and not hasattr(x, "columns") and getattr(x, "ndim", 1) == 1


def read_frame(x: Any, columns: Columns) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """A frame as polars', and what was decided about its columns: cells of pandas that are Series, arrays or lists
    become lists (sktime's nested frames have them), and texts that are numbers, but for a few marks of missing values,
    become numbers.

    Raises DataError for two columns of one name, and for cells that cannot be read."""
    x = x.collect() if isinstance(x, pl.LazyFrame) else x
    names = [str(name) for name in (x.column_names if kind_of(x) == "arrow" else getattr(x, "columns", []))]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(
            f"Every column must have a name of its own, and {listed(twice)} stands above {Counter(names)[twice[0]]} "
            f"columns. Rename them, or leave all but one out."
        )
    frame = _with_lists(x) if kind_of(x) == "pandas" else read(x)
    said: list[str] = []
    special = roles(frame, found(frame, columns, optional=tuple(vars(columns))))
    texts = [name for name in frame.columns if frame[name].dtype == pl.String and name not in special]
    rows = range(1, frame.height + 1)
    made = typed([Cells(frame[name], rows) for name in texts], where="the table", separator=",", say=said.append)
    return frame.with_columns(column for column in made if column.dtype.is_numeric()), tuple(said)


def _with_lists(x: Any) -> pl.DataFrame:
    nested = {name: column for name, column in x.items() if _holds_sequences(column)}
    if not nested:
        return read(x)
    lists = {str(name): pl.Series(str(name), _lists(str(name), column)) for name, column in nested.items()}
    rest = x.drop(columns=list(nested))
    frame = read(rest) if len(rest.columns) or rest.index.names != [None] else pl.DataFrame()
    return frame.with_columns(**lists) if frame.width else pl.DataFrame(lists)


def _holds_sequences(column: Any) -> bool:
    first = next((cell for cell in column if cell is not None), None) if column.dtype == object else None
    return not isinstance(first, str | bytes) and hasattr(first, "__len__")


def _lists(name: str, column: Any) -> list[list[float]]:
    cells = []
    for row, cell in enumerate(column):
        try:
            values = as_numbers([] if cell is None or isinstance(cell, float) else cell)
        except DataError as problem:
            raise DataError(f"Row {row} of the column {name!r} cannot be read: {problem}.") from None
        if values.ndim != 1:
            raise DataError(
                f"A cell holds the steps of one channel, (T,); the one of {name!r} in row {row} has the shape "
                f"{values.shape}."
            )
        cells.append(values.tolist())
    return cells
