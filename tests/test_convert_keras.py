"""Keras's layers and files become Carousel's layers with the same values, and weights go back."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import warnings
import zipfile
from typing import Any

import numpy as np
import pytest
import torch
from matrix import assert_close
from processes import Process

import carousel
from carousel.errors import DataError

if importlib.util.find_spec("keras") is None:
    pytest.skip("keras is not installed", allow_module_level=True)
pytest.importorskip("h5py", reason="h5py is not installed")

# Keras reads its own variables in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

T, B, I, H = 6, 3, 4, 5
keras: Any
K: Any  # keras.layers


@pytest.fixture(autouse=True, scope="module")
def _with_keras():
    """Keras takes seconds to import, and every process that runs tests imports this file."""
    global keras, K
    os.environ["KERAS_BACKEND"] = "torch"  # read once, when keras is imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what importing Keras warns of is not ours to mend
        keras = importlib.import_module("keras")
    if keras.backend.backend() != "torch":
        pytest.skip(f"keras was imported with the backend {keras.backend.backend()} before")
    K = keras.layers


LAYERS = {
    "simple": lambda: K.SimpleRNN(H, return_sequences=True),
    "simple-relu": lambda: K.SimpleRNN(H, activation="relu", use_bias=False, return_sequences=True),
    "lstm": lambda: K.LSTM(H, return_sequences=True, dropout=0.1, recurrent_dropout=0.2),
    "gru-after": lambda: K.GRU(H, return_sequences=True),
    "gru-before": lambda: K.GRU(H, reset_after=False, return_sequences=True),
    "bidirectional": lambda: K.Bidirectional(K.LSTM(H, return_sequences=True)),
    "bidirectional-gru": lambda: K.Bidirectional(K.GRU(H, use_bias=False, return_sequences=True)),
    "stacked": lambda: K.RNN([K.GRUCell(H), K.GRUCell(H)], return_sequences=True),
    "one-cell": lambda: K.RNN(K.LSTMCell(H), return_sequences=True),
}


def built(make):
    """A Keras model of one recurrent layer between two others, with weights of no special values."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([K.Input((T, I)), K.Activation("linear"), make(), K.Dense(2)])
    for layer in model.layers:
        layer.set_weights([np.random.default_rng(k).normal(0, 0.5, w.shape) for k, w in enumerate(layer.get_weights())])
    return model, model.layers[1]


def same(ours, theirs):
    x = torch.randn(B, T, I)
    with torch.no_grad():
        wanted = theirs(x).cpu()
        output, _ = ours.eval()(x)
    assert_close(output, wanted, terms=500)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_comes_in_and_its_weights_go_back(name):
    _, theirs = built(LAYERS[name])
    ours = carousel.from_keras(theirs)
    same(ours, theirs)
    weights = carousel.to_keras(ours)  # type: ignore[arg-type]
    assert [w.shape for w in weights] == [w.shape for w in theirs.get_weights()]
    theirs.set_weights([np.zeros_like(w) for w in weights])
    theirs.set_weights(weights)
    same(ours, theirs)


@pytest.mark.parametrize("name", LAYERS)
def test_a_file_is_read(name, tmp_path):
    model, theirs = built(LAYERS[name])
    model.save(tmp_path / "model.keras")
    layers = carousel.from_keras(tmp_path / "model.keras")
    assert list(layers) == [theirs.name]  # type: ignore[arg-type]
    same(layers[theirs.name], theirs)


@pytest.mark.parametrize("name", LAYERS)
def test_a_file_of_weights_is_read_into_a_layer(name, tmp_path):
    model, theirs = built(LAYERS[name])
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    ours = carousel.from_keras(theirs)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.fill_(0.5)
    assert carousel.from_keras(path, into=ours) is ours
    same(ours, theirs)


def test_layers_are_chosen_from_a_file_of_weights_by_their_names(tmp_path):
    model = keras.Sequential([K.Input((T, I)), K.LSTM(H, return_sequences=True), K.LSTM(I, name="upper")])
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    upper = carousel.LSTM(H, I)
    carousel.from_keras(path, into={"upper": upper})
    for ours, theirs in zip(carousel.to_keras(upper), model.layers[1].get_weights(), strict=True):
        assert (ours == theirs).all()
    before = upper.weight_hh_l0.clone()
    for into, words in (
        (None, "has no configuration, so that the layer must be given"),
        (upper, "takes a file of one recurrent layer, and this one has lstm.*, upper"),
        ({"lower": upper}, "it has no recurrent layer lower, but lstm.*, upper"),
        ({"upper": carousel.LSTM(H + 1, I)}, "must have the shapes"),
        ({"upper": carousel.LSTM(H, I, bias=False)}, "must have 2 arrays of weights"),
        ({"upper": carousel.GRU(H, I)}, "must have the shapes"),
        ({"upper": carousel.LSTM(H, I, bidirectional=True)}, "must stand under layers/lstm_1/forward_layer/cell/vars"),
        ({"upper": carousel.LSTM(H, I, peepholes="all")}, "Keras has no layer for the option peepholes"),
    ):
        with pytest.raises(DataError, match=words):
            carousel.from_keras(path, into=into)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="it is no HDF5 file"):
        carousel.from_keras(path, into=upper)
    with pytest.raises(DataError, match="into= is for .weights.h5 files"):
        carousel.from_keras(tmp_path / "model.keras", into=upper)
    assert (upper.weight_hh_l0 == before).all()


