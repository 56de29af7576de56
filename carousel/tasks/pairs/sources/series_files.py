"""Series and their texts: tables with a row for each step, and arrays of a Python program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.files import require_existing
from carousel.tasks.pairs.examples import Pairs
from carousel.tasks.sequences.columns import OPTIONAL, channels_in, found, several
from carousel.tasks.sequences.examples import Columns
from carousel.tasks.sequences.part_rows import asked_rows, learnt_rows
from carousel.tasks.sequences.steps import said_lengths
from carousel.tasks.sequences.tables import series_from
from carousel.tasks.sequences.values import as_array, held, refuse_infinite
from carousel.tasks.table import listed as in_words
from carousel.tasks.table import looks_like_table
from carousel.tasks.table import read as read_table_file

TEXTS = ("caption", "captions", "text", "sentence", "transcript", "transcription", "utterance", "description")
LOOKED_AT = 5000  # rows, to recognise texts
DISTINCT = 0.5  # of the texts of series: of classes, few differ
SEVERAL = 2  # words of a class at most


@dataclass(frozen=True)
class Series:
    """One series. values: (T, C), with NaN where one is missing. channels: their names; none where only their order
    is known. name: of the series."""

    values: np.ndarray
    channels: tuple[str, ...]
    name: str = ""

    def __len__(self) -> int:
        return len(self.values)


def recognize(paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:
    """Why the data look like series with a text each, or None: rows share an id, and a column of texts says the same in
    all rows of an id. That column is named to be written, or has a name of texts that are no classes."""
    if len(paths) != 1 or "label" in options or paths[0].is_dir() or not looks_like_table(paths[0]):
        return None
    try:
        frame = read_table_file(paths[0], rows=LOOKED_AT)
        columns = found(frame, Columns(id=options.get("source"), label=options.get("target")))
    except (DataError, OSError):
        return None
    named = options.get("target")
    target = named if named is not None else _usual_target(frame)
    if target is None or frame[target].dtype != pl.String:
        return None
    columns = replace(columns, label=target)
    ids = several(frame, columns.id)
    if not ids or target in ids or not channels_in(frame, columns) or not frame.select(ids).is_duplicated().any():
        return None
    texts = frame.group_by(ids, maintain_order=True).agg(pl.col(target).n_unique(), text=pl.col(target).first())
    if (texts[target] > 1).any() or (named is None and not _are_texts(texts["text"])):
        return None
    return f"series of numbers with a text each ({target})"


def read(paths: Sequence[Path], *, source: str | None = None, target: str | None = None, asked: bool = False) -> Pairs:
    """The pairs of tables, as `recognize` describes them. source, target: the columns of ids and of texts. asked:
    whether series without texts will do; a table without ids is one series then.

    Raises DataError for files that cannot be read so; the message says why, and how they would have to be."""
    require_existing(paths)
    parts = [_of_table(path, source, target, asked=asked) for path in paths]
    if any((part.targets is None) != (parts[0].targets is None) for part in parts):
        raise DataError("Some of these tables have texts for their series, and some have none: give them one by one.")
    if len(parts) == 1:
        return parts[0]
    numbers = range(1, sum(map(len, parts)) + 1)
    targets = None if parts[0].targets is None else [one for part in parts for one in part.targets or ()]
    kept = None if any(part.held is None for part in parts) else [one for part in parts for one in part.held or ()]
    return Pairs(
        [one for part in parts for one in part.sources],
        targets,
        numbers,
        "the tables",
        "series",
        "series",
        kept,
        tuple(f"{path.name}: {line}" for path, part in zip(paths, parts, strict=True) for line in part.said),
    )


def given(items: Any) -> list[Series]:
    """Series of a Python program: arrays (T, C), or (T,) for one channel, in a list or in an array (N, T, C); `Series`
    as files have them. Raises DataError for what are none."""
    if isinstance(items, Series):
        return [items]
    if isinstance(items, str | Path | Mapping) or not hasattr(items, "__iter__"):
        raise DataError(f"Series are given as a list of arrays (T, C), and {type(items).__name__} is none.")
    found = list(items)
    if all(isinstance(one, Series) for one in found):
        return found
    arrays = [as_array(f"series {number + 1}", one) for number, one in enumerate(found)]
    arrays = [one[:, None] if one.ndim == 1 else one for one in arrays]
    for number, one in enumerate(arrays):
        refuse_infinite(f"series {number + 1}", one)
        if one.shape[1] != arrays[0].shape[1]:
            raise DataError(
                f"Every series must have the same channels: the first has {arrays[0].shape[1]}, and series "
                f"{number + 1} has {one.shape[1]}. An array is (T, C): steps first."
            )
    return [Series(one, ()) for one in (held(arrays) if arrays else [])]


def _usual_target(frame: pl.DataFrame) -> str | None:
    known = {name.lower(): name for name in reversed(frame.columns)}
    return next((known[name] for name in TEXTS if name in known), None)


def _are_texts(texts: pl.Series) -> bool:
    words = sum(len(text.split()) for text in texts.drop_nulls()) / max(1, len(texts))
    return texts.n_unique() >= DISTINCT * max(1, len(texts)) or words > SEVERAL


def _of_table(path: Path, source: str | None, target: str | None, *, asked: bool) -> Pairs:
    head = read_table_file(path, rows=LOOKED_AT)
    chosen = target if target is not None else _usual_target(head)
    if chosen is not None and chosen not in head.columns:
        if not asked:
            raise DataError(
                f"{path} has no column {chosen!r} ({option('target')}). It has {in_words(head.columns, 20)}."
            )
        chosen = None
    if chosen is None and not asked:
        raise DataError(
            f"{path} has no column of texts to write: name one caption or text, or say which ({option('target')}). It "
            f"has {in_words(head.columns, 20)}."
        )
    notes: list[str] = []
    frame = read_table_file(path, say=notes.append, texts=() if chosen is None else (chosen,))
    if chosen is not None:
        frame = frame.with_columns(pl.col(chosen).cast(pl.String).fill_null(""))
    part = asked_rows(frame) if asked else learnt_rows(frame, validate=True)
    frame = frame[part.rows]
    columns = replace(found(frame, Columns(id=source), optional=OPTIONAL), label=chosen, group=None)
    ids = several(frame, columns.id)
    if not ids and not asked:
        raise DataError(
            f"{path}: no column says which series each row belongs to. Name it {option('source')}. The columns are "
            f"{in_words(frame.columns, 20)}."
        )
    series = series_from(frame, str(path), columns)
    sources = [Series(values, series.channels, name) for values, name in zip(series.items, series.names, strict=True)]
    texts = None if series.labels is None else [str(text) for text in series.labels]
    held_out = None if part.held is None else _held_out(frame, ids, part.held, path)
    lengths = said_lengths(np.array([len(one) for one in sources]), "step")
    what = (
        f"{len(sources):,} series, {lengths}, of {len(series.channels)} channels ({in_words(series.channels, 5)})"
        + (f"; the rows of a series share their {columns.id!r}" if ids else "")
        + (f"; texts from {chosen!r}" if chosen is not None else "")
    )
    numbers = range(1, len(sources) + 1)
    return Pairs(sources, texts, numbers, str(path), "series", "series", held_out, (*notes, what, *part.said))


def _held_out(frame: pl.DataFrame, ids: Sequence[str], held: Sequence[bool], path: Path) -> list[bool]:
    """Which series are held out. Raises DataError for one whose rows are of two parts."""
    parts = frame.with_columns(__held=pl.Series(held)).group_by(ids, maintain_order=True)
    whole = parts.agg(pl.col("__held").n_unique().alias("__parts"), pl.col("__held").first())
    if (whole["__parts"] > 1).any():
        first = whole.filter(pl.col("__parts") > 1).select(ids).row(0)
        raise DataError(
            f"{path}: some rows of the series {' '.join(map(str, first))} are to learn from and some to validate on. "
            f"All rows of a series are of one part."
        )
    return whole["__held"].to_list()
