"""What all tasks ask of the files they are given."""

from collections.abc import Iterable
from pathlib import Path

from carousel.errors import DataError


def require_existing(paths: Iterable[Path]) -> None:
    """Raises DataError for the first that is neither a file nor a folder."""
    for path in paths:
        if not path.exists():
            raise DataError(f"There is no file {path}. Check its name; the current folder is {Path.cwd()}.")