def test_a_file_with_several_layers_of_one_class(tmp_path):
    model = keras.Sequential([K.Input((T, I)), K.LSTM(H, return_sequences=True), K.LSTM(I, return_sequences=True)])
    model.save(tmp_path / "model.keras")
    layers = list(carousel.from_keras(tmp_path / "model.keras").values())
    same(layers[0], model.layers[0])
    x = torch.randn(B, T, H)
    with torch.no_grad():
        assert_close(layers[1](x)[0], model.layers[1](x), terms=500)


def test_dropouts_keep_their_probabilities():
    ours = carousel.from_keras(built(LAYERS["lstm"])[1])
    assert (ours.input_dropout, ours.recurrent_dropout) == (0.1, 0.2)


def test_a_file_is_read_without_keras(tmp_path):
    model, _ = built(LAYERS["lstm"])
    model.save(tmp_path / "model.keras")
    code = f"import sys, carousel; carousel.from_keras({str(tmp_path / 'model.keras')!r}); "
    code += "assert 'keras' not in sys.modules and 'tensorflow' not in sys.modules"
    done = Process(code, cwd=tmp_path, streams=tmp_path / "streams").wait()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: K.LSTM(H, go_backwards=True), "Carousel has no go_backwards=True"),
        (
            lambda: K.GRU(H, recurrent_activation="hard_sigmoid"),
            "its recurrent_activation must be sigmoid",
        ),
        (lambda: K.LSTM(H, activation=None), "its activation must be tanh, but is linear"),
        (lambda: K.Bidirectional(K.GRU(H), merge_mode="sum"), "merge_mode"),
        (lambda: K.RNN([K.GRUCell(H), K.LSTMCell(H)]), "convert them one by one"),
        (lambda: K.Dense(3), "it must be a SimpleRNN, LSTM or GRU"),
    ],
)
def test_what_carousel_does_not_have_is_refused_by_its_name(make, words):
    model = keras.Sequential([K.Input((T, I)), make()])
    with pytest.raises(DataError, match=words):
        carousel.from_keras(model.layers[0])


def test_a_layer_without_weights():
    with pytest.raises(DataError, match="it has no weights yet; call it on an input"):
        carousel.from_keras(K.LSTM(3))


@pytest.mark.parametrize("option", [{"peepholes": "all"}, {"proj_size": 2}, {"zoneout": 0.1}, {"layer_norm": True}])
def test_what_keras_does_not_have_is_refused(option):
    with pytest.raises(DataError, match=f"Keras has no layer for the option {next(iter(option))}"):
        carousel.to_keras(carousel.LSTM(2, 3, **option))


def spoiled(path, tmp_path, change):
    """The file with one of its members changed."""
    out = tmp_path / "spoiled.keras"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            if (content := change(name, old.read(name))) is not None:
                new.writestr(name, content)
    return out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda name, c: None if name == "config.json" else c, "a .keras file has config.json"),
        (lambda name, c: b"{" if name == "config.json" else c, "must be a zip archive with config.json"),
        (lambda name, c: b"not hdf5" if name.endswith("h5") else c, "is no HDF5 file"),
        (
            lambda name, c: c.replace(b'"units": 5', b'"units": 7') if name == "config.json" else c,
            "of 7 units must have",
        ),
        (lambda name, c: json.dumps([1]).encode() if name == "config.json" else c, "it has no SimpleRNN"),
        (lambda name, c: b"[" * 100000 if name == "config.json" else c, "must be a zip archive"),
    ],
)
def test_spoiled_files_are_refused_in_words(change, words, tmp_path):
    model, _ = built(LAYERS["lstm"])
    model.save(tmp_path / "model.keras")
    with pytest.raises(DataError, match=words):
        carousel.from_keras(spoiled(tmp_path / "model.keras", tmp_path, change))
    (tmp_path / "text.keras").write_text("no archive")
    with pytest.raises(DataError, match="must be a zip archive"):
        carousel.from_keras(tmp_path / "text.keras")
    with pytest.raises(DataError, match="must be a zip archive"):
        carousel.from_keras(tmp_path / "nowhere.keras")


def test_weights_in_another_file_are_not_read(tmp_path):
    import h5py

    layer = carousel.LSTM(I, H)
    shapes = [(I, 4 * H), (H, 4 * H), (4 * H,)]
    np.zeros(sum(map(np.prod, shapes)), "f4").tofile(tmp_path / "raw")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        for key, shape in enumerate(shapes):
            other[f"vars/{key}"] = np.zeros(shape, "f4")

    def file_with(name, write):
        with h5py.File(tmp_path / f"{name}.weights.h5", "w") as file:
            write(file.create_group("layers/lstm/cell"))
        return tmp_path / f"{name}.weights.h5"

    def raw(cell):
        for key, shape in enumerate(shapes):
            cell.create_dataset(f"vars/{key}", shape, "f4", external=[(str(tmp_path / "raw"), 0, 4 * np.prod(shape))])

    def linked(cell):
        cell["vars"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "vars")

    def vast(cell):
        for key, shape in enumerate(shapes):
            cell.create_dataset(f"vars/{key}", (1 << 40, *shape), "f4", chunks=True, compression="gzip")

    for name, write in {"raw": raw, "linked": linked}.items():
        with pytest.raises(DataError, match="its weights must stand in it, but .* stands in another file"):
            carousel.from_keras(file_with(name, write), into=layer)
    with pytest.raises(DataError, match="bytes, and at most 4294967296 are read"):
        carousel.from_keras(file_with("vast", vast), into=layer)
