"""Sounds and their texts from files: a table that lists both, or a text file beside each sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.files import require_existing
from carousel.tasks.pairs.examples import Pairs
from carousel.tasks.pairs.sources import listed
from carousel.tasks.sequences import listings
from carousel.tasks.sequences.columns import LABELS, SURE
from carousel.tasks.sequences.examples import Columns
from carousel.tasks.sequences.part_rows import asked_rows, learnt_rows
from carousel.tasks.sequences.recordings import SUFFIXES, UNREADABLE
from carousel.tasks.table import listed as in_words
from carousel.tasks.table import looks_like_table
from carousel.tasks.table import read as read_table_file

SOUNDS = listed.Kind((*SUFFIXES, *UNREADABLE), "sound")
TEXTS = (
    "text",
    "transcript",
    "transcription",
    "sentence",
    "utterance",
    "words",
    "target",
)  # names of a column of texts
LOOKED_AT = 1000  # rows, to recognise texts
DISTINCT = 0.5  # of the texts of a column: of classes, few differ
SEVERAL = 2  # words of a class at most
FEWEST = 4  # sounds with a text beside them that are recognised


def recognize(paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:
    """Why the data look like sounds and their texts, or None. Raises DataError for a table that has both texts and
    classes of its sounds, or a column that may be either, unless an option says which are learnt."""
    if len(paths) != 1 or {"label", "names"} & set(options):  # which say where classes are
        return None
    try:
        table = _table(paths[0])
        if table is None:
            return f"sounds with a text beside each in {paths[0]}" if _with_texts(paths[0]) else None
        head = read_table_file(table.path, rows=LOOKED_AT)
    except (DataError, OSError):
        return None
    if "target" in options:  # reading says so where there is no such column
        return f"{table.path.name} lists sounds, and a column of it is named to be written"
    text = _text_column(head, table.file, None)
    if text is None:
        _refuse_either(table, head)
        return None
    classes = next((name for name in head.columns if name.lower() in SURE and name != text), None)
    if classes is not None:
        raise DataError(
            f"{table.path.name} lists sounds with texts in {text!r} and classes in {classes!r}, and both could be "
            f"learnt. To write the texts: {option('task', 'pairs')}. To tell the classes: "
            f"{option('task', 'classification')}."
        )
    return f"{table.path.name} lists sounds and their texts"


def _refuse_either(table: _Table, head: pl.DataFrame) -> None:
    """Raises DataError where the only column that says something of the sounds has the name of texts, and few of its
    texts differ, as classes do."""
    if any(name.lower() in LABELS for name in head.columns):
        return
    names = [name for name in head.columns if name.lower() in TEXTS and name != table.file]
    if len(names) == 1 and head[names[0]].dtype == pl.String:
        few = head[names[0]].n_unique()
        raise DataError(
            f"{table.path.name} lists sounds, and {few:,} different texts stand in the {head.height:,} rows of "
            f"{names[0]!r}: they may be texts to write down, or classes to tell. Say which: "
            f"{option('target', names[0])} to write them, {option('label', names[0])} to tell them."
        )


def read(paths: Sequence[Path], *, source: str | None = None, target: str | None = None, asked: bool = False) -> Pairs:
    """The pairs of files, as `recognize` describes them. source, target: of a table, the columns of the files and of
    the texts. asked: whether sounds without texts will do: files, or a folder of them.

    Raises DataError for files that cannot be read so; the message says why, and how they would have to be."""
    require_existing(paths)
    if asked and paths and all(SOUNDS.has(path.name) for path in paths):
        return Pairs(list(paths), None, range(1, len(paths) + 1), "the files", SOUNDS.noun, "number")
    if len(paths) != 1:
        raise DataError(
            f"Sounds and their texts stand in one table or in one folder, and {len(paths)} files are given."
        )
    (path,) = paths
    table = _table(path, source)
    if table is not None:
        return _of_table(table, target, asked=asked)
    if path.is_dir() and (pairs := listed.pairs_beside(path, SOUNDS)) is not None:
        return pairs
    if asked and path.is_dir() and (sounds := SOUNDS.inside(path)):
        return Pairs(sounds, None, range(1, len(sounds) + 1), str(path), SOUNDS.noun, "file")
    raise DataError(
        f"{path} holds no sounds with their texts. A table has a column of file names ({option('source')}) and a "
        f"column of texts ({option('target')}); or each sound stands beside a text file of its name, as a.wav beside "
        f"a.txt."
    )


@dataclass(frozen=True)
class _Table:
    """A table that lists sounds. file: its column of file names. others: tables of other parts of the data."""

    path: Path
    file: str
    others: tuple[Path, ...]


def _table(path: Path, source: str | None = None) -> _Table | None:
    """The table that lists sounds, at this path or in this folder."""
    columns, others = Columns(file=source), list[Path]()
    chosen = path if not path.is_dir() and looks_like_table(path) and listings.is_listing(path, columns) else None
    if path.is_dir():
        chosen, others = listings.listing_in(path, columns)
    if chosen is None:
        return None
    head = read_table_file(chosen, rows=listings.HEAD)
    file = listings.file_column(head, columns)
    if file is None or not head.height or not _lists_sounds(chosen, head[file]):
        return None
    return _Table(chosen, file, tuple(others))


def _lists_sounds(table: Path, names: pl.Series) -> bool:
    finder = listings.FileFinder(table)
    files = [finder.find(str(name)) or Path(str(name)) for name in names[:FEWEST]]
    return all(SOUNDS.has(file.name) for file in files)


def _text_column(frame: pl.DataFrame, file: str, target: str | None) -> str | None:
    """The column of texts: the one that is named, or one whose name says so and whose texts are no classes, or the only
    one of sentences."""
    if target is not None:
        return target if target in frame.columns else None
    free = [name for name in frame.columns if name != file and not frame[name].dtype.is_float()]
    named = next((name for word in TEXTS for name in free if name.lower() == word), None)
    if named is not None and named.lower() == "target" and frame[named].dtype.is_integer():
        named = None  # in listings of sounds with classes, the number of the class
    if named is not None:
        return named if _differ(frame[named]) or _words(frame[named]) > SEVERAL else None
    sentences = [
        name
        for name in free
        if frame[name].dtype == pl.String and _differ(frame[name]) and _words(frame[name]) > SEVERAL
    ]
    return sentences[0] if len(sentences) == 1 else None


def _differ(texts: pl.Series) -> bool:
    return texts.n_unique() >= DISTINCT * max(1, len(texts))


def _words(texts: pl.Series) -> float:
    return sum(len(str(text).split()) for text in texts.drop_nulls()) / max(1, len(texts))


def _of_table(table: _Table, target: str | None, *, asked: bool) -> Pairs:
    head = read_table_file(table.path, rows=LOOKED_AT)
    text = _text_column(head, table.file, target)
    if text is None and not asked:
        wrong = f"no column {target!r}" if target is not None else "no column that holds texts"
        raise DataError(
            f"{table.path} lists sounds, and has {wrong} ({option('target')}): its columns are "
            f"{in_words(head.columns, 20)}. To tell classes of sounds: {option('task', 'classification')}."
        )
    notes: list[str] = []
    # The digits 007 are a text, and no number.
    frame = read_table_file(table.path, say=notes.append, texts=() if text is None else (text,))
    chosen = asked_rows(frame) if asked else learnt_rows(frame, validate=True)
    files = listings.files_of(table.path, frame[chosen.rows], table.file)
    pairs = listed.as_pairs(frame, chosen, files, text, table.path, SOUNDS.noun)
    others = () if asked else tuple(f"left to judge the model by: {other.name}" for other in table.others)
    return replace(pairs, said=(*notes, *pairs.said, *others))


def _with_texts(folder: Path) -> bool:
    """Whether most sounds in a folder have a text beside them."""
    sounds = SOUNDS.inside(folder) if folder.is_dir() else []
    beside = sum(sound.with_suffix(".txt").is_file() for sound in sounds)
    return beside >= FEWEST and beside > 0.9 * len(sounds)
