"""Checks whether tensors from a file fit those of a network or an optimizer, before any of them is used."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor


def misfit_of(found: Any, expected: Mapping[str, Tensor], *, finite: bool = True) -> str | None:
    """Why tensors do not fit the expected ones, in words, or None: other names, or another shape, type or layout.

    finite: numbers must be finite too."""
    if not isinstance(found, Mapping):
        return f"it is {type(found).__name__}, and no tensors by their names"
    if missing := [name for name in expected if name not in found]:
        return f"it lacks {_some(missing)}"
    if strange := [name for name in found if name not in expected]:
        return f"it has {_some(strange)}, which nothing here is called"
    for name, tensor in expected.items():
        if why := misfit(found[name], tensor, finite=finite):
            return f"{name} {why}"
    return None


def misfit(found: Any, expected: Tensor, *, finite: bool = True) -> str | None:
    """Why a tensor does not fit the expected one, in words, or None: see `misfit_of`."""
    if not isinstance(found, Tensor) or type(found) not in (Tensor, torch.nn.Parameter):
        return f"is {type(found).__name__} and no tensor"
    if found.layout != torch.strided or found.device.type != "cpu" or found.is_quantized:
        return "is no tensor that lies in memory as its numbers follow each other"
    if found.shape != expected.shape:
        return f"has the shape {tuple(found.shape)}, and should have {tuple(expected.shape)}"
    widened = (found.dtype, expected.dtype) == (torch.float32, torch.float64)  # an earlier run: no precision is lost
    if found.dtype != expected.dtype and not widened:
        return f"is of the type {_name(found.dtype)}, and should be of {_name(expected.dtype)}"
    if not found.is_contiguous() or found.is_conj() or found.is_neg():
        return "is no tensor that lies in memory as its numbers follow each other"
    if found.untyped_storage().nbytes() < (found.storage_offset() + found.numel()) * found.element_size():
        return "has less in memory than its shape says"
    if finite and found.dtype.is_floating_point and not bool(found.isfinite().all()):
        return "holds what is no number"
    return None


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _some(names: Iterable[Any]) -> str:
    first, *rest = (repr(name)[:80] for name in names)
    return f"{first} and {len(rest):,} more" if rest else first
