"""Values of a layer at every step, from which the cell's equations give all other values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from carousel import engines
from carousel.cells.member_sizes import parted
from carousel.insight.drawing import drawing_of
from carousel.insight.drawing.parts import parts_of
from carousel.insight.drawing.svg import svg
from carousel.layers import Recurrent, parts
from carousel.page.equations import Equation, equations, nodes
from carousel.program import Program, ops
from carousel.program.program import Node
from carousel.program.verify import finished

MOST_PARTS = 80  # of a drawing: an NTM has 137, whose lines take half a minute to lay
MOST = 400_000  # numbers of a memory over all steps; of one with more, a page has the lengths of its rows


@dataclass(frozen=True)
class MemoryCourse:
    """A state with members after each step.

    of: the name of what there are many of: "slots", "hidden". values: (T, members, units), or None where these are too
    many for a page. lengths: (T, members), the Euclidean length of each member; of one unit, the unit itself.
    """

    of: str
    values: np.ndarray | None
    lengths: np.ndarray


@dataclass(frozen=True)
class Scan:
    """One layer over T steps: the values that its program reads at each step, and the results of its matrix products.

    All other values of the cell's equations are pointwise or sums over units, and follow from these. A state that only
    matrix products read (an LSTM's h) is not kept, because it is a result only. Of a cell with a memory the rows that
    are read from its members are kept as products are; the page computes rows alone.

    place: the name of the scan in the stack, "0", "1 reverse". reverse: whether it runs from the end.
    inputs: (rows, gates * units), W x + b. input_rows: (T), the row of each step; equal inputs share a row.
    products: node -> (T, size). before: state -> (T, size), before each step. vectors: node -> (size).
    memories: state with members -> what it holds after each step.
    """

    place: str
    reverse: bool
    cell: str
    gates: tuple[str, ...]  # the gates that read x
    sizes: dict[str, int]
    nodes: list[dict[str, Any]]
    outputs: dict[str, int]  # state -> the node of its new value
    equations: tuple[Equation, ...]
    drawing: str  # one step of the cell, as an `svg` element, or ""
    inputs: np.ndarray
    input_rows: np.ndarray
    products: dict[int, np.ndarray]
    before: dict[str, np.ndarray]
    vectors: dict[int, np.ndarray]
    memories: dict[str, MemoryCourse]


@lru_cache(maxsize=16)
def _drawing(program: Program) -> str:
    """The drawing of a cell, made once for a program; "" for one whose drawing nobody could read on a page."""
    return svg(drawing_of(program)) if len(parts_of(program).parts) <= MOST_PARTS else ""


@torch.no_grad()
def scans(
    layer: Recurrent, x: Tensor, hx: tuple[Tensor, ...], rows: np.ndarray
) -> tuple[list[Scan], Tensor, tuple[Tensor, ...]]:
    """Runs all scans of a stack over one sequence, x (T, I) with T >= 1, from the states hx, (L * D, 1, H) each.

    rows: (T), where equal numbers mean equal inputs. It runs in evaluation mode, without dropout.
    Returns the scans, the output (T, D * H), and the states after every step, (T, L * D, H) each. In the reverse
    direction the state after step t has read the steps from the end to t.
    """
    assert isinstance(layer.program, Program)
    program, products = _with_products(layer.program)
    made: list[Scan] = []
    after: list[tuple[Tensor, ...]] = []
    outputs: list[Tensor] = []
    directions = 2 if layer.bidirectional else 1
    for k, suffix in enumerate(layer.suffixes()):
        weights = layer.weights_of(suffix)
        states = tuple(state[k] for state in hx)
        reverse = suffix.endswith("_reverse")
        streams = parts.streams(layer.program, x, {})
        emitted, _ = engines.scan(layer.engine, program, x, [1] * len(x), states, weights, reverse, streams)
        new = (emitted[0], *emitted[1 + len(products) :])
        place = suffix.removeprefix("_l").replace("_", " ")
        found = dict(zip(products, emitted[1:], strict=False))
        made.append(_scan(layer, place, reverse, weights, x, rows, states, found, new))
        after.append(new)
        outputs.append(emitted[0])
        if len(outputs) == directions:
            x, rows, outputs = torch.cat(outputs, 1), np.arange(len(x)), []
    return made, x, tuple(torch.stack(states, 1) for states in zip(*after, strict=True))


@lru_cache(maxsize=64)
def _with_products(program: Program) -> tuple[Program, tuple[int, ...]]:
    """The program with its products and its further states as recorded values."""
    products = tuple(index for index, node in enumerate(program.nodes) if _is_kept(program, node))
    recorded = {("record", f"product {node}"): node for node in products}
    recorded |= {("record", s): program.outputs[s] for s in program.states if s != program.output_state}
    return finished(replace(program, outputs=program.outputs | recorded)), products


def _is_kept(program: Program, node: Node) -> bool:
    """Whether a page cannot compute a row of the others: of a product, of members, of a part of the input."""
    read = [program.nodes[argument] for argument in node.args]
    return node.op in ops.PRODUCTS or (not node.members and any(each.members or each.op == "stream" for each in read))


def _scan(
    layer: Recurrent,
    place: str,
    reverse: bool,
    weights: dict[str, Tensor],
    x: Tensor,
    rows: np.ndarray,
    states: Sequence[Tensor],
    products: dict[int, Tensor],
    new: Sequence[Tensor],
) -> Scan:
    program = layer.program
    assert isinstance(program, Program)
    _, first, which = np.unique(rows, return_index=True, return_inverse=True)
    inputs = torch.nn.functional.linear(x[torch.from_numpy(first).to(x.device)], weights["weight_ih"])
    if program.gate_bias and "bias_ih" in weights:
        inputs = inputs + weights["bias_ih"]
    before = {
        state: _plain(torch.cat([values[1:], start] if reverse else [start, values[:-1]]))
        for state, start, values in zip(program.states, states, new, strict=True)
        if _read_directly(program, state) and not _members_of(program, state)
    }
    vectors = {i: _vector(program, n.attr, weights) for i, n in enumerate(program.nodes) if n.op == "vector"}
    return Scan(
        place=place,
        reverse=reverse,
        cell=program.cell,
        gates=program.inputs,
        sizes={name: size for name, size in layer.sizes.items() if size},
        nodes=nodes(program, _with_products(program)[1], layer.sizes),
        outputs={state: program.outputs[state] for state in program.states},
        equations=equations(program),
        drawing=_drawing(program),
        inputs=_plain(inputs),
        input_rows=which.reshape(-1),
        products={node: _plain(values) for node, values in products.items()},
        before=before,
        vectors=vectors,
        memories={state: _memory(layer, state, values) for state, values in _with_members(program, new)},
    )


def _with_members(program: Program, new: Sequence[Tensor]) -> list[tuple[str, Tensor]]:
    """The states with members, and what each is after every step."""
    return [(state, values) for state, values in zip(program.states, new, strict=True) if _members_of(program, state)]


def _members_of(program: Program, state: str) -> str:
    return parted(program.states[state])[0]


def _memory(layer: Recurrent, state: str, values: Tensor) -> MemoryCourse:
    members, units = parted(layer.program.states[state])
    folded = _plain(values.unflatten(-1, (-1, layer.sizes[units])))
    lengths = folded[..., 0] if folded.shape[-1] == 1 else np.linalg.norm(folded, axis=-1)
    return MemoryCourse(members, folded if folded.size <= MOST else None, lengths)


def _read_directly(program: Program, state: str) -> bool:
    """Whether anything except matrix products reads the state."""
    leaves = {i for i, n in enumerate(program.nodes) if n.op == "state" and n.attr == state}
    pointwise = any(leaves & set(n.args) for n in program.nodes if n.op not in ops.PRODUCTS)
    return pointwise or bool(leaves & set(program.outputs.values()))


def _vector(program: Program, attr: Any, weights: dict[str, Tensor]) -> np.ndarray:
    if isinstance(attr, tuple):
        name, gate = attr
        return _plain(weights[name].chunk(len(program.gates))[program.gates.index(gate)])
    return _plain(weights[attr])


def _plain(values: Tensor) -> np.ndarray:
    return values.detach().float().cpu().numpy()
