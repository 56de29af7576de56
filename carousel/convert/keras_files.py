"""Reads .keras and .weights.h5 files without Keras or TensorFlow. Nothing in a file is run.

A .keras file is a zip archive: config.json, which says what the layers are, and model.weights.h5, an HDF5 file.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from carousel.convert.keras_layers import KerasScan, kind_of, require_concat
from carousel.errors import CarouselError, DataError

LARGEST_CONFIG = 16 << 20  # bytes of config.json
LARGEST_WEIGHTS = 4 << 30  # bytes of the weights


def h5py_package() -> Any:
    """The package h5py. Raises CarouselError where it is not installed."""
    try:
        import h5py
    except ImportError:
        raise CarouselError("reading a Keras file needs the package h5py: pip install 'carousel-rnn[keras]'") from None
    return h5py


def recurrent_layers(path: Path) -> dict[str, list[list[KerasScan]]]:
    """{name of the layer: its scans} of a .keras file, in the model's order; see `keras_layers.layer_of`.

    Raises DataError for a file that is not what it says, or is larger than any network of that kind.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(_member(archive, "config.json", LARGEST_CONFIG, path))
            weights = _member(archive, "model.weights.h5", LARGEST_WEIGHTS, path)
    except (zipfile.BadZipFile, json.JSONDecodeError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise DataError(
            f"reading {path}: a .keras file must be a zip archive with config.json and model.weights.h5, but {error}"
        ) from None
    with _opened(io.BytesIO(weights), path, "model.weights.h5") as file:
        return dict(_found(config, file, path))


def _member(archive: zipfile.ZipFile, name: str, largest: int, path: Path) -> bytes:
    try:
        size = archive.getinfo(name).file_size
    except KeyError:
        raise DataError(
            f"reading {path}: a .keras file has {name}, and this one has {archive.namelist()[:5]}"
        ) from None
    if size > largest:
        raise DataError(f"reading {path}: {name} has {size} bytes, and at most {largest} are read")
    with archive.open(name) as member:
        return member.read(largest + 1)[: size + 1]


def opened(path: Path) -> Any:
    """A .weights.h5 file as h5py opens it. Raises DataError for one that is none or is too large."""
    if path.is_file() and (size := path.stat().st_size) > LARGEST_WEIGHTS:
        raise DataError(f"reading {path}: it has {size} bytes, and at most {LARGEST_WEIGHTS} are read")
    return _opened(path, path, "it")


def _opened(source: Any, path: Path, what: str) -> Any:
    try:
        return h5py_package().File(source, "r")
    except OSError as error:
        raise DataError(f"reading {path}: {what} is no HDF5 file: {error}") from None


def _found(config: Any, file: Any, path: Path) -> Iterator[tuple[str, list[list[KerasScan]]]]:
    """The recurrent layers of a model's configuration, with their weights from the file."""
    counts: dict[str, int] = {}
    layers = _get(config, "config").get("layers", [])
    if not isinstance(layers, list):
        raise DataError(f"reading {path}: the layers in config.json must be a list")
    for layer in layers:
        class_name, inner = str(_get(layer).get("class_name", "")), _get(layer, "config")
        # Keras names groups of weights after classes, numbered in the model's order.
        base = _snake(class_name)
        number = counts.get(base, 0)
        counts[base] = number + 1
        if class_name in ("SimpleRNN", "LSTM", "GRU", "Bidirectional", "RNN"):
            group = f"layers/{base}{f'_{number}' if number else ''}"
            yield str(inner.get("name", group)), scans(class_name, inner, file, group, path)


def _get(value: Any, key: str | None = None) -> dict[str, Any]:
    inner = value.get(key, {}) if key is not None and isinstance(value, dict) else value
    return inner if isinstance(inner, dict) else {}


def _snake(name: str) -> str:
    """LSTM -> lstm, SimpleRNN -> simple_rnn, as Keras's to_snake_case."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def scans(class_name: str, config: dict[str, Any], file: Any, group: str, path: Path) -> list[list[KerasScan]]:
    if class_name == "Bidirectional":
        require_concat(config, f"reading {path}, a Bidirectional layer")
        inner = _get(config, "layer")
        inner_class, inner_config = str(inner.get("class_name", "")), _get(inner, "config")
        forward = scans(inner_class, inner_config, file, f"{group}/forward_layer", path)
        backward = scans(inner_class, {**inner_config, "go_backwards": False}, file, f"{group}/backward_layer", path)
        return [f + b for f, b in zip(forward, backward, strict=True)]
    if class_name == "RNN":
        cell = _get(config, "cell")
        cells = [cell]
        groups = [f"{group}/cell"]
        if cell.get("class_name") == "StackedRNNCells":
            cells = [_get(c) for c in _get(cell, "config").get("cells", [])]
            groups = [f"{group}/cell/cells/{name}" for name in _numbered(cells)]
        return [
            [_scan(str(c.get("class_name", "")), {**_get(c, "config"), **_settings(config)}, file, g, path)]
            for c, g in zip(cells, groups, strict=True)
        ]
    return [[_scan(class_name, config, file, f"{group}/cell", path)]]


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    return {name: config[name] for name in ("go_backwards", "stateful") if name in config}


def _numbered(cells: list[dict[str, Any]]) -> list[str]:
    counts: dict[str, int] = {}
    names = []
    for cell in cells:
        base = _snake(str(cell.get("class_name", "")))
        number = counts.get(base, 0)
        counts[base] = number + 1
        names.append(f"{base}_{number}" if number else base)
    return names


def _scan(class_name: str, config: dict[str, Any], file: Any, group: str, path: Path) -> KerasScan:
    kind = kind_of(class_name)
    try:
        held = file[f"{group}/vars"]
        arrays = [_array(held[key], file, path) for key in sorted(held, key=int)]
    except DataError:
        raise
    except (KeyError, ValueError, TypeError, AttributeError, OSError):
        raise DataError(f"reading {path}: the weights of a {class_name} must stand under {group}/vars") from None
    units = config.get("units")
    wanted = 3 if config.get("use_bias", True) else 2
    if not isinstance(units, int) or len(arrays) != wanted or arrays[1].shape[:1] != (units,):
        raise DataError(
            f"reading {path}: a {class_name} of {units} units must have {wanted} arrays of weights, but {group} has "
            f"{[a.shape for a in arrays]}"
        )
    return KerasScan(kind, config, arrays)


def _array(dataset: Any, file: Any, path: Path) -> np.ndarray:
    """The numbers of a dataset. HDF5 lets a dataset stand in another file, by a link, as raw bytes or by a mapping: a
    file from somebody else must not choose what else is read. A compressed one may announce any size."""
    if dataset.file.filename != file.filename or dataset.external or dataset.is_virtual:
        raise DataError(f"reading {path}: its weights must stand in it, but {dataset.name} stands in another file")
    if dataset.nbytes > LARGEST_WEIGHTS:
        raise DataError(
            f"reading {path}: {dataset.name} has {dataset.nbytes} bytes, and at most {LARGEST_WEIGHTS} are read"
        )
    return np.asarray(dataset)
