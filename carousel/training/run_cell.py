"""The cell of a run: one of the catalogue, or one in a file of the user's, which is never run without the user's word.

The author of a run folder writes its config.json, and could name any file in it. A cell in a file is therefore loaded
only where the user vouches for it: names the file again (`--cell FILE:NAME`, `cell=`), or trusts the one that the run
names (`--trust-cell`, `trust_cell=True`). The file is compared with the one that was trained.
"""

import hashlib
import inspect
import logging
from pathlib import Path
from typing import Any, Protocol

from carousel.cells import Cell, find
from carousel.errors import DataError, RunError

FILE_HASH = "cell_sha256"  # of a config: the file of the cell, when training began

logger = logging.getLogger("carousel")


class Vouched(Protocol):
    """A run folder, and how its user vouches for a cell in a file."""

    path: Path
    cell: Any
    trust_cell: bool


def in_file(cell: Any) -> tuple[Path, str] | None:
    """The file and the class of a cell that is named as "file.py:ClassName"; None for any other cell."""
    if not isinstance(cell, str):
        return None
    path, colon, name = cell.rpartition(":")
    return (Path(path), name) if colon and path.endswith(".py") else None


def absolute_cell(cell: str) -> str:
    """The name of the cell, with the absolute path where it is one in a file, so that any folder can find it."""
    found = in_file(cell)
    return f"{found[0].resolve()}:{found[1]}" if found else cell


def hash_of(cell: str) -> dict[str, str]:
    """The entry of a config with the SHA-256 of the cell's file; no entry for a cell of the catalogue."""
    found = in_file(cell)
    return {FILE_HASH: _hash(found[0])} if found else {}


def cell_of(run: Vouched, config: dict[str, Any]) -> str | Cell:
    """The cell of a run, from which its network is built. Warns where its file is not the one that was trained.

    Raises RunError for a cell in a file that the user has not vouched for, or that is gone; DataError where the user
    names a file although the cell is in the catalogue."""
    recorded = config["model"]["cell"]
    if not isinstance(recorded, str):
        raise TypeError(f"a cell is named by a text, not by {type(recorded).__name__}")
    theirs = in_file(recorded)
    if theirs is None:
        if run.cell not in (None, recorded):
            raise DataError(f"{run.path} was trained with the cell {recorded!r} of the catalogue: leave cell out.")
        return recorded
    cell = recorded if run.cell is None else run.cell
    ours = in_file(cell)
    if isinstance(cell, str) and ours is None:
        raise DataError(f"{run.path} was trained with a cell in a file, {recorded}, and {cell!r} is none: FILE:NAME.")
    if run.cell is None and not theirs[0].is_absolute():
        raise RunError(
            f"{run.path} names its cell by a relative path, {recorded}: not run. Name the file: {_again(theirs)}."
        )
    if run.cell is None and not theirs[0].is_file():
        raise RunError(
            f"{run.path} names its cell {recorded}, and there is no such file any more. The run is whole: put the file "
            f"back, or name its new path: {_again(theirs)}."
        )
    if run.cell is None and not run.trust_cell:
        raise RunError(
            f"{run.path} was trained with a cell in a file, {recorded}: not run, as a run does not say which code is "
            f"run. Name the file again: {_again(theirs)}; or trust the one that the run names: --trust-cell (in Python "
            f"trust_cell=True)."
        )
    if ours is not None and not ours[0].is_file():
        raise DataError(f"looking for the cell of {run.path}: there is no file {ours[0]}")
    _compare(run, config, theirs[1], cell, ours)
    if isinstance(cell, str):
        return find(cell)
    return cell() if isinstance(cell, type) else cell


def strange_cell(config: Any) -> str:
    """A sentence about the cell in a file that a damaged config names; "" where it names none."""
    model = config.get("model") if isinstance(config, dict) else None
    cell = model.get("cell") if isinstance(model, dict) else None
    if in_file(cell) is None:
        return ""
    ways = "--cell FILE:NAME or --trust-cell (in Python cell=..., trust_cell=True)"
    return f" It names a cell in a file, {cell}: that is run only with {ways}."


def _compare(run: Vouched, config: dict[str, Any], name: str, cell: Any, ours: tuple[Path, str] | None) -> None:
    """Warns where the file, or the name of the class, is not the one that was trained."""
    trained = config.get(FILE_HASH)
    file = ours[0] if ours is not None else _source(cell)
    class_name = ours[1] if ours is not None else (cell if isinstance(cell, type) else type(cell)).__name__
    differences = []
    if class_name != name:
        differences.append(f"the cell that was trained is called {name}, and this one {class_name}")
    if trained is None or file is None:
        what = "the run does not say" if trained is None else "of this cell there is no file that says"
        differences.append(f"{what} whether it is the code that was trained")
    elif _hash(file) != trained:
        differences.append(f"{file} is not what it was when the run was trained with it")
    if differences:
        logger.warning("%s: %s. Its answers may be others than when it was trained.", run.path, "; ".join(differences))


def _source(cell: Any) -> Path | None:
    try:
        return Path(inspect.getfile(cell if isinstance(cell, type) else type(cell)))
    except (TypeError, OSError):
        return None


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _again(cell: tuple[Path, str]) -> str:
    """What to type for a cell in a file whose folder only the user knows."""
    return f"--cell path/to/{cell[0].name}:{cell[1]} (in Python cell=...)"
