"""What a file holds: data, or a companion of data, such as a README. Its name decides, else its first lines."""

import re
from collections.abc import Sequence
from pathlib import Path

from carousel.tasks import table

# Files that describe data. Among texts, only a file whose name begins so is one of them: authors.txt, or a story called
# the_notice.txt, is a text to learn. Among sequences of classes, a text file is one of them wherever its name says so.
COMPANION = "readme|licen[cs]e|copying|copyright|notice|citation|attribution"
MORE = r"authors?|changelog|contributing|checksums?|sha\d+sums?|md5sums?|manifest|source"
BESIDE_TEXTS = re.compile(rf"({COMPANION})([\W_].*)?", re.IGNORECASE)
BESIDE_SEQUENCES = re.compile(
    rf"(^|.*[\W_])({COMPANION}|{MORE})([\W_].*|$)|.*(readme|credits|licen[cs]e)$", re.IGNORECASE
)
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".svg", ".webp", ".tif", ".tiff", ".ico", ".pdf")
# Data that are no text, whatever their bytes are.
DATA = {
    (".wav", ".flac", ".ogg", ".mp3", ".au", ".aif", ".aiff", ".m4a", ".opus", ".wma"): "a sound",
    (".arff", ".ts"): "a file of series and their classes",
    (".npz", ".npy"): "a file of arrays",
    (".zip", ".gz", ".bz2", ".xz", ".tar", ".tgz", ".7z", ".rar"): "an archive: unpack it",
}


def is_companion(path: Path) -> bool:
    """Whether a file is a README, a licence, a picture or the like, and no text to learn."""
    return BESIDE_TEXTS.fullmatch(path.name) is not None or path.name.lower().endswith(PICTURES)


def is_companion_of_sequences(path: Path) -> bool:
    """Whether a text file describes the sequences that it lies beside, and is none of them."""
    return path.suffix in (".txt", ".md", "") and BESIDE_SEQUENCES.fullmatch(path.stem) is not None


def why_data(path: Path) -> str | None:
    """A sentence that says what data a file holds; None for a text, which a language model can learn."""
    if what := table.foreign(path):
        return what
    if table.is_table(path):
        return f"{path} is a table."
    kind = next((what for endings, what in DATA.items() if path.name.lower().endswith(endings)), None)
    if kind is not None:
        return f"{path} is {kind}."
    return f"{path} looks like a table by its lines of as many numbers." if table.looks_like_table(path) else None


def visible(folder: Path) -> list[Path]:
    """All files in and under a folder, sorted, without hidden files and files in hidden folders."""
    return [
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]


def data_in(folder: Path, most: int = 1000) -> list[Path]:
    """The files with data among the first `most` files in and under a folder."""
    return [file for file in visible(folder)[:most] if why_data(file)]


def named(files: Sequence[Path], most: int = 3) -> str:
    """The names of files in a sentence, `most` of them at most."""
    return table.listed([file.name for file in files], most)
