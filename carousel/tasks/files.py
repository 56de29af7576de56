"""What all tasks ask of the files they are given."""

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from carousel.errors import DataError, option


def paths_in(given: Any) -> list[Path]:
    """The files and folders that a Python caller names: one, or several in a list. Raises DataError for anything
    else, as a text or its bytes."""
    several = [given] if isinstance(given, str | os.PathLike) else given
    if isinstance(several, bytes | bytearray | Mapping) or not isinstance(several, Iterable):
        strange: Any = several
    else:
        several = list(several)
        strange = next((one for one in several if not isinstance(one, str | os.PathLike)), None)
        if strange is None and several:
            return [Path(one) for one in several]
    found = "none is" if strange is None and not isinstance(given, type(None)) else f"{type(strange).__name__} is given"
    raise DataError(
        f"Files are named here, as text or pathlib.Path, one or a list of them, and {found}. What is in memory is "
        f"written to a file first: pathlib.Path('text.txt').write_text(text)."
    )


def require_existing(paths: Iterable[Path]) -> None:
    """Raises DataError for the first that is neither a file nor a folder."""
    for path in paths:
        try:
            path.stat()
        except (OSError, ValueError) as problem:
            name = str(path)
            if "\n" in name or getattr(problem, "errno", None) == errno.ENAMETOOLONG:
                raise DataError(
                    f"A file is named here, and {name[:40]!r}..., {len(name):,} characters, is no name of one. If it "
                    f"is the text itself, write it to a file, and name that."
                ) from None
            if not path.exists():  # and not one that may not be looked at
                raise DataError(
                    f"There is no file {path}. Check its name; the current folder is {Path.cwd()}."
                ) from None


def require_writable(path: Path | None, endings: Sequence[str]) -> None:
    """Raises DataError unless a file of this name, in one of these kinds, can be written. None is no file."""
    if path is None:
        return
    if not path.name.lower().endswith(tuple(endings)):
        raise DataError(f"{path} ends in none of {', '.join(endings)}, which say what kind of file to write.")
    if path.is_dir():
        raise DataError(f"{path} cannot be written: it is a folder. Name a file in it.")
    if not path.parent.is_dir():
        raise DataError(f"{path} cannot be written: there is no folder {path.parent}. Make it, or name another.")
    if not _writable(path.parent):
        raise DataError(f"{path} cannot be written: the folder {path.parent} may not be written to. Name another.")


def require_folder(path: Path) -> None:
    """Raises DataError unless files can be written in this folder, which need not exist yet."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise DataError(f"No files can be written in {path}: {there} is no folder. Name another ({option('out')}).")
    if not _writable(there):
        raise DataError(
            f"No files can be written in {path}: the folder may not be written to. Name one ({option('out')})."
        )


def make_folder(path: Path) -> None:
    """Raises DataError where it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise DataError(
            f"The folder {path} cannot be made: {problem.strerror}. Name another ({option('out')})."
        ) from None


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)
