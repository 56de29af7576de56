"""What a file is by its name: a sequence of some kind, or something that lies beside data."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from carousel.tasks.classification import recordings
from carousel.tasks.table import is_table, listed

KINDS = {"audio": "sound files", "text": "text files (.txt)", "series": "tables", "plain": "text files without endings"}
# What people put beside data to say what they are, and what nobody means to learn.
COMPANION = re.compile(
    r"(^|.*[\W_])(readme|licen[cs]e|copying|copyright|notice|authors?|citation|changelog|contributing|attribution"
    r"|checksums?|sha\d+sums?|md5sums?|manifest|source)([\W_].*|$)|.*(readme|credits|licen[cs]e)$",
    re.IGNORECASE,
)
PARTS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "eval", "evaluation"),
    "valid": ("valid", "validation", "val", "dev", "development"),
}


def kind_of(path: Path) -> str | None:
    """Of the sequence in a file: audio, text, series, or plain, without an ending; None for a file that is none."""
    name = path.name.lower()
    if name.startswith("."):
        return None
    if name.endswith(recordings.SUFFIXES):
        return "audio"
    if is_table(path):
        return "series"
    if COMPANION.fullmatch(path.stem if path.suffix in (".txt", ".md", "") else ""):
        return None
    return "text" if name.endswith(".txt") else "plain" if path.suffix == "" else None


def commonest_kind(files: Sequence[Path]) -> str:
    counts = {kind: sum(kind_of(file) == kind for file in files) for kind in KINDS}
    return max(counts, key=lambda kind: counts[kind])


def part_of(name: str) -> str | None:
    """The part of a data set that a folder or a file is by its name, train, test or valid: train, GunPoint_TEST,
    20news-bydate-test. None for any other name."""
    word = re.split(r"[\W_]+", re.sub(r"[-_ ]?(set|data)$", "", name.lower()))[-1]
    return next((part for part, words in PARTS.items() if word in words), None)


def folders_in(folder: Path) -> list[Path]:
    """Those that may hold data: none that are hidden, or left there by programs."""
    return [one for one in sorted(folder.iterdir()) if one.is_dir() and not one.name.startswith((".", "__"))]


def files_under(folder: Path) -> list[Path]:
    """All files in and under a folder, in order, but for hidden ones and those in hidden folders."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.startswith(".")]
    return [*files, *(file for inner in folders_in(folder) for file in files_under(inner))]


def left(files: Iterable[Path]) -> tuple[str, ...]:
    """What is said of files that lie beside data and are not read."""
    names = list(dict.fromkeys(file.name for file in files))
    return (f"left, as they are none of the sequences: {listed(names, 5)}",) if names else ()
