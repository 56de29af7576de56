"""One file for each sequence: class folders, a list of files, or files whose names say what they are."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from carousel.errors import DataError, option
from carousel.tasks.classification.file_names import from_names, says_label
from carousel.tasks.sequences import listings, tables
from carousel.tasks.sequences.columns import found_by
from carousel.tasks.sequences.examples import Columns, Examples
from carousel.tasks.sequences.kinds import KINDS, commonest_kind, files_under, folders_in, kind_of, left, part_of
from carousel.tasks.sequences.part_rows import learnt_rows
from carousel.tasks.sequences.recordings import UNREADABLE
from carousel.tasks.table import listed

LOOKED_AT = 10  # texts
MOST_NOTES = 3  # on how single files of a folder were read
NUMBERED = re.compile(r"(fold|split|part|set|cv|chunk|shard)[\W_]?\d+", re.IGNORECASE)
PERSONS = "speaker|spk|subject|subj|sub|actor|person|patient|participant|user|session"
GROUPED = re.compile(rf"({PERSONS}|s|p|id)[\W_]?\d+|({PERSONS})[\W_]\w+", re.IGNORECASE)  # names of groups
UNLABELLED = ("unsup", "unlabeled", "unlabelled", "unknown_label")  # folders of what has no class


@dataclass(frozen=True)
class ClassFolders:
    """The sequences in each folder by its name, all of one kind, and the files that are none of them."""

    kind: str
    inside: dict[str, list[Path]]
    others: list[Path]


def class_folders(folder: Path) -> ClassFolders | None:
    """The folders that are classes, or None where files of their kind stand beside them, or only one holds any.

    A few texts beside very many are about these, and no texts of their own."""
    inside = {one.name: files_under(one) for one in folders_in(folder)}
    every = [file for files in inside.values() for file in files if kind_of(file)]
    if not every:
        return None
    kind = commonest_kind(every)
    if kind == "plain" and not (len(every) > 0.9 * sum(map(len, inside.values())) and all(map(_is_text, every[:50]))):
        return None
    beside = [file for file in folder.iterdir() if file.is_file() and kind_of(file) == kind]
    if beside and (kind != "text" or 10 * len(beside) > sum(kind_of(file) == kind for file in every)):
        return None
    sequences = {
        name: chosen
        for name, files in inside.items()
        if name not in UNLABELLED and (chosen := [file for file in files if kind_of(file) == kind])
    }
    if len(sequences) < 2:
        return None
    taken = {file for files in sequences.values() for file in files}
    there = [*files_under(folder)] if len(taken) < 100_000 else beside
    return ClassFolders(kind, sequences, [file for file in there if file not in taken])


def refuse_parts_as_classes(folder: Path, names: Sequence[str]) -> None:
    """Raises DataError for folders that are parts of a data set, and no classes."""
    if all(NUMBERED.fullmatch(name) for name in names):
        raise DataError(
            f"The folders in {folder} ({listed(list(names), 4)}) are parts of the data by their names, and no "
            f"classes. Put "
            f"a table beside them that lists the files and their classes, or say where file names have the class "
            f"({option('names', '{label}_*')})."
        )
    parts = [name for name in names if part_of(name)]
    if {part_of(name) for name in parts} >= {"train", "test"}:
        train = next(name for name in parts if part_of(name) == "train")
        others = [name for name in names if name not in parts]
        raise DataError(
            f"In {folder} there are the parts of a data set ({listed(parts)}) beside other folders "
            f"({listed(others, 4)}), "
            f"and it is not clear what to read. Name the part: {folder / train}."
        )


def crossed(folder: Path, found: ClassFolders) -> str | None:
    """Which folders are the classes where folders of the same names stand in several, as yes and no in each speaker's:
    "inner" or "outer", as names like speaker1 say that the others are groups; None where folders do not cross.

    Raises DataError where nothing tells."""
    names = {
        outer: {file.relative_to(folder / outer).parts[0] for file in files if file.parent != folder / outer}
        for outer, files in found.inside.items()
    }
    inner = set.union(*names.values())
    shared = [name for name in sorted(inner) if sum(name in some for some in names.values()) > 1]
    if len(shared) < 2 or all(part_of(name) or NUMBERED.fullmatch(name) for name in inner):
        return None
    outer_groups, inner_groups = (all(GROUPED.fullmatch(name) for name in some) for some in (names, inner))
    if outer_groups and not inner_groups:
        return "inner"
    if inner_groups and not outer_groups:
        return "outer"
    first = sorted(found.inside)[0]
    raise DataError(
        f"The folders in {folder} ({listed(sorted(found.inside), 4)}) hold folders of the same names "
        f"({listed(shared, 4)}), and either may be the classes. Say which: call the others by what they are "
        f"(speaker_{first}, say), or write a table beside them that lists the files, with columns for the class "
        f"({option('label')}) and the group ({option('group')}); or say where file names have the class "
        f"({option('names', '{label}_*')})."
    )


def read_class_folders(folder: Path, found: ClassFolders, columns: Columns) -> Examples:
    files = [file for group in found.inside.values() for file in group]
    labels: list[Any] = [name for name, group in found.inside.items() for _ in group]
    groups = None
    classes = None if columns.names is not None and says_label(columns.names) else crossed(folder, found)
    if classes is not None:
        inner = [file.relative_to(folder).parts[1] for file in files]
        labels, groups = (inner, labels) if classes == "inner" else (labels, inner)
    said = f"{len(found.inside)} folders named by class, with {len(files):,} {KINDS[found.kind]}"
    if columns.names is not None:
        parts = from_names(files, columns.names)
        groups = parts.get("group", groups)
        if "label" in parts:
            labels = parts["label"]
            said = (
                f"{len(files):,} {KINDS[found.kind]} in {len(found.inside)} folders, with {' and '.join(parts)} from "
                f"their "
                f"names ({option('names')}); the names of the folders say nothing then"
            )
    if classes is not None:
        said = (
            f"{len(files):,} {KINDS[found.kind]}, {len(set(labels))} classes from the {classes} folders "
            f"({listed(sorted(set(labels)), 4)}), groups from the {'outer' if classes == 'inner' else 'inner'} "
            f"({listed(sorted(set(map(str, groups or ()))), 4)})"
        )
    elif columns.names is None or not says_label(columns.names):
        refuse_parts_as_classes(folder, list(found.inside))
    names = [str(file.relative_to(folder)) for file in files]
    return _examples(found.kind, files, names, labels, groups, columns, (said, *left(found.others)))


def read_files(files: Sequence[Path], columns: Columns, *, asked: bool = False) -> Examples:
    """Files that stand for themselves; their classes and groups from their names, where `columns.names` says how.

    asked: a trained model is asked about them, and their names need not say anything."""
    if strange := [file for file in files if file.suffix.lower() in UNREADABLE]:
        refuse_sounds(strange)
    kind = commonest_kind(files)
    chosen = [file for file in files if kind_of(file) == kind]
    labels = groups = None
    said = [f"{len(chosen):,} {KINDS[kind]}"]
    if columns.names is not None:
        parts = from_names(chosen, columns.names, asked=asked)
        labels, groups = parts.get("label"), parts.get("group")
        if parts:
            said = [f"{said[0]}, with {' and '.join(parts)} from their names"]
    if len(chosen) < len(files):
        others = [file.name for file in files if kind_of(file) != kind]
        said.append(f"passed over, as they are no {KINDS[kind]}: {listed(others, 3)}")
    return _examples(kind, chosen, [file.name for file in chosen], labels, groups, columns, tuple(said))


def refuse_sounds(files: Sequence[Path]) -> None:
    """Raises DataError for sounds in a form that is not read."""
    first = files[0]
    more = f" (and {len(files) - 1:,} more)" if len(files) > 1 else ""
    raise DataError(
        f"{first}{more} is a sound in a form that is not read ({first.suffix}). Convert it: ffmpeg -i {first.name} "
        f"{first.stem}.wav"
    )


def read_listing(path: Path, columns: Columns, *, asked: bool = False) -> Examples:
    """A table of files with their classes, and their groups if it says any; `asked` as in `tables.read_table`."""
    notes: list[str] = []
    frame = tables.read_file(path, columns, say=notes.append)
    said: tuple[str, ...] = ()
    if not asked:
        part = learnt_rows(frame, validate=False)
        frame, said = frame[part.rows], part.said
    key = listings.numbered(path.parent)
    column = key[1] if key and key[0] == path else listings.file_column(frame, columns)
    assert column is not None
    columns = found_by(frame, replace(columns, file=column), asked=asked)
    if columns.label is None and key and len(frame.columns) == 2:
        columns = replace(columns, label=next(name for name in frame.columns if name != column))
    files = listings.files_of(path, frame, column)
    if strange := [file for file in files if file.suffix.lower() in UNREADABLE]:
        refuse_sounds(strange)
    kinds = {kind_of(file) for file in files}
    if len(kinds) > 1 or None in kinds:
        odd = next(file for file in files if kind_of(file) != commonest_kind(files))
        raise DataError(
            f"{path} must list files of one kind: sound files, text files or tables. Most are "
            f"{KINDS[commonest_kind(files)]}, and {odd.name} is none."
        )
    kind = commonest_kind(files)
    parts = [
        f"{what} from {column!r}" for what, column in (("classes", columns.label), ("groups", columns.group)) if column
    ]
    line = "; ".join([f"{path.name} lists {len(files):,} {KINDS[kind]} in {columns.file!r}", *parts])
    taken = {file.absolute() for file in (*files, path)}
    beside = files_under(listings.FileFinder(path).root)
    unlisted = [file.name for file in beside if kind_of(file) == kind and file.absolute() not in taken]
    if unlisted and not asked:
        said = (*said, f"not in the list, and left: {len(unlisted):,} {KINDS[kind]} ({listed(unlisted, 3)})")
    labels = tables.values_in(frame, str(path), columns.label, "label")
    groups = tables.values_in(frame, str(path), columns.group, "group")
    return _examples(kind, files, [str(name) for name in frame[column]], labels, groups, columns, (*notes, line, *said))


def _is_text(file: Path) -> bool:
    with open(file, "rb") as opened:
        return b"\0" not in opened.read(1024)


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
    if kind == "audio":
        return Examples(kind, list(files), names, labels, groups, columns=columns, said=said)
    texts = [_text(file) for file in files]
    if all(map(_are_numbers, (text for text, _ in texts[:LOOKED_AT]))):
        raise DataError(
            f"{files[0]} and the other text files hold numbers alone, and a classifier would read their digits. Where "
            f"each "
            f"is a sequence of numbers, write a line of column names above them, and call them .csv."
        )
    if foreign := [file.name for file, (_, utf8) in zip(files, texts, strict=True) if not utf8]:
        more = f", {foreign[0]} and {len(foreign) - 1:,} more" if len(foreign) > 1 else f", {foreign[0]}"
        said = (*said, f"not UTF-8, and read as Windows-1252 (Western European){more}")
    return Examples("text", [text for text, _ in texts], names, labels, groups, columns=columns, said=said)


def _are_numbers(text: str) -> bool:
    """Whether a text is nothing but numbers, several of them in several lines."""
    lines = [re.split(r"[\s,;]+", line.strip()) for line in text.split("\n") if line.strip()]
    try:
        return len([float(field) for line in lines for field in line if field]) > 2 and len(lines) > 1
    except ValueError:
        return False


def _text(file: Path) -> tuple[str, bool]:
    """The text of a file; False if it was read as Windows-1252, as neither UTF-8 nor UTF-16 with a byte-order mark."""
    try:
        content = file.read_bytes()
    except OSError as problem:
        raise DataError(f"{file} cannot be read: {problem.strerror}.") from None
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace"), True
    try:
        return content.decode("utf-8-sig"), True
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace"), False


def _tables(
    files: list[Path],
    names: list[str],
    labels: list[Any] | None,
    groups: list[Any] | None,
    columns: Columns,
    said: tuple[str, ...],
) -> Examples:
    notes: list[str] = []
    parts = [tables.one_sequence(file, columns, say=notes.append) for file in files]
    for file, part in zip(files, parts, strict=True):
        if part.channels != parts[0].channels:
            raise DataError(
                f"{file} must be one sequence with the columns of {files[0]}: {listed(parts[0].channels)}; it has "
                f"{listed(part.channels)}."
            )
    items = [np.asarray(part.items[0]) for part in parts]
    if labels is None and all(part.labels for part in parts):
        labels = [part.labels[0] for part in parts if part.labels]
        said = (*said, f"classes from the column {parts[0].columns.label!r} of each")
    if len(notes) > MOST_NOTES:
        notes = [*notes[:MOST_NOTES], f"and {len(notes) - MOST_NOTES:,} more remarks of this kind, on other files"]
    return Examples("series", items, names, labels, groups, parts[0].channels, columns, (*said, *notes))
