"""ONNX's RNN, LSTM and GRU nodes become layers that give what ONNX Runtime computes of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matrix import assert_close, moved

import carousel
from carousel.convert import onnx_models
from carousel.errors import DataError
from carousel.export import to_onnx

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

T, B, I, H = 6, 3, 3, 4
COUNTS = {"RNN": 1, "GRU": 3, "LSTM": 4}

NODES = {
    "rnn": ("RNN", {}, carousel.RNN),
    "rnn-relu": ("RNN", {"activations": ["Relu"]}, carousel.RNN),
    "rnn-elu": ("RNN", {"activations": ["Elu"], "activation_alpha": [0.7]}, carousel.Recurrent),
    "rnn-clip": ("RNN", {"clip": 0.4}, carousel.Recurrent),
    "gru": ("GRU", {}, carousel.GRU),
    "gru-after": ("GRU", {"linear_before_reset": 1, "direction": "bidirectional"}, carousel.GRU),
    "gru-hard": (
        "GRU",
        {"activations": ["HardSigmoid", "Softsign"], "activation_alpha": [0.3], "activation_beta": [0.4]},
        carousel.Recurrent,
    ),
    "gru-clip": ("GRU", {"clip": 0.3, "linear_before_reset": 1}, carousel.Recurrent),
    "lstm": ("LSTM", {"direction": "bidirectional"}, carousel.LSTM),
    "lstm-no-bias": ("LSTM", {"without": "B"}, carousel.LSTM),
    "lstm-peepholes": ("LSTM", {"P": True, "direction": "bidirectional"}, carousel.LSTM),
    "lstm-coupled": ("LSTM", {"P": True, "input_forget": 1}, carousel.LSTM),
    "lstm-coupled-hard": (
        "LSTM",
        {"P": True, "input_forget": 1, "activations": ["HardSigmoid", "Tanh", "LeakyRelu"]},
        carousel.Recurrent,
    ),
    "lstm-clip": ("LSTM", {"clip": 0.5}, carousel.Recurrent),
    "lstm-scaled": (
        "LSTM",
        {"activations": ["Sigmoid", "ScaledTanh", "Relu"], "activation_alpha": [1.7], "activation_beta": [0.6]},
        carousel.Recurrent,
    ),
}  # fmt: skip


def node_file(path, kind, attributes, spoil=lambda model: None):
    """A model of one node, with drawn weights."""
    attributes, helper, rng = dict(attributes), onnx.helper, np.random.default_rng(0)
    peepholes, without = attributes.pop("P", False), attributes.pop("without", "")
    directions, count = 2 if attributes.get("direction") == "bidirectional" else 1, COUNTS[kind]
    shapes = {"W": (directions, count * H, I), "R": (directions, count * H, H), "B": (directions, 2 * count * H)}
    shapes |= {"P": (directions, 3 * H)} if peepholes else {}
    shapes.pop(without, None)
    states = ["initial_h", "initial_c"][: 1 + (kind == "LSTM")]
    order = ["X", "W", "R", "B", "", *states, *(["P"] if peepholes else [])]
    names = [name if name in shapes or name in ("X", *states) else "" for name in order]
    outputs = ["Y", "Y_h", "Y_c"][: 1 + len(states)]
    node = helper.make_node(kind, names, outputs, name="the_node", hidden_size=H, **attributes)
    weights = [
        onnx.numpy_helper.from_array(rng.normal(0, 0.7, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    info = helper.make_tensor_value_info
    given = [info("X", 1, ["T", "B", I]), *(info(name, 1, [directions, "B", H]) for name in states)]
    made = helper.make_graph([node], "one", given, [info(name, 1, None) for name in outputs], weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    spoil(model)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("name", NODES)
def test_a_node_gives_what_onnx_runtime_computes(name, tmp_path):
    kind, attributes, face = NODES[name]
    path = node_file(tmp_path / "model.onnx", kind, attributes)
    layer = carousel.from_onnx(path)["the_node"]
    assert type(layer) is face
    directions = 2 if layer.bidirectional else 1
    x, states = torch.randn(T, B, I), [torch.randn(directions, B, H) for _ in layer.cell.states]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = {"X": x.numpy()} | {f"initial_{n}": s.numpy() for n, s in zip("hc", states, strict=False)}
    y, *last = (torch.from_numpy(value) for value in session.run(None, given))
    with torch.no_grad():
        output, hx = layer(x, tuple(states) if len(states) > 1 else states[0])
    assert_close(output, y.permute(0, 2, 1, 3).reshape(T, B, -1), terms=300)
    for ours, theirs in zip(hx if isinstance(hx, tuple) else [hx], last, strict=True):
        assert_close(ours, theirs, terms=300)


@pytest.mark.parametrize("layout", [0, 1])
def test_a_layout_of_1_is_batch_first(layout, tmp_path):
    """ONNX Runtime does not run such a node, so the layer's own setting is all that there is to compare."""
    path = node_file(tmp_path / "model.onnx", "GRU", {"layout": layout})
    assert carousel.from_onnx(path)["the_node"].batch_first == bool(layout)


