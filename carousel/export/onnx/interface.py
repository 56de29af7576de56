"""What a model reads and gives, by name: from the graph of a network to the whole file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import carousel
from carousel.export.onnx import layer as whole_layer
from carousel.export.onnx.graph import IR_VERSION, OPSET, Graph, onnx_package
from carousel.layers import Recurrent

Shape = Sequence[int | str]  # a free number has a name


@dataclass
class OnnxModel:
    """Adds the inputs and outputs of a model to its graph, in the order in which they are named."""

    graph: Graph = field(default_factory=Graph)
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)

    def reads(self, name: str, dtype: Any, shape: Shape) -> str:
        """An input of the model."""
        self.inputs.append(_info(self.graph.name(name), dtype, shape))
        return name

    def gives(self, value: str, name: str, dtype: Any, shape: Shape) -> None:
        """Makes a value an output of the model, under a name that was reserved (`Graph.reserve`)."""
        self.graph.give(value, name)
        self.outputs.append(_info(name, dtype, shape))

    def model(self, title: str, equations: str) -> Any:
        """The onnx.ModelProto of all that was added."""
        onnx = onnx_package()
        made = onnx.helper.make_graph(self.graph.nodes, title, self.inputs, self.outputs, self.graph.constants)
        model = onnx.helper.make_model(
            made,
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="carousel",
            producer_version=carousel.__version__,
            doc_string=equations,
        )
        onnx.checker.check_model(model)
        return model


def reads_states(interface: OnnxModel, layer: Recurrent) -> list[str]:
    """An input for each state of a layer, (L * D, B, size), by its name."""
    return [interface.reads(name, numpy_dtype(layer), shape) for name, shape in state_shapes(layer).items()]


def gives_states(interface: OnnxModel, layer: Recurrent, last: Sequence[str]) -> None:
    """An output for each last state, h_n for h."""
    for value, (name, shape) in zip(last, state_shapes(layer).items(), strict=True):
        interface.gives(value, f"{name}_n", numpy_dtype(layer), shape)


def state_shapes(layer: Recurrent) -> Mapping[str, Shape]:
    scans = len(list(layer.suffixes()))
    return {state: [scans, "batch", layer.sizes[size]] for state, size in layer.program.states.items()}


def own_states(graph: Graph, layer: Recurrent, x: str) -> list[str]:
    """The layer's own initial states for as many rows as x (T, B, I) has."""
    batch = graph.op("Shape", x, start=1, end=2)
    names = []
    with torch.no_grad():
        fresh = layer.fresh_states(1)
    for state in fresh:
        values = state.detach().cpu().contiguous().numpy()
        scans, _, size = values.shape
        shape = graph.op("Concat", graph.integers(scans), batch, graph.integers(size), axis=0)
        names.append(graph.op("Expand", graph.constant(values, "initial"), shape))
    return names


def scanned(
    graph: Graph, layer: Recurrent, x: str, lengths: str | None, states: list[str] | None = None
) -> tuple[str, list[str]]:
    """A layer over x (T, B, I): its output (T, B, W) and last states; states None: from the layer's own."""
    given = own_states(graph, layer, x) if states is None else states
    return whole_layer.run(graph, layer, whole_layer.Given(x, lengths, given))


def numpy_dtype(layer: Recurrent) -> np.dtype:
    return layer.weight_ih_l0.detach().cpu().numpy().dtype


def _info(name: str, dtype: Any, shape: Shape) -> Any:
    helper = onnx_package().helper
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))
