"""What a file is by its name: a sequence of some kind, or none; a part of a data set, or none."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from carousel.tasks.kinds_of_files import is_companion_of_sequences
from carousel.tasks.sequences import recordings
from carousel.tasks.table import is_table, listed

KINDS = {"audio": "sound files", "text": "text files (.txt)", "series": "tables", "plain": "text files without endings"}
PARTS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "eval", "evaluation"),
    "valid": ("valid", "validation", "val", "dev", "development"),
}


def kind_of(path: Path) -> str | None:
    """The kind of the sequence in a file: "audio", "text", "series", or "plain" for a text in a file without an ending;
    None for a file that holds no sequence."""
    name = path.name.lower()
    if name.startswith("."):
        return None
    if name.endswith(recordings.SUFFIXES):
        return "audio"
    if is_table(path):
        return "series"
    if is_companion_of_sequences(path):
        return None
    return "text" if name.endswith(".txt") else "plain" if path.suffix == "" else None


def commonest_kind(files: Sequence[Path]) -> str:
    """The kind that most of the files are."""
    counts = {kind: sum(kind_of(file) == kind for file in files) for kind in KINDS}
    return max(counts, key=lambda kind: counts[kind])


def part_of(name: str) -> str | None:
    """The part of a data set that a folder or a file is by its name, train, test or valid: train, GunPoint_TEST,
    20news-bydate-test. None for any other name."""
    word = re.split(r"[\W_]+", re.sub(r"[-_ ]?(set|data)$", "", name.lower()))[-1]
    return next((part for part, words in PARTS.items() if word in words), None)


def folders_in(folder: Path) -> list[Path]:
    """The folders directly inside, sorted, without hidden ones and those that programs leave (`__pycache__`)."""
    return [one for one in sorted(folder.iterdir()) if one.is_dir() and not one.name.startswith((".", "__"))]


def files_under(folder: Path) -> list[Path]:
    """All files in and under a folder, sorted, without hidden files and without the folders that `folders_in` omits."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(".")]
    return [*files, *(file for inner in folders_in(folder) for file in files_under(inner))]


def left(files: Iterable[Path]) -> tuple[str, ...]:
    """The line that reports which files are not read, as they are no sequences; no line without such files."""
    names = list(dict.fromkeys(file.name for file in files))
    return (f"left, as they are none of the sequences: {listed(names, 5)}",) if names else ()
