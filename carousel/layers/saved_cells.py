"""How the cell of a layer is saved: a cell of the catalogue by name and options, so that loading needs no class of it.

torch.load(..., weights_only=True) makes objects of only those classes that its caller allows by name. A layer should
need just one of them, as a layer of torch.nn does: its own class.
"""

from __future__ import annotations

from typing import Any

from carousel.cells import Cell, shipped

PLAIN = (int, float, str, type(None))


def saved(cell: Cell) -> Any:
    """("family", "class", options) for a cell of the catalogue; any other cell itself."""
    kind, options = type(cell), dict(vars(cell))
    values = [v for value in options.values() for v in (value if isinstance(value, tuple) else (value,))]
    if shipped(kind.__name__) is kind and all(type(v) in (*PLAIN, bool) for v in values):
        return kind.__module__.split(".")[2], kind.__name__, options
    return cell


def loaded(found: Any) -> Cell:
    """The cell that was saved. Its class is found by name, so that its file may move. Raises ValueError without it."""
    if isinstance(found, Cell):
        return found
    try:
        _, name, options = found
        kind = shipped(name)
        if kind is None:
            raise ValueError(name)
        return kind(**options)
    except (TypeError, ValueError) as problem:
        raise ValueError(
            f"loading a layer: {str(found)[:80]} is no cell of this Carousel ({problem}); load it with the version "
            "that saved it"
        ) from None
