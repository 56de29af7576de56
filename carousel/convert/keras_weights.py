"""Reads a .weights.h5 file into layers that exist already: such a file has arrays of numbers and no configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from carousel.convert import keras_files
from carousel.convert.keras_layers import keras_kind, ours, theirs
from carousel.errors import DataError
from carousel.layers import Recurrent


def read_into(path: Path, into: Recurrent | Mapping[str, Recurrent]) -> None:
    """Copies the weights of a file into a layer, or into several by Keras's names.

    Nothing is copied unless all fits. Raises DataError for files and layers that don't fit each other.
    """
    with keras_files.opened(path) as file:
        groups = dict(_groups(file))
        if isinstance(into, Recurrent):
            if len(groups) != 1:
                raise DataError(
                    f"reading {path}: into=layer takes a file of one recurrent layer, and this one has "
                    f"{', '.join(groups) or 'none'}; give into={{name: layer}} with some of these names"
                )
            into = dict.fromkeys(groups, into)
        if absent := [name for name in into if name not in groups]:
            raise DataError(f"reading {path}: it has no recurrent layer {absent[0]}, but {', '.join(groups) or 'none'}")
        found = [(layer, _parameters(layer, file, groups[name], path)) for name, layer in into.items()]
    with torch.no_grad():
        for layer, parameters in found:
            for name, values in parameters.items():
                layer.get_parameter(name).copy_(torch.from_numpy(values))


def _groups(file: Any) -> Iterator[tuple[str, str]]:
    """Of each recurrent layer of a file, Keras's name for it, and where it stands."""
    held = file.get("layers", {})
    for key in held:
        group = held[key]
        if any(f"{part}cell" in group for part in ("", "forward_layer/")):
            named = group["vars"].attrs.get("name", key) if "vars" in group else key
            yield named.decode(errors="replace") if isinstance(named, bytes) else str(named), f"layers/{key}"


def _parameters(layer: Recurrent, file: Any, group: str, path: Path) -> dict[str, Any]:
    """The parameters of a layer from the arrays of a file, if they have the shapes of the same Keras layer."""
    scans = [scan for scans in keras_files.scans(*_configuration(layer), file, group, path) for scan in scans]
    wanted = [values.shape for values in theirs(layer)]
    given = [values.shape for scan in scans for values in scan.weights]
    if given != wanted:
        raise DataError(
            f"reading {path}: the weights of {group} must have the shapes {wanted} to be those of this "
            f"{type(layer).__name__}, but have {given}"
        )
    return {
        name + suffix: values
        for suffix, scan in zip(layer.suffixes(), scans, strict=True)
        for name, values in ours(scan, layer.cell.gates).items()
    }


def _configuration(layer: Recurrent) -> tuple[str, dict[str, Any]]:
    """The class and the configuration of the Keras layer that computes what a layer does."""
    kind = keras_kind(layer)
    inner = {"units": layer.hidden_size, "use_bias": layer.bias}
    name, config = kind, dict[str, Any](inner)
    if layer.num_layers > 1:
        cells = [{"class_name": f"{kind}Cell", "config": inner} for _ in range(layer.num_layers)]
        name, config = "RNN", {"cell": {"class_name": "StackedRNNCells", "config": {"cells": cells}}}
    if layer.bidirectional:
        name, config = "Bidirectional", {"layer": {"class_name": name, "config": config}}
    return name, config
