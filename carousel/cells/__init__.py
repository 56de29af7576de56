"""The catalogue of cells. Every file below this folder with a CATALOGUE adds its names to it.

Each folder is a family. The docstring of its `__init__.py` describes what its cells share.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import traceback
from functools import cache
from pathlib import Path

from carousel.cells.cell import Cell
from carousel.cells.weights import Matrix, Vector
from carousel.errors import DataError

__all__ = ["Cell", "Matrix", "Vector", "catalogue", "find", "shipped"]


@cache
def catalogue() -> dict[str, Cell]:
    """All cells of the catalogue by name: {"lstm": LSTM(), ...}."""
    found: dict[str, Cell] = {}
    for module in pkgutil.walk_packages(__path__, prefix=f"{__name__}."):
        found |= getattr(importlib.import_module(module.name), "CATALOGUE", {})
    return dict(sorted(found.items()))


def shipped(class_name: str) -> type[Cell] | None:
    """The class of cells of the catalogue with a name, in whatever module; None if there is none.

    class_name: the name of the class, "LSTM", and not that of the catalogue, "lstm".
    """
    return next((type(cell) for cell in catalogue().values() if type(cell).__name__ == class_name), None)


def find(name: str) -> Cell:
    """A cell by its name in the catalogue, or a user's own cell.

    name: "lstm" or another name that `catalogue` has, or "path/to/file.py:ClassName". A file named this way is run as
        Python: name only files you trust. Raises DataError when there is no such cell, and when the file cannot be run
        or makes no cell of this name.
    """
    path, colon, class_name = name.rpartition(":")
    if colon and path.endswith(".py"):
        return _from_file(Path(path), class_name)
    if name not in catalogue():
        near = difflib.get_close_matches(name.lower().replace("_", "-"), catalogue(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DataError(
            f"there is no cell {name!r}.{hint} The catalogue has {len(catalogue())}, which `carousel cells` lists. "
            "A cell of your own is named by its file and class: my_cells.py:MyCell."
        )
    return catalogue()[name]


def _from_file(path: Path, class_name: str) -> Cell:
    if not path.is_file():
        raise DataError(f"looking for the cell {class_name}: there is no file {path}")
    # The module needs a unique name: dataclasses and others look up their module by name.
    name = f"carousel_cells_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # true of every existing .py file
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as problem:
        del sys.modules[name]
        line = _line_in(path, problem)
        raise DataError(
            f"reading the cell {class_name}: {path}{line} raised {type(problem).__name__}: {problem}"
        ) from problem
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Cell)):
        cells = [n for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, Cell) and v is not Cell]
        raise DataError(f"{path} defines no cell {class_name}; the cells it defines: {', '.join(cells) or 'none'}")
    try:
        return found()
    except TypeError as problem:
        raise DataError(
            f"making the cell {class_name} of {path}: {problem}. A cell named on the command line is made without "
            "arguments: give its options defaults"
        ) from problem


def _line_in(path: Path, problem: Exception) -> str:
    """A phrase with the line of the file from which an exception came."""
    lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if Path(frame.filename) == path]
    if isinstance(problem, SyntaxError):
        lines.append(problem.lineno)
    return f", line {lines[-1]}," if lines and lines[-1] else ""
