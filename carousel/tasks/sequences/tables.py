"""Tables: the rows of a sequence under one id, a sequence in each row, or a text in each row."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.sequences import rows
from carousel.tasks.sequences.columns import (
    OPTIONAL,
    SURE,
    channels_in,
    found,
    found_by,
    roles,
    several,
)
from carousel.tasks.sequences.examples import Columns, Examples, Label, channel_names, plain
from carousel.tasks.sequences.values import held, refuse_infinite
from carousel.tasks.table import listed, read

HEAD = 50  # rows that tell what the columns are
TOLD = 5000  # rows that tell whether a class changes within a sequence
ISO = r"^\d{4}-\d{2}(-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?)?(Z|[+-]\d{2}:?\d{2})?$"


def read_file(file: Path, asked: Columns, *, say: Callable[[str], None]) -> pl.DataFrame:
    """A table in a file. Classes are texts where one begins with zeros: 01 and 1 are two."""
    label = found(read(file, rows=HEAD), Columns(label=asked.label), optional=OPTIONAL).label
    return read(file, say=say, texts=() if label is None else (label,))


def form_of(frame: pl.DataFrame, asked: Columns) -> str | None:
    """ "text", "series" (a row a step), "rows" (a row a sequence), or None where the columns do not say which; `asked`:
    those that were named."""
    columns = found(frame, asked, optional=OPTIONAL)
    if asked.text is not None:
        return "text"
    free = asked.axes == "NCT" or (asked.id is None and asked.time is None)
    if rows.cells(frame) or (free and rows.steps_in(frame, columns)):
        return "rows"
    if columns.id is not None and channels_in(frame, columns):
        return "series"
    return "text" if columns.text is not None else None


def changes_within_ids(frame: pl.DataFrame, columns: Columns) -> bool:
    """Whether rows of the same id have different classes, so that each row has a class of its own and not each
    sequence."""
    ids = several(frame, columns.id)
    if not ids or columns.label is None or columns.label in ids:
        return False
    return bool((frame.group_by(ids).agg(pl.col(columns.label).n_unique())[columns.label] > 1).any())


def has_classes_of_steps(path: Path, asked: Columns) -> bool:
    """Whether a table has a class at every step of its sequences, in a column that is named or has a sure name. Reads
    its first rows."""
    frame = read(path, rows=TOLD)
    columns = found(frame, asked, optional=OPTIONAL)
    if columns.label is None or (asked.label is None and columns.label.lower() not in SURE):
        return False
    return not frame[columns.label].dtype.is_float() and changes_within_ids(frame, columns)


def read_table(
    frame: pl.DataFrame,
    name: str,
    columns: Columns,
    *,
    channels: Sequence[str] = (),
    asked: bool = False,
    labelled: bool = False,
) -> Examples:
    """The examples in a table called `name`.

    channels: those to read, in this order (of a trained model); without them every column of numbers that says
    nothing else. asked: a trained model is asked about it: classes and groups may be missing, and a table without ids
    is one sequence. labelled: classes are given beside it, so that a row is a sequence where no column of ids says
    otherwise.
    """
    form = form_of(frame, columns)
    columns = found_by(frame, columns, asked=asked)
    lacking = [channel for channel in channels if channel not in frame.columns]
    if form == "rows" or (asked and lacking and rows.steps_in(frame, columns)):  # as it was when the model was trained
        return rows.read_rows(frame, name, columns, channels=channels, labels=values_in, said=_said)
    if form is None and channels_in(frame, columns) and (labelled or (asked and len(channels) == 1 and lacking)):
        return rows.read_rows(frame, name, columns, channels=channels, labels=values_in, said=_said, any_names=True)
    if form == "text":
        return _texts(frame, name, columns)
    if form == "series" or (asked and columns.text is None):
        if not asked and columns.id is not None and not frame.select(several(frame, columns.id)).is_duplicated().any():
            raise DataError(
                f"{name}: no two rows have the same {columns.id!r} ({option('id')}), so every sequence would be one "
                f"step. "
                f"Where a row is a sequence, the names of its columns must count: t0, t1, t2, ..."
                f"{rows.steps_or_channels(frame, columns)}"
            )
        return series_from(frame, name, columns, channels)
    raise DataError(
        f"{name} has the columns {listed(frame.columns, 20)}, and it is not clear what a sequence is. In a table of "
        f"series every row is one step, and a column says which series it belongs to: name it with {option('id')}; or "
        f"every row is a sequence, and the names of its columns count: t0, t1, t2, ... In a table of texts every row "
        f"is "
        f"one: name their column with {option('text')}."
        f"{rows.steps_or_channels(frame, columns)}"
    )


def _texts(frame: pl.DataFrame, name: str, columns: Columns) -> Examples:
    assert columns.text is not None
    texts = frame[columns.text]
    if texts.dtype != pl.String:
        raise DataError(f"{name}: the column {columns.text!r} ({option('text')}) holds {texts.dtype}, not text.")
    ids = several(frame, columns.id)
    return Examples(
        "text",
        [text or "" for text in texts],
        _names(frame.select(ids)) if ids else [str(row) for row in range(1, frame.height + 1)],
        values_in(frame, name, columns.label, "label"),
        values_in(frame, name, columns.group, "group"),
        columns=columns,
        said=(_said(frame, columns, "every row is a text"),),
    )


def _names(ids: pl.DataFrame) -> list[str]:
    return ["/".join(map(str, row)) for row in ids.iter_rows()]


# -- a row a step ---------------------------------------------------------------------------------------------------


def series_from(frame: pl.DataFrame, name: str, columns: Columns, channels: Sequence[str] = ()) -> Examples:
    """The sequences in a table whose columns have been found."""
    chosen = list(channels) or channels_in(frame, columns)
    if lacking := [channel for channel in chosen if channel not in frame.columns]:
        raise DataError(
            f"{name} lacks the column{'s' * (len(lacking) > 1)} {listed(lacking)} that the model reads. "
            f"It has {listed(frame.columns, 20)}."
        )
    if not chosen:
        raise DataError(f"{name} has no column of numbers to read. It has {listed(frame.columns, 20)}.")
    ids, times = several(frame, columns.id), several(frame, columns.time)
    for column in ids:
        if frame[column].null_count():
            raise DataError(
                f"{name}: in {frame[column].null_count()} rows the column {column!r} ({option('id')}) is empty."
            )
    parts = frame.partition_by(ids, maintain_order=True) if ids else [frame]
    names = _names(pl.concat([part.select(ids).head(1) for part in parts])) if ids else [name]
    order = "in the order of the file"
    if times:
        _require_distinct(frame, names, parts, ids, times, columns, set(chosen))
        if _sortable(frame.select(times)):
            parts = [part.sort(times, maintain_order=True) for part in parts]
            order = f"in the order of {columns.time!r}"
        else:
            order = f"in the order of the file, as the texts in {columns.time!r} are no times that sort"
    try:
        items = [part.select(pl.col(chosen).cast(pl.Float64)).fill_null(float("nan")).to_numpy() for part in parts]
    except pl.exceptions.PolarsError:
        raise DataError(f"{name}: the columns that the model reads must be numbers: {listed(chosen)}.") from None
    for one, item in zip(names, items, strict=True):
        refuse_infinite(name if one == name else f"{name}: the sequence {one}", item, chosen)
    left = [c for c in frame.columns if c not in chosen and c not in roles(frame, columns)]
    return Examples(
        "series",
        held(items),
        names,
        _constant(parts, names, columns.label, "class", ids),
        _constant(parts, names, columns.group, "group", ids),
        channels=tuple(chosen),
        columns=columns,
        said=(
            _said(frame, columns, f"the rows of a sequence share their {columns.id!r}, {order}"),
            *([f"not read, as they are no numbers: {listed(left)}"] if left else []),
        ),
    )


def _require_distinct(
    frame: pl.DataFrame,
    names: list[str],
    parts: list[pl.DataFrame],
    ids: Sequence[str],
    times: Sequence[str],
    columns: Columns,
    chosen: set[str],
) -> None:
    """Raises DataError where two rows of a sequence have the same time, or a row has none. Rows are never averaged. The
    message names the columns that would distinguish the rows."""
    what = " and ".join(map(repr, times))
    for name, part in zip(names, parts, strict=True):
        stamps = part.select(times)
        if empty := sum(column.null_count() for column in stamps):
            raise DataError(
                f"The sequence {name} has two rows of the same time, or one without: {what} ({option('time')}) must "
                f"order "
                f"its rows, and is empty in {empty} of them. Fill it, or leave these rows out."
            )
        if not (repeated := stamps.is_duplicated()).any():
            continue
        stamp = " ".join(str(value) for value in stamps.filter(repeated).row(0))
        rest = [
            one
            for one in frame.columns
            if one not in (*ids, *times, columns.label)
            and (one not in chosen or frame[one].dtype.is_integer())
            and not frame[one].dtype.is_nested()
        ]
        apart = _distinguishing(frame, [*ids, *times], rest)
        advice = (
            f"Together with {' and '.join(map(repr, apart))} no time comes twice: "
            f"{option('id', ','.join([*ids, *apart]))}."
            if apart
            else f"Choose another column of times, or of ids ({option('id')}), or several: "
            f"{option('id', 'subject,trial')}, say."
        )
        raise DataError(
            f"The sequence {name} has two rows of the same time, {stamp}; {int(repeated.sum()):,} of its "
            f"{part.height:,} rows "
            f"repeat one. The column {what} ({option('time')}) must order its rows. {advice}"
        )


def _distinguishing(frame: pl.DataFrame, keys: list[str], others: list[str]) -> tuple[str, ...]:
    """The fewest other columns, at most two, with which no row repeats the keys; those that take few values first."""
    few = sorted((name for name in others if frame[name].n_unique() > 1), key=lambda name: frame[name].n_unique())[:12]
    for count in (1, 2):
        for chosen in combinations(few, count):
            # An id tells sequences apart, and no sequence is a single row.
            if not frame.select([*keys, *chosen]).is_duplicated().any() and all(
                2 * frame[name].n_unique() <= frame.height for name in chosen
            ):
                return chosen
    return ()


def _sortable(stamps: pl.DataFrame) -> bool:
    """Whether sorting these values sorts them by time. That holds for numbers and times, for texts that are times of
    ISO 8601, and for other texts that are sorted already."""
    texts = [column for column in stamps if column.dtype == pl.String]
    return all(column.str.contains(ISO).all() and column.str.len_chars().n_unique() == 1 for column in texts)


# -- classes and groups ---------------------------------------------------------------------------------------------


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


def _constant(
    parts: list[pl.DataFrame], names: list[str], column: str | None, what: str, ids: Sequence[str]
) -> list[Any] | None:
    if column is None:
        return None
    values = []
    for part, name in zip(parts, names, strict=True):
        one = part[column].cast(_simple(part[column].dtype))
        if one.n_unique() != 1 or one[0] is None:
            advice = (
                f" If it tells sequences apart, name it beside the id: {option('id', ','.join([*ids, column]))}."
                if what == "group" and one.null_count() == 0 and ids
                else ""
            )
            raise DataError(
                f"The sequence {name} must have one {what}, the same in all its rows; the column {column!r} has "
                f"{listed([str(value) for value in one.unique(maintain_order=True)])}.{advice}"
                + (f" To learn a class at every step: {option('task', 'tagging')}." if what == "class" else "")
            )
        values.append(plain(one[0]))
    return values


def _said(frame: pl.DataFrame, columns: Columns, how: str) -> str:
    roles = {"classes": columns.label, "texts": columns.text, "groups": columns.group}
    if columns.id is not None:
        roles.pop("texts")
    parts = [f"{what} from {column!r}" for what, column in roles.items() if column is not None]
    return "; ".join([f"table of {frame.height:,} rows: {how}", *parts])


# -- a file a sequence ----------------------------------------------------------------------------------------------


def without_names(file: Path) -> np.ndarray | None:
    """The numbers of a text table in which every line, the first too, holds equally many numbers, (T, C); None of any
    other table. If the first line is 0, 1, 2, ..., it is a line of names, as pandas writes them.
    """
    if not file.name.lower().endswith((".csv", ".tsv")):
        return None
    try:
        lines = [line.strip() for line in file.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        return None
    sign = next((one for one in (";", "\t", ",") if lines and one in lines[0]), None)
    try:
        first = [float(field) for field in lines[0].split(sign)]
        if len(lines) < 2 or first in ([*range(len(first))], [*range(1, len(first) + 1)]):
            return None
        rows = [[float(field) for field in line.split(sign)] for line in lines]
    except (ValueError, IndexError):
        return None
    return np.array(rows) if {len(row) for row in rows} == {len(first)} else None


def one_sequence(file: Path, columns: Columns, *, say: Callable[[str], None]) -> Examples:
    """The one sequence in a file: a table with a row a step, and its class where a column says the same in every row.
    What is the same in every row and has the name of an id, a group or a class is no channel."""
    if (numbers := without_names(file)) is not None:
        say(f"{file.name} has no line of names: every line is a step of {numbers.shape[1]} numbers")
        channels = channel_names(numbers.shape[1])
        return series_from(pl.DataFrame(numbers, schema=channels, orient="row"), str(file), Columns())
    frame = read_file(file, columns, say=say)
    asked = replace(Columns(), label=columns.label, time=columns.time)
    there = found(frame, asked, optional=OPTIONAL)
    constant = {
        role: name
        for role in ("id", "group", "label")
        if (name := getattr(there, role)) in frame.columns and frame[name].n_unique() == 1
    }
    frame = frame.drop(*(name for role, name in constant.items() if role != "label"))
    label = constant.get("label")
    return series_from(frame, str(file), Columns(time=there.time, label=label))
