"""ONNX's own recurrent operators: LSTM, GRU and RNN, for the cells that are exactly theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from carousel.cells import Cell
from carousel.cells.gru import GRU
from carousel.cells.lstm import LSTM
from carousel.cells.rnn import RNN
from carousel.export.onnx.graph import Graph
from carousel.program import naming


@dataclass(frozen=True)
class Operator:
    """name, attributes: of the ONNX node. gates: ONNX's order, in the cell's letters; "-f" is f with its sign flipped.

    ONNX's input_forget keeps the input gate and sets f = 1 - i. With i = sigmoid(-a), where a is the argument of our
    forget gate, that is f = sigmoid(a) and i = 1 - f, as the coupled cell has it.
    """

    name: str
    gates: tuple[str, ...]
    attributes: Mapping[str, Any]


def operator_of(cell: Cell) -> Operator | None:
    """The standard operator that computes a cell; None if there is none."""
    if type(cell) is LSTM and not cell.projection:
        if cell.coupled:
            return Operator("LSTM", ("-f", "o", "f", "g"), {"input_forget": 1})
        return Operator("LSTM", ("i", "o", "f", "g"), {})
    if type(cell) is GRU:
        return Operator("GRU", ("z", "r", "n"), {"linear_before_reset": int(cell.reset == "after")})
    if type(cell) is RNN:
        return Operator("RNN", ("n",), {"activations": [cell.nonlinearity.capitalize()]})
    return None


def run(
    graph: Graph,
    operator: Operator,
    cell: Cell,
    directions: Sequence[Mapping[str, np.ndarray]],
    x: str,
    lengths: str | None,
    states: list[str],
) -> tuple[str, list[str]]:
    """Adds the operator for one layer. directions: the parameters of each. states: (directions, B, H) each.

    Returns the names of the output (T, B, directions * H) and of the last states, as they were given.
    """
    hidden = directions[0][naming.U].shape[1]
    weights = [
        _stacked(operator, cell, directions, naming.W),
        _stacked(operator, cell, directions, naming.U),
    ]
    biases = np.concatenate(
        [_stacked(operator, cell, directions, naming.B), _stacked(operator, cell, directions, naming.C)], 1
    )
    given = [x, *(graph.constant(w, "weights") for w in weights), graph.constant(biases, "biases")]
    given += [graph.op("Cast", lengths, to=6) if lengths else "", *states]  # 6: int32
    if isinstance(cell, LSTM) and cell.peepholes:
        given.append(graph.constant(_peepholes(operator, directions, hidden), "peepholes"))
    attributes = dict(operator.attributes)
    if "activations" in attributes:
        attributes["activations"] = attributes["activations"] * len(directions)
    y, *last = graph.ops(
        operator.name,
        tuple(given),
        ("scanned", *(f"{s}_last" for s in cell.states)),
        hidden_size=hidden,
        direction="bidirectional" if len(directions) == 2 else "forward",
        **attributes,
    )
    if lengths:  # runtimes give 0 as the last state of a sequence without steps
        some = graph.op("Unsqueeze", graph.op("Greater", lengths, graph.integers(0)), graph.integers(0, 2))
        last = [graph.op("Where", some, now, before) for now, before in zip(last, states, strict=True)]
    rows = graph.op("Transpose", y, perm=[0, 2, 1, 3])
    return graph.op("Reshape", rows, graph.integers(0, 0, -1)), last


def _stacked(operator: Operator, cell: Cell, directions: Sequence[Mapping[str, np.ndarray]], name: str) -> np.ndarray:
    """A parameter of all directions with its gates in ONNX's order; zeros for a bias that there is not."""
    found = []
    for parameters in directions:
        whole = parameters.get(name)
        if whole is None:
            whole = np.zeros(len(parameters[naming.U]), parameters[naming.U].dtype)
        blocks = dict(zip(cell.gates, np.split(whole, len(cell.gates)), strict=True))
        found.append(np.concatenate([-blocks[g[1:]] if g.startswith("-") else blocks[g] for g in operator.gates]))
    return np.stack(found)


def _peepholes(operator: Operator, directions: Sequence[Mapping[str, np.ndarray]], hidden: int) -> np.ndarray:
    """ONNX's P: of the gates i, o and f, zeros where one has no peephole."""
    found = []
    for parameters in directions:
        zeros = np.zeros(hidden, parameters[naming.U].dtype)
        rows = [
            -parameters.get(f"p_{g[1:]}", zeros) if g.startswith("-") else parameters.get(f"p_{g}", zeros)
            for g in operator.gates[:3]
        ]
        found.append(np.concatenate(rows))
    return np.stack(found)
