"""Finds and loads the native library, and states its functions and C structures (`native/plan.h`) in ctypes."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_char_p, c_double, c_int, c_int32, c_int64, c_void_p
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from carousel.engines.native import identity
from carousel.engines.native.plan import (
    Buffer,
    Constant,
    Gather,
    Input,
    Instruction,
    Plan,
    Product,
    Segment,
    Term,
    Vector,
    View,
    WeightGradient,
)
from carousel.program.sharing import made_once

NAME = "_native.so"

# The list fields of CarouselPlan in order, with the types of their entries (int: a list of numbers).
LISTS: dict[str, type] = {
    "views": View,
    "buffers": Buffer,
    "constants": Constant,
    "vectors": Vector,
    "instructions": Instruction,
    "terms": Term,
    "products": Product,
    "segments": Segment,
    "inputs": Input,
    "weight_gradients": WeightGradient,
    "carried": int,
    "forward_states": int,
    "state_sizes": int,
    "column_sums": Vector,
    "gathers": Gather,
    "scatters": Gather,
}
NUMBERS = ("slots", "numbers", "gates", "before", "after")


class CPlan(Structure):
    _fields_ = [field for name in LISTS for field in ((f"{name}_count", c_int64), (name, c_void_p))] + [
        (name, c_int64) for name in NUMBERS
    ]


class CScan(Structure):
    _fields_ = [
        ("plan", POINTER(CPlan)),
        *(
            (name, c_int64)
            for name in ("steps", "rows", "batch", "input", "hidden", "projection", "further", "members")
        ),
        ("batch_sizes", c_void_p),
        ("parameters_count", c_int64),
        *((name, c_int32) for name in ("reverse", "threads", "split", "is_double", "bfloat16", "alone")),
        *((name, c_void_p) for name in ("x", "parameters", "first", "rows_of_steps", "last", "saved", "workspace")),
        *((name, c_void_p) for name in ("grad_last", "grad_x", "grad_first", "grad_parameters")),
        *((name, c_void_p) for name in ("first_edge", "sources", "readers", "at")),
        *((name, c_int64) for name in ("edges", "given", "leaves")),
    ]


class _Constant(Structure):
    _fields_ = [("value", c_double), ("per", c_int32), ("parameter", c_int32)]


def _in_c(rows: Sequence[Any], entry: type) -> Any:
    """A list of a plan as a C array."""
    if entry is Constant:
        return (_Constant * len(rows))(*(_Constant(*row) for row in rows))
    numbers = rows if entry is int else [number for row in rows for number in row]
    return (c_int32 * len(numbers))(*numbers)


class MadePlan:
    """A plan as the C structure that the library reads, with the memory of its pointers."""

    def __init__(self, plan: Plan):
        self.plan, self.parameters = plan, plan.parameters
        self.kept_alive: list[Any] = []
        self.c = CPlan()
        for name, entry in LISTS.items():
            rows: Sequence[Any] = getattr(plan, name)
            array = _in_c(rows, entry)
            self.kept_alive.append(array)
            setattr(self.c, f"{name}_count", len(rows))
            setattr(self.c, name, ctypes.addressof(array))
        for name in NUMBERS:
            setattr(self.c, name, getattr(plan, name))
        self.pointer = ctypes.pointer(self.c)


def pointers(tensors: Sequence[torch.Tensor | None]) -> Any:
    """The addresses of tensors as a C array; None is null."""
    return _array_type(len(tensors))(*[None if t is None else t.data_ptr() for t in tensors])


@cache
def _array_type(count: int) -> Any:
    return c_void_p * max(1, count)


class StaleLibrary(OSError):
    """The library was built from other sources than the package that loads it."""


def _differing_structure(library: Any) -> str | None:
    for structure, there in ((CPlan, library.carousel_sizeof_plan()), (CScan, library.carousel_sizeof_scan())):
        if (here := ctypes.sizeof(structure)) != there:
            return f"its {structure.__name__[1:].lower()} has {there} bytes, and the package's has {here}"
    return None


class Library:
    """The loaded library. Its functions have types."""

    def __init__(self, path: Path):
        self.path = path
        self.c = c = ctypes.CDLL(str(path))
        for name, result, arguments in (
            ("carousel_isa_name", c_char_p, [c_int]),
            ("carousel_isa_runs_here", c_int, [c_int]),
            ("carousel_op_name", c_char_p, [c_int, c_int]),
            ("carousel_op_arity", c_int, [c_int, c_int]),
            ("carousel_version", c_char_p, []),
            ("carousel_sources", c_char_p, []),
            ("carousel_sizeof_plan", c_int64, []),
            ("carousel_sizeof_scan", c_int64, []),
            ("carousel_block", c_int, [c_int, c_int]),
            ("carousel_multiplies_bfloat16", c_int, [c_int]),
            ("carousel_saved_width", c_int64, [c_int, c_int, POINTER(CPlan), c_int64, c_int64, c_int64, c_int]),
            ("carousel_forward_workspace", c_int64, [c_int, POINTER(CScan)]),
            ("carousel_backward_workspace", c_int64, [c_int, POINTER(CScan)]),
            ("carousel_division", c_int, [c_int, POINTER(CScan)]),
            ("carousel_forward", None, [c_int, POINTER(CScan)]),
            ("carousel_backward", None, [c_int, POINTER(CScan)]),
            ("carousel_forward_each", None, [c_int, c_void_p, c_int64]),
            ("carousel_backward_each", None, [c_int, c_void_p, c_int64]),
            ("carousel_stepper_workspace", c_int64, [c_int, POINTER(CScan)]),
            ("carousel_stepper_open", None, [c_int, POINTER(CScan)]),
            ("carousel_stepper_begin", None, [c_int, POINTER(CScan)]),
            ("carousel_stepper_step", None, [c_int, c_void_p, c_void_p, c_void_p]),
            ("carousel_stepper_states", None, [c_int, POINTER(CScan)]),
            ("carousel_apply_float", None, [c_int, c_int, c_int64, c_void_p, c_void_p, c_void_p, c_void_p]),
            ("carousel_apply_double", None, [c_int, c_int, c_int64, c_void_p, c_void_p, c_void_p, c_void_p]),
            ("carousel_multiply_adds", c_int, [c_int, c_int64]),
            ("carousel_read", None, [c_int, c_void_p, c_int64, c_int64]),
            ("carousel_prefer_large_pages", None, [c_void_p, c_int64]),
            ("carousel_openmp_threads", c_int, []),
        ):
            # A library of another version may lack a function. `identity.py` refuses it before any function is called.
            if (function := getattr(c, name, None)) is not None:
                function.restype, function.argtypes = result, arguments
        if stale := identity.why_stale(c) or _differing_structure(c):
            raise StaleLibrary(f"{path} was built from another Carousel: {stale}; {identity.advice()}")
        self.isas: list[str] = []
        while name := c.carousel_isa_name(len(self.isas)):
            self.isas.append(name.decode())
        self.isas_here = [name for i, name in enumerate(self.isas) if c.carousel_isa_runs_here(i)]


@made_once(1)
def find() -> Library | str:
    """The library, or a phrase that says why there is none."""
    package = resources.files("carousel")
    # An editable install has two folders for the package; one of them contains the library.
    path = package.joinpath(NAME)
    if not path.is_file():
        return "the native library was not built when the package was installed (pip install -v says why)"
    try:
        return Library(Path(str(path)))
    except StaleLibrary as error:
        # Without this warning, a user who forgot to build would only notice that the package is slow.
        warnings.warn(f"The native engine is not used. {error}", stacklevel=2)
        return f"the native library does not fit: {error}"
    except OSError as error:
        return f"the native library cannot be loaded: {error}"
