"""The catalogue of cells. Every file of this folder that has a CATALOGUE adds its names to it, by being here."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
from functools import cache
from pathlib import Path

from carousel.cells.cell import Cell, Vector
from carousel.errors import DataError

__all__ = ["Cell", "Vector", "catalogue", "find"]


@cache
def catalogue() -> dict[str, Cell]:
    """Every cell that Carousel ships, by name: {"lstm": LSTM(), ...}."""
    found: dict[str, Cell] = {}
    for module in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
        found |= getattr(importlib.import_module(module.name), "CATALOGUE", {})
    return dict(sorted(found.items()))


def find(name: str) -> Cell:
    """A cell by its name in the catalogue, or a user's own as "path/to/file.py:ClassName".

    A file named this way is run as Python: name only files you trust.
    Raises DataError when there is none.
    """
    path, colon, class_name = name.rpartition(":")
    if colon and path.endswith(".py"):
        return _from_file(Path(path), class_name)
    if name not in catalogue():
        near = difflib.get_close_matches(name, catalogue(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DataError(
            f"there is no cell {name!r}.{hint} The catalogue has: {', '.join(catalogue())}. "
            "A cell of your own is named by its file and class: my_cells.py:MyCell."
        )
    return catalogue()[name]


def _from_file(path: Path, class_name: str) -> Cell:
    if not path.is_file():
        raise DataError(f"looking for the cell {class_name}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None  # true of every existing .py file
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Cell)):
        cells = [n for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, Cell) and v is not Cell]
        raise DataError(f"{path} defines no cell {class_name}; the cells it defines: {', '.join(cells) or 'none'}")
    return found()