@pytest.mark.parametrize(
    "make",
    [
        lambda: carousel.LSTM(3, 4, 2, peepholes="all", bidirectional=True),
        lambda: carousel.LSTM(3, 4, coupled=True, peepholes="all"),
        lambda: carousel.GRU(3, 4, reset="before"),
        lambda: carousel.RNN(3, 4, nonlinearity="sigmoid"),
    ],
)
def test_what_goes_out_comes_in_again(make, tmp_path):
    layer, x = moved(make()), torch.randn(T, B, 3)
    found = list(carousel.from_onnx(to_onnx(layer, tmp_path / "layer.onnx")).values())
    assert len(found) == layer.num_layers
    with torch.no_grad():
        wanted, _ = layer(x)
        for one in found:
            x, _ = one(x)
    assert_close(x, wanted, terms=500)


def shapeless(model):
    model.graph.initializer[1].dims[2] = 2
    model.graph.initializer[1].dims[1] = 16


def elsewhere(model):
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


@pytest.mark.parametrize(
    ("attributes", "spoil", "words"),
    [
        ({"direction": "reverse"}, lambda m: None, "its direction must be forward or bidirectional, but is reverse"),
        ({"activations": ["Swish", "Tanh"]}, lambda m: None, "its activations must be among affine"),
        ({"activations": ["Sigmoid"]}, lambda m: None, "it must have 2 activations, but has 1"),
        (
            {"direction": "bidirectional", "activations": ["Sigmoid", "Tanh", "Sigmoid", "Relu"]},
            lambda m: None,
            "its two directions must have the same activations",
        ),
        ({}, lambda m: m.graph.initializer.pop(0), "its W must be stored in the file, but 'W' is computed or given"),
        ({}, lambda m: m.graph.node.pop(0), "an ONNX model with nodes, and has none"),
        ({}, shapeless, "must be of the shape|is damaged"),
        ({}, elsewhere, "its W stands in another file, which is not opened"),
    ],
)
def test_files_are_refused_in_words(attributes, spoil, words, tmp_path):
    path = node_file(tmp_path / "model.onnx", "GRU", attributes, spoil)
    with pytest.raises(DataError, match=words):
        carousel.from_onnx(path)


def test_clip_with_peepholes_is_refused(tmp_path):
    with pytest.raises(DataError, match="ONNX Runtime and the specification differ there"):
        carousel.from_onnx(node_file(tmp_path / "model.onnx", "LSTM", {"clip": 0.5, "P": True}))


def test_what_is_no_model(tmp_path, monkeypatch):
    (tmp_path / "text.onnx").write_bytes(b"\xff\xfe no model")
    with pytest.raises(DataError, match="must be an ONNX model"):
        carousel.from_onnx(tmp_path / "text.onnx")
    with pytest.raises(DataError, match="must be an ONNX model, but"):
        carousel.from_onnx(tmp_path / "nowhere.onnx")
    with pytest.raises(DataError, match="has no RNN, LSTM or GRU node"):
        carousel.from_onnx(to_onnx(carousel.GRU(2, 3, zoneout=0.1), tmp_path / "scan.onnx"))
    monkeypatch.setattr(onnx_models, "LARGEST", 10)
    with pytest.raises(DataError, match="bytes, and at most 10 are read"):
        carousel.from_onnx(tmp_path / "scan.onnx")
