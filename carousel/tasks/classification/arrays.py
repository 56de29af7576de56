"""Arrays and lists of a Python program, and .npz files of them."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from carousel.errors import DataError, option
from carousel.tasks.classification.labels import labels_of
from carousel.tasks.sequences.examples import Columns, Examples, channel_names
from carousel.tasks.sequences.recordings import Sound, as_samples
from carousel.tasks.sequences.values import as_array, held, on_host, refuse_infinite, without_padding

# The names that arrays of sequences and their classes have in .npz files, the likelier first. Those of a test part
# are never learnt from.
PAIRS = (("X", "y"), ("x", "y"), ("X_train", "y_train"), ("x_train", "y_train"))


def from_python(
    x: Any,
    y: Any = None,
    *,
    groups: Any = None,
    rate: int | None = None,
    axes: str | None = None,
    channels: tuple[str, ...] = (),
) -> Examples:
    """Sequences as a program has them.

    x: an array (N, T, C), or (N, T) for one channel; or a list of N of one of these: arrays (T, C) or (T,), strings,
        `Recording`s, or, with `rate`, sounds (n,) as `as_samples` takes them. NaN and masked entries are missing
        values; steps at a sequence's end at which every value is missing are padding. Torch's tensors, and frames and
        columns of pandas and polars, are taken as arrays are.
    y, groups: the class and the group of each; y may be one-hot, (N, K).
    axes: NTC, or NCT for arrays (N, C, T) and lists of (C, T). Without it they are (N, T, C), and refused where that
        makes more channels than steps.
    channels: their names, of a trained model.
    """
    if isinstance(x, Mapping) or not hasattr(x, "__iter__"):
        raise DataError(f"X must be an array (N, T, C) or a list of sequences, not {type(x).__name__}.")
    items = [on_host(item) for item in on_host(x)]
    if not items:
        raise DataError("There is no sequence: X is empty.")
    labels, belonging = labels_of(y, "y", len(items), one_hot=True), labels_of(groups, "groups", len(items))
    names = [str(number) for number in range(len(items))]
    if all(isinstance(item, str) for item in items):
        return Examples("text", [str(item) for item in items], names, labels, belonging)
    if rate is not None or all(isinstance(item, Sound) for item in items):
        sounds = [
            item if isinstance(item, Sound) else Sound(_sound(k, item), rate or 0) for k, item in enumerate(items)
        ]
        return Examples("audio", sounds, names, labels, belonging)
    series, said = _series(items, axes, channels)
    if not channels:
        channels = channel_names(series[0].shape[1])
    return Examples("series", series, names, labels, belonging, channels, Columns(axes=axes), said)


def _sound(number: int, item: Any) -> np.ndarray:
    try:
        return as_samples(item)
    except DataError as problem:
        raise DataError(f"X[{number}]: {problem}") from None


# -- which axis is time ---------------------------------------------------------------------------------------------


def _series(
    items: Sequence[Any], axes: str | None, channels: Sequence[str]
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """The sequences (T, C), and how their axes were read."""
    given = [as_array(f"X[{k}]", item) for k, item in enumerate(items)]
    shapes = [one.shape for one in given if one.ndim == 2]
    given = [one if one.ndim == 1 or axes != "NCT" else one.T for one in given]
    width = next((one.shape[1] for one in given if one.ndim == 2), 1)
    # An empty list has no channels: it is a sequence of as many as the others have, without a step.
    given = [np.zeros((0, width), one.dtype) if one.shape == (0,) else one for one in given]
    given = [one[:, None] if one.ndim == 1 else one for one in given]
    alike = bool(shapes) and len(shapes) == len(given) and len({shape[0] for shape in shapes}) == 1
    odd = next((k for k, one in enumerate(given) if one.shape[1] != given[0].shape[1]), None)
    if odd is not None:
        hint = f" If these are (C, T), say so: {option('axes', 'NCT')}." if alike and axes is None else ""
        raise DataError(
            f"Every sequence must have the same channels: X[0] has {given[0].shape[1]}, and X[{odd}] has "
            f"{given[odd].shape[1]}.{hint}"
        )
    longest = max(map(len, given))
    if axes is None and shapes and channels and width != len(channels) and shapes[0][0] == len(channels):
        raise DataError(
            f"The model reads {len(channels)} channels, and X[0] has the shape {shapes[0]}, which is {width} channels "
            f"as (T, C). If these are (C, T), say so: {option('axes', 'NCT')}."
        )
    if (
        axes is None
        and not channels
        and len(shapes) == len(given) > 1
        and len(set(shapes)) == 1
        and width > longest > 0
    ):
        raise DataError(
            f"It is not clear which axis of X is time. As (N, T, C), which is how arrays are read, X has {longest:,} "
            f"step{'s' * (longest != 1)} of {width:,} channels; as (N, C, T), {width:,} steps of {longest:,} "
            f"channel{'s' * (longest != 1)}. Say which: {option('axes', 'NTC')} or {option('axes', 'NCT')}."
        )
    for k, one in enumerate(given):
        refuse_infinite(f"X[{k}]", one)
    series = [without_padding(one) for one in given]
    form = f"as {'(N, C, T)' if axes == 'NCT' else '(N, T, C)'}" if shapes else "as (N, T), one channel"
    lengths = sorted({len(one) for one in series})
    steps = f"{lengths[0]:,}" if len(lengths) == 1 else f"{lengths[0]:,} to {lengths[-1]:,}"
    return held(series), (f"arrays, read {form}: {len(series):,} sequences of {steps} steps, {width:,} channels",)


# -- .npz -----------------------------------------------------------------------------------------------------------


def why_sequences(path: Path) -> str | None:
    """Why an .npz file may be sequences. Reads the list of its contents alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return "an .npz file"
    found = next((x for x, _ in PAIRS if f"{x}.npy" in names), None)
    return f"an .npz file with sequences {found}" if found else "an .npz file"


