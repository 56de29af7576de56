"""Keras computes what Carousel computes: SimpleRNN, LSTM and GRU in both its forms, on Keras' torch backend, float32.

Each test copies a layer's parameters into the Keras layer of the same equations. To add one, add a row to `FACES`:
the face, its options, the Keras layer, its options, and the order of Keras' gates in our letters.
"""

from __future__ import annotations

import importlib.util
import os
import warnings

import numpy as np
import pytest
import torch
from matrix import assert_close, engine_dtypes, moved, roundings

import carousel

if importlib.util.find_spec("keras") is None:
    pytest.skip("keras is not installed", allow_module_level=True)
T, B, I, H = 6, 3, 3, 4
ENGINES = [engine for engine, dtype in engine_dtypes() if dtype is torch.float32]

FACES = {
    "RNN-tanh": (carousel.RNN, {}, "SimpleRNN", {"activation": "tanh"}, "n"),
    "RNN-relu": (carousel.RNN, {"nonlinearity": "relu"}, "SimpleRNN", {"activation": "relu"}, "n"),
    "RNN-sigmoid": (carousel.RNN, {"nonlinearity": "sigmoid"}, "SimpleRNN", {"activation": "sigmoid"}, "n"),
    "LSTM": (carousel.LSTM, {}, "LSTM", {}, "ifgo"),
    "GRU-after": (carousel.GRU, {"reset": "after"}, "GRU", {"reset_after": True}, "zrn"),
    "GRU-before": (carousel.GRU, {"reset": "before"}, "GRU", {"reset_after": False}, "zrn"),
}


@pytest.fixture(scope="module")
def keras():
    """Imported by the process that runs these tests, and by no other: that takes four seconds."""
    os.environ["KERAS_BACKEND"] = "torch"  # read once, when keras is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what importing Keras warns of is not ours to mend
        import keras
    if keras.backend.backend() != "torch":
        pytest.skip(f"keras was imported with the backend {keras.backend.backend()} before")
    return keras


def as_keras(layer, gates, two_biases):
    """kernel (I, gates * H), recurrent kernel (H, gates * H) and bias of Keras: transposed, in Keras' order of gates.

    Keras has one bias, the sum of our two, except where the recurrent one is inside the reset gate's reach.
    """
    mine = list(layer.cell.gates)

    def reordered(name):
        blocks = np.split(layer.get_parameter(name).detach().numpy(), len(mine))
        return np.concatenate([blocks[mine.index(gate)] for gate in gates])

    weights = [reordered("weight_ih_l0").T, reordered("weight_hh_l0").T]
    if layer.bias:
        biases = [reordered("bias_ih_l0"), reordered("bias_hh_l0")]
        weights.append(np.stack(biases) if two_biases else biases[0] + biases[1])
    return weights


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
@pytest.mark.parametrize(("face", "options", "kind", "keras_options", "gates"), FACES.values(), ids=FACES)
def test_keras_agrees(keras, face, options, kind, keras_options, gates, bias, engine):
    layer = moved(face(I, H, bias=bias, batch_first=True, engine=engine, **options))
    same = {"use_bias": bias, "return_sequences": True, "return_state": True, "dtype": "float32"}
    theirs = getattr(keras.layers, kind)(H, **same, **keras_options)
    theirs.build((B, T, I))
    theirs.set_weights(as_keras(layer, gates, keras_options.get("reset_after", False)))

    x = torch.randn(B, T, I)
    initial = [torch.randn(B, H) for _ in layer.cell.states]
    with torch.no_grad():
        wanted, *wanted_last = (a.cpu() for a in theirs(x, initial_state=initial))
        hx = tuple(state.unsqueeze(0) for state in initial)
        output, last = layer(x, hx if len(hx) > 1 else hx[0])

    terms = roundings(T, I, H)
    assert_close(output, wanted, terms=terms, what="output")
    last = last if isinstance(last, tuple) else (last,)
    for state, expected in zip(last, wanted_last, strict=True):
        assert_close(state.squeeze(0), expected, terms=terms, what="state")
