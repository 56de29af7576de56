"""Pairs of texts from files: a table with two columns of text, or two files with a line for each other's line."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from carousel.errors import DataError, option
from carousel.tasks import table
from carousel.tasks.files import require_existing
from carousel.tasks.pairs.examples import Pairs

# Names of columns, and endings of files, that say which side is which.
SIDES = (("source", "target"), ("src", "tgt"), ("src", "trg"), ("question", "answer"), ("input", "output"))
LANGUAGE = re.compile(r"[a-z]{2,3}([-_][a-z]{2,8})?", re.IGNORECASE)
NOTE = "CC-BY"  # with which the third column of the pairs of tatoeba.org begins, their attribution
TABLES = (".tsv", ".txt", ".tab", ".tsv.gz", ".txt.gz", ".tab.gz")
LOOKED_AT = 1000  # lines, to recognise pairs
FEWEST = 4  # lines of a table that is recognised as one of pairs
DISTINCT = 0.5  # of the texts of a side: of classes, few differ


def recognize(paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:
    """Why the data look like pairs of texts, or None."""
    if len(paths) == 2 and (ends := _two_sides(paths)):
        return f"two files of one name, {ends[0]} and {ends[1]}, whose lines belong together"
    if len(paths) != 1 or not paths[0].is_file():
        return None
    path = paths[0]
    try:
        if path.name.lower().endswith(TABLES):
            rows = _rows(path, LOOKED_AT)
        elif table.is_table(path):
            frame = table.read(path, rows=LOOKED_AT)
            if any(dtype != pl.String for dtype in frame.dtypes):
                return None
            rows = [list(map(str, frame.columns)), *([cell or "" for cell in row] for row in frame.rows())]
        else:
            return None
    except (DataError, OSError, EOFError, zlib.error, UnicodeDecodeError):
        return None
    return "a table with two columns of texts" if _are_pairs(rows, options) else None


def read(paths: Sequence[Path], *, source: str | None = None, target: str | None = None, asked: bool = False) -> Pairs:
    """The pairs of files, as `recognize` describes them. source, target: of a table, the columns, by their names or by
    their numbers from 1. asked: whether one column, or one file of texts, will do: those are sources without targets.

    Raises DataError for files that cannot be read so; the message says why, and how they would have to be."""
    require_existing(paths)
    if len(paths) == 2:
        return _of_two_files(paths)
    if len(paths) != 1:
        raise DataError(
            f"Pairs stand in one table with a column for each side, or in two files, and {len(paths)} files are given."
        )
    (path,) = paths
    if path.is_dir():
        raise DataError(f"Pairs stand in one table, or in two files, and {path} is a folder: name the files.")
    if path.name.lower().endswith(TABLES) or not table.is_table(path):
        return _of_rows(_rows(path), path, source, target, asked=asked)
    frame = table.read(path).cast(pl.String)
    rows = [list(frame.columns), *([cell or "" for cell in row] for row in frame.rows())]
    return _of_rows(rows, path, source, target, asked=asked, named=True)


def lines_of(path: Path) -> list[str]:
    """The lines of a text in UTF-8, unpacked from gzip where its name ends in .gz. Raises DataError for other files."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.name.lower().endswith(".gz") else path.read_bytes()
    except (OSError, EOFError, zlib.error) as problem:
        raise DataError(f"{path} cannot be read: {problem}.") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise DataError(
            f"{path} is no UTF-8 text: byte {problem.start:,} cannot be read. Convert it: iconv -f latin1 -t utf-8."
        ) from None
    # Not splitlines, which divides at separators that stand within lines, too.
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _rows(path: Path, most: int | None = None) -> list[list[str]]:
    """The cells of a table that tabs divide. Quotation marks are part of the texts."""
    return [line.split("\t") for line in lines_of(path)[:most]]


def _two_sides(paths: Sequence[Path]) -> tuple[str, str] | None:
    """The endings of two files of one name, (".en", ".fr"), or None."""
    names = [path.name.removesuffix(".gz") for path in paths]
    (first, one), (second, other) = (name.rpartition(".")[::2] for name in names)
    sides = {tuple(sorted(pair)) for pair in SIDES}
    fits = LANGUAGE.fullmatch(one) and LANGUAGE.fullmatch(other) and not any(map(table.is_table, paths))
    if not first or first != second or one == other or not (fits or tuple(sorted((one, other))) in sides):
        return None
    return f".{one}", f".{other}"


def _of_two_files(paths: Sequence[Path]) -> Pairs:
    sources, targets = map(lines_of, paths)
    if len(sources) != len(targets):
        raise DataError(
            f"Line n of {paths[0]} belongs to line n of {paths[1]}, so that both must have equally many lines, and "
            f"they have {len(sources):,} and {len(targets):,}. Find where they part, or give one table of both."
        )
    said = f"{len(sources):,} pairs: line n of {paths[0].name} is the source of line n of {paths[1].name}"
    return Pairs(sources, targets, range(1, len(sources) + 1), f"{paths[0]} and {paths[1]}", said=(said,))


