"""A whole layer, any depth and directions, as ONNX nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from carousel.errors import ProgramError
from carousel.export.onnx import standard
from carousel.export.onnx.graph import Graph
from carousel.export.onnx.pools import present_steps
from carousel.export.onnx.scan import Sequence, scan
from carousel.export.onnx.weights import Constants
from carousel.layers import Recurrent, parts
from carousel.layers.stack import stream_rows
from carousel.program import Program, naming


@dataclass(frozen=True)
class Given:
    """What a layer runs over: names of x (T, B, I), of int64 lengths (B) or None, of the states (L * D, B, size)."""

    x: str
    lengths: str | None
    states: list[str]


def run(graph: Graph, layer: Recurrent, given: Given) -> tuple[str, list[str]]:
    """Adds a layer in evaluation mode. Returns the names of the output (T, B, W) and of the last states.

    One of ONNX's own operators where the cell is exactly that and its precision is float32, else a Scan. Raises
    ProgramError for a cell that is not a program.
    """
    program = layer.program
    if not isinstance(program, Program):
        raise ProgramError(f"exporting to ONNX: the step of {program.cell} is not a program: {layer.why_untraced}")
    rewritten = layer.add_ins(training=False).program
    assert isinstance(rewritten, Program)
    dtype = layer.weight_ih_l0.dtype
    operator = standard.operator_of(layer.cell) if rewritten is program and dtype == torch.float32 else None
    if graph.to_be_rounded and operator is not None and operator.name != "LSTM":
        operator = None  # ONNX Runtime would leave its weights as they are
    directions = 2 if layer.bidirectional else 1
    suffixes = list(layer.suffixes())
    (x, others), lasts = _divided(graph, program, layer.sizes, given.x), []
    asked = set(program.parts) & set(rewritten.streams)
    real = present_steps(graph, given.x, given.lengths) if given.lengths and operator is None else None
    for k in range(layer.num_layers):
        here = suffixes[k * directions : (k + 1) * directions]
        arrays = [_arrays(layer, suffix) for suffix in here]
        if operator is not None:
            rows = graph.integers(*range(k * directions, (k + 1) * directions))
            states = [graph.op("Gather", state, rows, axis=0) for state in given.states]
            x, last = standard.run(graph, operator, layer.cell, arrays, x, given.lengths, states)
        else:
            streams = {part: values for part, values in ({program.reads: x} | others).items() if part in asked}
            sequence = Sequence(x, real, streams)
            x, last = _scans(graph, layer, rewritten, arrays, sequence, given.states, k * directions)
        lasts.append(last)
    return x, [
        of_layers[0] if len(of_layers) == 1 else graph.op("Concat", *of_layers, axis=0)
        for of_layers in zip(*lasts, strict=True)
    ]


def _divided(graph: Graph, program: Program, sizes: Mapping[str, int], x: str) -> tuple[str, dict[str, str]]:
    """The part of x that gates read, and the other parts by name; see `layers.parts`."""
    if len(program.parts) < 2:
        return x, {}
    widths = parts.widths(program, sizes)
    found = graph.ops("Split", (x, graph.integers(*widths.values())), tuple(f"x_{part}" for part in widths), axis=2)
    each = dict(zip(widths, found, strict=True))
    return each.pop(program.reads), each


def _scans(
    graph: Graph,
    layer: Recurrent,
    program: Program,
    arrays: list[dict[str, np.ndarray]],
    sequence: Sequence,
    given: list[str],
    first: int,
) -> tuple[str, list[str]]:
    outputs, lasts = [], []
    for d, parameters in enumerate(arrays):
        index = graph.constant(np.array(first + d, np.int64), "index")
        states = [graph.op("Gather", state, index, axis=0) for state in given]
        sizes = layer.sizes | {"input": parameters[naming.W].shape[1]}
        weights = Constants(graph, parameters, sizes)
        (output, *_), last = scan(graph, program, weights, sequence, states, reverse=d == 1)
        outputs.append(output)
        lasts.append([graph.op("Unsqueeze", state, graph.integers(0)) for state in last])
    if len(outputs) == 1:
        return outputs[0], lasts[0]
    both = [graph.op("Concat", *of, axis=0) for of in zip(*lasts, strict=True)]
    return graph.op("Concat", *outputs, axis=2), both


def _arrays(layer: Recurrent, suffix: str) -> dict[str, np.ndarray]:
    """The parameters of one scan and the rows that its regularisers give in evaluation, by name."""
    like = layer.weight_ih_l0.detach().new_empty(1, 1)
    constant = layer.add_ins(training=False).streams(stream_rows(layer, like))
    found = {name: rows[0] for name, rows in constant.items()} | dict(layer.weights_of(suffix))
    return {name: values.detach().cpu().contiguous().numpy() for name, values in found.items()}
