"""For torch.onnx.export of a model that holds layers of Carousel: what a scan of a graph is in ONNX."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from carousel.engines import onnx_table
from carousel.engines.operator import program_of
from carousel.engines.parameters import parameters_of
from carousel.errors import CarouselError
from carousel.export.onnx.graph import OPSET, Graph, onnx_package
from carousel.export.onnx.scan import Sequence as Scanned
from carousel.export.onnx.scan import scan
from carousel.export.onnx.segments import FIELDS, cut
from carousel.export.onnx.weights import Values
from carousel.program import Program

DOMAIN = "carousel"


def onnx_translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """What `torch.onnx.export` needs to know of Carousel's layers, for any model that holds some.

        torch.onnx.export(
            model, (x,), "model.onnx", dynamo=True, dynamic_shapes=({0: "steps", 1: "batch"},),
            custom_translation_table=carousel.export.onnx_translations(),
        )

    Each scan of a layer becomes a function of the model with ONNX's Scan inside, for any number of steps and rows,
    and for lengths. The layers must run on the native engine ("native" or "auto"), which puts one operator for a scan
    into the graph; on the reference engine its steps are written out, as many as the example has.

    Raises CarouselError where onnx or onnxscript is not installed (the extra `onnx`).
    """
    onnx_package()
    try:
        import onnxscript  # noqa: F401 -- the exporter of torch is written in it
    except ImportError:
        raise CarouselError(
            "torch.onnx.export needs the package onnxscript: pip install 'carousel-rnn[onnx]'"
        ) from None
    onnx_table.was_made()
    operators = torch.ops.carousel
    return {operators.scan.default: _scan, operators.cut.default: _cut, operators.within.default: _within}


class _Several(list[Any]):
    """The values of one list among the results of an operator; the exporter gives a name to each result."""

    name = ""

    def producer(self) -> None:
        return None


def _scan(
    x: Any,
    states: Sequence[Any],
    parameters: Sequence[Any],
    streams: Sequence[Any] | None,
    batch_sizes: Any,
    program: str,
    reverse: bool,
    bfloat16: bool,
    keep: bool,
) -> list[Any]:
    """The operator `carousel::scan` as a call of a function; see `carousel.engines.operator`."""
    import onnx_ir as ir

    if bfloat16:
        raise CarouselError(
            "exporting to ONNX: there is no ONNX form of a scan in bfloat16; export the model in float32"
        )
    del keep  # what backward would need is not there
    meaning = program_of(program)
    named = dict(zip(_parameters_given(meaning, len(parameters)), parameters, strict=True))
    widths = [int(state.shape[-1]) for state in states]
    shapes = {name: tuple(map(int, value.shape)) for name, value in named.items()}
    dtype = np.dtype(x.dtype.numpy())
    key = repr((program, widths, shapes, str(dtype), reverse))
    name = f"{meaning.cell}_{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    proto = _function(
        name, meaning, list(named), dict(zip(meaning.states, widths, strict=True)), shapes, dtype, reverse
    )

    outputs = _called(proto, [x, *states, *parameters, *(streams or []), batch_sizes])
    emitted = len(meaning.emitted)
    for value, like in zip(outputs, [*[x] * emitted, *states], strict=False):
        value.type = ir.TensorType(x.dtype)
        value.shape = ir.Shape([like.shape[0], None]) if like is x else like.shape
    return [_Several(outputs[:emitted]), _Several(outputs[emitted:-1]), outputs[-1]]


def _cut(mask: Any, reset: Any, most: str) -> list[Any]:
    """The operator `carousel::cut`: see `carousel.layers.segments`."""
    graph = Graph()
    given = [graph.name("mask"), graph.name("reset")]
    outputs = [graph.name(field) for field in FIELDS]
    for value, output in zip(cut(graph, given[0], given[1], most), outputs, strict=True):
        graph.give(value, output)
    return _called(_function_of(f"cut_by_{most}", graph, given, outputs), [mask, reset])


def _within(lengths: Any, real: Any, layer: str) -> Any:
    """The operator `carousel::within`: lengths beyond the steps are taken for all steps."""
    import onnx_ir as ir
    from onnxscript import evaluator

    del real, layer
    node = ir.Node("", "Identity", [lengths])
    recorder: Any = evaluator.default()
    recorder.nodes.append(node)
    return node.outputs[0]


def _called(proto: Any, inputs: list[Any]) -> list[Any]:
    """The results of a function, which is added to the model with its call."""
    import onnx_ir as ir
    from onnxscript import evaluator

    recorder: Any = evaluator.default()  # the exporter's own, which has nodes and functions
    recorder.functions[proto.domain, proto.name, ""] = ir.serde.deserialize_function(proto)
    node = ir.Node(proto.domain, proto.name, inputs, num_outputs=len(proto.output), version=1)
    recorder.nodes.append(node)
    return list(node.outputs)


def _function_of(name: str, graph: Graph, inputs: list[str], outputs: list[str]) -> Any:
    """A function of the model. Functions have no initializers: their constants are nodes."""
    helper = onnx_package().helper
    constants = [helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in graph.constants]
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_function(DOMAIN, name, inputs, outputs, [*constants, *graph.nodes], opset)


def _parameters_given(program: Program, count: int) -> list[str]:
    """The names of the parameters; bias_ih is left out of a scan without."""
    names = list(parameters_of(program))
    return names if len(names) == count else [name for name in names if name != "bias_ih"]


def _function(
    name: str,
    program: Program,
    parameters: list[str],
    widths: dict[str, int],
    shapes: dict[str, tuple[int, ...]],
    dtype: np.dtype,
    reverse: bool,
) -> Any:
    """A scan of packed rows, as the operator has it: steps one behind another, of each the rows that still go on.

    They are laid out as (T, B), scanned where they are real, and packed again. Rows beyond the last step give 0.
    """
    graph = Graph()
    rows, sizes = graph.name("rows"), graph.name("batch_sizes")
    states = [graph.name(f"{state}_first") for state in program.states]
    given = {parameter: graph.name(parameter) for parameter in parameters}
    streams = {stream: graph.name(f"stream_{stream}") for stream in program.streams}

    batch = graph.op("Shape", states[0], start=0, end=1)
    zero, one = (graph.constant(np.array(v, np.int64), "number") for v in (0, 1))
    lane = graph.op("Range", zero, graph.op("Squeeze", batch, graph.integers(0)), one)
    first = graph.op("Unsqueeze", graph.op("CumSum", sizes, zero, exclusive=1), graph.integers(1))
    real = graph.op("Less", lane, graph.op("Unsqueeze", sizes, graph.integers(1)))  # (T, B)
    place = graph.op("Where", real, graph.op("Add", first, lane), zero)

    def laid_out(values: str) -> str:
        return graph.op("Gather", values, place, axis=0)

    mask = graph.op("Unsqueeze", real, graph.integers(2))
    hidden = shapes["weight_ih"][0] // len(program.inputs)
    by_size = {program.states[state]: width for state, width in widths.items()} | {"hidden": hidden}
    weights = Values(graph, given, by_size, shapes["weight_ih"][0], dtype.type)
    sequence = Scanned(laid_out(rows), mask, {stream: laid_out(values) for stream, values in streams.items()})
    emitted, last = scan(graph, program, weights, sequence, states, reverse)

    flat = graph.op("Reshape", real, graph.integers(-1))
    where = graph.op("Compress", graph.op("Reshape", place, graph.integers(-1)), flat, axis=0)
    where = graph.op("Unsqueeze", where, graph.integers(1))
    outputs = [graph.name(f"emitted_{k}") for k in range(len(emitted))]
    for value, output in zip(emitted, outputs, strict=True):
        width = graph.op("Shape", value, start=2, end=3)
        lines = graph.op("Reshape", value, graph.op("Concat", graph.integers(-1), width, axis=0))
        whole = graph.op("Concat", graph.op("Shape", rows, start=0, end=1), width, axis=0)
        empty = graph.op("Expand", graph.constant(np.zeros(1, dtype), "zero"), whole)
        packed = graph.op("ScatterND", empty, where, graph.op("Compress", lines, flat, axis=0))
        graph.give(packed, output)
    outputs += [graph.name(f"{state}_after_all") for state in program.states]
    for value, output in zip(last, outputs[len(emitted) :], strict=True):
        graph.give(value, output)
    outputs.append(graph.name("nothing_kept"))
    graph.give(graph.constant(np.zeros(0, dtype), "empty"), outputs[-1])
    inputs = [rows, *states, *given.values(), *streams.values(), sizes]
    return _function_of(name, graph, inputs, outputs)