def _of_rows(
    rows: list[list[str]], path: Path, source: str | None, target: str | None, *, asked: bool, named: bool = False
) -> Pairs:
    names = rows[0] if rows and (named or _names_columns(rows)) else []
    first = 1 if names else 0
    body = [(number, row) for number, row in enumerate(rows[first:], start=first + 1) if any(map(str.strip, row))]
    if not body:
        raise DataError(f"{path} holds no pairs: a line has a source, a tab and a target.")
    width = max(len(row) for _, row in body)
    if width == 1 and asked:
        return Pairs([row[0] for _, row in body], None, [number for number, _ in body], str(path))
    one, other = _column(source, names, width, path, "source", 0), _column(target, names, width, path, "target", 1)
    if one == other:
        raise DataError(f"The source and the target of {path} are the same column: name two ({option('target')}).")
    for column, given, side in ((one, source, "source"), (other, target, "target")):
        some = [row[column] for _, row in body[:LOOKED_AT] if column < len(row)]
        # Of more columns than two, a side that nobody names holds no numbers: it is one of the others.
        if width > 2 and given is None and all(map(_is_number, some)):
            raise DataError(
                f"The {side} of the pairs would be {_called(column, names)} of {path}, which holds numbers and no "
                f"texts. Name the columns of texts: {option('source')}, {option('target')}."
            )
    short = [number for number, row in body if len(row) <= max(one, other)]
    if width < 2 or len(short) > len(body) / 2:
        raise DataError(
            f"A table of pairs has a source, a tab and a target in each line, and line {(short or [1])[0]:,} of {path} "
            f"has no tab. Two files of texts are given by their names: carousel train train.en train.fr."
        )
    if short:
        raise DataError(
            f"Every line of a table of pairs has a target, and {len(short):,} of the {len(body):,} lines of {path} "
            f"have none, the first of them line {short[0]:,}. Add the tab and the target, or remove the line."
        )
    said = [f"{len(body):,} pairs: {_called(one, names)} is the source, {_called(other, names)} the target"]
    said += [f"the first line names the columns: {', '.join(names)}"] if names and not named else []
    said += [f"left out: {_called(k, names)}" for k in range(width) if k not in (one, other)]
    return Pairs(
        [row[one] for _, row in body],
        [row[other] for _, row in body],
        [n for n, _ in body],
        str(path),
        said=tuple(said),
    )


def _called(column: int, names: Sequence[str]) -> str:
    return names[column] if column < len(names) else f"column {column + 1}"


def _column(given: str | None, names: Sequence[str], width: int, path: Path, side: str, otherwise: int) -> int:
    """The index of a column. Raises DataError for one that is not there."""
    if given is None:
        lower = [name.strip().lower() for name in names]
        for pair in SIDES:
            if set(pair) <= set(lower):
                return lower.index(pair[otherwise])
        return otherwise
    if given in names:
        return list(names).index(given)
    if given.isdecimal() and 1 <= int(given) <= width:
        return int(given) - 1
    there = table.listed(names) if names else f"numbers from 1 to {width}, as its first line names none"
    raise DataError(f"There is no column {given!r} ({option(side)}) in {path}; its columns are {there}.")


def _names_columns(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first line names the columns: single words without marks, where the texts below have several."""
    head = [cell.strip() for cell in rows[0]]
    if any(set(pair) <= {cell.lower() for cell in head} for pair in SIDES):
        return True
    if len(head) < 2 or not all(re.fullmatch(r"[^\W\d][\w-]{0,19}", cell) for cell in head):
        return False
    below = [cell for row in rows[1:LOOKED_AT] for cell in row]
    several = sum(" " in cell.strip() for cell in below)
    return bool(below) and several > len(below) / 2


def _are_pairs(rows: Sequence[Sequence[str]], options: Mapping[str, Any]) -> bool:
    """Whether most texts of both sides differ from one another, which classes do not."""
    named = _names_columns(rows) if rows else False
    body = [row for row in rows[1 if named else 0 :] if any(map(str.strip, row))]
    if len(body) < FEWEST or any(len(row) < 2 for row in body):
        return False
    columns = [column for column in zip(*body, strict=False) if not all(cell.startswith(NOTE) for cell in column)]
    known = named and any(set(pair) <= {name.strip().lower() for name in rows[0]} for pair in SIDES)
    if len(columns) != 2 and not known and not {"source", "target"} <= set(options):
        return False
    words = sum(len(cell.split()) for column in columns[:2] for cell in column) / (2 * len(body))
    numbers = sum(_is_number(cell) for column in columns[:2] for cell in column)
    differ = [len(set(column)) >= DISTINCT * len(column) for column in columns[:2]]
    return all(differ) and words > 1 and numbers < len(body) / 10


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"\s*[-+]?[\d.,]+(e[-+]?\d+)?\s*", cell, re.IGNORECASE) is not None
