"""The scans of one call over trees: what the nodes of the caller become to an engine, and its results to the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from carousel import engines
from carousel.engines.inside_torch import is_compiled, is_transformed
from carousel.engines.levels import Levels
from carousel.layers import initial_states
from carousel.layers.add_ins import AddIn, AddIns, Rewriting, Rows, States, Streams
from carousel.layers.arguments import as_states, check_states
from carousel.layers.stack import stream_rows
from carousel.layers.trees.trees import Order, Trees
from carousel.program import Interface, Program, naming

if TYPE_CHECKING:
    from carousel.layers.trees.recursive import Recursive


class OverTrees:
    """One call. All that goes in and comes out is in the order of the caller's nodes.

    at: the nodes that have an input in the first layer; None for all. begun: whether `Begun` says what nodes go on from
    that continue none, in the place of the layer's initial state.
    """

    def __init__(self, layer: Recursive, trees: Trees, at: Tensor | None, begun: bool, add_ins: AddIns):
        self._layer, self._trees, self._at, self._begun, self._add_ins = layer, trees, at, begun, add_ins
        self._roots, self._tree_of = (t.to(layer.weight_ih_l0.device) for t in (trees.roots, trees.tree_of))
        self._found: list[tuple[States, Tensor]] = []  # of each scan, the states in its order, and the places in it

    def scan(self, x: Tensor, place: int, weights: dict[str, Tensor]) -> tuple[States, States]:
        """Runs one scan: what it emits at every node, and the states at the roots. place: of it in the order of hx."""
        layer, add_ins, program = self._layer, self._add_ins, self._add_ins.program
        assert isinstance(program, Program)  # what is not traced was refused
        found = self._trees.order(layer.runs_down[place])
        if not is_compiled():  # there the operator does it, when it is run
            _check_fits(found.levels, found.nodes, program.children, program.cell, layer.runs_down[place])
        order, inverse = found.nodes.to(x.device), found.place.to(x.device)
        at = self._at if place < layer.directions else None
        rows = add_ins.rows(x, lambda: (self._tree_of if at is None else self._tree_of[at], len(self._trees)))
        weights = add_ins.weights(weights)
        of = stream_rows(layer, x.new_empty(self._trees.nodes, 0), lambda: (self._tree_of, len(self._trees)))
        streams = {name: _reordered(each, order, inverse) for name, each in add_ins.streams(of).items()}
        rows, places = (_reordered(rows, order, inverse), None) if at is None else (rows, inverse[at])
        first = self._first(place, x)
        emitted, states = engines.scan_levels(
            layer.engine, program, rows, found.levels, first, weights, places, streams
        )
        self._found.append((states, inverse))
        at_roots = inverse[self._roots]
        last = tuple(state.index_select(0, at_roots) for state in states)
        return tuple(
            self._of_caller(index, each, found) for index, each in zip(program.emitted, emitted, strict=True)
        ), last

    def _of_caller(self, index: int, rows: Tensor, order: Order) -> Tensor:
        """Rows that a scan gives in the order of the caller; a row for each child in that of the edges."""
        program = self._add_ins.program
        assert isinstance(program, Program)
        if not program.nodes[index].members:
            return _reordered(rows, order.place.to(rows.device), order.nodes.to(rows.device))
        edges = order.edges.to(rows.device)
        return _reordered(rows, edges.argsort(), edges)

    def states(self) -> dict[str, Tensor]:
        """Every state at every node, by name, (scans, N, size) each."""
        rows = [[state.index_select(0, places) for state in states] for states, places in self._found]
        return dict(zip(self._layer.program.states, map(torch.stack, zip(*rows, strict=True)), strict=True))

    def _first(self, place: int, x: Tensor) -> States:
        """What a node goes on from where it continues none, one row of each state."""
        layer, program = self._layer, self._layer.program
        shapes = {state: (1, layer.sizes[size]) for state, size in program.states.items()}
        if self._begun:
            return tuple(x.new_zeros(shape) for shape in shapes.values())
        what = layer, layer.cell, program, layer.initial_state, shapes, x
        return initial_states.of_scan(*what, layer.suffixes()[place])


def _check_fits(levels: Levels, nodes: Tensor, children: int | str | None, cell: str, downwards: bool) -> None:
    """Raises ValueError where a node goes on from more than the cell does. nodes: in the order of the scan."""
    slots = 1 if children is None else children
    if isinstance(slots, int) and levels.most_sources > slots:
        node, what = levels.first_edge.diff().argmax(), "parents" if downwards else "children"
        raise ValueError(
            f"Recursive: node {int(nodes[node])} has {levels.most_sources} {what}, and the cell {cell} continues "
            f"{slots}; give a cell with children = {levels.most_sources} or 'any'"
            + ("" if downwards or children is not None else ", or direction='down'")
        )


class Begun(AddIn):
    """hx of a call: what nodes go on from that continue none, in the place of the layer's initial state."""

    def __init__(self, layer: Recursive, trees: Trees, hx: Tensor | States):
        """Raises TypeError or RuntimeError for hx of another shape, dtype or device, in torch.nn's words; ValueError
        for a cell that cannot begin with it."""
        program = layer.program
        _check_begins(layer, program)
        device = layer.weight_ih_l0.device
        self._nodes = trees.nodes
        self._starts = [(trees.roots if down else trees.leaves).to(device) for down in layer.runs_down]
        sizes, scans = [layer.sizes[size] for size in program.states.values()], len(layer.runs_down)
        expected = [(scans, len(self._starts[0]), size) for size in sizes]
        states = as_states("Recursive", hx, program.states)
        rows = check_states("Recursive", states, True, expected, layer.weight_ih_l0)
        self._rows = dict(zip(program.states, rows, strict=True))
        self._place = 0

    def rewritings(self) -> tuple[Rewriting, ...]:
        return (Rewriting("modify", tuple(self._rows)),)

    def begin(self, every_step: Callable[[Tensor], Tensor]) -> None:
        del every_step
        self._place = 0

    def streams(self, streams: Streams, of: Rows) -> Streams:
        """Adds hx to the states, zeros, that these nodes read; before keep= and add= of the call."""
        del of
        joined = dict(streams)
        for state, rows in self._rows.items():
            zeros = rows.new_zeros(self._nodes, rows.shape[-1])
            begun = zeros.index_copy(0, self._starts[self._place], rows[self._place])
            keep, add = naming.keep(state), naming.add(state)
            joined[add] = streams[keep] * begun + streams[add] if keep in streams else begun
            joined.setdefault(keep, torch.ones_like(zeros))
        self._place += 1
        return joined


def _check_begins(layer: Recursive, program: Interface) -> None:
    doing = "Recursive: hx is what a node goes on from that continues none"
    if program.children == "any":
        raise ValueError(
            f"{doing}, and {program.cell} reads the children that there are; give such a state as a part of the input"
        )
    if program.children is not None and initial_states.are_given(layer.cell, program, layer.initial_state):
        raise ValueError(
            f"{doing}, and a node of {program.cell} may continue fewer than {program.children}, and then begins with "
            "the cell's own initial state beside; leave hx out, or initial_state='learned'"
        )


class _Reorder(torch.autograd.Function):
    """Rows in another order, each once; so the gradient is one more choice of rows, and no sum."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(order, inverse)
        return rows.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        order, inverse = ctx.saved_tensors
        return _Reorder.apply(gradient, inverse, order), None, None


def _reordered(rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    plain = is_compiled() or is_transformed()
    return rows.index_select(0, order) if plain else _Reorder.apply(rows, order, inverse)
