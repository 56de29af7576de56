"""Reads examples from files and folders in any of their forms."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from carousel.errors import DataError
from carousel.tasks.classification import arrays, folders
from carousel.tasks.classification.arff_file import read_arff
from carousel.tasks.classification.file_names import says_label
from carousel.tasks.classification.settings import Settings
from carousel.tasks.classification.ts_file import read_ts
from carousel.tasks.classification.ucr_text import is_ucr, read_ucr
from carousel.tasks.files import require_existing
from carousel.tasks.sequences import listings, tables
from carousel.tasks.sequences.columns import SURE, found
from carousel.tasks.sequences.examples import Columns, Examples, joined
from carousel.tasks.sequences.kinds import KINDS, files_under, folders_in, kind_of, left, part_of
from carousel.tasks.sequences.recordings import UNREADABLE
from carousel.tasks.table import is_table, listed, looks_like_table, numbers_written, read

ARCHIVED = (".ts", ".arff", ".npz")  # files that hold a data set each


def recognize(paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:
    """Why these look like sequences to classify, or None. Reads names, and the head of a table."""
    if not paths or not all(path.exists() for path in paths):
        return None
    columns = Settings(**{role: options[role] for role in vars(Columns()) if role in options}).columns
    first, _ = meant(paths[0], columns)
    if first.is_dir():
        if inner := folders.class_folders(first):
            what = f"{KINDS[inner.kind]} in {len(inner.inside)} folders, with classes from their names"
            named = f"{len(inner.inside)} folders, named by class, of {KINDS[inner.kind]}"
            return what if says_label(columns.names) else named
        if _are_labelled(first, columns):
            return "tables of a sequence each, with a column of classes"
        sounds = (file for where in (first, *folders_in(first)) for file in where.iterdir())
        return "sound files" if any(_is_sound(file) for file in sounds) else None
    if _is_sound(first):
        return "sound files"
    if first.suffix.lower() == ".ts":
        return "a .ts file of the UCR and UEA archives"
    if first.suffix.lower() == ".arff":
        return "an .arff file of Weka and of the UCR and UEA archives"
    if first.suffix.lower() == ".npy":
        return "a .npy file of an array"
    if first.suffix.lower() == ".npz":
        return arrays.why_sequences(first)
    if is_ucr(first):
        return "a text file of the UCR archive: a class and its series in each line"
    if looks_like_table(first) and _has_label(first, columns):
        listing = paths[0].is_dir() or listings.is_listing(first, columns)
        return f"{first.name} lists files and their classes" if listing else "a table with a column of classes"
    return None


def _are_labelled(folder: Path, columns: Columns) -> bool:
    """Whether the files in a folder are tables, each with a column that has the same class in every row."""
    files = [file for file in sorted(folder.iterdir()) if is_table(file)]
    try:
        heads = [read(file, rows=20) for file in files[:3]]
        labels = [found(head, Columns(label=columns.label)).label for head in heads]
    except DataError:
        return False
    return len(heads) > 1 and all(
        label is not None and (label.lower() in SURE or columns.label) and head[label].n_unique() == 1
        for head, label in zip(heads, labels, strict=True)
    )


def _is_sound(file: Path) -> bool:
    return kind_of(file) == "audio" or (file.is_file() and file.suffix.lower() in UNREADABLE)


def _has_label(path: Path, asked: Columns) -> bool:
    """Whether a table has a column of classes, and sequences that they belong to."""
    try:
        head = read(path, rows=20)
    except DataError:
        return False
    if asked.label is not None:
        return True  # it is meant to be one; if it has no such column, reading it says so
    try:
        label, form = found(head, asked).label, tables.form_of(head, asked)
    except DataError:
        return False
    key = listings.numbered(path.parent)
    if key and key[0] == path:
        return True
    if label is None:
        return False
    if form == "series":
        return label.lower() in SURE  # series to forecast may have a category, or a target, too
    return form in ("text", "rows") or listings.is_listing(path, asked)


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
    if all(path.is_file() and _stands_for_itself(path) for path in named):
        return _labelled_by_folder(folders.read_files(named, columns, asked=asked), named)
    parts = []
    for path in named:
        chosen, said = meant(path, columns, asked=asked)
        part = _one(chosen, columns, channels, asked)
        parts.append(replace(part, said=(*said, *part.said)))
    return joined(parts)


def _stands_for_itself(path: Path) -> bool:
    if kind_of(path) == "text":
        return not is_ucr(path) and not looks_like_table(path)
    return kind_of(path) == "audio" or path.suffix.lower() in UNREADABLE


def _one(path: Path, columns: Columns, channels: Sequence[str], asked: bool) -> Examples:
    if path.is_dir():
        return _folder(path, columns, asked)
    suffix = path.suffix.lower()
    if suffix == ".ts":
        return read_ts(path)
    if suffix == ".arff":
        return read_arff(path, label=columns.label)
    if suffix in (".npz", ".npy"):
        return arrays.read_npz(path, axes=columns.axes, channels=tuple(channels) if asked else ())
    if is_ucr(path):
        return read_ucr(path, asked=asked)
    if looks_like_table(path):
        key = listings.numbered(path.parent)
        if (key and key[0] == path) or listings.is_listing(path, columns):
            return folders.read_listing(path, columns, asked=asked)
        if asked and tables.without_names(path) is not None:
            return folders.read_files([path], columns, asked=asked)
        notes: list[str] = []
        frame = tables.read_file(path, columns, say=notes.append)
        examples = tables.read_table(frame, str(path), columns, channels=channels, asked=asked)
        return replace(examples, said=(*notes, *examples.said))
    if kind_of(path) or suffix in UNREADABLE:
        return folders.read_files([path], columns, asked=asked)
    raise DataError(
        f"{path} holds no sequences that can be read: a file is .ts, .npz, .arff, a table (.csv, .tsv, .parquet, "
        f".arrow), "
        f"sound (.wav, .flac, .ogg, .mp3, ...), text (.txt), or lines of a class and a series as in the UCR archive; a "
        f"folder holds folders named by class, or files and a list of them."
    )


def _folder(path: Path, columns: Columns, asked: bool) -> Examples:
    if inner := folders.class_folders(path):
        return folders.read_class_folders(path, inner, columns)
    every = files_under(path)
    files = [file for file in every if kind_of(file) not in (None, "plain") or file.suffix.lower() in UNREADABLE]
    if not files:
        raise DataError(f"The folder {path} holds no sound, text or table that could be a sequence.")
    others = [file for file in every if file not in set(files)]
    return folders.read_files(files, columns, asked=asked).saying(*left(others))


def _labelled_by_folder(examples: Examples, files: Sequence[Path]) -> Examples:
    """Files named one by one, as a shell expands words/*/*.wav, have the classes of their folders if those differ."""
    parents = [file.parent.name for file in files]
    if examples.labels is not None or len(set(parents)) < 2 or len(examples) != len(files):
        return examples
    return replace(examples, labels=parents).saying("classes from the names of their folders")


# -- what a folder means --------------------------------------------------------------------------------------------


def meant(path: Path, columns: Columns, *, asked: bool = False) -> tuple[Path, tuple[str, ...]]:
    """The file or folder to read for a path: in a folder with the parts of a data set, the part to learn from. And
    lines about the parts that are not read.

    asked: whether a trained model is to answer, for which the user names the part. Raises DataError where the user has
    not, and where a folder holds several data sets.
    """
    said: tuple[str, ...] = ()
    while path.is_dir():
        chosen, others = _chosen(path, columns)
        if chosen is None:
            break
        if others and asked:
            raise DataError(
                f"{path} holds the parts of a data set ({listed([chosen.name, *(one.name for one in others)])}). Name "
                f"the "
                f"one that the model is to be asked about: {others[0]}, say."
            )
        if others:
            names = listed([one.name for one in others], 5)
            said = (*said, f"learnt from {chosen.name}; left to judge the model by: {names} in {path}")
        path = chosen
    return path, said


def _chosen(folder: Path, columns: Columns) -> tuple[Path | None, list[Path]]:
    """The file or folder in a folder that is read, None for all of it; and the other parts of the same data set."""
    if not says_label(columns.names):
        listing, others = listings.listing_in(folder, columns)
        if listing is None and (key := listings.numbered(folder)):
            listing, others = key[0], []
        if listing is not None:
            return listing, others
    inner = [one for one in folders_in(folder) if any(map(_may_be_read, files_under(one)))]
    numbered = [key[0] for one in inner if (key := listings.numbered(one))]
    if len(numbered) == 1:
        return numbered[0], []
    beside = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(".")]
    archived = _archived(folder, beside)
    if archived[0] is not None:
        return archived
    if any(kind_of(file) in ("audio", "series") for file in beside):
        return None, []
    parts = {one: part_of(one.name) for one in inner}
    train = [one for one, part in parts.items() if part == "train"]
    if len(train) == 1 and all(parts.values()):
        return train[0], [one for one in inner if one != train[0]]
    if len(inner) == 1 and not any(kind_of(file) == "text" for file in beside) and folders_in(inner[0]):
        return inner[0], []
    return None, []


def _may_be_read(file: Path) -> bool:
    return kind_of(file) is not None or file.suffix.lower() in (*ARCHIVED, *UNREADABLE)


def _archived(folder: Path, files: Sequence[Path]) -> tuple[Path | None, list[Path]]:
    """Of files that hold a data set each, in the forms of the archives, the one to learn from, and the others of its
    form. Raises DataError where there are several."""
    for ending in (".ts", ".arff", ".npz", ".tsv", ".txt", ".csv"):
        there = [file for file in files if file.suffix.lower() == ending]
        if ending not in ARCHIVED:
            there = [file for file in there if part_of(file.stem) and is_ucr(file)]
        train = [file for file in there if part_of(file.stem) == "train"] if len(there) > 1 else there
        if len(train) == 1:
            return train[0], [file for file in there if file != train[0]]
        if there:
            raise DataError(
                f"The folder {folder} holds several data sets ({listed([file.name for file in there], 6)}). Name the "
                f"one to "
                f"read: {(train or there)[0]}, say."
            )
    return None, []
