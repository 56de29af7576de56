"""Other makers' recurrent layers, from a layer of torch.nn: what `cpu.py` times beside Carousel.

A maker takes the layer, an input (T, B, I) and the gradient of the output; it gives a function that runs the layer
once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Run = Callable[[], tuple[torch.Tensor, ...]]


def kind_of(layer: torch.nn.RNNBase) -> str:
    return layer.mode.split("_")[0]


def openvino_model(layer: torch.nn.RNNBase, x: torch.Tensor, _: torch.Tensor) -> Run:
    """The layer in OpenVINO, from the same ONNX model."""
    import openvino

    model = openvino.Core().read_model(onnx_model(layer, x).SerializeToString())
    threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
    ready = openvino.Core().compile_model(model, "CPU", threads)
    given = x.detach().numpy()
    return lambda: (torch.from_numpy(ready([given])[0].copy()[:, 0]),)


def keras_layer(layer: torch.nn.RNNBase, x: torch.Tensor, _: torch.Tensor) -> Run:
    """The layer in Keras on torch."""
    import os

    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    order = {"LSTM": [0, 1, 2, 3], "GRU": [1, 0, 2], "RNN": [0]}[kind_of(layer)]  # Keras' order of ours

    def ordered(p: torch.Tensor) -> torch.Tensor:
        blocks = p.detach().chunk(len(order))
        return torch.cat([blocks[g] for g in order])

    made = {"LSTM": keras.layers.LSTM, "GRU": keras.layers.GRU, "RNN": keras.layers.SimpleRNN}[kind_of(layer)]
    theirs = made(layer.hidden_size, return_sequences=True)
    given = x.detach().transpose(0, 1).contiguous()
    theirs.build(tuple(given.shape))
    biases = ordered(layer.bias_ih_l0), ordered(layer.bias_hh_l0)
    bias = torch.stack(biases) if kind_of(layer) == "GRU" else sum(biases)
    weights = ordered(layer.weight_ih_l0).t(), ordered(layer.weight_hh_l0).t(), bias
    theirs.set_weights([w.numpy() for w in weights])

    def run() -> tuple[torch.Tensor, ...]:
        with torch.no_grad():
            return (theirs(given).transpose(0, 1),)

    return run


def jax_loop(layer: torch.nn.RNNBase, x: torch.Tensor, upstream: torch.Tensor) -> Run:
    """The layer in JAX: lax.scan over the step, the input products of all steps at once, compiled."""
    import jax
    from jax import lax
    from jax import numpy as jnp

    kind, hidden = kind_of(layer), layer.hidden_size
    sigmoid = jax.nn.sigmoid

    def step(U, b, carry, a):
        h, c = carry
        u = h @ U.T + b
        if kind == "RNN":
            h = jnp.tanh(a + u)
        elif kind == "GRU":
            (xr, xz, xn), (ur, uz, un) = jnp.split(a, 3, -1), jnp.split(u, 3, -1)
            z, n = sigmoid(xz + uz), jnp.tanh(xn + sigmoid(xr + ur) * un)
            h = (1 - z) * n + z * h
        else:
            i, f, g, o = jnp.split(a + u, 4, -1)
            c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
            h = sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def forward(x, W, U, b_W, b_U):
        zero = jnp.zeros((x.shape[1], hidden), x.dtype)
        return lax.scan(lambda carry, a: step(U, b_U, carry, a), (zero, zero), x @ W.T + b_W)[1]

    def train(*arguments):
        output, pull_back = jax.vjp(forward, *arguments)
        return output, *pull_back(g)

    names = "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"
    given = [jnp.asarray(t.detach().numpy()) for t in (x, *(getattr(layer, name) for name in names))]
    g = jnp.asarray(upstream.numpy())
    run = jax.jit(train if x.requires_grad else lambda *arguments: (forward(*arguments),))
    # Its numbers are read as they lie: copying them would count against it.
    return lambda: tuple(torch.from_dlpack(t) for t in jax.block_until_ready(run(*given)))


def onnx_model(layer: torch.nn.RNNBase, x: torch.Tensor):
    """The layer as a model of one of ONNX's own recurrent operators."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    gates = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}[kind_of(layer)]  # ONNX's order of ours

    def ordered(p: torch.Tensor) -> np.ndarray:
        blocks = p.detach().chunk(len(gates))
        return torch.cat([blocks[g] for g in gates]).numpy()[None]

    bias = np.concatenate([ordered(layer.bias_ih_l0), ordered(layer.bias_hh_l0)], -1)
    weights = {"W": ordered(layer.weight_ih_l0), "R": ordered(layer.weight_hh_l0), "B": bias}
    kind = kind_of(layer)
    extra = {"linear_before_reset": 1} if kind == "GRU" else {}
    node = helper.make_node(kind, ["X", "W", "R", "B"], ["Y"], hidden_size=layer.hidden_size, **extra)
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, list(x.shape))],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [x.shape[0], 1, x.shape[1], layer.hidden_size])],
        [numpy_helper.from_array(array, key) for key, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def onnx_session(layer: torch.nn.RNNBase, x: torch.Tensor, _: torch.Tensor) -> Run:
    """The layer in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # or it takes the cores from the others
    session = onnxruntime.InferenceSession(
        onnx_model(layer, x).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    given = {"X": x.detach().numpy()}
    return lambda: (torch.from_numpy(session.run(None, given)[0][:, 0]),)


FORWARD = {"ONNX Runtime": onnx_session, "OpenVINO": openvino_model, "Keras": keras_layer, "JAX": jax_loop}
TRAINING = {"JAX": jax_loop}
