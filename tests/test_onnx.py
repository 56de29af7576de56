"""ONNX Runtime computes what Carousel computes: RNN, LSTM (with peepholes, with coupled gates) and GRU.

Each test builds a graph of one operator from a layer's parameters and runs both on the same input, float32. What the
ONNX specification calls differently is in `as_onnx`. To add an operator or option, add a row to `FACES`.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matrix import assert_close, engine_dtypes, moved, roundings
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import carousel

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

T, B, I, H = 6, 3, 3, 4
ENGINES = [engine for engine, dtype in engine_dtypes() if dtype is torch.float32]

# ONNX's order of the gates, in our letters; "-f" is f with its signs flipped (see test_coupled_gates below).
GATES = {"RNN": ["n"], "LSTM": ["i", "o", "f", "g"], "coupled": ["-f", "o", "f", "g"], "GRU": ["z", "r", "n"]}


def peepholes(*names):
    return (carousel.LSTM, {"peepholes": names}, "LSTM", "LSTM", {})


FACES = {
    "RNN-tanh": (carousel.RNN, {"nonlinearity": "tanh"}, "RNN", "RNN", {"activations": ["Tanh"]}),
    "RNN-relu": (carousel.RNN, {"nonlinearity": "relu"}, "RNN", "RNN", {"activations": ["Relu"]}),
    "RNN-sigmoid": (carousel.RNN, {"nonlinearity": "sigmoid"}, "RNN", "RNN", {"activations": ["Sigmoid"]}),
    "LSTM": peepholes(),
    "LSTM-input": peepholes("input"),
    "LSTM-forget": peepholes("forget"),
    "LSTM-output": peepholes("output"),
    "LSTM-forget-output": peepholes("forget", "output"),
    "LSTM-all": peepholes("input", "forget", "output"),
    "LSTM-coupled": (carousel.LSTM, {"coupled": True}, "LSTM", "coupled", {"input_forget": 1}),
    "LSTM-coupled-all": (
        carousel.LSTM, {"coupled": True, "peepholes": "all"}, "LSTM", "coupled", {"input_forget": 1},
    ),
    "GRU-after": (carousel.GRU, {"reset": "after"}, "GRU", "GRU", {"linear_before_reset": 1}),
    "GRU-before": (carousel.GRU, {"reset": "before"}, "GRU", "GRU", {"linear_before_reset": 0}),
}  # fmt: skip


def as_onnx(layer, gates):
    """A layer's parameters as ONNX's inputs W, R, B and P, one direction on top of another.

    ONNX orders gates its own way, puts both biases in one B, and takes peepholes as one P in the order i, o, f; the
    gates without a peephole have zeros there.
    """
    mine = list(layer.cell.gates)

    def of_gate(name, suffix, gate, *, whole=True):
        sign = -1.0 if gate.startswith("-") else 1.0
        key = f"{name}_l0{suffix}" if whole else f"p_{gate[-1]}_l0{suffix}"
        if key not in dict(layer.named_parameters()):
            return np.zeros(H, np.float32)
        value = layer.get_parameter(key).detach().numpy()
        return sign * (np.split(value, len(mine))[mine.index(gate[-1])] if whole else value)

    def stacked(name, suffix):
        return np.concatenate([of_gate(name, suffix, gate) for gate in gates])

    directions = ["", "_reverse"] if layer.bidirectional else [""]
    inputs = {
        "W": [stacked("weight_ih", d) for d in directions],
        "R": [stacked("weight_hh", d) for d in directions],
        "B": [np.concatenate([stacked("bias_ih", d), stacked("bias_hh", d)]) for d in directions],
    }
    if len(gates) == 4:
        inputs["P"] = [np.concatenate([of_gate("", d, g, whole=False) for g in gates[:3]]) for d in directions]
    return {name: np.stack(value).astype(np.float32) for name, value in inputs.items()}


def onnx_runtime(operator, parameters, x, initial, lengths=None, bidirectional=False, **attributes):
    """Runs one recurrent operator: x (T, B, I) -> output (T, B, D * H), last states (D, B, H)."""
    directions = 2 if bidirectional else 1
    if "activations" in attributes:
        attributes = attributes | {"activations": attributes["activations"] * directions}
    given = {"X": x, **parameters, "initial_h": initial[0]}
    if len(initial) == 2:
        given["initial_c"] = initial[1]
    if lengths is not None:
        given["sequence_lens"] = np.asarray(lengths, np.int32)
    order = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"][: 8 if operator == "LSTM" else 6]
    outputs = ["Y", "Y_h", "Y_c"][: 1 + len(initial)]
    float32, int32 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32
    node = onnx.helper.make_node(
        operator, [name if name in given else "" for name in order], outputs, hidden_size=H,
        direction="bidirectional" if bidirectional else "forward", **attributes,
    )  # fmt: skip
    graph = onnx.helper.make_graph(
        [node],
        "one operator",
        [
            onnx.helper.make_tensor_value_info(name, int32 if value.dtype == np.int32 else float32, value.shape)
            for name, value in given.items()
        ],
        [onnx.helper.make_tensor_value_info(name, float32, [None] * (4 if name == "Y" else 3)) for name in outputs],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    y, *last = (torch.from_numpy(a) for a in session.run(None, given))
    return y.permute(0, 2, 1, 3).reshape(T, B, directions * H), last


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("ragged", [False, True], ids=["whole", "ragged"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both-ways"])
@pytest.mark.parametrize(("face", "options", "operator", "gates", "attributes"), FACES.values(), ids=FACES)
def test_onnx_runtime_agrees(face, options, operator, gates, attributes, bidirectional, ragged, engine):
    layer = moved(face(I, H, bidirectional=bidirectional, engine=engine, **options))
    states = 2 if operator == "LSTM" else 1
    initial = [torch.randn(1 + bidirectional, B, H) for _ in range(states)]
    x = torch.randn(T, B, I)
    lengths = [T - 2, T, 1] if ragged else None
    wanted, wanted_last = onnx_runtime(
        operator, as_onnx(layer, GATES[gates]), x.numpy(), [s.numpy() for s in initial], lengths, bidirectional,
        **attributes,
    )  # fmt: skip

    hx = tuple(initial) if states == 2 else initial[0]
    if ragged:
        output, last = layer(pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False), hx)
        output, _ = pad_packed_sequence(output, total_length=T)
    else:
        output, last = layer(x, hx)
    terms = roundings(T, I, H)
    assert_close(output, wanted, terms=terms, what="output")
    for name, state, expected in zip("hc", last if states == 2 else [last], wanted_last, strict=False):
        assert_close(state, expected, terms=terms, what=name)


@pytest.mark.parametrize("forget", [-1.5, 0.3])
def test_coupled_gates_of_onnx_are_coupled_the_other_way(forget):
    """ONNX's input_forget=1 keeps the input gate and sets f = 1 - i, and never reads the forget gate's own weights.

    Carousel keeps the forget gate and sets i = 1 - f. With a the argument of Carousel's forget gate,
    f = sigmoid(a) = 1 - sigmoid(-a): so ONNX's input gate gets every weight of Carousel's forget gate with its sign
    flipped, matrices, biases and peephole alike.
    """
    zero = {"W": np.zeros((1, 4 * H, I)), "R": np.zeros((1, 4 * H, H)), "P": np.zeros((1, 3 * H))}
    biases = np.zeros((1, 8, H))
    i, o, f, g = range(4)
    biases[0, i], biases[0, o], biases[0, f], biases[0, g] = 0.7, 0.0, forget, 0.4
    parameters = {name: a.astype(np.float32) for name, a in (zero | {"B": biases.reshape(1, -1)}).items()}
    start = [np.zeros((1, B, H), np.float32), np.full((1, B, H), 2.0, np.float32)]
    x = np.zeros((T, B, I), np.float32)
    _, (_, c) = onnx_runtime("LSTM", parameters, x, start, [1] * B, input_forget=1)
    kept = 1 / (1 + np.exp(-0.7))
    wanted = torch.full((1, B, H), (1 - kept) * 2.0 + kept * np.tanh(0.4), dtype=torch.float64)
    assert_close(c, wanted, terms=roundings(1, I, H), dtype=torch.float32, what="c")
