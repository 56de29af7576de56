"""What a file is by its name, and where that leaves it open by its first lines: data, or what lies beside them."""

import re
from collections.abc import Sequence
from pathlib import Path

from carousel.tasks import table

# What people put beside data to say what they are: nobody means it to be learnt.
COMPANION = re.compile(r"(readme|licen[cs]e|copying|copyright|notice|citation|attribution)([\W_].*)?", re.IGNORECASE)
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".svg", ".webp", ".tif", ".tiff", ".ico", ".pdf")
# Data that are no text, whatever their bytes are.
DATA = {
    (".wav", ".flac", ".ogg", ".mp3", ".au", ".aif", ".aiff", ".m4a", ".opus", ".wma"): "a sound",
    (".arff", ".ts"): "a file of series and their classes",
    (".npz", ".npy"): "a file of arrays",
    (".zip", ".gz", ".bz2", ".xz", ".tar", ".tgz", ".7z", ".rar"): "an archive: unpack it",
}


def is_companion(path: Path) -> bool:
    """Is it a README, a licence or a picture, beside data or texts?"""
    return COMPANION.fullmatch(path.name) is not None or path.name.lower().endswith(PICTURES)


def why_data(path: Path) -> str | None:
    """What a file holds, in words, where that is data and no text to learn to write; None for a text."""
    if what := table.foreign(path):
        return what
    if table.is_table(path):
        return f"{path} is a table."
    kind = next((what for endings, what in DATA.items() if path.name.lower().endswith(endings)), None)
    if kind is not None:
        return f"{path} is {kind}."
    return f"{path} looks like a table by its lines of as many numbers." if table.looks_like_table(path) else None


def visible(folder: Path) -> list[Path]:
    """All files in and under a folder, sorted, but for hidden ones and those in hidden folders."""
    return [
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]


def data_in(folder: Path, most: int = 1000) -> list[Path]:
    """The first of the files in a folder that hold data, among so many files at most."""
    return [file for file in visible(folder)[:most] if why_data(file)]


def named(files: Sequence[Path], most: int = 3) -> str:
    return table.listed([file.name for file in files], most)
