"""One layer and direction of a network as ONNX's Scan, its body the program's ops. It runs any cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from carousel.errors import ProgramError
from carousel.export.onnx.graph import Graph, onnx_package
from carousel.export.onnx.operations import OPERATIONS
from carousel.export.onnx.weights import Weights
from carousel.program import Program, naming, ops
from carousel.program.program import Node


@dataclass(frozen=True)
class Sequence:
    """What a scan runs over: the names of x (T, B, I), and of the (T, B, 1) mask of real steps, None if all are.

    streams: of streams that differ from step to step, (T, B, size); the others stand in the weights.
    """

    x: str
    real: str | None
    streams: Mapping[str, str] = field(default_factory=dict)


def scan(
    graph: Graph, program: Program, weights: Weights, sequence: Sequence, states: list[str], reverse: bool
) -> tuple[list[str], list[str]]:
    """Adds a Scan. states: names of (B, size) each. Returns the names of what the program emits, (T, B, size) each and
    the output first, and of the last states.

    The inputs' part of all gates is one product over all steps, before the Scan. Where a step is not real, the states
    pass over it and the output is 0, so that a sequence in reverse begins at its own last step.
    """
    inputs = _inputs(graph, weights, sequence.x)
    body = Graph(outer=graph)
    held = [body.name(f"{state}_before") for state in program.states]
    row = body.name("inputs_now")
    real = body.name("real_now") if sequence.real else None
    streams = {name: body.name(f"{name}_now") for name in sequence.streams}
    step = _Step(body, program, weights, row, dict(zip(program.states, held, strict=True)), streams)
    values = step.values()
    new = [values[program.outputs[state]] for state in program.states]
    emitted = [values[node] for node in program.emitted]
    if real is not None:
        zero = body.constant(np.zeros(1, weights.dtype))
        new = [body.op("Where", real, after, before) for after, before in zip(new, held, strict=True)]
        emitted = [body.op("Where", real, value, zero, called="output") for value in emitted]
    emitted = [body.op("Identity", value, called="output") for value in emitted]
    after = [body.op("Identity", name, called=f"{s}_after") for s, name in zip(program.states, new, strict=True)]

    widths = [weights.sizes[size] for size in program.states.values()]
    kind, boolean = body.kind(weights.dtype), body.kind(np.bool_)
    rows: list[Row] = [(row, kind, weights.inputs), *([(real, boolean, 1)] if real else [])]
    rows += [(name, kind, None) for name in streams.values()]
    given: list[Row] = [*((name, kind, width) for name, width in zip(held, widths, strict=True)), *rows]
    made: list[Row] = [*((name, kind, width) for name, width in zip(after, widths, strict=True))]
    made += [(name, kind, step.size(node)) for name, node in zip(emitted, program.emitted, strict=True)]
    scanned = [inputs, *([sequence.real] if sequence.real else []), *sequence.streams.values()]
    results = graph.ops(
        "Scan",
        (*states, *scanned),
        (*(f"{s}_last" for s in program.states), *("scanned" for _ in emitted)),
        body=_body(body, given, made),
        num_scan_inputs=len(scanned),
        scan_input_directions=[int(reverse)] * len(scanned),
        scan_output_directions=[int(reverse)] * len(emitted),
    )
    return list(results[len(states) :]), list(results[: len(states)])


def _inputs(graph: Graph, weights: Weights, x: str) -> str:
    product = graph.op("MatMul", x, weights.matrix(naming.W, turned=True))
    return graph.op("Add", product, weights.vector(naming.B)) if weights.has(naming.B) else product


Row = tuple[str, int, int | None]  # name, type, width of rows of a batch


def _body(body: Graph, given: list[Row], made: list[Row]) -> object:
    helper = onnx_package().helper

    def info(row: Row) -> object:
        name, kind, width = row
        return helper.make_tensor_value_info(name, kind, [None, width])

    return helper.make_graph(body.nodes, "step", [*map(info, given)], [*map(info, made)])


class _Step:
    """The nodes of one step."""

    def __init__(
        self,
        body: Graph,
        program: Program,
        weights: Weights,
        row: str,
        states: Mapping[str, str],
        streams: Mapping[str, str],
    ):
        self.body, self.program, self.weights, self.row = body, program, weights, row
        self.states, self.streams = states, streams
        self.hidden = weights.sizes["hidden"]

    def values(self) -> list[str]:
        """The names of the values of all nodes."""
        found: list[str] = []
        for node in self.program.nodes:
            found.append(self._value(node, [found[a] for a in node.args]))
        for index in {*self.program.emitted, *(self.program.outputs[s] for s in self.program.states)}:
            found[index] = self._whole_row(index, found[index])
        return found

    def size(self, index: int) -> int:
        """How many numbers a value of the program has in each row."""
        state = next((s for s in self.program.states if self.program.outputs[s] == index), None)
        size = self.program.nodes[index].size if state is None else self.program.states[state]
        return 1 if size in ("one", "any") else self.weights.sizes[size]

    def _value(self, node: Node, arguments: list[str]) -> str:
        called = "".join(c if c.isalnum() and c.isascii() else "_" for c in node.name)
        if node.op in ops.LEAVES:
            return self._leaf(node)
        if ops.TABLE[node.op].kind == "product":
            return self._product(node, arguments[0])
        if node.op not in OPERATIONS:
            raise ProgramError(
                f"{self.program.cell}: exporting to ONNX needs an ONNX form of every op of its step, and {node.op!r} "
                "has none; run this cell in Python, or train one of rows alone, such as lstm, to export it"
            )
        value = OPERATIONS[node.op](self.body, self._number, *arguments)
        return self.body.op("Identity", value, called=called) if called and value in self.states.values() else value

    def _number(self, value: float) -> str:
        return self.body.constant(np.array([value], self.weights.dtype), "number")

    def _leaf(self, node: Node) -> str:
        gates = self.program.gates
        match node.op:
            case "constant":
                return self._number(node.attr)
            case "per_unit":
                return self._number(1 / self.weights.sizes[node.attr])
            case "state":
                return self.states[node.attr]
            case "input":
                first = self.program.inputs.index(node.attr) * self.hidden
                ends = [self.body.integers(v) for v in (first, first + self.hidden, -1)]
                return self.body.op("Slice", self.row, *ends, called=f"x_{node.attr}")
            case "stream":
                return self.streams.get(node.attr) or self.weights.vector(node.attr)
        name, gate = node.attr if isinstance(node.attr, tuple) else (node.attr, None)
        if gate is None:
            return self.weights.vector(name)
        return self.weights.vector(name, gates.index(gate) * self.hidden, self.hidden)

    def _product(self, node: Node, source: str) -> str:
        weight = self.program.weights[node.attr]
        rows: tuple[int, int | None] = (0, None)
        if weight.gate is not None:
            count = self.weights.sizes[weight.rows]
            rows = weight.gate * count, count
        turned = node.op != "product_transposed"
        value = self.body.op("MatMul", source, self.weights.matrix(weight.parameter, *rows, turned=turned))
        if not turned or weight.bias is None or not self.weights.has(weight.bias):
            return value
        return self.body.op("Add", value, self.weights.vector(weight.bias, *rows))

    def _whole_row(self, index: int, value: str) -> str:
        """A state that is made of vectors or numbers alone has a row for each row of the batch all the same."""
        state = next(iter(self.states.values()))
        rows = self.body.op("Shape", state, start=0, end=1)
        shape = self.body.op("Concat", rows, self.body.integers(self.size(index)), axis=0, called="shape")
        return self.body.op("Expand", value, shape)
