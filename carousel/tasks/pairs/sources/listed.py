"""Files with a text each: a table that lists both, or a text file beside each file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from carousel.errors import DataError, option
from carousel.tasks import table
from carousel.tasks.pairs.examples import Pairs
from carousel.tasks.sequences.kinds import files_under, part_of
from carousel.tasks.sequences.listings import FileFinder
from carousel.tasks.sequences.part_rows import SPLITS, PartRows, asked_rows, learnt_rows
from carousel.tasks.table import listed

# Names of columns of texts, in lower case.
TEXTS = (
    *("caption", "captions", "text", "sentence", "transcript", "transcription", "description", "target", "title"),
    *("word", "words", "answer", "label"),
)
HEAD = 50  # rows, and tables of a folder, that are looked at


@dataclass(frozen=True)
class Kind:
    """Files of one kind. endings: of their names, in lower case. noun: "image"."""

    endings: tuple[str, ...]
    noun: str

    def has(self, name: str) -> bool:
        return name.lower().endswith(self.endings)

    def column(self, frame: pl.DataFrame, path: Path, source: str | None = None) -> str | None:
        """The column of a table that names such files; of two or more, the one that is asked for.

        Raises DataError where there are several and none is asked for."""
        if source is not None:
            return _named(frame, source, "source")
        names = [name for name in frame.columns if self._names_files(frame[name], path)]
        if len(names) > 1:
            raise DataError(
                f"Each of the columns {listed(names)} names {self.noun} files, and a model reads one of them: say "
                f"which ({option('source')})."
            )
        return names[0] if names else None

    def _names_files(self, column: pl.Series, path: Path) -> bool:
        """Whether all values end as such files do. A sentence may end so too: names with spaces must be of a file."""
        values: list[str] = column.drop_nulls().to_list() if column.dtype == pl.String else []
        if not values or not all(map(self.has, values)):
            return False
        return not any(" " in value for value in values) or (path.parent / values[0]).is_file()

    def tables_in(self, folder: Path) -> list[Path]:
        """The tables in a folder that list such files; where some are of the training part by their names, those."""
        tables = [file for file in sorted(folder.iterdir()) if table.is_table(file)]
        found = [file for file in tables if len(tables) <= HEAD and self.lists(file)]  # else they are data themselves
        train = [file for file in found if part_of(file.name.split(".")[0]) == "train"]
        return train or [file for file in found if not part_of(file.name.split(".")[0])] or found

    def lists(self, path: Path) -> bool:
        """Whether a table lists such files. Reads its first rows."""
        try:
            head = table.read(path, rows=HEAD)
        except DataError:
            return False
        return any(self._names_files(head[name], path) for name in head.columns)

    def inside(self, folder: Path) -> list[Path]:
        return [file for file in files_under(folder) if self.has(file.name)]


def pairs_in(path: Path, kind: Kind, *, source: str | None, target: str | None, asked: bool) -> Pairs:
    """The pairs of a table that lists files. asked: whether files without texts will do, and rows of a test part are
    meant where a column says which part each row is of.

    Raises DataError for a table without such files or texts, or with two columns of either, and for files that are not
    there: the row of the first."""
    frame = table.read(path)
    files = kind.column(frame, path, source)
    if files is None:
        raise DataError(f"No column of {path} names {kind.noun} files ({', '.join(kind.endings[:4])}, ...).")
    texts = None if asked and target is None and not _texts(frame, files) else text_column(frame, files, target, path)
    chosen = asked_rows(frame) if asked else learnt_rows(frame, validate=True)
    finder = FileFinder(path)
    found = [finder.find(str(frame[files][row]), frame.row(row)) for row in chosen.rows]
    lost = [row for row, file in zip(chosen.rows, found, strict=True) if file is None]
    if lost:
        more = f", and so it is with {len(lost) - 1:,} more of the {len(found):,}" if len(lost) > 1 else ""
        raise DataError(
            f"{path}, row {lost[0] + 1} below the names: there is no file {frame[files][lost[0]]!r}{more}. Looked in "
            f"{finder.words}. Correct the column {files!r}, or put the files there."
        )
    return as_pairs(frame, chosen, [file for file in found if file is not None], texts, path, kind.noun)


def text_column(frame: pl.DataFrame, files: str | None, target: str | None, path: Path) -> str:
    """The column of the texts to write. Raises DataError where there is none, or where two could be it."""
    if target is not None:
        return _named(frame, target, "target")
    names = _texts(frame, files)
    if len(names) == 1:
        return names[0]
    if names:
        raise DataError(f"Each of the columns {listed(names)} of {path} may be the text to write: {_say()}.")
    raise DataError(
        f"No column of {path} has texts to write; its columns are {listed(frame.columns, 20)}. Add one, named caption, "
        f"or {_say()}."
    )


def _say() -> str:
    return f"say which ({option('target')})"


def _texts(frame: pl.DataFrame, files: str | None) -> list[str]:
    """The columns that may be the texts: those with usual names, else all texts that name no part of the data."""
    others = [name for name in frame.columns if name != files and name.lower() not in SPLITS]
    usual = [name for name in others if name.lower() in TEXTS]
    return usual or [name for name in others if frame[name].dtype == pl.String]


def _named(frame: pl.DataFrame, given: str, side: str) -> str:
    if given in frame.columns:
        return given
    if given.isdecimal() and 1 <= int(given) <= len(frame.columns):
        return str(frame.columns[int(given) - 1])
    raise DataError(f"There is no column {given!r} ({option(side)}); the columns are {listed(frame.columns, 20)}.")


def as_pairs(
    frame: pl.DataFrame, chosen: PartRows, sources: Sequence[object], texts: str | None, path: Path, noun: str
) -> Pairs:
    """The pairs of the rows that were chosen, with their sources."""
    targets = None
    if texts is not None:
        column = frame[texts].cast(pl.String)
        targets = [column[row] or "" for row in chosen.rows]
    what = f"{len(chosen.rows):,} {noun}s" + (f", with the texts of the column {texts!r}" if texts else "")
    numbers = [row + 1 for row in chosen.rows]
    return Pairs(sources, targets, numbers, str(path), noun, "row", chosen.held, (what, *chosen.said))


def pairs_beside(folder: Path, kind: Kind) -> Pairs | None:
    """The files in and under a folder that have a text file of the same name beside them (a.png and a.txt); None where
    no file has one. Raises DataError where some have one and others have none."""
    files = kind.inside(folder)
    texts = [file.with_suffix(".txt") for file in files]
    without = [file for file, text in zip(files, texts, strict=True) if not text.is_file()]
    if not files or len(without) == len(files):
        return None
    if without:
        raise DataError(
            f"In {folder} most {kind.noun}s have a text file of their name beside them, and {len(without):,} of the "
            f"{len(files):,} have none: {listed([file.name for file in without], 3)}. Write them, or take the "
            f"{kind.noun}s away."
        )
    try:
        targets = [text.read_text(encoding="utf-8-sig").strip() for text in texts]
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"A text file in {folder} cannot be read as UTF-8: {problem}.") from None
    said = (f"{len(files):,} {kind.noun}s, with the text file beside each",)
    return Pairs(files, targets, range(1, len(files) + 1), str(folder), kind.noun, "file", said=said)
