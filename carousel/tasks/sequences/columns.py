"""Finds the columns of a table that have the classes, the ids, the times and so on, by name or by usual names."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.sequences.examples import Columns
from carousel.tasks.table import listed

# Names that say what a column is, in lower case, the likelier first
LABELS = ("label", "class", "target", "category", "sentiment", "activity", "class_label")
SURE = ("label", "class")  # names that a column of anything but classes hardly has
IDS = (
    *("id", "series_id", "sequence_id", "unique_id", "series", "sequence", "case", "sample", "case_id", "recording"),
    *("instance", "instances", "trial", "segment", "take", "repetition"),
)
TIMES = ("time", "t", "step", "timestamp", "date", "datetime", "ds", "timepoint", "timepoints", "index")
TEXTS = ("text", "sentence", "review", "content", "message", "phrase", "title", "comment", "name")
FILES = ("file", "filename", "file_name", "path", "filepath", "clip")
GROUPS = ("group", "fold", "speaker", "subject", "patient", "user", "session")
USUAL = {"label": LABELS, "id": IDS, "time": TIMES, "text": TEXTS, "file": FILES, "group": GROUPS}
SEVERAL = ("id", "time")  # roles that more than one column may have together
STARTS, ENDS = ("start", "onset", "begin", "start_time"), ("end", "offset", "stop", "end_time")  # of intervals
OPTIONAL = ("label", "group", "id", "time")  # roles that a table need not have when a trained model is asked about it


def several(frame: pl.DataFrame, role: str | None) -> tuple[str, ...]:
    """The columns that "subject,trial" names: one with that very name, or one for each part."""
    if role is None:
        return ()
    return (role,) if role in frame.columns else tuple(part.strip() for part in role.split(",") if part.strip())


def found(frame: pl.DataFrame, columns: Columns, *, optional: Sequence[str] = ()) -> Columns:
    """The columns with the roles that the user names, and for the other roles columns with usual names.

    Raises DataError for a named column that the table lacks, except for the roles in `optional`.
    """
    known = {name.lower(): name for name in reversed(frame.columns)}
    chosen: dict[str, str | None] = {}
    for role in USUAL:
        asked = getattr(columns, role)
        parts = several(frame, asked) if role in SEVERAL else (asked,) if asked is not None else ()
        lacking = [part for part in parts if part not in frame.columns]
        if lacking and role not in optional:
            raise DataError(
                f"There is no column {lacking[0]!r} ({option(role)}). The columns are: {listed(frame.columns, 20)}."
            )
        chosen[role] = None if lacking else asked
    for role, names in USUAL.items():
        taken = set(chosen.values())
        if chosen[role] is None:
            free = (known[name] for name in names if name in known and known[name] not in taken)
            chosen[role] = next((name for name in free if _fits(role, frame[name])), None)
    return replace(columns, **chosen)


def found_by(frame: pl.DataFrame, columns: Columns, *, asked: bool) -> Columns:
    """As `found`. asked: whether the table is for a trained model to answer, which needs neither all columns nor every
    class."""
    columns = found(frame, columns, optional=OPTIONAL if asked else ())
    if asked and columns.label is not None and frame[columns.label].null_count():
        return replace(columns, label=None)
    return columns


def _fits(role: str, column: pl.Series) -> bool:
    if column.dtype.is_nested():
        return False
    return column.dtype == pl.String if role in ("text", "file") else True


def roles(frame: pl.DataFrame, columns: Columns) -> set[str]:
    """The columns that have a role (label, text, ...). All other columns hold values of the sequences."""
    each = [getattr(columns, role) for role in USUAL if role not in SEVERAL]
    return {name for name in each if name is not None}.union(
        *(several(frame, getattr(columns, role)) for role in SEVERAL)
    )


def channels_in(frame: pl.DataFrame, columns: Columns) -> list[str]:
    """The columns of numbers without a role: the channels of the sequences."""
    special = roles(frame, columns)
    return [
        name
        for name in frame.columns
        if name not in special and (frame[name].dtype.is_numeric() or frame[name].dtype == pl.Boolean)
    ]


class Intervals(NamedTuple):
    """The columns of a table that lists intervals of sounds: a file, a start and an end in seconds, a class or tag."""

    file: str
    start: str
    end: str
    label: str


def intervals_in(frame: pl.DataFrame, *, label: str | None = None, file: str | None = None) -> Intervals | None:
    """The columns of intervals of sounds, by their usual names or by the names that are given; None for a table
    without them."""
    known = {name.lower(): name for name in reversed(frame.columns)}

    def first(names: Sequence[str], given: str | None = None) -> str | None:
        if given is not None:
            return given if given in frame.columns else None
        return next((known[name] for name in names if name in known), None)

    start, end = first(STARTS), first(ENDS)
    which, what = first(FILES, file), first((*LABELS, "tag"), label)
    if start is None or end is None or which is None or what is None:
        return None
    if not frame[start].dtype.is_numeric() or not frame[end].dtype.is_numeric():
        return None
    return Intervals(which, start, end, what)
