"""From names of files and folders to examples, whatever form they are in."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from carousel.errors import DataError
from carousel.tasks.classification import arrays, folders, tables
from carousel.tasks.classification.arff_file import read_arff
from carousel.tasks.classification.examples import Columns, Examples, joined
from carousel.tasks.classification.ts_file import read_ts
from carousel.tasks.classification.ucr_text import is_ucr, read_ucr
from carousel.tasks.files import require_existing
from carousel.tasks.table import is_table, numbers_written, read

SURE = ("label", "class")  # names that a column of anything but classes hardly has


def recognize(paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:
    """Why these look like sequences to classify, or None. Reads names, and the head of a table."""
    if not paths or not all(path.exists() for path in paths):
        return None
    first = paths[0]
    if first.is_dir():
        if listing := folders.listing_in(first):
            return f"{listing.name} lists files and their classes" if _has_label(listing, options) else None
        if inside := folders.class_folders(first):
            kind = folders.kind_of(next(iter(inside.values()))[0])
            return f"{len(inside)} folders, named by class, of {folders.KINDS[kind or 'text']}"
        sounds = (file for where in (first, *first.iterdir()) if where.is_dir() for file in where.iterdir())
        return "sound files" if any(folders.kind_of(file) == "audio" for file in sounds) else None
    if folders.kind_of(first) == "audio":
        return "sound files"
    if first.suffix.lower() == ".ts":
        return "a .ts file of the UCR and UEA archives"
    if first.suffix.lower() == ".arff":
        return "an .arff file of Weka and of the UCR and UEA archives"
    if first.suffix.lower() == ".npz":
        return arrays.why_sequences(first)
    if is_ucr(first):
        return "a text file of the UCR archive: a class and its series in each line"
    if is_table(first) and _has_label(first, options):
        return "a table with a column of classes"
    return None


def _has_label(path: Path, options: Mapping[str, Any]) -> bool:
    """Has a table a column of classes, and sequences that they are of?"""
    asked = Columns(**{role: options[role] for role in ("label", "id", "time", "text", "file") if role in options})
    try:
        head = read(path, rows=20)
    except DataError:
        return False
    if asked.label is not None:
        return True  # it is meant to be one; if it has no such column, reading it says so
    try:
        label, form = tables.found(head, asked).label, tables.form_of(head, asked)
    except DataError:
        return False
    if label is None:
        return False
    if form == "series":
        return label.lower() in SURE  # series to forecast may have a category, or a target, too
    return form == "text" or folders.is_listing(path, asked)


def read_examples(
    paths: Sequence[str | Path], columns: Columns, *, channels: Sequence[str] = (), asked: bool = False
) -> Examples:
    """The examples that these names mean, one after another.

    channels: of a trained model, to be found in tables. asked: the model is asked about the data, which therefore
    need not say classes, and may be a single sequence without an id.
    Raises DataError where there is nothing to read, or it cannot be read.
    """
    named = [Path(path) for path in paths]
    if not named:
        raise DataError("Sequences must be named: a file, or a folder of files.")
    require_existing(named)
    with numbers_written(columns.decimal, columns.thousands):
        return _read(named, columns, channels, asked)


def _read(named: Sequence[Path], columns: Columns, channels: Sequence[str], asked: bool) -> Examples:
    if all(path.is_file() and folders.kind_of(path) in ("audio", "text") and not is_ucr(path) for path in named):
        return _labelled_by_folder(folders.read_files(named, columns, asked=asked), named)
    return joined([_one(path, columns, channels, asked) for path in named])


def _one(path: Path, columns: Columns, channels: Sequence[str], asked: bool) -> Examples:
    if path.is_dir():
        return _folder(path, columns, asked)
    suffix = path.suffix.lower()
    if suffix == ".ts":
        return read_ts(path)
    if suffix == ".arff":
        return read_arff(path, label=columns.label)
    if suffix == ".npz":
        return arrays.read_npz(path, axes=columns.axes, channels=tuple(channels) if asked else ())
    if is_ucr(path):
        return read_ucr(path)
    if is_table(path):
        if folders.is_listing(path, columns):
            return folders.read_listing(path, columns, asked=asked)
        said: list[str] = []
        frame = read(path, say=said.append)
        examples = tables.read_table(frame, str(path), columns, channels=channels, asked=asked)
        return replace(examples, said=(*said, *examples.said))
    if folders.kind_of(path):
        return folders.read_files([path], columns, asked=asked)
    raise DataError(
        f"{path} holds no sequences that can be read: a file is .ts, .npz, a table (.csv, .tsv, .parquet, .arrow), "
        f"sound (.wav, .flac, .ogg) or text (.txt); a folder holds folders named by class, or files and a list of them."
    )


def _folder(path: Path, columns: Columns, asked: bool) -> Examples:
    if listing := folders.listing_in(path):
        return folders.read_listing(listing, columns, asked=asked)
    if inside := folders.class_folders(path):
        return folders.read_class_folders(path, inside, columns)
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and folders.kind_of(file)]
    if not files:
        raise DataError(f"The folder {path} holds no sound, text or table that could be a sequence.")
    return folders.read_files(files, columns, asked=asked)


def _labelled_by_folder(examples: Examples, files: Sequence[Path]) -> Examples:
    """Files named one by one, as a shell expands words/*/*.wav, have the classes of their folders if those differ."""
    parents = [file.parent.name for file in files]
    if examples.labels is not None or len(set(parents)) < 2 or len(examples) != len(files):
        return examples
    return replace(examples, labels=parents, said=(*examples.said, "classes from the names of their folders"))
