"""The loop over layers and directions: each scan reads the outputs of the layer below."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from carousel import engines
from carousel.engines.context import Context
from carousel.layers import parts
from carousel.layers.add_ins import AddIns, Rows, Sequences, States, Streams
from carousel.layers.arguments import check_weights
from carousel.layers.call import Layout
from carousel.layers.in_time import InTime, Walk
from carousel.layers.layer import Layer
from carousel.program import Program, ops

if TYPE_CHECKING:
    from carousel.layers.trees import Recursive


def run(
    layer: Layer, layout: Layout, first: States, add_ins: AddIns, context: Context | None = None
) -> tuple[Tensor, States]:
    """Runs all scans of a call. Returns the outputs of the last layer, (rows, D * size), and the states after last
    steps.

    first: the states before the first steps. All states are (L * D, sequences, size).
    context: of a cell that reads one, for the sequences of the layout.
    """
    x, others = parts.divided(layer._program, layer.sizes, layout.rows)

    def scan(x: Tensor, place: int, weights: dict[str, Tensor]) -> tuple[States, States]:
        before = tuple(state[place] for state in first)
        return _scan(layer, layout, x, others, layer.suffixes()[place], weights, before, add_ins, context)

    return over_layers(layer, x, add_ins, layout.every_step, scan)


def over_layers(
    layer: Layer | Recursive,
    x: Tensor,
    add_ins: AddIns,
    every_step: Callable[[Tensor], Tensor],
    scan: Callable[[Tensor, int, dict[str, Tensor]], tuple[States, States]],
) -> tuple[Tensor, States]:
    """The loop itself, over sequences or trees. Results as of `run`.

    x: the input of the first layer. every_step: see `AddIn.begin`. scan: (input, place in the order of hx, weights) ->
    (emitted values, last states).
    """
    add_ins.begin(every_step)
    last: list[States] = []
    read: list[States] = []
    own, suffixes = layer.own_weights(x.dtype), layer.suffixes()
    directions = len(suffixes) // layer.num_layers
    for k in range(layer.num_layers):
        outputs = []
        for place in range(k * directions, (k + 1) * directions):
            emitted, states = scan(x, place, _weights(layer, suffixes[place]) | own)
            outputs.append(emitted[0])
            read.append(emitted[1:])
            last.append(states)
        x = torch.cat(outputs, -1) if directions > 1 else outputs[0]
        if layer.dropout and layer.training and k < layer.num_layers - 1:
            x = F.dropout(x, layer.dropout)
    found = zip(add_ins.reads, map(torch.stack, zip(*read, strict=True)), strict=True)
    add_ins.end({name: _folded(layer, add_ins, name, every_step(values)) for name, values in found})
    # A copy even for one scan, because loops over windows detach the states in place, which a view does not allow.
    return x, tuple(torch.stack(states) for states in zip(*last, strict=True))


def _weights(layer: Layer | Recursive, suffix: str) -> dict[str, Tensor]:
    shapes = layer.scan_shapes(suffix)
    weights: dict[str, Tensor] = {name: getattr(layer, name + suffix) for name in shapes}
    check_weights(weights, shapes, suffix, layer.hidden_size)
    return layer.whole(weights)


def _scan(
    layer: Layer,
    layout: Layout,
    x: Tensor,
    others: Streams,
    suffix: str,
    weights: dict[str, Tensor],
    first: States,
    add_ins: AddIns,
    context: Context | None,
) -> tuple[States, States]:
    """Runs one scan. Returns its emitted values and the cell's last states.

    others: the parts of the input that gates do not read.
    """
    at, reverse = suffix[1:], suffix.endswith("_reverse")
    states, walk = add_ins.states(first), None
    if isinstance(layout, InTime):
        fresh = partial(_fresh, layer, layout.batch, layer.suffixes().index(suffix), add_ins)
        walk = Walk(layout, reverse, states, fresh, add_ins.change(at))
    # A hook needs the order of time; so does a batch whose masks have no values, which only the reference engine runs.
    engine = layer.engine if walk is None or layer.hooks else "reference"
    rows = add_ins.rows(x, layout.sequences)
    weights = add_ins.weights(weights)
    streams = add_ins.streams(stream_rows(layer, x, layout.sequences))
    if layer._program.parts:
        streams = streams | parts.streams(layer._program, rows, others)
    how = (reverse, streams, layer.checkpoint, walk, context)
    emitted, final = engines.scan(engine, add_ins.program, rows, layout.batch_sizes, states, weights, *how)
    final = final if walk is None else walk.last(final)
    return emitted, final[: len(first)]


def _folded(layer: Layer | Recursive, add_ins: AddIns, name: str, values: Tensor) -> Tensor:
    """Recorded values, those of members as (..., members, units)."""
    program = add_ins.program
    if not isinstance(program, Program):
        return values
    node = program.nodes[program.outputs["record", name]]
    if node.members in ("", ops.CHILDREN):  # over trees a scan gives a row for each child
        return values
    return values.unflatten(-1, (-1, layer.sizes[node.size]))


def _fresh(layer: Layer, batch: int, place: int, add_ins: AddIns) -> States:
    """The initial states of a sequence that begins within a scan, including those of add-ins."""
    return add_ins.states(tuple(state[place] for state in layer.fresh_states(batch)))


def stream_rows(layer: Layer | Recursive, rows: Tensor, sequences: Sequences | None = None) -> Rows:
    """The sizes for the streams of a scan over these rows. sequences: see `Rows`; by default each row is one."""
    program = layer._program

    def each() -> tuple[Tensor, int]:
        return torch.arange(len(rows), device=rows.device), len(rows)

    states = {state: layer.sizes[size] for state, size in program.states.items()}
    return Rows(rows, states, layer.hidden_size, sequences or each)
