"""How a layer's cell is saved: one that Carousel ships by its name and options, so that loading needs no class of it.

torch.load(..., weights_only=True) builds objects of those classes alone that its caller allows by name. A layer should
need no more of them than torch.nn's: its own class.
"""

from __future__ import annotations

import importlib
from typing import Any

from carousel.cells import Cell

SHIPPED = "carousel.cells."
PLAIN = (int, float, str, type(None))


def saved(cell: Cell) -> Any:
    """("file of the catalogue", "class", options) for one that Carousel ships; any other as it is."""
    kind, options = type(cell), dict(vars(cell))
    module = kind.__module__.removeprefix(SHIPPED)
    shipped = kind.__module__ == SHIPPED + module and "." not in module and "." not in kind.__qualname__
    values = [v for value in options.values() for v in (value if isinstance(value, tuple) else (value,))]
    if shipped and all(type(v) in (*PLAIN, bool) for v in values):
        return module, kind.__name__, options
    return cell


def loaded(found: Any) -> Cell:
    """The cell that was saved. Raises ValueError for what is none."""
    if isinstance(found, Cell):
        return found
    try:
        module, name, options = found
        if not module.isidentifier():
            raise ValueError(module)
        kind = getattr(importlib.import_module(SHIPPED + module), name)
        if not (isinstance(kind, type) and issubclass(kind, Cell) and kind.__module__ == SHIPPED + module):
            raise TypeError(name)
        made = kind(**options)
        assert isinstance(made, Cell)
        return made
    except (ImportError, AttributeError, TypeError, ValueError) as problem:
        raise ValueError(
            f"loading a layer: {str(found)[:80]} is no cell of this Carousel ({problem}); load it with the version "
            "that saved it"
        ) from None
