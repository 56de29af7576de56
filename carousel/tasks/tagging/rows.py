"""Tables whose rows are the steps of sequences, with a tag that changes within a sequence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.sequences.columns import OPTIONAL, channels_in, found
from carousel.tasks.sequences.examples import Columns
from carousel.tasks.sequences.tables import has_classes_of_steps, read_file, series_from
from carousel.tasks.table import listed, looks_like_table, read
from carousel.tasks.tagging.tagged import Tagged

CODE = "\0tag"  # a column that no file can have: the number of each row's tag


def looks_like(path: Path, asked: Columns) -> bool:
    """Whether a file is a table with a column of tags that changes within the rows of an id. Reads its head."""
    if not path.is_file() or not looks_like_table(path):
        return False
    try:
        return has_classes_of_steps(path, asked)
    except DataError:
        return False


def read_rows(source: Any, asked: Columns, *, channels: Sequence[str] = (), model_asks: bool = False) -> Tagged:
    """The sequences in a table, by ids and in the order of times.

    source: a file, or a table in memory. channels: those of a trained model; without them every column of numbers that
    says nothing else. model_asks: whether a trained model is asked about the table, which then needs no tags.
    Raises DataError for a table without tags, without ids, or without numbers.
    """
    notes: list[str] = []
    if isinstance(source, str | Path):
        frame, name = read_file(Path(source), asked, say=notes.append), str(source)
    else:
        frame, name = read(source), "the table"
    columns = found(frame, asked, optional=OPTIONAL if model_asks else ())
    if columns.label is None and not model_asks:
        raise DataError(
            f"{name} has the columns {listed(frame.columns, 20)}, and none of them is known to have the tags. Name it: "
            f"{option('label')}."
        )
    if columns.id is None and not model_asks:
        raise DataError(
            f"{name} has the columns {listed(frame.columns, 20)}, and none of them says which sequence a row belongs "
            f"to. Name it: {option('id')}."
        )
    chosen = list(channels) or [one for one in channels_in(frame, columns) if one != columns.label]
    known: list[str] = []
    if columns.label is not None:
        texts = frame[columns.label].cast(pl.String)
        known = texts.drop_nulls().unique(maintain_order=True).to_list()
        codes = texts.replace_strict(known, list(range(len(known))), default=None, return_dtype=pl.Float64)
        frame = frame.with_columns(codes.alias(CODE))
    bare = Columns(id=columns.id, time=columns.time)
    read_channels = [*chosen, *([CODE] if known else [])]
    if not chosen:
        raise DataError(f"{name} has no column of numbers to read beside the tags. It has {listed(frame.columns, 20)}.")
    series = series_from(frame, name, bare, read_channels)
    items = [item[:, : len(chosen)] for item in series.items]
    tags = [_texts(item[:, -1], known) for item in series.items] if known else None
    untagged = sum(tag is None for one in tags or () for tag in one)
    said = [*notes, *(line for line in series.said if CODE not in line and not line.startswith("not read"))]
    if columns.label is not None:
        said.append(f"tags from {columns.label!r}: {listed(sorted(known), 12)}")
    if untagged:
        said.append(f"{untagged:,} rows have no tag: they are read, and neither learnt nor judged")
    return Tagged(
        "series",
        items,
        series.names,
        tags,
        channels=tuple(chosen),
        columns={"label": columns.label, "id": columns.id, "time": columns.time},
        said=tuple(said),
    )


def _texts(codes: np.ndarray, known: Sequence[str]) -> list[str | None]:
    return [None if np.isnan(code) else known[int(code)] for code in codes]
