"""Tables that list files with their classes: which they are, and where the files lie."""

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from carousel.errors import DataError
from carousel.tasks.sequences.columns import OPTIONAL, found
from carousel.tasks.sequences.examples import Columns
from carousel.tasks.sequences.kinds import files_under, folders_in, kind_of, part_of
from carousel.tasks.sequences.recordings import UNREADABLE
from carousel.tasks.table import is_table, listed, read

# Folders for tables beside folders of data: from such a one, files are looked for a level higher.
ASIDE = ("meta", "metadata", "annotations", "annotation", "labels", "lists", "splits", "csv", "groups")
HEAD = 50  # rows that are looked at to recognise a listing


@dataclass(frozen=True)
class FileFinder:
    """Finds the files that a table lists: in or under the folder of the table, or, where the name of that folder says
    that it is for tables, in or under its parent."""

    table: Path

    @property
    def root(self) -> Path:
        folder = self.table.absolute().parent
        return folder.parent if folder.name.lower() in ASIDE else folder

    @cached_property
    def by_name(self) -> dict[str, list[Path]]:
        """The files by their names, and by their names without the ending."""
        files: dict[str, list[Path]] = defaultdict(list)
        for file in files_under(self.root):
            if file.name != self.table.name:
                files[file.name].append(file)
                if file.stem != file.name:
                    files[file.stem].append(file)
        return files

    def find(self, name: str, row: tuple[object, ...] = ()) -> Path | None:
        """The file of this name, with or without its ending or the folders before it; of several, the one in a folder
        that the row names too, as fold5 or 5."""
        for folder in (self.table.parent, self.root):
            if (folder / name).is_file():
                return folder / name
        files = self.by_name.get(os.path.basename(name.replace("\\", "/")), [])
        if len(files) > 1:
            values = {str(value) for value in row}
            files = [one for one in files if {one.parent.name, re.sub(r"\D*", "", one.parent.name)} & values]
        return files[0] if len(files) == 1 else None

    @property
    def words(self) -> str:
        inner = [one.name for one in folders_in(self.root)]
        return f"{self.root}" + (f" and its folders ({listed(inner, 5)})" if inner else "")


def file_column(frame: pl.DataFrame, columns: Columns) -> str | None:
    """The column that names files: the one that was named, or of texts that all end as sequences do, the one with a
    usual name first."""
    if columns.file is not None:
        return columns.file if columns.file in frame.columns else None
    usual = found(frame, Columns(), optional=OPTIONAL).file
    texts = [name for name in frame.columns if frame[name].dtype == pl.String and not frame[name].null_count()]
    for name in sorted(texts, key=lambda name: name != usual):
        if all(_ends_as_file(value) for value in frame[name]):
            return name
    return usual


def is_listing(path: Path, columns: Columns) -> bool:
    """Whether a table lists files: a column has names with the endings of files, or names of files that exist."""
    try:
        head = read(path, rows=HEAD)
    except DataError:
        return False
    column = file_column(head, columns)
    if column is None or head[column].dtype != pl.String or head[column].null_count():
        return False
    if all(_ends_as_file(value) for value in head[column]):
        return True
    finder = FileFinder(path)
    return any(finder.find(value) for value in head[column])


def _ends_as_file(name: str) -> bool:
    return kind_of(Path(name)) in ("audio", "text", "series") or Path(name).suffix.lower() in UNREADABLE


def listings_in(folder: Path, columns: Columns) -> list[Path]:
    """The tables in a folder, or in one for tables in it, that list files."""
    folders = [folder, *(one for one in folders_in(folder) if one.name.lower() in ASIDE)]
    files = [file for inner in folders for file in sorted(inner.iterdir()) if is_table(file)]
    return [file for file in files if len(files) < HEAD and is_listing(file, columns)]


def listing_in(folder: Path, columns: Columns) -> tuple[Path | None, list[Path]]:
    """The table that lists the files to learn from, if there is exactly one, and those of other parts of the data."""
    lists = listings_in(folder, columns)
    parts = {file: part_of(file.name.split(".")[0]) for file in lists}
    train = [file for file, part in parts.items() if part == "train"] or [f for f, part in parts.items() if not part]
    return (train[0], [file for file in lists if file != train[0]]) if len(train) == 1 else (None, [])


def numbered(folder: Path) -> tuple[Path, str] | None:
    """A table whose one column has the numbers that the names of all other tables there end in, each once: that table
    and column."""
    files = [file for file in sorted(folder.iterdir()) if is_table(file)]
    if len(files) < 3:
        return None
    ends = {file: re.search(r"(\d+)$", file.name.split(".")[0]) for file in files}
    without = [file for file, end in ends.items() if end is None]
    if len(without) != 1:
        return None
    numbers = sorted(int(end[1]) for end in ends.values() if end is not None)
    try:
        frame = read(without[0])
    except DataError:
        return None
    fitting = [
        name
        for name in frame.columns
        if frame[name].dtype.is_integer() and sorted(frame[name].drop_nulls().to_list()) == numbers
    ]
    return (without[0], fitting[0]) if len(fitting) == 1 and len(set(numbers)) == len(numbers) else None


def files_of(path: Path, frame: pl.DataFrame, column: str) -> list[Path]:
    """The file of each row. Raises DataError where some are not there: which, how many, and where they were looked
    for."""
    finder = FileFinder(path)
    if frame[column].dtype.is_integer():
        by_number = {
            int(match[1]): file
            for file in path.parent.iterdir()
            if is_table(file) and (match := re.search(r"(\d+)$", file.name.split(".")[0]))
        }
        return [by_number[number] for number in frame[column]]
    rows = list(frame.iter_rows())
    files = [None if name is None else finder.find(name, row) for name, row in zip(frame[column], rows, strict=True)]
    missing = [row for row, file in enumerate(files) if file is None]
    if missing:
        first = frame[column][missing[0]]
        more = f", and so it is with {len(missing) - 1:,} more of the {len(files):,}" if len(missing) > 1 else ""
        twice = len(finder.by_name.get(os.path.basename(str(first)), [])) > 1
        what = "there are several files" if twice else "there is no file"
        raise DataError(
            f"{path}, row {missing[0] + 1} below the names: {what} {first!r}{more}. Looked in {finder.words}. Correct "
            f"the column {column!r}, or put the files there."
        )
    return [file for file in files if file is not None]
