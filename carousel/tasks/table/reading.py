"""A table read from a file, or from several of the same columns."""

import gzip
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from carousel.errors import DataError
from carousel.tasks.table.columns import Cells, typed
from carousel.tasks.table.encoding import to_utf8
from carousel.tasks.table.libraries import read_object
from carousel.tasks.table.rows import NAMES_OF, Sheet, are_rows, split

TEXT = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.zip", ".tsv.zip")
BINARY = (".parquet", ".arrow", ".feather", ".ipc")
# Texts that may hold a table, which their content tells.
MAYBE = (".txt", ".dat", ".data", ".tab", ".psv", ".asc", ".log", ".out", ".txt.gz", ".dat.gz")
# What other programs' files hold, and how a table comes out of them.
FOREIGN = {
    (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers"): (
        "a spreadsheet: save its sheet as CSV UTF-8 there (File, Save As), or give "
        "pandas.read_excel({name!r}) to the Python class"
    ),
    (".json", ".jsonl", ".ndjson"): (
        "JSON: write it as a table first, as pandas.read_json({name!r}).to_csv('table.csv', index=False) does"
    ),
    (".sav", ".dta", ".sas7bdat", ".rds", ".rdata", ".h5", ".hdf5", ".mat", ".pkl", ".pickle", ".db", ".sqlite"): (
        "another program's: write its table as .csv or .parquet there"
    ),
}
HEAD = 1 << 18  # bytes that a look reads of a text


def read(
    source: Any, *, rows: int | None = None, say: Callable[[str], None] = lambda _: None, texts: Sequence[str] = ()
) -> pl.DataFrame:
    """A table as a polars frame; `rows`: no more than the first few of a file, for a look at it. `texts`:
    columns of a file that stay texts where a number begins with zeros, as the class 01 is not 1.

    A file is read by the ending of its name; see docs/tables.md for all that a text table may look like. Columns are
    Int64, Float64, Boolean or String, by all their values; what was decided about them is told to `say`. An index of a
    pandas frame that has a name, or holds times, becomes a column. Arrays become the columns y, or y1, y2, ...
    Several files (a list of paths) must have the same columns, and are put one below the other.

    Raises DataError for a file that is missing, empty, of another kind or not a table, where numbers can be read in
    two ways, and for any other object.
    """
    if isinstance(source, str | Path):
        return _file(Path(source), rows, say, texts)
    if isinstance(source, list | tuple) and source and all(isinstance(part, str | Path) for part in source):
        return _files([Path(part) for part in source], rows, say)
    return read_object(source)


def is_table(path: Path) -> bool:
    """Whether the name of a file is that of a table."""
    return path.name.lower().endswith((*TEXT, *BINARY)) and not path.is_dir()


def looks_like_table(path: Path) -> bool:
    """Whether a text with another ending (.txt, .dat) looks like a table: lines with equally many fields, many of them
    numbers."""
    if is_table(path):
        return True
    if not (path.name.lower().endswith(MAYBE) or not path.suffix) or not path.is_file():
        return False
    try:
        content, _ = to_utf8(_content(path, 1, lambda _: None), str(path))
    except (DataError, OSError, EOFError, zlib.error):
        return False
    return are_rows(content.decode())


def foreign(path: Path) -> str | None:
    """A sentence about a file of another program (a spreadsheet, say) and how to get a table out of it; None for any
    other file."""
    for endings, what in FOREIGN.items():
        if path.name.lower().endswith(endings):
            return f"{path} is {what.format(name=path.name)}."
    return None


