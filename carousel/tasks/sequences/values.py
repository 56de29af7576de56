"""The numbers of a sequence, from whatever a program or a file holds them in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from carousel.errors import DataError

LOST = 1e-6  # of a channel's deviation: what single precision may lose


def on_host(value: Any) -> Any:
    """A tensor as NumPy's array, or as a number if it is one; a masked array with NaN where it is masked; columns of
    pandas and polars as arrays; anything else as it is."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.is_nested:
            return [on_host(one) for one in value.unbind()]
        value = value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
        return value.numpy() if value.ndim else value.item()
    if isinstance(value, np.ma.MaskedArray):
        if value.dtype.kind in "biuf":
            return np.ma.filled(value.astype(np.result_type(value.dtype, np.float32)), np.nan)
        objects = np.array(value.data, dtype=object)
        objects[np.ma.getmaskarray(value)] = None
        return objects
    if isinstance(value, np.ndarray | list | tuple | str | bytes) or not hasattr(value, "to_numpy"):
        return value
    kinds = [getattr(dtype, "kind", "O") for dtype in _dtypes(value)]
    if all(kind in "biuf" for kind in kinds):
        return value.to_numpy(dtype=np.float64, na_value=np.nan)
    return value.to_numpy()


def _dtypes(value: Any) -> list[Any]:
    """Of the columns of a pandas frame, or of a column. Those of polars have no letter, and need none."""
    return list(value.dtypes) if hasattr(value, "columns") else [getattr(value, "dtype", None)]


def as_numbers(item: Any) -> np.ndarray:
    """An array of float32 or float64, of any shape; None, NaN and masked entries are missing values, NaN.

    Raises DataError for what is no number, with what it is.
    """
    values = on_host(item)
    try:
        array = np.asarray(values)
    except ValueError:
        raise DataError("its steps must have one number of channels each, and they differ in length") from None
    if array.dtype.kind == "O":
        array = _of_objects(array)
    if array.dtype.kind not in "biuf":
        kinds = {"U": "texts", "S": "bytes", "M": "times", "m": "durations", "c": "complex numbers"}
        raise DataError(f"it must be numbers, and holds {kinds.get(array.dtype.kind, str(array.dtype))}")
    return array.astype(np.float32 if array.dtype in (np.float16, np.float32, bool) else np.float64)


def _of_objects(array: np.ndarray) -> np.ndarray:
    """An array of Python's numbers, and of marks for a missing one (None, pandas' NA)."""
    flat = np.empty(array.size)
    for k, value in enumerate(array.reshape(-1)):
        if value is None or type(value).__name__ in ("NAType", "NaTType", "MaskedConstant"):
            flat[k] = np.nan
            continue
        if isinstance(value, str | bytes | complex) or not hasattr(value, "__float__"):
            raise DataError(f"it must be numbers, and holds {type(value).__name__}: {value!r:.40}")
        try:
            flat[k] = float(value)
        except OverflowError:
            raise DataError(f"{str(value)[:12]}... is too large a number: 1.8e308 is the largest") from None
        except (TypeError, ValueError):
            raise DataError(f"it must be numbers, and holds {type(value).__name__}: {value!r:.40}") from None
    return flat.reshape(array.shape)


def as_array(name: str, item: Any) -> np.ndarray:
    """One sequence, or one seen from the side: numbers (T, C), (C, T) or (T,). Raises DataError where it is none.

    name: what the sequence is called in an error."""
    try:
        array = as_numbers(item)
    except DataError as problem:
        raise DataError(
            f"{name} must be numbers, (T, C) or (T,); {problem}. A list of strings is text; all sequences must be of "
            f"one kind."
        ) from None
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] == 0):
        raise DataError(f"{name} must be (T, C), or (T,) for one channel; its shape is {np.shape(array)}.")
    return array


def refuse_infinite(name: str, series: np.ndarray, channels: Sequence[str] = ()) -> None:
    """Raises DataError for the first value of (T, C) that is infinite, with its step and channel."""
    positions = np.argwhere(np.isinf(series))
    if len(positions):
        step, channel = positions[0].tolist()
        where = f" of {channels[channel]!r}" if channels else f" of channel {channel}" if series.shape[1] > 1 else ""
        raise DataError(
            f"{name} has an infinite value, {series[step, channel]}, at step {step}{where}"
            f"{f' (and {len(positions) - 1:,} more)' if len(positions) > 1 else ''}. "
            f"Leave it missing (NaN, an empty field) if it is not known."
        )


def without_padding(series: np.ndarray) -> np.ndarray:
    """A series (T, C) without the steps at its end at which every value is missing: archives pad short series in this
    way.
    """
    present = np.flatnonzero(~np.isnan(series).all(axis=1))
    return series[: present[-1] + 1] if len(present) else series[:0]


def held(series: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The sequences (T, C) in single precision, or in double precision where single would lose too much.

    A channel around 10⁹ that moves by 1 must keep double precision until it is standardised: single precision knows
    no number between 1,000,000,000 and 1,000,000,064.
    """
    if all(one.dtype == np.float32 for one in series):
        return list(series)
    enough = all(_single_is_enough(np.concatenate([one[:, k] for one in series])) for k in range(series[0].shape[1]))
    return [one.astype(np.float32 if enough else np.float64, copy=False) for one in series]


def _single_is_enough(values: np.ndarray) -> bool:
    values = values[~np.isnan(values)].astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        lost = np.abs(values - values.astype(np.float32)).max(initial=0)
    return bool(lost <= LOST * deviation(values[:, None])[1][0])


def deviation(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (C) of the values that are there in steps (n, C), in double precision; 0 and 0 for a
    channel without any. Sums are of numbers brought below 1, so that they do not overflow."""
    present = ~np.isnan(steps)
    counts = np.maximum(1, present.sum(0))
    values = np.where(present, steps, 0).astype(np.float64)
    largest = np.abs(values).max(0, initial=0)
    unit = np.where(largest > 0, largest, 1.0)
    values = values / unit
    mean = values.sum(0) / counts
    spread = np.sqrt((np.where(present, values - mean, 0) ** 2).sum(0) / counts)
    return mean * unit, spread * unit
