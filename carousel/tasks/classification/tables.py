"""Tables: the rows of a sequence under one id, or a text in each row."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.classification.examples import Columns, Examples, Label, plain
from carousel.tasks.table import listed

# Names that say what a column is, in lower case, the likelier first
LABELS = ("label", "class", "target", "category", "sentiment", "activity")
IDS = ("id", "series_id", "sequence_id", "unique_id", "series", "sequence", "case", "sample", "case_id", "recording")
TIMES = ("time", "t", "step", "timestamp", "date", "datetime", "ds", "index")
TEXTS = ("text", "sentence", "review", "content", "message", "phrase", "title", "comment", "name")
FILES = ("file", "filename", "file_name", "path", "filepath", "clip")
OPTIONAL = ("label", "group", "id", "time")  # roles that a table need not have when a trained model is asked about it
GROUPS = ("group", "fold", "speaker", "subject", "patient", "user", "session")


def found(frame: pl.DataFrame, columns: Columns, *, optional: Sequence[str] = ()) -> Columns:
    """The columns as named, and those that are not named by their usual names. Raises DataError for a name that there
    is not, but for the roles that are optional here."""
    known = {name.lower(): name for name in reversed(frame.columns)}
    usual = {"label": LABELS, "id": IDS, "time": TIMES, "text": TEXTS, "file": FILES, "group": GROUPS}
    chosen: dict[str, str | None] = {}
    for role in usual:
        asked = getattr(columns, role)
        if asked is not None and asked not in frame.columns and role in optional:
            asked = None
        if asked is not None and asked not in frame.columns:
            raise DataError(
                f"There is no column {asked!r} ({option(role)}). The columns are: {listed(frame.columns, 20)}."
            )
        chosen[role] = asked
    for role, names in usual.items():
        taken = set(chosen.values())
        if chosen[role] is None:
            free = (known[name] for name in names if name in known and known[name] not in taken)
            chosen[role] = next((name for name in free if _fits(role, frame[name])), None)
    return replace(columns, **chosen)


def found_by(frame: pl.DataFrame, columns: Columns, *, asked: bool) -> Columns:
    """The same for a table to learn from, or, `asked`, for one that a trained model is asked about: that need not have
    all columns, nor every class."""
    columns = found(frame, columns, optional=OPTIONAL if asked else ())
    if asked and columns.label is not None and frame[columns.label].null_count():
        return replace(columns, label=None)
    return columns


def _fits(role: str, column: pl.Series) -> bool:
    return column.dtype == pl.String if role in ("text", "file") else True


def form_of(frame: pl.DataFrame, asked: Columns) -> str | None:
    """ "text", "series", or None where the columns do not say which; `asked`: those that were named."""
    columns = found(frame, asked, optional=OPTIONAL)
    if asked.text is not None:
        return "text"
    if columns.id is not None and _channels(frame, columns):
        return "series"
    return "text" if columns.text is not None else None


def read_table(
    frame: pl.DataFrame, name: str, columns: Columns, *, channels: Sequence[str] = (), asked: bool = False
) -> Examples:
    """The examples in a table called `name`.

    channels: those to read, in this order (of a trained model); without them every column of numbers that says
    nothing else. asked: a trained model is asked about it: classes and groups may be missing, and a table without ids
    is one sequence.
    """
    form = form_of(frame, columns)
    columns = found_by(frame, columns, asked=asked)
    if form == "text":
        return _texts(frame, name, columns)
    if form == "series" or (asked and columns.text is None):
        return series_from(frame, name, columns, channels)
    raise DataError(
        f"{name} has the columns {listed(frame.columns, 20)}, and it is not clear what a sequence is. In a table of "
        f"series every row is one step, and a column says which series it belongs to: name it with "
        f"{option('id')}. In a table of texts every row is one: name their column with {option('text')}."
    )


def _texts(frame: pl.DataFrame, name: str, columns: Columns) -> Examples:
    assert columns.text is not None
    texts = frame[columns.text]
    if texts.dtype != pl.String:
        raise DataError(f"{name}: the column {columns.text!r} ({option('text')}) holds {texts.dtype}, not text.")
    ids = frame[columns.id] if columns.id is not None else range(1, frame.height + 1)
    return Examples(
        "text",
        [text or "" for text in texts],
        [str(one) for one in ids],
        values_in(frame, name, columns.label, "label"),
        values_in(frame, name, columns.group, "group"),
        columns=columns,
        said=(_said(frame, columns, "every row is a text"),),
    )


def series_from(frame: pl.DataFrame, name: str, columns: Columns, channels: Sequence[str] = ()) -> Examples:
    """The sequences in a table whose columns have been found."""
    chosen = list(channels) or _channels(frame, columns)
    if lacking := [channel for channel in chosen if channel not in frame.columns]:
        raise DataError(
            f"{name} lacks the column{'s' * (len(lacking) > 1)} {listed(lacking)} that the model reads. "
            f"It has {listed(frame.columns, 20)}."
        )
    if not chosen:
        raise DataError(f"{name} has no column of numbers to read. It has {listed(frame.columns, 20)}.")
    if columns.id is not None:
        if frame[columns.id].null_count():
            raise DataError(
                f"{name}: in {frame[columns.id].null_count()} rows the column {columns.id!r} ({option('id')}) is empty."
            )
        parts = frame.partition_by(columns.id, maintain_order=True)
        names = [str(part[columns.id][0]) for part in parts]
    else:
        parts, names = [frame], [name]
    if columns.time is not None:
        parts = [_in_order(part, one, columns.time) for part, one in zip(parts, names, strict=True)]
    try:
        items = [part.select(pl.col(chosen).cast(pl.Float32)).fill_null(float("nan")).to_numpy() for part in parts]
    except pl.exceptions.PolarsError:
        raise DataError(f"{name}: the columns that the model reads must be numbers: {listed(chosen)}.") from None
    for one, item in zip(names, items, strict=True):
        if np.isinf(item).any():
            raise DataError(f"{name}: the sequence {one} has an infinite value. Leave it empty if it is not known.")
    said = f"the rows of a sequence share their {columns.id!r}" + (
        f", in the order of {columns.time!r}" if columns.time else ", in the order of the file"
    )
    left = [c for c in frame.columns if c not in chosen and c not in vars(columns).values()]
    return Examples(
        "series",
        items,
        names,
        _constant(parts, names, columns.label, "class"),
        _constant(parts, names, columns.group, "group"),
        channels=tuple(chosen),
        columns=columns,
        said=(_said(frame, columns, said), *([f"not read, as they are no numbers: {listed(left)}"] if left else [])),
    )


def _in_order(part: pl.DataFrame, name: str, time: str) -> pl.DataFrame:
    if part[time].null_count() or part[time].n_unique() < part.height:
        raise DataError(
            f"The sequence {name} has two rows of the same time, or one without: the column {time!r} "
            f"({option('time')}) must order its rows. Choose another column of times, or of ids ({option('id')})."
        )
    return part.sort(time)


def _channels(frame: pl.DataFrame, columns: Columns) -> list[str]:
    special = set(vars(columns).values())
    return [
        c for c in frame.columns if c not in special and (frame[c].dtype.is_numeric() or frame[c].dtype == pl.Boolean)
    ]


def values_in(frame: pl.DataFrame, name: str, column: str | None, role: str) -> list[Label] | None:
    """The class or the group of each row, None without such a column. Raises DataError where a row has none."""
    if column is None:
        return None
    if empty := frame[column].null_count():
        row = int(frame[column].is_null().arg_true()[0]) + 1
        raise DataError(
            f"{name}: the column {column!r} ({option(role)}) is empty in {empty:,} row{'s' * (empty > 1)}, the first "
            f"of them row {row:,} below the names. Every sequence needs its {role}: leave out those that have none."
        )
    return [plain(value) for value in frame[column].cast(_simple(frame[column].dtype))]


def _simple(dtype: pl.DataType) -> pl.DataType | type[pl.DataType]:
    """Categories and times as text, the rest as it is."""
    return dtype if dtype.is_numeric() or dtype in (pl.String, pl.Boolean) else pl.String


def _constant(parts: list[pl.DataFrame], names: list[str], column: str | None, what: str) -> list[Any] | None:
    if column is None:
        return None
    values = []
    for part, name in zip(parts, names, strict=True):
        one = part[column].cast(_simple(part[column].dtype))
        if one.n_unique() != 1 or one[0] is None:
            raise DataError(
                f"The sequence {name} must have one {what}, the same in all its rows; the column {column!r} has "
                f"{listed([str(value) for value in one.unique(maintain_order=True)])}."
            )
        values.append(plain(one[0]))
    return values


def _said(frame: pl.DataFrame, columns: Columns, how: str) -> str:
    roles = {"classes": columns.label, "texts": columns.text, "groups": columns.group}
    if columns.id is not None:
        roles.pop("texts")
    parts = [f"{what} from {column!r}" for what, column in roles.items() if column is not None]
    return "; ".join([f"table of {frame.height:,} rows: {how}", *parts])
