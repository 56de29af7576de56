"""One file for each sequence: class folders, a list of files, or files whose names say what they are."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.classification import recordings, tables
from carousel.tasks.classification.examples import Columns, Examples
from carousel.tasks.table import is_table, listed, read

MOST_NOTES = 3  # on how single files of a folder were read
KINDS = {"audio": "sound files", "text": "text files (.txt)", "series": "tables"}


def kind_of(path: Path) -> str | None:
    """Of the sequence in a file: audio, text or series; None for a file that is none of these."""
    name = path.name.lower()
    if name.startswith("."):
        return None
    if name.endswith(recordings.SUFFIXES):
        return "audio"
    if name.endswith(".txt"):
        return "text"
    return "series" if is_table(path) else None


def class_folders(folder: Path) -> dict[str, list[Path]]:
    """By the name of each folder inside, the sequences in it, all of the kind that most are; {} where files of that
    kind stand beside the folders, or only one folder holds any."""
    inside = {
        one.name: sorted(file for file in one.rglob("*") if file.is_file() and kind_of(file))
        for one in sorted(folder.iterdir())
        if one.is_dir() and not one.name.startswith(".")
    }
    every = [file for files in inside.values() for file in files]
    if not every:
        return {}
    kind = _commonest_kind(every)
    if any(kind_of(file) == kind for file in folder.iterdir() if file.is_file()):
        return {}
    inside = {name: [file for file in files if kind_of(file) == kind] for name, files in inside.items()}
    return {name: files for name, files in inside.items() if files} if sum(map(bool, inside.values())) > 1 else {}


def read_class_folders(folder: Path, inside: dict[str, list[Path]], columns: Columns) -> Examples:
    files = [file for group in inside.values() for file in group]
    kind = _commonest_kind(files)
    labels = [name for name, group in inside.items() for _ in group]
    groups = None
    said = f"{len(inside)} folders named by class, with {len(files):,} {KINDS[kind]}"
    if columns.names is not None:
        groups = _from_names(files, columns.names).get("group")
    return _examples(kind, files, [str(f.relative_to(folder)) for f in files], labels, groups, columns, (said,))


def read_files(files: Sequence[Path], columns: Columns, *, asked: bool = False) -> Examples:
    """Files that stand for themselves; their classes and groups from their names, where `columns.names` says how.

    asked: a trained model is asked about them, and their names need not say anything."""
    kind = _commonest_kind(files)
    chosen = [file for file in files if kind_of(file) == kind]
    labels = groups = None
    said = [f"{len(chosen):,} {KINDS[kind]}"]
    if columns.names is not None:
        parts = _from_names(chosen, columns.names, asked=asked)
        labels, groups = parts.get("label"), parts.get("group")
        if parts:
            said = [f"{said[0]}, with {' and '.join(parts)} from their names"]
    if len(chosen) < len(files):
        others = [file.name for file in files if kind_of(file) != kind]
        said.append(f"passed over, as they are no {KINDS[kind]}: {listed(others, 3)}")
    return _examples(kind, chosen, [file.name for file in chosen], labels, groups, columns, tuple(said))


def listing_in(folder: Path) -> Path | None:
    """The table in a folder that lists the files in or under it, if there is exactly one."""
    lists = [file for file in sorted(folder.iterdir()) if is_table(file) and is_listing(file, Columns())]
    return lists[0] if len(lists) == 1 else None


def is_listing(path: Path, columns: Columns) -> bool:
    """Does this table name files that are there?"""
    try:
        head = read(path, rows=20)
        column = tables.found(head, columns).file
    except DataError:
        return False
    if column is None or head[column].dtype != pl.String or head[column].null_count():
        return False
    return _locate(_places(path), head[column][0]) is not None


def read_listing(path: Path, columns: Columns, *, asked: bool = False) -> Examples:
    """A table of files with their classes, and their groups if it says any; `asked` as in `tables.read_table`."""
    notes: list[str] = []
    frame = read(path, say=notes.append)
    columns = tables.found_by(frame, columns, asked=asked)
    assert columns.file is not None
    names = frame[columns.file].to_list()
    files = []
    places = _places(path)
    for row, name in enumerate(names, start=1):
        file = None if name is None else _locate(places, name)
        if file is None:
            raise DataError(
                f"{path}, row {row} below the names: there is no file {name!r} beside the list, nor in a folder "
                f"there. Correct the column {columns.file!r}, or put the file there."
            )
        files.append(file)
    kinds = {kind_of(file) for file in files}
    if len(kinds) > 1 or None in kinds:
        raise DataError(f"{path} must list files of one kind: sound files, text files or tables.")
    kind = _commonest_kind(files)
    parts = [
        f"{what} from {column!r}" for what, column in (("classes", columns.label), ("groups", columns.group)) if column
    ]
    said = "; ".join([f"{path.name} lists {len(files):,} {KINDS[kind]} in {columns.file!r}", *parts])
    labels = tables.values_in(frame, str(path), columns.label, "label")
    groups = tables.values_in(frame, str(path), columns.group, "group")
    return _examples(kind, files, names, labels, groups, columns, (*notes, said))


def _places(listing: Path) -> list[Path]:
    """Where the files that a list names may be: beside the list, or in a folder beside it."""
    return [listing.parent, *(one for one in sorted(listing.parent.iterdir()) if one.is_dir())]


def _locate(places: list[Path], name: str) -> Path | None:
    return next((place / name for place in places if (place / name).is_file()), None)


def _commonest_kind(files: Sequence[Path]) -> str:
    counts = {kind: sum(kind_of(file) == kind for file in files) for kind in KINDS}
    return max(counts, key=lambda kind: counts[kind])


def _from_names(files: Sequence[Path], pattern: str, *, asked: bool = False) -> dict[str, list[str]]:
    """What the names say at {label} and {group}; * is anything. The ending of a name is left out of this.

    asked: names need not fit, and say nothing where some do not."""
    times = pattern.count("{label}"), pattern.count("{group}")
    if max(times) != 1:
        raise DataError(
            f"The pattern of file names ({option('names')}) must say once where the class stands, as {{label}}, or "
            f"the group, as {{group}}: '{{label}}_{{group}}_*', say. {pattern!r} does not."
        )
    expression = re.escape(pattern).replace(r"\*", ".*")
    for role in ("label", "group"):
        expression = expression.replace(rf"\{{{role}\}}", f"(?P<{role}>.+?)")
    parts: dict[str, list[str]] = {}
    for file in files:
        match = re.fullmatch(expression, file.stem)
        if match is None and asked:
            return {}
        if match is None:
            raise DataError(f"The name of {file} does not fit the pattern {pattern!r} ({option('names')}).")
        for role, value in match.groupdict().items():
            parts.setdefault(role, []).append(value)
    return parts


def _examples(
    kind: str,
    files: list[Path],
    names: list[str],
    labels: list[Any] | None,
    groups: list[Any] | None,
    columns: Columns,
    said: tuple[str, ...],
) -> Examples:
    if kind == "series":
        return _tables(files, names, labels, groups, columns, said)
    items: list[Any] = list(files) if kind == "audio" else [_text(file) for file in files]
    return Examples(kind, items, names, labels, groups, columns=columns, said=said)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(
            f"{file} is not UTF-8 text. Convert it: iconv -f LATIN1 -t UTF-8 {file.name} > new.txt"
        ) from None
    except OSError as problem:
        raise DataError(f"{file} cannot be read: {problem.strerror}.") from None


def _tables(
    files: list[Path],
    names: list[str],
    labels: list[Any] | None,
    groups: list[Any] | None,
    columns: Columns,
    said: tuple[str, ...],
) -> Examples:
    parts = []
    notes: list[str] = []
    for file in files:
        frame = read(file, say=notes.append)
        time = tables.found(frame, Columns(time=columns.time)).time
        parts.append(tables.series_from(frame, str(file), Columns(time=time)))
    for file, part in zip(files, parts, strict=True):
        if part.channels != parts[0].channels:
            raise DataError(
                f"{file} must be one sequence with the columns of {files[0]}: {listed(parts[0].channels)}; it has "
                f"{listed(part.channels)}."
            )
    items = [np.asarray(part.items[0]) for part in parts]
    if len(notes) > MOST_NOTES:
        notes = [*notes[:MOST_NOTES], f"and {len(notes) - MOST_NOTES:,} more remarks of this kind, on other files"]
    return Examples("series", items, names, labels, groups, parts[0].channels, columns, (*said, *notes))
