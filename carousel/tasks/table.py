"""Tables, from wherever they come: read as polars frames, given back in the kind that they came in.

    frame = read("sales.csv")            a file: CSV, TSV, Parquet, Arrow IPC (Feather)
    frame = read(dataframe)              pandas, polars, Arrow, NumPy, or a mapping from names to columns
    give_back(frame, kind_of(dataframe)) the same kind again
    write(frame, "forecast.csv")         a file, whole or not at all

Text stays text: what a column of dates or categories means is for the task to say.
"""

import contextlib
import csv
import gzip
import io
import re
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from carousel.errors import DataError
from carousel.files import written
from carousel.tasks.files import require_place

if TYPE_CHECKING:
    import numpy as np

TEXT = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
WRITTEN = (".csv", ".tsv", ".parquet", ".arrow", ".feather", ".ipc")
BINARY = (".parquet", ".arrow", ".feather", ".ipc")
# Texts that mean no value.
MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "-nan", "<NA>", "#N/A"]
SEPARATORS = ",;\t|"
DATE_OR_NUMBER = re.compile(r"[+-]?\d[\d\s.,:/TQWZ+-]*")


def is_table(path: Path) -> bool:
    """Does the name of this file say that it holds a table?"""
    return path.name.lower().endswith((*TEXT, *BINARY)) and not path.is_dir()


def read(source: Any, *, rows: int | None = None) -> pl.DataFrame:
    """A table as a polars frame; `rows`: no more than the first few of a file, for a look at it.

    A file is read by the ending of its name. CSV may be separated by comma, semicolon, tab or bar; numbers may have a
    decimal comma where the separator is another; a byte order mark and gzip are no hindrance. An index of a pandas
    frame that has a name, or holds times, becomes a column. Arrays become the columns y, or y1, y2, ...
    Several files (a list of paths) must have the same columns, and are put one below the other.

    Raises DataError for a file that is missing, empty, of another kind or not a table, and for any other object.
    """
    if isinstance(source, str | Path):
        return _file(Path(source), rows)
    if isinstance(source, list | tuple) and source and all(isinstance(part, str | Path) for part in source):
        return _files([Path(part) for part in source], rows)
    return _readers()[kind_of(source)](source)


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


def give_back(frame: pl.DataFrame, kind: str) -> Any:
    """The frame as polars, pandas, arrow (a Table) or numpy (its numeric columns, (rows, columns), float64)."""
    if kind == "pandas":
        return _to_pandas(frame)
    if kind == "arrow":
        return frame.to_arrow()
    if kind == "numpy":
        return frame.select(pl.selectors.numeric().cast(pl.Float64)).to_numpy()
    return frame


def write(frame: pl.DataFrame, path: Path) -> None:
    """To a file of the kind that its name says. The file appears whole or, after an error, not at all.

    Raises DataError for a name of another kind and where the file cannot be written.
    """
    name = path.name.lower()
    writers: dict[tuple[str, ...], Any] = {
        (".csv",): frame.write_csv,
        (".tsv",): lambda file: frame.write_csv(file, separator="\t"),
        (".parquet",): frame.write_parquet,
        (".arrow", ".feather", ".ipc"): frame.write_ipc,
    }
    require_place(path, WRITTEN)
    writer = next(writer for endings, writer in writers.items() if name.endswith(endings))
    try:
        with written(path) as file:
            writer(file)
    except OSError as problem:
        raise DataError(f"{path} could not be written: {problem.strerror or problem}.") from None


# -- files ----------------------------------------------------------------------------------------------------------


def _files(paths: Sequence[Path], rows: int | None) -> pl.DataFrame:
    frames = [_file(path, rows) for path in paths]
    for path, frame in zip(paths[1:], frames[1:], strict=True):
        if frame.columns != frames[0].columns:
            raise DataError(
                f"Several files are read as one table where they have the same columns: {paths[0]} has "
                f"{listed(frames[0].columns)}; {path} has {listed(frame.columns)}. Name one of them."
            )
    return pl.concat(frames, how="vertical_relaxed")


def _file(path: Path, rows: int | None) -> pl.DataFrame:
    name = path.name.lower()
    if not path.exists():
        raise DataError(f"There is no file {path}.")
    if path.is_dir():
        raise DataError(f"A table is a file, and {path} is a folder: name a file in it.")
    if not is_table(path):
        raise DataError(f"A table is read from a file in {', '.join((*TEXT, *BINARY))}; {path} ends in none of them.")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty: a table needs a line of column names, and rows below it.")
    try:
        if name.endswith(".parquet"):
            frame = pl.read_parquet(path, n_rows=rows)
        elif name.endswith(BINARY):
            frame = pl.read_ipc(path, n_rows=rows)
        else:
            frame = _text(path, rows)
    except pl.exceptions.NoDataError:
        raise DataError(f"{path} is empty: a table needs a line of column names, and rows below it.") from None
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, UnicodeDecodeError) as problem:
        reason = str(problem).strip().split("\n")[0][:200]
        raise DataError(f"{path} cannot be read as a table: {reason.rstrip('.')}.") from None
    if not frame.height:
        raise DataError(f"{path} has column names ({listed(frame.columns)}) and no rows below them.")
    return frame


