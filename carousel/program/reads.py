"""Everything beside its symbols that a trace may have read: a cell's attributes, and globals that its functions name.

All of it is part of a cell's identity: if one of these objects has been replaced, the equations may be different. A
check takes a microsecond or two, since it only compares identities of objects; it calls and copies nothing.
"""

from __future__ import annotations

import functools
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from carousel.cells.cell import Cell
from carousel.program.declaration import own_parameters

# Libraries whose names keep their meaning while a program runs. The standard library is fixed too.
FIXED = ("carousel", "torch", "numpy")
STANDARD = Path(sysconfig.get_path("stdlib"))

# Types whose values never change.
PLAIN = (int, float, complex, str, bytes, bool, type(None), range, torch.dtype, torch.device, torch.Size)

MOST = 2000  # objects; a cell that reaches more is traced again at each check
MOST_BYTES = 1 << 16  # of an array
_ABSENT = object()


class Reads:
    """The objects that a cell's equations may depend on, as they were when this object was made.

    The search follows the attributes of the cell, of the objects in them and of the cell's class; lists and mappings;
    and the globals and closures that its functions name, in the author's own modules and classes.
    """

    def __init__(self, cell: Cell):
        self.cell = cell
        self.complete = True
        self._in_mappings: list[tuple[Mapping[Any, Any], Any, Any]] = []
        self._lengths: list[tuple[Any, int]] = []
        self._in_lists: list[tuple[list[Any], tuple[Any, ...]]] = []
        self._in_closures: list[tuple[CellType, Any]] = []
        self._versions: list[tuple[Tensor, int]] = []
        self._sets: list[tuple[Any, frozenset[Any]]] = []
        self._arrays: list[tuple[np.ndarray, bytes]] = []
        self._seen: dict[int, object] = {}
        self._own = {id(parameter) for parameter in own_parameters(cell).values()}
        self._names: set[str] = set()
        waiting: list[Any] = [cell]
        while waiting and self.complete:  # breadth first
            waiting += self._look_at(waiting.pop(0))
            self.complete &= len(self._in_mappings) + sum(len(items) for items, _ in self._in_lists) <= MOST
        self._has_more = bool(self._in_lists or self._in_closures or self._versions or self._sets or self._arrays)

    def changed(self, cell: Cell) -> bool:
        """Whether the cell, or any object that its step may read, has changed since this object was made."""
        if cell is not self.cell or not self.complete:
            return True
        for mapping, key, value in self._in_mappings:
            if mapping.get(key, _ABSENT) is not value:
                return True
        for sized, length in self._lengths:
            if len(sized) != length:
                return True
        return self._has_more and self._more_changed()

    def _more_changed(self) -> bool:
        for items, before in self._in_lists:
            if len(items) != len(before) or any(a is not b for a, b in zip(items, before, strict=True)):
                return True
        return (
            any(array.tobytes() != before for array, before in self._arrays)
            or any(closed.cell_contents is not value for closed, value in self._in_closures)
            or any(tensor._version != version for tensor, version in self._versions)
            or any(items != before for items, before in self._sets)
        )

    def _look_at(self, value: Any) -> list[Any]:
        """Records what a value refers to, and returns the values to visit next."""
        if isinstance(value, PLAIN) or id(value) in self._seen:
            return []
        self._seen[id(value)] = value
        match value:
            case FunctionType():
                return self._look_at_function(value)
            case MethodType():
                return [value.__func__, value.__self__]
            case functools.partial():
                return [value.func, *value.args, *value.keywords.values()]
            case property():
                return [value.fget]
            case staticmethod() | classmethod():
                return [value.__func__]
            case functools.cached_property():
                return [value.func]
            case type():
                return self._look_at_class(value)
            case ModuleType():
                if _is_fixed(value.__name__):
                    return []
                return self._items(vars(value), [name for name in self._names if name in vars(value)])
        return self._look_at_data(value)

    def _look_at_data(self, value: Any) -> list[Any]:
        """As `_look_at`, for tensors, arrays and containers, and for objects of other classes."""
        match value:
            case Tensor():
                # The equations do not contain the numbers of the cell's own parameters: each call reads them anew.
                if id(value) not in self._own and not value.is_inference():
                    self._versions.append((value, value._version))
                return []
            case list():
                self._in_lists.append((value, tuple(value)))
                return list(value)
            case tuple():
                return list(value)
            case np.ndarray():
                self.complete = value.nbytes <= MOST_BYTES
                self._arrays.append((value, value.tobytes() if self.complete else b""))
                return []
            case set() | frozenset():
                self._sets.append((value, frozenset(value)))
                return []
            case dict():
                self._lengths.append((value, len(value)))
                return self._items(value, list(value))
        return self._look_at_object(value)

    def _items(self, mapping: Mapping[Any, Any], keys: list[Any]) -> list[Any]:
        found = [(mapping, key, mapping[key]) for key in keys]
        self._in_mappings += found
        return [value for _, _, value in found]

    def _look_at_object(self, value: Any) -> list[Any]:
        own = getattr(value, "__dict__", None)
        found: list[Any] = [type(value)]
        if isinstance(own, dict):
            self._lengths.append((own, len(own)))
            names = list(own)
            if isinstance(value, nn.Module):  # not its hooks, nor other attributes of torch's
                names = [n for n in names if n in self._names or n in ("_parameters", "_buffers", "_modules")]
            found += self._items(own, names)
        for kind in type(value).__mro__:
            slots = vars(kind).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                # Slots themselves are not watched: nearly all objects with slots are frozen.
                found += [getattr(value, name)] if hasattr(value, name) else []
        return found

    def _look_at_class(self, kind: type) -> list[Any]:
        if _is_fixed(kind.__module__):
            return []
        own = vars(kind)
        self._lengths.append((own, len(own)))
        names = [name for name in own if not (name.startswith("__") and name.endswith("__"))]
        return [*self._items(own, names), *kind.__bases__]

    def _look_at_function(self, function: FunctionType) -> list[Any]:
        if _is_fixed(function.__module__ or ""):
            return []
        names = _names_in(function.__code__)
        self._names |= names
        found = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        found += self._items(function.__globals__, [name for name in names if name in function.__globals__])
        for closed in function.__closure__ or ():
            try:
                self._in_closures.append((closed, closed.cell_contents))
            except ValueError:  # the closure is empty
                continue
            found.append(closed.cell_contents)
        return found


@functools.cache
def _is_fixed(module: str) -> bool:
    top = module.partition(".")[0]
    if top in FIXED or top not in sys.stdlib_module_names or top == "__main__":
        return top in FIXED
    # An author's file may have the name of a module of Python, such as code.py or test.py.
    file = getattr(sys.modules.get(top), "__file__", None)
    return file is None or Path(file).is_relative_to(STANDARD)


def _names_in(code: CodeType) -> set[str]:
    """The names of globals and attributes that a function, and the functions inside it, read."""
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*map(_names_in, inner))