def read_npz(path: Path, *, axes: str | None = None, channels: tuple[str, ...] = ()) -> Examples:
    """X (N, T, C) or (N, T), or X (sum of lengths, C) with `lengths` (N); y and groups (N) where they are known.
    X and y may be called as in `PAIRS`.

    Nothing in the file is executed: arrays of Python objects are refused. Raises DataError.
    """
    try:
        with open(path, "rb") as opened:  # np.load leaves a broken file open
            file: Any = np.load(opened, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise DataError(
                    f"{path} holds one array, {file.shape}, and says no classes. Write it with them, one for each "
                    f"sequence: np.savez({path.with_suffix('.npz').name!r}, X=X, y=y)."
                )
            names = [str(name) for name in file.files]
            pair = next((pair for pair in PAIRS if pair[0] in names), None)
            if pair is None:
                raise DataError(
                    f"{path} has no array X of sequences; it has {_listed(file)}. Write one with these names: "
                    f"np.savez(path, X=X, y=y)."
                )
            wanted = {"X": pair[0], "y": pair[1], "lengths": "lengths", "groups": "groups"}
            arrays = {role: _loaded(path, file, name) for role, name in wanted.items() if name in names}
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, KeyError, AttributeError) as problem:
        if isinstance(problem, DataError):
            raise
        raise DataError(f"{path} is no {path.suffix} file that can be read: {problem}.") from None
    x: Any = arrays["X"]
    lengths = arrays.get("lengths")
    if lengths is not None:
        x, axes = _parted(path, x, lengths), "NTC"  # one below the other, steps can be nothing but rows
    elif x.ndim not in (2, 3):
        raise DataError(
            f"{path}: {pair[0]} must be (N, T, C) or (N, T), or, with lengths, (sum of lengths, C); its shape is "
            f"{x.shape}."
        )
    examples = from_python(x, arrays.get("y"), groups=arrays.get("groups"), axes=axes, channels=channels)
    left = [name for name in names if name not in wanted.values()]
    return examples.saying(*([f"left in {path.name}, and not read: {', '.join(left)}"] if left else []))


def _loaded(path: Path, file: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(file[name])
    except ValueError as problem:
        if "allow_pickle" not in str(problem):
            raise
        advice = (
            "Store sequences of unequal length one after another, X (all their steps, C), and how long each is, "
            "lengths (N)."
            if name.lower().startswith("x")
            else "Store texts as an array of texts: np.array(y, dtype=str)."
        )
        raise DataError(f"{path}: {name} holds Python objects, which reading could execute. {advice}") from None


def _parted(path: Path, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    if lengths.dtype.kind not in "iu" and not (lengths.dtype.kind == "f" and (lengths == np.floor(lengths)).all()):
        raise DataError(
            f"{path}: lengths must be whole numbers, how many steps each sequence has, not {lengths.dtype}."
        )
    if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != len(x):
        raise DataError(f"{path}: lengths must add up to the {len(x)} steps of X; they add up to {lengths.sum()}.")
    return np.split(x, np.cumsum(lengths.astype(np.int64))[:-1])


def _listed(file: Any) -> str:
    """The arrays of an archive with their shapes, where these can be read: "arr_0 (40, 30, 2), names"."""
    described = []
    for name in file.files:
        try:
            described.append(f"{name} {file[name].shape}")
        except (ValueError, OSError):
            described.append(str(name))
    return ", ".join(described) or "none"
