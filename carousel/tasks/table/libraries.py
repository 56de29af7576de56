"""Frames of other libraries: read as polars frames, and given back in the kind that they came in."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from carousel.errors import DataError

if TYPE_CHECKING:
    import numpy as np


def kind_of(source: Any) -> str:
    """polars, pandas, arrow or numpy, also for a file (which is answered in polars) and a mapping of columns.

    Raises DataError for anything else.
    """
    if isinstance(source, str | Path | pl.DataFrame | pl.LazyFrame | Mapping):
        return "polars"
    if isinstance(source, list | tuple):
        return "polars" if source and isinstance(source[0], str | Path) else "numpy"
    for kind, module, names in (
        ("pandas", "pandas", ("DataFrame", "Series")),
        ("arrow", "pyarrow", ("Table", "RecordBatch")),
        ("numpy", "numpy", ("ndarray",)),
    ):
        # A caller that holds such an object has imported its module; nobody else need wait for it.
        if (found := sys.modules.get(module)) and isinstance(source, tuple(getattr(found, name) for name in names)):
            return kind
    raise DataError(
        f"A table is a file, a pandas or polars frame, an Arrow table, a NumPy array or a mapping from names to "
        f"columns; {type(source).__module__}.{type(source).__qualname__} is none of these."
    )


def read_object(source: Any) -> pl.DataFrame:
    """A frame, an Arrow table, an array or a mapping of columns as a polars frame. Raises DataError for anything
    else."""
    return _readers()[kind_of(source)](source)


def give_back(frame: pl.DataFrame, kind: str) -> Any:
    """The frame as polars, pandas, arrow (a Table) or numpy (its numeric columns, (rows, columns), float64)."""
    if kind == "pandas":
        return _to_pandas(frame)
    if kind == "arrow":
        return frame.to_arrow()
    if kind == "numpy":
        return frame.select(pl.selectors.numeric().cast(pl.Float64)).to_numpy()
    return frame


def _readers() -> dict[str, Any]:
    return {
        "polars": _from_polars,
        "pandas": _from_pandas,
        "arrow": lambda source: pl.DataFrame(pl.from_arrow(source)),
        "numpy": _from_numpy,
    }


def _from_polars(source: Any) -> pl.DataFrame:
    if isinstance(source, pl.LazyFrame):
        return source.collect()
    try:
        return source if isinstance(source, pl.DataFrame) else pl.DataFrame(source)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as problem:
        raise DataError(f"These columns are not a table: {str(problem).splitlines()[0]}") from None


def _from_numpy(source: "np.ndarray") -> pl.DataFrame:
    import numpy as np

    try:
        array = np.asarray(source, dtype=np.float64)
        if isinstance(source, np.ma.MaskedArray):  # what is masked is missing
            array = np.where(np.ma.getmaskarray(source), np.nan, array)
    except (TypeError, ValueError):
        raise DataError("An array of a table holds numbers, (rows,) or (rows, columns); this one does not.") from None
    if array.ndim not in (1, 2):
        raise DataError(f"An array of a table is (rows,) or (rows, columns), not {array.shape}.")
    if array.ndim == 1:
        return pl.DataFrame({"y": array})
    return pl.DataFrame({f"y{k + 1}": array[:, k] for k in range(array.shape[1])})


def _from_pandas(source: Any) -> pl.DataFrame:
    """Column by column, as pandas may be installed without pyarrow. Categories become text, periods their start."""
    import pandas as pd

    if isinstance(source, pd.Series):
        source = source.to_frame(name=source.name if source.name is not None else "y")
    index = source.index
    if isinstance(index, pd.DatetimeIndex | pd.PeriodIndex) and index.name is None:
        source = source.rename_axis("time")
    if source.index.names != [None]:
        try:
            source = source.reset_index()
        except ValueError as problem:
            raise DataError(f"The index of this frame cannot be a column beside the others: {problem}.") from None
    if not source.columns.is_unique:
        twice = source.columns[source.columns.duplicated()][0]
        raise DataError(f"The frame has two columns called {twice!r}: rename one of them, or leave it out.")
    columns = {}
    for name in source.columns:
        column = source[name]
        if isinstance(column.dtype, pd.PeriodDtype):
            column = column.dt.to_timestamp()
        columns[str(name)] = _pandas_column(str(name), column)
    return pl.DataFrame(columns)


def _pandas_column(name: str, column: Any) -> pl.Series:
    import pandas as pd

    if isinstance(column.dtype, pd.DatetimeTZDtype):
        utc = pl.Series(name, column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy())
        try:
            return utc.dt.replace_time_zone("UTC").dt.convert_time_zone(str(column.dt.tz))
        except pl.exceptions.PolarsError:
            raise DataError(
                f"The column {name!r} is in the time zone {column.dt.tz}, which has no name in the tz database. "
                f"Convert it: frame[{name!r}].dt.tz_convert('UTC')."
            ) from None
    if column.dtype.kind in "iufbM" and not pd.api.types.is_extension_array_dtype(column.dtype):
        series = pl.Series(name, column.to_numpy())
        return series.fill_nan(None) if series.dtype.is_float() else series
    many = next((value for value in column if pd.api.types.is_list_like(value)), None)
    if many is not None:
        raise DataError(
            f"A table has one value in each cell, and the column {name!r} holds a {type(many).__name__} in one. Write "
            f"a row for each of its values, with its time beside it: frame.explode({name!r})."
        )
    values = [None if pd.isna(value) else value for value in column]
    if column.dtype.name == "category":
        values = [None if value is None else str(value) for value in values]
    return pl.Series(name, values, strict=False)


def _to_pandas(frame: pl.DataFrame) -> Any:
    import pandas as pd

    columns = {}
    for series in frame:
        zone = getattr(series.dtype, "time_zone", None)
        if zone is not None:
            utc = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
            columns[series.name] = pd.Series(utc.to_numpy()).dt.tz_localize("UTC").dt.tz_convert(zone)
        elif series.dtype.is_numeric() or series.dtype.is_temporal():
            columns[series.name] = pd.Series(series.to_numpy())
        else:
            columns[series.name] = pd.Series(series.to_list(), dtype=object if series.null_count() else None)
    return pd.DataFrame(columns)
