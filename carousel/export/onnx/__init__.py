"""Layers as ONNX models, checked in ONNX Runtime before the file is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import carousel
from carousel.errors import CarouselError
from carousel.export.onnx import layer as whole_layer
from carousel.export.onnx.graph import IR_VERSION, OPSET, Graph, onnx_package
from carousel.files import write_atomically
from carousel.layers import Recurrent

CHECKED = (7, 3)  # steps and rows of the input that the check runs


def to_onnx(layer: Recurrent, path: str | Path, *, lengths: bool = False, states: bool = True) -> Path:
    """Writes a layer of any cell as an ONNX model, in evaluation mode; the numbers of steps and rows are free.

        carousel.export.to_onnx(carousel.GRU(8, 32, num_layers=2), "gru.onnx", lengths=True)

    The model reads `input` (T, B, I), or (B, T, I) of a batch_first layer; with lengths=True `lengths`, int64 (B), how
    many steps of each row are real; with states=True each initial state by its name, (L * D, B, size). It gives
    `output` and each last state as `h_n`, as the layer's call does. Without states the sequences begin with the layer's
    own initial state.
    A cell that is exactly ONNX's LSTM, GRU or RNN becomes that operator in float32; any other cell, and float64,
    becomes a Scan with the cell's ops inside.

    Before the file is written, ONNX Runtime computes an example, which must agree with the layer. Raises ProgramError
    for a cell that is not a program; CarouselError where onnx or onnxruntime is not installed, or where the example
    differs. No file is written then.
    """
    model = model_of(layer, lengths=lengths, states=states)
    check(model, layer, lengths, states)
    path = Path(path)
    write_atomically(path, model.SerializeToString())
    return path


def model_of(layer: Recurrent, *, lengths: bool = False, states: bool = True) -> Any:
    """The onnx.ModelProto of `to_onnx`, not yet checked. Raises TypeError for what is not a `Recurrent`."""
    if not isinstance(layer, Recurrent):
        raise TypeError(f"exporting to ONNX: give a carousel.Recurrent (or LSTM, GRU, RNN), not {type(layer).__name__}")
    onnx = onnx_package()
    graph, info = Graph(), onnx.helper.make_tensor_value_info
    dtype = layer.weight_ih_l0.detach().cpu().numpy().dtype
    kind = onnx.helper.np_dtype_to_tensor_dtype(dtype)
    axes = ["batch", "steps"] if layer.batch_first else ["steps", "batch"]
    names = list(layer.program.states)
    graph.reserve("output", *(f"{state}_n" for state in names))
    inputs = [info(graph.name("input"), kind, [*axes, layer.input_size])]
    if lengths:
        inputs.append(info(graph.name("lengths"), onnx.TensorProto.INT64, ["batch"]))
    scans = len(list(layer.suffixes()))
    shapes = {state: [scans, "batch", layer.sizes[size]] for state, size in layer.program.states.items()}
    x = graph.op("Transpose", "input", perm=[1, 0, 2]) if layer.batch_first else "input"
    if states:
        given = [graph.name(state) for state in names]
        inputs += [info(name, kind, shapes[name]) for name in given]
    else:
        given = _own_states(graph, layer, x)
    output, last = whole_layer.run(graph, layer, whole_layer.Given(x, "lengths" if lengths else None, given))
    width = layer.sizes[layer.program.states[names[0]]] * (2 if layer.bidirectional else 1)
    if layer.batch_first:
        output = graph.op("Transpose", output, perm=[1, 0, 2])
    results = {"output": output} | {f"{state}_n": value for state, value in zip(names, last, strict=True)}
    for name, value in results.items():
        graph.give(value, name)
    outputs = [info("output", kind, [*axes, width]), *(info(f"{state}_n", kind, shapes[state]) for state in names)]
    made = onnx.helper.make_graph(graph.nodes, type(layer).__name__, inputs, outputs, graph.constants)
    model = onnx.helper.make_model(
        made,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="carousel",
        producer_version=carousel.__version__,
        doc_string=str(layer.program),
    )
    onnx.checker.check_model(model)
    return model


def _own_states(graph: Graph, layer: Recurrent, x: str) -> list[str]:
    """The layer's own initial states for as many rows as x has."""
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


def check(model: Any, layer: Recurrent, lengths: bool, states: bool) -> None:
    """Runs an example in ONNX Runtime and in the layer. Raises CarouselError where they differ."""
    try:
        import onnxruntime
    except ImportError:
        raise CarouselError(
            "exporting to ONNX checks the model in the package onnxruntime: pip install 'carousel-rnn[onnx]'"
        ) from None
    generator = torch.Generator().manual_seed(0)
    steps, batch = CHECKED
    like = layer.weight_ih_l0.detach().cpu()
    shape = (batch, steps) if layer.batch_first else (steps, batch)
    x = torch.randn(*shape, layer.input_size, generator=generator, dtype=torch.float64).to(like.dtype)
    hx = tuple(0.1 + 0.1 * torch.rand(s, generator=generator).to(like.dtype) for s in layer.expected_states(batch))
    counts = torch.tensor([steps, 0, steps // 2])
    given = {"input": x.numpy()} | ({"lengths": counts.numpy()} if lengths else {})
    given |= {n: s.numpy() for n, s in zip(layer.program.states, hx, strict=True)} if states else {}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = session.run(None, given)
    was_training = layer.training
    layer.eval()
    try:
        with torch.no_grad():
            device = layer.weight_ih_l0.device
            start = tuple(s.to(device) for s in hx) if states else None
            one = start[0] if start is not None and len(start) == 1 else start
            output, last = layer(x.to(device), one, **({"lengths": counts} if lengths else {}))
    finally:
        layer.train(was_training)
    wanted = [output, *((last,) if isinstance(last, Tensor) else last)]
    allowed = 1e5 * torch.finfo(like.dtype).eps
    for name, there, here in zip(["output", *layer.program.states], found, wanted, strict=True):
        largest = max(1.0, float(here.abs().max())) if here.numel() else 1.0
        apart = float(np.abs(there - here.cpu().numpy()).max()) if here.numel() else 0.0
        if not apart <= allowed * largest:
            raise CarouselError(
                f"exporting to ONNX: on an example ONNX Runtime's {name} differs by {apart:.2g} from the layer's, "
                f"where {allowed * largest:.2g} is allowed; no file was written. Please report the cell"
            )
