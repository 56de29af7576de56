"""From Keras and back: `from_keras` reads a layer or a file, `to_keras` gives weights for `set_weights`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from carousel.convert import keras_files, keras_weights
from carousel.convert.keras_layers import KerasScan, kind_of, layer_of, require_concat, theirs
from carousel.errors import DataError
from carousel.layers import Recurrent


def from_keras(
    source: Any, *, into: Recurrent | Mapping[str, Recurrent] | None = None
) -> Recurrent | Mapping[str, Recurrent]:
    """A Carousel layer with the equations and weights of a Keras layer.

        layer = carousel.from_keras(keras_model.layers[1])
        layers = carousel.from_keras("model.keras")        # {"lstm": LSTM(...), ...}
        carousel.from_keras("model.weights.h5", into=layer)

    source: a built SimpleRNN, LSTM, GRU (both resets), Bidirectional of one of them (merge_mode "concat"), or
        RNN([cells]), or the path of a .keras file, of which all recurrent layers are read, by name. The file is read
        without Keras and TensorFlow, needs the extra `keras` (h5py), and runs nothing. Or the path of a .weights.h5
        file, which has numbers alone.
    into: for a .weights.h5 file, the RNN, LSTM or GRU that its weights are copied into; where the file has several
        recurrent layers, {Keras's name of the layer: layer} of those to be read. It is given back.
    The layer is batch_first, as Keras is. Its call gives (output, hx): output is what Keras gives with
    return_sequences=True, its last step (of each direction) what Keras gives without. Keras's dropout becomes
    input_dropout, and recurrent_dropout keeps its name.

    Raises DataError for what Carousel does not have, by Keras's name for it, for a layer without weights, and for files
    that are not what they say.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.suffix == ".h5":
            if into is None:
                raise DataError(
                    f"reading {path}: a .weights.h5 file has no configuration, so that the layer must be given; make "
                    "it and call from_keras(path, into=layer), or save the model as .keras"
                )
            keras_weights.read_into(path, into)
            return into
        if into is not None:
            raise DataError(f"reading {path}: into= is for .weights.h5 files; a .keras file says what its layers are")
        found = keras_files.recurrent_layers(path)
        if not found:
            raise DataError(f"reading {path}: it has no SimpleRNN, LSTM, GRU, Bidirectional or RNN layer")
        return {name: layer_of(scans) for name, scans in found.items()}
    return layer_of(_scans(source))


def to_keras(layer: Recurrent) -> list[np.ndarray]:
    """The weights of an RNN, LSTM or GRU as `set_weights` of the same Keras layer takes them.

        keras_layer.set_weights(carousel.to_keras(layer))

    The Keras layer is SimpleRNN, LSTM, or GRU with reset_after=True or False as `reset` is; Bidirectional of it where
    the layer is; RNN([cells]) where it has several layers. Raises DataError for options that Keras does not have.
    """
    return theirs(layer)


def _scans(layer: Any) -> list[list[KerasScan]]:
    name = type(layer).__name__
    if name == "Bidirectional":
        require_concat(layer.get_config(), "reading a Keras Bidirectional")
        forward, backward = _scans(layer.forward_layer), _turned(layer.backward_layer)
        return [f + b for f, b in zip(forward, backward, strict=True)]
    if name == "RNN":
        outer = {key: getattr(layer, key, False) for key in ("go_backwards", "stateful")}
        cells = getattr(layer.cell, "cells", [layer.cell])
        return [[KerasScan(kind_of(type(c).__name__), {**c.get_config(), **outer}, _weights(c))] for c in cells]
    return [[KerasScan(kind_of(name), layer.get_config(), _weights(layer))]]


def _turned(layer: Any) -> list[list[KerasScan]]:
    """The backward layer of a Bidirectional goes backwards, as the second direction of ours does."""
    if type(layer).__name__ == "RNN":
        cells = getattr(layer.cell, "cells", [layer.cell])
        return [[KerasScan(kind_of(type(c).__name__), c.get_config(), _weights(c))] for c in cells]
    config = {**layer.get_config(), "go_backwards": False}
    return [[KerasScan(kind_of(type(layer).__name__), config, _weights(layer))]]


def _weights(layer: Any) -> list[np.ndarray]:
    weights = layer.get_weights()
    if not weights:
        raise DataError(
            f"reading a Keras {type(layer).__name__}: it has no weights yet; call it on an input, or build it, first"
        )
    return [np.asarray(w) for w in weights]
