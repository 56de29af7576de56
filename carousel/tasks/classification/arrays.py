"""Arrays and lists of a Python program, and .npz files of them."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from carousel.errors import DataError
from carousel.tasks.classification.examples import Examples, Label, plain, without_padding
from carousel.tasks.classification.recordings import Recording, as_samples


def from_python(
    x: Any, y: Any = None, *, groups: Any = None, rate: int | None = None, channels: tuple[str, ...] = ()
) -> Examples:
    """Sequences as a program has them.

    x: an array (N, T, C), or (N, T) for one channel; or a list of N of one of these: arrays (T, C) or (T,), strings,
        `Recording`s, or, with `rate`, sounds (n,) as `as_samples` takes them. NaN is a missing value; steps at a
        sequence's end at which every value is missing are padding. Torch's tensors are taken as arrays are.
    y, groups: the class and the group of each.
    channels: their names.
    """
    items = [_on_host(item) for item in _on_host(x)]
    if not items:
        raise DataError("There is no sequence: X is empty.")
    labels, belonging = _one_each(y, "y", len(items)), _one_each(groups, "groups", len(items))
    names = [str(number) for number in range(len(items))]
    if all(isinstance(item, str) for item in items):
        return Examples("text", [str(item) for item in items], names, labels, belonging)
    if rate is not None or all(isinstance(item, Recording) for item in items):
        sounds = [
            item if isinstance(item, Recording) else Recording(_sound(k, item), rate or 0)
            for k, item in enumerate(items)
        ]
        return Examples("audio", sounds, names, labels, belonging)
    series = [_series(k, item) for k, item in enumerate(items)]
    width = series[0].shape[1]
    for k, one in enumerate(series):
        if one.shape[1] != width:
            raise DataError(
                f"Every sequence must have the same channels: X[0] has {width}, and X[{k}] has {one.shape[1]}."
            )
    if not channels:
        channels = ("value",) if width == 1 else tuple(f"dim_{k}" for k in range(width))
    return Examples("series", series, names, labels, belonging, channels)


def _one_each(values: Any, name: str, count: int) -> list[Label] | None:
    if values is None:
        return None
    listed = [_on_host(value) for value in _on_host(values)]
    if len(listed) != count:
        raise DataError(f"{name} must have one entry for each of the {count} sequences; it has {len(listed)}.")
    return [plain(value) for value in listed]


def _on_host(value: Any) -> Any:
    """A tensor as NumPy's array, or as a number if it is one; anything else as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach().cpu()
    value = value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
    return value.numpy() if value.ndim else value.item()


def _series(number: int, item: Any) -> np.ndarray:
    try:
        array = np.asarray(item, np.float32)
    except (TypeError, ValueError):
        raise DataError(
            f"X[{number}] must be numbers, (T, C) or (T,); it is {type(item).__name__}. A list of strings is text; "
            f"all sequences must be of one kind."
        ) from None
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise DataError(f"X[{number}] must be (T, C), or (T,) for one channel; its shape is {np.shape(item)}.")
    if np.isinf(array).any():
        raise DataError(f"X[{number}] has an infinite value. Use NaN for a value that is not known.")
    return without_padding(array)


def _sound(number: int, item: Any) -> np.ndarray:
    try:
        return as_samples(item)
    except DataError as problem:
        raise DataError(f"X[{number}]: {problem}") from None


# -- .npz -----------------------------------------------------------------------------------------------------------


def holds_sequences(path: Path) -> bool:
    """Does an .npz file have an array X? Reads the list of its contents alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "X.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def read_npz(path: Path) -> Examples:
    """X (N, T, C) or (N, T), or X (sum of lengths, C) with `lengths` (N); y and groups (N) where they are known.

    Nothing in the file is executed: arrays of Python objects are refused. Raises DataError.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("X", "y", "lengths", "groups") if name in file.files}
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except ValueError as problem:
        if "allow_pickle" in str(problem):
            raise DataError(
                f"{path} holds Python objects, which reading could execute. Store sequences of unequal length one "
                f"after another, X (all their steps, C), and how long each is, lengths (N)."
            ) from None
        raise DataError(f"{path} cannot be read: {problem}.") from None
    except (OSError, zipfile.BadZipFile, EOFError) as problem:
        raise DataError(f"{path} is no .npz file that can be read: {problem}.") from None
    if "X" not in arrays:
        raise DataError(f"{path} has no array X of sequences.")
    x: Sequence[Any] = arrays["X"]
    if "lengths" in arrays:
        lengths = arrays["lengths"]
        if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != len(x):
            raise DataError(f"{path}: lengths must add up to the {len(x)} steps of X; they add up to {lengths.sum()}.")
        x = np.split(arrays["X"], np.cumsum(lengths)[:-1])
    return from_python(x, arrays.get("y"), groups=arrays.get("groups"))