def listed(names: Sequence[str], most: int = 8) -> str:
    """a, b, c and 5 more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _files(paths: Sequence[Path], rows: int | None, say: Callable[[str], None]) -> pl.DataFrame:
    frames = [_file(path, rows, say) for path in paths]
    for path, frame in zip(paths[1:], frames[1:], strict=True):
        if frame.columns != frames[0].columns:
            raise DataError(
                f"Several files are read as one table where they have the same columns: {paths[0]} has "
                f"{listed(frames[0].columns)}; {path} has {listed(frame.columns)}. Name one of them."
            )
    for name in frames[0].columns:
        kinds = {_kind(frame[name]): path for path, frame in zip(paths, frames, strict=True) if frame[name].count()}
        if len(kinds) > 1:
            found = ", ".join(f"{kind} in {path}" for kind, path in kinds.items())
            raise DataError(
                f"Several files are read as one table where their columns hold the same kind of values, and the column "
                f"{name!r} has {found}."
            )
    empty = [[name for name in frame.columns if not frame[name].count()] for frame in frames]
    parts = [frame.with_columns(pl.col(names).cast(pl.Null)) for frame, names in zip(frames, empty, strict=True)]
    return pl.concat(parts, how="vertical_relaxed")


def _kind(column: pl.Series) -> str:
    return "numbers" if column.dtype.is_numeric() else "texts" if column.dtype == pl.String else str(column.dtype)


def _file(path: Path, rows: int | None, say: Callable[[str], None], texts: Sequence[str] = ()) -> pl.DataFrame:
    name = path.name.lower()
    if not path.exists():
        raise DataError(f"There is no file {path}.")
    if path.is_dir():
        raise DataError(f"A table is a file, and {path} is a folder: name a file in it.")
    if what := foreign(path):
        raise DataError(f"A table is read from a file in {', '.join((*TEXT, *BINARY))}, and {what}")
    if not name.endswith((*TEXT, *BINARY)) and not looks_like_table(path):
        raise DataError(f"A table is read from a file in {', '.join((*TEXT, *BINARY))}; {path} ends in none of them.")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty: a table needs a line of column names, and rows below it.")
    try:
        if name.endswith(".parquet"):
            frame = pl.read_parquet(path, n_rows=rows)
        elif name.endswith(BINARY):
            frame = pl.read_ipc(path, n_rows=rows)
        else:
            frame = _text(path, rows, say, texts)
    except pl.exceptions.NoDataError:
        raise DataError(f"{path} is empty: a table needs a line of column names, and rows below it.") from None
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, zipfile.BadZipFile) as problem:
        reason = str(problem).strip().split("\n")[0][:200]
        raise DataError(f"{path} cannot be read as a table: {reason.rstrip('.')}.") from None
    if not frame.height:
        raise DataError(f"{path} has column names ({listed(frame.columns)}) and no rows below them.")
    return frame


def _text(path: Path, rows: int | None, say: Callable[[str], None], texts: Sequence[str]) -> pl.DataFrame:
    """The typed frame of a text file, where possible CSV or TSV in any of its dialects; see `read`. rows: how many of
    the first rows to read; None for all. say: called with a line for each decision. texts: columns that stay texts."""

    def report(decision: str) -> None:
        say(f"{path.name}: {decision}")

    content = _content(path, rows, report)
    content, encoding = to_utf8(content, str(path))
    if encoding:
        report(encoding)
    tabs = path.name.lower().split(".")[1:2] in (["tsv"], ["tab"]) or ".tsv." in path.name.lower()
    sheet = split(content, str(path), tabs=tabs or path.name.lower().endswith(".tsv"), say=report, most=rows)
    names = _named(sheet, str(path), report)
    columns = [
        Cells(sheet.cells.to_series(k).alias(name), sheet.lines) for k, name in enumerate(names) if name is not None
    ]
    if sheet.separator != "," and not path.name.lower().endswith((".tsv", ".tsv.gz")) and rows is None:
        report(f"fields are separated by {NAMES_OF.get(sheet.separator, repr(sheet.separator))}")
    made = typed(columns, where=str(path), separator=sheet.separator, say=report, lenient=rows is not None, texts=texts)
    return pl.DataFrame({column.name: column for column in made})


def _content(path: Path, rows: int | None, report: Callable[[str], None]) -> bytes:
    """The bytes of a text, unpacked; for a look, the first lines alone."""
    name = path.name.lower()
    if name.endswith(".gz"):
        # Unpacked as a whole: only then does gzip's checksum say that a byte is wrong.
        content = gzip.decompress(path.read_bytes())
        report("unpacked from gzip")
        return content
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            inside = [one for one in archive.infolist() if not one.is_dir()]
            if len(inside) != 1:
                shown = listed([one.filename for one in inside], 3)
                raise DataError(f"{path} holds {len(inside)} files ({shown}), and a table is one: unpack it: unzip.")
            if inside[0].flag_bits & 1:
                raise DataError(f"{path} is locked with a password: unpack it: unzip.")
            report(f"unpacked from zip: {inside[0].filename}")
            return archive.read(inside[0])
    if rows is None or path.stat().st_size <= HEAD:
        return path.read_bytes()
    with open(path, "rb") as file:
        head = file.read(HEAD)
    end = max(head.rfind(b"\n"), head.rfind(b"\r"))
    return head if end < 0 else head[: end + 1]


def _named(sheet: Sheet, where: str, report: Callable[[str], None]) -> list[str | None]:
    """A name for each column; None for one without a name and without a value, as a separator at the end of each line
    makes. Raises DataError where two have the same name."""
    names: list[str | None] = list(sheet.names)
    empty = [
        k for k, name in enumerate(names) if name == "" and sheet.cells.to_series(k).null_count() == len(sheet.lines)
    ]
    if len(empty) < len(names):
        for k in empty:
            names[k] = None
        if empty:
            report(f"left out, as {'it has' if len(empty) == 1 else 'they have'} neither a name nor a value: "
                 f"column {listed([str(k + 1) for k in empty])}")  # fmt: skip
    if names[0] == "" and "index" not in names:  # as pandas writes it, and calls it itself
        names[0] = "index"
    for k, name in enumerate(names):
        if name == "" and k:
            names[k] = f"column {k + 1}"
            report(f"column {k + 1} has no name, and is called {names[k]!r}")
    there = [name for name in names if name is not None]
    if twice := next((name for name in there if there.count(name) > 1), None):
        numbers = [str(k + 1) for k, name in enumerate(names) if name == twice]
        raise DataError(
            f"{where}: {len(numbers)} columns are called {twice!r} (columns {', '.join(numbers)}). Give each a name of "
            f"its own, as a name says which column is meant."
        )
    return names