def _text(path: Path, rows: int | None) -> pl.DataFrame:
    packed = path.name.lower().endswith(".gz")
    # Unpacked as a whole: polars would not notice where gzip's checksum says that a byte is wrong.
    source = io.BytesIO(gzip.decompress(path.read_bytes())) if packed else path
    lines = _first_lines(source)
    separator = _separator(lines[0], path)
    options: dict[str, Any] = {
        "separator": separator,
        "null_values": MISSING,
        "n_rows": rows,
        "infer_schema_length": None,
        "truncate_ragged_lines": False,
    }
    first, *below = (_fields(line, separator) for line in lines[:2])
    if below and not _are_names(first, below[0]):
        raise DataError(
            f"{path} begins with numbers ({listed(first)}), and a table needs a line of column names first. If these "
            f"are values, write a line of names above them; if they are names, put a letter before each number."
        )
    comma = separator != "," and any(_has_decimal_comma(line, separator) for line in lines[1:])
    try:
        frame = pl.read_csv(source, decimal_comma=comma, **options)
    except pl.exceptions.ComputeError:
        if longer := _longer_line(source, separator):
            raise DataError(f"{path} cannot be read as a table: {longer}") from None
        raise
    frame = frame.rename({name: name.strip() for name in frame.columns})
    if frame.columns[0] == "" and "index" not in frame.columns:  # as pandas writes it, and calls it itself
        frame = frame.rename({"": "index"})
    return frame


def _opened(source: Path | io.BytesIO, newline: str | None = None) -> io.TextIOWrapper:
    file = open(source, "rb") if isinstance(source, Path) else io.BytesIO(source.getbuffer())  # noqa: SIM115
    return io.TextIOWrapper(file, encoding="utf-8", newline=newline)


def _longer_line(source: Path | io.BytesIO, separator: str) -> str | None:
    """What is wrong with the first line that has more fields than there are names, if one has."""
    with _opened(source, newline="") as text, contextlib.suppress(csv.Error, UnicodeDecodeError):
        rows = csv.reader(text, delimiter=separator)
        width = len(next(rows))
        if longer := next((row for row in rows if len(row) > width), None):
            return (
                f"line {rows.line_num:,} has {len(longer)} fields, and the first has {width}. A field with the "
                f"separator {separator!r} in it stands in quotes."
            )
    return None


def _first_lines(source: Path | io.BytesIO, count: int = 20) -> list[str]:
    with _opened(source) as text:
        lines = [line.rstrip("\n") for line, _ in zip(text, range(count), strict=False)]
    return lines or [""]


def _fields(line: str, separator: str) -> list[str]:
    return [field.strip().strip('"').strip() for field in line.lstrip("\ufeff").split(separator)]


def _are_names(first: Sequence[str], below: Sequence[str]) -> bool:
    """Is this line one of column names? It is where it has no number. Where it has some, they are names if they count
    0, 1, 2, ... as pandas writes columns without names (with an empty name before them, or three at least), or if a
    word stands above a date or number. The values of a row stand above the like of them."""
    numbers = [name for name in first if _is_number(name)]
    if not numbers:
        return True
    if numbers == list(map(str, range(len(numbers)))) and (first[0] == "" or len(numbers) > 2):
        return True
    words = [name[:1].isalpha() and not _is_number(name) for name in first]
    dated = [word and DATE_OR_NUMBER.fullmatch(value) for word, value in zip(words, below, strict=False)]
    return len(set(first)) == len(first) and any(dated)


def _separator(line: str, path: Path) -> str:
    """The sign that splits the line of names most often; a comma where none does; a tab where the file is called so."""
    if "\t" in line and path.name.lower().endswith((".tsv", ".tsv.gz")):
        return "\t"
    return max(SEPARATORS, key=line.count)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _has_decimal_comma(line: str, separator: str) -> bool:
    fields = (field.strip().strip('"') for field in line.split(separator))
    return any(field.count(",") == 1 and field.replace(",", "").lstrip("+-").isdigit() for field in fields)


# -- frames of other libraries --------------------------------------------------------------------------------------


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
        source = source.reset_index()
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


def listed(names: Sequence[str], most: int = 8) -> str:
    """a, b, c and 5 more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
