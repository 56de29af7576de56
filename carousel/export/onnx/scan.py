"""One layer and direction of a network as ONNX's Scan, its body the program's ops. It runs any cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from carousel.errors import ProgramError
from carousel.export.onnx.graph import Graph, onnx_package
from carousel.export.onnx.operations import OPERATIONS
from carousel.program import Program, naming, ops
from carousel.program.program import Node


@dataclass(frozen=True)
class Sequence:
    """What a scan runs over: the names of x (T, B, I), and of the (T, B, 1) mask of real steps, None if all are."""

    x: str
    real: str | None


@dataclass(frozen=True)
class Weights:
    """The numbers of one scan. arrays: parameter, as engines call it, or stream -> values."""

    arrays: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]
    dtype: type[np.floating]


def scan(
    graph: Graph, program: Program, weights: Weights, sequence: Sequence, states: list[str], reverse: bool
) -> tuple[str, list[str]]:
    """Adds a Scan. states: names of (B, size) each. Returns the names of the output (T, B, size) and the last states.

    The inputs' part of all gates is one product over all steps, before the Scan. Where a step is not real, the states
    pass over it and the output is 0, so that a sequence in reverse begins at its own last step.
    """
    inputs = _inputs(graph, weights, sequence.x)
    body = Graph(outer=graph)
    held = [body.name(f"{state}_before") for state in program.states]
    row = body.name("inputs_now")
    real = body.name("real_now") if sequence.real else None
    values = _Step(body, program, weights, row, dict(zip(program.states, held, strict=True))).values()
    new = [values[program.outputs[state]] for state in program.states]
    if real is not None:
        new = [body.op("Where", real, after, before) for after, before in zip(new, held, strict=True)]
        output = body.op("Where", real, new[0], body.constant(np.zeros(1, weights.dtype)), called="output")
    else:
        output = body.op("Identity", new[0], called="output")
    after = [body.op("Identity", name, called=f"{s}_after") for s, name in zip(program.states, new, strict=True)]
    scanned = [inputs, *([sequence.real] if sequence.real else [])]
    results = graph.ops(
        "Scan",
        (*states, *scanned),
        (*(f"{s}_last" for s in program.states), "scanned"),
        body=_body(body, program, weights, held, [row, *([real] if real else [])], after, output),
        num_scan_inputs=len(scanned),
        scan_input_directions=[int(reverse)] * len(scanned),
        scan_output_directions=[int(reverse)],
    )
    return results[-1], list(results[:-1])


def _inputs(graph: Graph, weights: Weights, x: str) -> str:
    product = graph.op("MatMul", x, graph.constant(np.ascontiguousarray(weights.arrays[naming.W].T), naming.W))
    bias = weights.arrays.get(naming.B)
    return product if bias is None else graph.op("Add", product, graph.constant(bias, naming.B))


def _body(
    body: Graph, program: Program, weights: Weights, held: list[str], rows: list[str], after: list[str], output: str
) -> object:
    onnx = onnx_package()
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(weights.dtype))
    info = onnx.helper.make_tensor_value_info
    widths = [weights.sizes[size] for size in program.states.values()]
    given = [info(name, kind, [None, width]) for name, width in zip(held, widths, strict=True)]
    given.append(info(rows[0], kind, [None, len(weights.arrays[naming.W])]))
    given += [info(name, onnx.TensorProto.BOOL, [None, 1]) for name in rows[1:]]
    made = [info(name, kind, [None, width]) for name, width in zip(after, widths, strict=True)]
    made.append(info(output, kind, [None, widths[0]]))
    return onnx.helper.make_graph(body.nodes, "step", given, made)


class _Step:
    """The nodes of one step."""

    def __init__(self, body: Graph, program: Program, weights: Weights, row: str, states: Mapping[str, str]):
        self.body, self.program, self.weights, self.row, self.states = body, program, weights, row, states
        self.hidden = weights.sizes["hidden"]

    def values(self) -> list[str]:
        """The names of the values of all nodes."""
        found: list[str] = []
        for node in self.program.nodes:
            found.append(self._value(node, [found[a] for a in node.args]))
        for index in (self.program.outputs[s] for s in self.program.states):
            found[index] = self._whole_row(index, found[index])
        return found

    def _value(self, node: Node, arguments: list[str]) -> str:
        called = "".join(c if c.isalnum() and c.isascii() else "_" for c in node.name)
        if node.op in ops.LEAVES:
            return self._leaf(node)
        if ops.TABLE[node.op].kind == "product":
            return self._product(node, arguments[0])
        if node.op not in OPERATIONS:
            raise ProgramError(
                f"{self.program.cell}: exporting to ONNX needs an ONNX form of every op of its step, and {node.op!r} "
                "has none"
            )
        value = OPERATIONS[node.op](self.body, self._number, *arguments)
        return self.body.op("Identity", value, called=called) if called and value in self.states.values() else value

    def _number(self, value: float) -> str:
        return self.body.constant(np.array([value], self.weights.dtype), "number")

    def _array(self, values: np.ndarray, called: str) -> str:
        return self.body.constant(np.ascontiguousarray(values), called)

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
                return self._array(self.weights.arrays[node.attr], node.attr)
        name, gate = node.attr if isinstance(node.attr, tuple) else (node.attr, None)
        values = self.weights.arrays[name]
        if gate is not None:
            values = values[gates.index(gate) * self.hidden :][: self.hidden]
        return self._array(values, name)

    def _product(self, node: Node, source: str) -> str:
        weight = self.program.weights[node.attr]
        rows = slice(None)
        if weight.gate is not None:
            count = self.weights.sizes[weight.rows]
            rows = slice(weight.gate * count, (weight.gate + 1) * count)
        matrix = self.weights.arrays[weight.parameter][rows]
        if node.op == "product_transposed":
            return self.body.op("MatMul", source, self._array(matrix, f"{node.attr}_transposed"))
        value = self.body.op("MatMul", source, self._array(matrix.T, node.attr))
        if weight.bias is None or weight.bias not in self.weights.arrays:
            return value
        return self.body.op(
            "Add", value, self._array(self.weights.arrays[weight.bias][rows], f"{weight.bias}_{node.attr}")
        )

    def _whole_row(self, index: int, value: str) -> str:
        """A state that is made of vectors or numbers alone has a row for each row of the batch all the same."""
        state = next(iter(self.states.values()))
        size = self.weights.sizes[next(s for n, s in self.program.states.items() if self.program.outputs[n] == index)]
        shape = self.body.op(
            "Concat", self.body.op("Shape", state, start=0, end=1), self.body.integers(size), axis=0, called="shape"
        )
        return self.body.op("Expand", value, shape)
