"""The layer over trees: any cell, stacked, from the leaves up, from the roots down, or both."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from carousel import engines
from carousel.cells import Cell
from carousel.engines import over_levels
from carousel.engines.inside_torch import is_transformed
from carousel.engines.levels import Levels
from carousel.layers import contexts, explaining, initial_states
from carousel.layers.arguments import as_size, check_constructor, check_input, check_weights
from carousel.layers.parameters import check_sizes, options_text, parameter_shapes, register
from carousel.layers.scans import Scans
from carousel.layers.trees.trees import Trees
from carousel.program import Program

States = tuple[Tensor, ...]

DIRECTIONS = ("up", "down", "both")

# Options of `Recurrent` that have no meaning over trees, and what to do instead.
REFUSED = {
    "bidirectional": "give direction='both'",
    "batch_first": "the nodes of all trees stand in one axis, so leave it out",
    "zoneout": "a state is kept from the step before, and a node may continue several; use dropout",
    "recurrent_dropout": "it is not there yet; use dropout between layers",
    "candidate_dropout": "it is not there yet; use dropout between layers",
    "input_dropout": "it is not there yet; drop parts of the input before the call",
    "weight_drop": "it is not there yet; use dropout between layers",
    "checkpoint": "a scan over trees keeps all that backward needs; give fewer trees at a time",
}


class Recursive(Scans):
    """Runs a cell over trees: a recursive network, as `Recurrent` runs one over sequences.

        layer = Recursive("tree-lstm", input_size, hidden_size)
        output, hx = layer(input, trees)                # see `forward` for shapes and all arguments

    A node is a step. With direction="up" it continues its children, from the leaves to the roots; with "down" its
    parents, from the roots to the leaves; with "both" a second scan goes down, and outputs are the two side by side.
    A cell with `children = "any"` continues any number of nodes; one with `children = 2` up to two; a cell of
    sequences one, so that it runs down trees as it is, and up chains.
    Over a chain a layer computes what `Recurrent` does over a sequence.

    cell: a `Cell`, a Cell class that needs no arguments, or a name in the catalogue.
    input_size, hidden_size: I and H, the numbers of units of the input and of the cell's states.
    num_layers: L; each layer above the first reads the outputs of the one below, at every node.
    bias: whether gates have biases.
    dropout: the probability with which outputs of all layers but the last are dropped in training.
    direction: "up", "down" or "both".
    proj_size: the size of "projection", for cells that use it.
    device, dtype: where the parameters are, and of what type.
    units: numbers for size names of the cell's own, as in `Recurrent`.
    initial_state: what a node reads in the place of a child (or, downwards, a parent) that it does not have: "zero", or
        "learned", a parameter for each state, layer and direction, `initial_h_lk`, which begins at zero. Cells with any
        number of children read no such state, and have none to learn.
    engine: as in `Recurrent`; `explain()` says which runs, and why.
    others: options of `Recurrent` that have no meaning over trees; each is refused, with what to do instead.

    Parameters are named as in `Recurrent`, and those of "both" that go down end in `_reverse`. A cell with a number of
    children has U once for each: `weight_hh0_l0` of child 0, `weight_hh1_l0` of child 1, (gates * H, H) each.
    Raises ProgramError for a cell that contradicts itself or leaves the alphabet; ValueError for options that do not
    fit the cell or one another, and for options of `Recurrent` that mean nothing over trees; TypeError for an option
    that neither layer has.
    """

    weight_ih_l0: Tensor  # registered by name below, with all the others

    def __init__(
        self,
        cell: Cell | type[Cell] | str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
        *,
        direction: str = "up",
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        initial_state: str = "zero",
        engine: str = "auto",
        units: Mapping[str, int] | None = None,
        **others: Any,
    ):
        super().__init__()
        _refuse(others)
        num_layers, proj_size = as_size("num_layers", num_layers), as_size("proj_size", proj_size)
        check_constructor(input_size, hidden_size, num_layers, bias, False, dropout, proj_size)
        if direction not in DIRECTIONS:
            raise ValueError(
                f"Recursive: direction must be one of {', '.join(map(repr, DIRECTIONS))}, not {direction!r}"
            )
        if initial_state not in ("zero", "learned"):
            raise ValueError(f"initial_state must be 'zero' or 'learned', but {initial_state!r} was given")
        self.input_size, self.hidden_size, self.proj_size = input_size, hidden_size, proj_size
        self.num_layers, self.dropout, self.direction = num_layers, float(dropout), direction
        self.initial_state = initial_state
        self.units = None if units is None else dict(units)
        self._take(cell, bias, engine)
        engines.check_name(engine)
        register(self, self._program, self.shapes(), device, dtype)
        self._register_own()
        self.reset_parameters()

    _derived = (*Scans._derived, "sizes", "_shapes")
    _tap: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]] | None = None  # see `carousel.insight.trees`

    def _check_children(self) -> None:
        """Raises ValueError for options that do not fit the cell."""
        children, cell = self._program.children, self._program.cell
        if isinstance(children, int) and children > 1 and self.direction != "up":
            raise ValueError(
                f"Recursive: direction={self.direction!r} runs {cell} from parents to children, where a node continues "
                f"one, but {cell} has weights for {children} children, so that no data would reach the others; give "
                "direction='up', or a cell with children = 'any' or of sequences"
            )
        contexts.check_none("Recursive", self._program.cell, self._program.context)
        if self._program.parts:
            raise ValueError(
                f"Recursive: {cell} reads parts of its input by name, which layers over trees do not give yet; run it "
                "over sequences, with carousel.Recurrent"
            )
        if children == "any" and self.initial_state == "learned":
            raise ValueError(
                f"Recursive: initial_state='learned' is for what a node reads in the place of a child that it does not "
                f"have, and {cell} reads the children that there are; leave it out"
            )

    def _derive(self) -> None:
        sizes = {"input": self.input_size, "hidden": self.hidden_size, "projection": self.proj_size}
        self.sizes = check_sizes(self._program, self.cell, sizes, self.units or {})
        width = self.directions * self.sizes[self._program.states[self._program.output_state]]
        self._shapes = [parameter_shapes(self._program, self.sizes | {"input": i}) for i in (self.input_size, width)]

    @property
    def directions(self) -> int:
        """D: how many scans a layer of the stack has."""
        return 1 + (self.direction == "both")

    def suffixes(self) -> list[str]:
        """What the parameter names of each scan end in, in the order of hx."""
        return [f"_l{k}{end}" for k in range(self.num_layers) for end in ("", "_reverse")[: self.directions]]

    def forward(self, input: Tensor, trees: Trees, *, at: Tensor | None = None, return_states: bool = False) -> Any:
        """Runs the layer over a batch of trees. Returns (output, hx).

        Axes: N nodes of all trees, R roots, I = input_size, H = hidden_size (proj_size for a state of that size), L
        layers, D directions.
        input: (N, I), nodes as `trees` numbers them; with `at`, (rows, I).
        trees: their shapes; see `Trees`.
        at: (rows), the nodes that the rows of the input belong to, each at most once: the words of a sentence at the
            leaves of its tree, at=trees.leaves. Of all other nodes the input part of a gate is its bias alone.
        output: (N, D * H), the first state of the last layer at every node.
        hx: every state at the roots, (L * D, R, H), in the order of trees.roots; a tuple of several states.
        return_states: returns (output, hx, states), every state at every node by name, (L * D, N, H) each.

        Trees of a batch do not see one another, and a batch computes what each tree computes alone.
        Raises TypeError, ValueError or RuntimeError for an input of another shape, dtype or device, for `at` that names
        no nodes, and where a node has more children (or, downwards, parents) than the cell continues.
        """
        self._follow()
        check_input("Recursive", input, self.input_size, (2,), self.weight_ih_l0)
        if not isinstance(trees, Trees):
            raise TypeError(f"Recursive: trees must be a carousel.Trees, got {type(trees).__name__}")
        at = _check_at(input, trees, at)
        own = self.own_weights(input.dtype)
        x, found = input, list[tuple[States, Tensor]]()
        for k in range(self.num_layers):
            outputs = []
            for number in range(self.directions):
                suffix = self.suffixes()[k * self.directions + number]
                downwards = self.direction == "down" or number == 1
                states, place, order = self._scan(x, trees, downwards, suffix, own, at if k == 0 else None)
                outputs.append(_reordered(states[0], place, order))
                found.append((states, place))
            x = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
            if self.dropout and self.training and k < self.num_layers - 1:
                x = F.dropout(x, self.dropout)
        roots = trees.roots.to(x.device)
        hx = _at([(states, place[roots]) for states, place in found])
        named = (dict(zip(self._program.states, _at(found), strict=True)),) if return_states else ()
        return x, hx[0] if len(hx) == 1 else hx, *named

    def _scan(
        self, x: Tensor, trees: Trees, downwards: bool, suffix: str, own: dict[str, Tensor], at: Tensor | None
    ) -> tuple[States, Tensor, Tensor]:
        """The states at every node in the order of the scan, the place of each node in it, and that order."""
        assert isinstance(self._program, Program)  # what is not traced was refused
        order, place, levels = trees.order(downwards)
        self._check_fits(levels, order, downwards)
        weights: dict[str, Tensor] = {name: getattr(self, name + suffix) for name in self.scan_shapes(suffix)}
        check_weights(weights, self.scan_shapes(suffix), suffix, self.hidden_size)
        order, place = order.to(x.device), place.to(x.device)
        rows = _reordered(x, order, place) if at is None else x
        places = None if at is None else place[at]
        one = {state: (1, self.sizes[size]) for state, size in self._program.states.items()}
        first = initial_states.of_scan(self, self.cell, self._program, self.initial_state, one, x, suffix)
        scan = (self._program, rows, levels, first, weights | own, places)
        if self._tap is None:
            _, states = engines.scan_levels(self.engine, *scan)
        else:
            _, states = over_levels.scan_levels(*scan, self._tap)
        return states, place, order

    def _check_fits(self, levels: Levels, order: Tensor, downwards: bool) -> None:
        children = self._program.children
        slots = 1 if children is None else children
        if isinstance(slots, int) and levels.most_sources > slots:
            node = levels.first_edge.diff().argmax()
            what = "parents" if downwards else "children"
            raise ValueError(
                f"Recursive: node {int(order[node])} has {levels.most_sources} {what}, and the cell "
                f"{self._program.cell} continues {slots}; give a cell with children = {levels.most_sources} or 'any'"
                + ("" if downwards or children is not None else ", or direction='down'")
            )

    def explain(self, plan: bool = False) -> str:
        """Which engine runs this layer's scans, and why.

        plan: whether to append the engine's plans of the first layer, forward and backward.
        """
        return explaining.explain_over_trees(self, plan)

    def extra_repr(self) -> str:
        options = {name: p.default for name, p in inspect.signature(Recursive).parameters.items()}
        unprinted = ("cell", "input_size", "hidden_size", "device", "dtype", "others")
        shown = {name: default for name, default in options.items() if name not in unprinted}
        return f"{self.cell}, {self.input_size}, {self.hidden_size}" + options_text(self, shown)


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
    return rows.index_select(0, order) if is_transformed() else _Reorder.apply(rows, order, inverse)


def _at(found: list[tuple[States, Tensor]]) -> States:
    """Rows of each state, of all scans."""
    rows = [[state.index_select(0, places) for state in states] for states, places in found]
    return tuple(map(torch.stack, zip(*rows, strict=True)))


def _refuse(others: dict[str, Any]) -> None:
    for name in others:
        if name not in REFUSED:
            raise TypeError(f"Recursive: there is no option {name!r}")
        raise ValueError(f"Recursive: there is no {name} over trees: {REFUSED[name]}")


def _check_at(input: Tensor, trees: Trees, at: Tensor | None) -> Tensor | None:
    if at is None:
        if len(input) != trees.nodes:
            raise ValueError(
                f"Recursive: the input must have a row for each of the {trees.nodes} nodes, but has {len(input)}; give "
                "at= the nodes that they belong to, at=trees.leaves for instance"
            )
        return None
    at = torch.as_tensor(at)
    if at.dtype == torch.bool or at.is_floating_point() or at.dim() != 1:
        raise TypeError(f"Recursive: at must be numbers of nodes, (rows), but is {at.dtype} of shape {tuple(at.shape)}")
    if len(at) != len(input):
        raise ValueError(f"Recursive: at names {len(at)} nodes, and the input has {len(input)} rows")
    sorted_at = at if bool((at.diff() > 0).all()) else at.sort()[0]
    if len(at) and (int(sorted_at[0]) < 0 or int(sorted_at[-1]) >= trees.nodes):
        raise ValueError(f"Recursive: at names a node outside of 0 to {trees.nodes - 1}")
    if not bool((sorted_at.diff() > 0).all()):
        raise ValueError("Recursive: at names a node twice, which can have one row of the input")
    return at.to(input.device, torch.int64)
