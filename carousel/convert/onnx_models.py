"""From ONNX: `from_onnx` reads the recurrent operators of a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from carousel.convert.onnx_cells import OnnxGRU, OnnxLSTM, OnnxRNN, activations_of
from carousel.errors import CarouselError, DataError
from carousel.layers import GRU, LSTM, RNN, Recurrent

LARGEST = 1 << 31  # bytes of a file; protobuf has no larger ones
MOST_NODES = 100_000
# Of each operator: our gates in ONNX's order, and its usual activations.
OPERATORS = {
    "RNN": ("n", ("tanh",)),
    "GRU": ("zrn", ("sigmoid", "tanh")),
    "LSTM": ("iofg", ("sigmoid", "tanh", "tanh")),
}


def from_onnx(path: str | Path) -> dict[str, Recurrent]:
    """The RNN, LSTM and GRU nodes of an ONNX file as layers with their equations and weights, by the nodes' names.

        layers = carousel.from_onnx("model.onnx")          # {"/rnn/LSTM": LSTM(...), ...}

    Peepholes, input_forget, both values of linear_before_reset, all of ONNX's activations and clip are read; where they
    make another cell than LSTM, GRU or RNN, the layer is a `Recurrent` of it. (An LSTM with both clip and peepholes is
    refused: ONNX Runtime and the specification disagree about it.) A layer is batch_first where the node's
    layout is 1; initial states and lengths are given to its call. A node without a name is called by its output.

    path: the file, of at most 2 GiB. It is read with the package onnx (the extra `onnx`), without further files that it
        names. Nothing in it is run.
    Raises DataError for a file that is none, for weights that are not stored in it or do not fit each other, and for
    direction="reverse" alone; CarouselError where onnx is not installed.
    """
    path = Path(path)
    graph = _graph(path)
    arrays = _Arrays(graph, path)
    found: dict[str, Recurrent] = {}
    for node in graph.node:
        if node.op_type in OPERATORS and node.domain in ("", "ai.onnx"):
            name = node.name or next((output for output in node.output if output), node.op_type)
            while name in found:
                name += "_"
            found[name] = _layer(_Node.of(node, f"reading {path}, {node.op_type} {name}"), arrays)
    if not found:
        raise DataError(f"reading {path}: its main graph has no RNN, LSTM or GRU node")
    return found


def _graph(path: Path) -> Any:
    try:
        import onnx
    except ImportError:
        raise CarouselError("reading an ONNX file needs the package onnx: pip install 'carousel-rnn[onnx]'") from None
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        if (size := os.stat(path).st_size) > LARGEST:
            raise DataError(f"reading {path}: it has {size:,} bytes, and at most {LARGEST:,} are read")
        model = onnx.load(str(path), load_external_data=False)
    except (OSError, DecodeError, ValueError) as error:
        raise DataError(f"reading {path}: it must be an ONNX model, but {error}") from None
    if not model.graph.node:
        raise DataError(f"reading {path}: it must be an ONNX model with nodes, and has none")
    if len(model.graph.node) > MOST_NODES:
        raise DataError(
            f"reading {path}: its graph has {len(model.graph.node):,} nodes, and at most {MOST_NODES:,} are read"
        )
    return model.graph


class _Arrays:
    """The numbers that a graph stores: initializers and constants, by name, unpacked when they are asked for."""

    def __init__(self, graph: Any, path: Path):
        self.path = path
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            values = [a.t for a in node.attribute if node.op_type == "Constant" and a.name == "value"]
            self.tensors |= dict(zip(node.output, values, strict=False))

    def get(self, name: str, what: str, where: str) -> np.ndarray:
        from onnx import TensorProto, numpy_helper

        tensor = self.tensors.get(name)
        if tensor is None:
            raise DataError(
                f"{where}: its {what} must be stored in the file, but {name!r} is computed or given; fold constants "
                "(onnxsim, onnxruntime's optimizer) first"
            )
        if tensor.data_location == TensorProto.EXTERNAL:
            raise DataError(
                f"{where}: its {what} stands in another file, which is not opened; save the model as one file"
            )
        if tensor.data_type not in (TensorProto.FLOAT, TensorProto.DOUBLE):
            raise DataError(f"{where}: its {what} must be of float or double numbers")
        try:
            return np.array(numpy_helper.to_array(tensor))
        except (ValueError, TypeError) as error:
            raise DataError(f"{where}: its {what} is damaged: {error}") from None


@dataclass(frozen=True)
class _Node:
    """An RNN, GRU or LSTM node. where: how an error begins."""

    kind: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    where: str

    @classmethod
    def of(cls, node: Any, where: str) -> _Node:
        from onnx import helper

        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        return cls(node.op_type, tuple(node.input), attributes, where)

    def text(self, name: str, default: str) -> str:
        value = self.attributes.get(name, default)
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

    def input(self, k: int) -> str:
        return self.inputs[k] if k < len(self.inputs) else ""

    @property
    def bidirectional(self) -> bool:
        direction = self.text("direction", "forward")
        if direction not in ("forward", "bidirectional"):
            raise DataError(
                f"{self.where}: its direction must be forward or bidirectional, but is {direction}; turn the input "
                "round yourself, and export the node as forward"
            )
        return direction == "bidirectional"


def _layer(node: _Node, arrays: _Arrays) -> Recurrent:
    weights = _weights(node, arrays)
    gates, usual = OPERATORS[node.kind]
    directions, rows, inputs = weights["W"].shape
    hidden, dtype = rows // len(gates), torch.from_numpy(weights["W"][:0]).dtype
    options: dict[str, Any] = {
        "bias": "B" in weights,
        "bidirectional": directions == 2,
        "batch_first": bool(node.attributes.get("layout", 0)),
        "dtype": dtype,
    }
    activations = _activations(node, usual, directions)
    plain = all(a.clip is None for a in activations) and tuple(a.name for a in activations) == usual
    coupled, peepholes = bool(node.attributes.get("input_forget", 0)), "P" in weights
    after = bool(node.attributes.get("linear_before_reset", 0))
    if peepholes and activations[0].clip is not None:
        raise DataError(
            f"{node.where}: a clip together with peepholes is not read, since ONNX Runtime and the specification "
            "differ there; write a cell with the equations that you mean (carousel.Cell)"
        )
    made: Recurrent
    if node.kind == "RNN" and activations[0].clip is None and activations[0].name in ("tanh", "relu", "sigmoid"):
        made = RNN(inputs, hidden, nonlinearity=activations[0].name, **options)
    elif node.kind == "RNN":
        made = Recurrent(OnnxRNN(activations), inputs, hidden, **options)
    elif node.kind == "GRU" and plain:
        made = GRU(inputs, hidden, reset="after" if after else "before", **options)
    elif node.kind == "GRU":
        made = Recurrent(OnnxGRU(activations, after), inputs, hidden, **options)
    elif plain:
        made = LSTM(inputs, hidden, peepholes="all" if peepholes else (), coupled=coupled, **options)
    else:
        made = Recurrent(OnnxLSTM(activations, coupled, peepholes), inputs, hidden, **options)
    turned = isinstance(made, LSTM) and coupled  # f = 1 - i there, i = 1 - f here: the gate with its signs flipped
    for direction, suffix in enumerate(made.suffixes()):
        _fill(made, suffix, {name: values[direction] for name, values in weights.items()}, gates, turned)
    return made


def _activations(node: _Node, usual: tuple[str, ...], directions: int) -> tuple[Any, ...]:
    """Of one direction; both must have the same."""
    names = [name.decode(errors="replace") for name in node.attributes.get("activations", [])]
    names = names or list(usual) * directions
    if len(names) != len(usual) * directions:
        raise DataError(f"{node.where}: it must have {len(usual) * directions} activations, but has {len(names)}")
    alphas, betas = (list(node.attributes.get(f"activation_{name}", [])) for name in ("alpha", "beta"))
    clip = node.attributes.get("clip")
    found = activations_of(names, alphas, betas, None if not clip else float(clip), node.where)
    first, *others = (found[k * len(usual) : (k + 1) * len(usual)] for k in range(directions))
    if any(other != first for other in others):
        raise DataError(f"{node.where}: its two directions must have the same activations, and have {', '.join(names)}")
    return first


def _weights(node: _Node, arrays: _Arrays) -> dict[str, np.ndarray]:
    """W, R, and where there are some B and P, of shapes that fit each other."""
    count, directions = len(OPERATORS[node.kind][0]), 2 if node.bidirectional else 1
    found = {what: arrays.get(node.input(k), what, node.where) for k, what in ((1, "W"), (2, "R"))}
    for k, what in ((3, "B"), (7, "P")):
        if node.input(k) and (what == "B" or node.kind == "LSTM"):
            found[what] = arrays.get(node.input(k), what, node.where)
    shape = found["R"].shape
    hidden = shape[2] if len(shape) == 3 else 0
    inputs = found["W"].shape[2] if found["W"].ndim == 3 else 0
    wanted = {
        "W": (directions, count * hidden, inputs),
        "R": (directions, count * hidden, hidden),
        "B": (directions, 2 * count * hidden),
        "P": (directions, 3 * hidden),
    }
    for what, values in found.items():
        if values.shape != wanted[what] or not values.size or values.dtype != found["W"].dtype:
            raise DataError(f"{node.where}: its {what} must be of the shape {wanted[what]}, but is {values.shape}")
    return found


def _fill(layer: Recurrent, suffix: str, weights: Mapping[str, np.ndarray], gates: str, turned: bool) -> None:
    def blocks(values: np.ndarray, names: str) -> dict[str, np.ndarray]:
        of = dict(zip(names, np.split(values, len(names)), strict=True))
        return of | {"f": -of["i"]} if turned and "i" in of else of

    ours = {"weight_ih": blocks(weights["W"], gates), "weight_hh": blocks(weights["R"], gates)}
    if "B" in weights:
        both = np.split(weights["B"], 2)
        ours |= {name: blocks(half, gates) for name, half in zip(("bias_ih", "bias_hh"), both, strict=True)}
    values = {name: np.concatenate([of[gate] for gate in layer.cell.gates]) for name, of in ours.items()}
    if "P" in weights:
        vectors = {f"p_{gate}": row for gate, row in blocks(weights["P"], "iof").items()}
        values |= {name: row for name, row in vectors.items() if name in layer.cell.vectors}
    with torch.no_grad():
        for name, array in values.items():
            layer.get_parameter(name + suffix).copy_(torch.from_numpy(np.ascontiguousarray(array)))
