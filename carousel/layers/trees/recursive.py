"""The layer over trees: any cell, stacked, from the leaves up, from the roots down, or both."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from carousel import engines
from carousel.cells import Cell
from carousel.engines.inside_torch import is_compiled
from carousel.layers import call, contexts, explaining, regularizers, stack, structure
from carousel.layers.add_ins import AddIn, AddIns
from carousel.layers.arguments import as_size, check_constructor, check_input
from carousel.layers.fx_leaf import as_leaf, is_proxy
from carousel.layers.layout import Padded
from carousel.layers.parameters import check_sizes, options_text, parameter_shapes, register
from carousel.layers.recording import Recording, Tap, check_names, of_this_thread
from carousel.layers.scans import Scans
from carousel.layers.trees.scanning import Begun, OverTrees
from carousel.layers.trees.trees import Trees

States = tuple[Tensor, ...]

DIRECTIONS = ("up", "down", "both")

# Options of `Recurrent` that have no meaning over trees, and what to do instead.
REFUSED = {
    "bidirectional": "give direction='both'",
    "batch_first": "the nodes of all trees stand in one axis, so leave it out",
    "checkpoint": "a scan over trees keeps all that backward needs; give fewer trees at a time",
}

# The same of arguments of a call.
REFUSED_IN_CALLS = {
    "lengths": "trees may have any sizes, which Trees says",
    "mask": "a node that is not there is left out of Trees; at= says which nodes have an input",
    "reset": "a node begins anew where it continues none; leave the edge out of Trees, or give keep= with 0 there",
    "context": "no layer over trees reads one",
    "context_lengths": "no layer over trees reads a context",
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
    zoneout: as in `Recurrent`, for cells that continue one node.
    recurrent_dropout, candidate_dropout, input_dropout, weight_drop: as in `Recurrent`. One mask of recurrent_dropout
        and of input_dropout serves a whole tree; candidate_dropout draws one for each node, weight_drop one for a scan.
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
        zoneout: float | Mapping[str, float] = 0.0,
        recurrent_dropout: float = 0.0,
        candidate_dropout: float = 0.0,
        input_dropout: float = 0.0,
        weight_drop: float = 0.0,
        engine: str = "auto",
        units: Mapping[str, int] | None = None,
        **others: Any,
    ):
        super().__init__()
        _refuse(others, REFUSED, "option")
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
        self.zoneout, self.recurrent_dropout = zoneout, recurrent_dropout
        self.candidate_dropout = candidate_dropout
        self.input_dropout, self.weight_drop = input_dropout, weight_drop
        _ = self.add_ins(training=True)  # checks the options now
        register(self, self._program, self.shapes(), device, dtype)
        structure.register(self, self.cell, self.hidden_size)
        self._register_own()
        self.reset_parameters()

    _derived = (*Scans._derived, "sizes", "_shapes", "_recordings", "_taps")

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
        self._recordings: list[Recording] = []
        self._taps: list[Tap] = []

    @property
    def directions(self) -> int:
        """D: how many scans a layer of the stack has."""
        return 1 + (self.direction == "both")

    def suffixes(self) -> list[str]:
        """What the parameter names of each scan end in, in the order of hx."""
        return [f"_l{k}{end}" for k in range(self.num_layers) for end in ("", "_reverse")[: self.directions]]

    @property
    def runs_down(self) -> list[bool]:
        """Whether each scan goes from the roots to the leaves, in the order of hx."""
        return [self.direction == "down" or suffix.endswith("_reverse") for suffix in self.suffixes()]

    def forward(
        self,
        input: Tensor,
        trees: Trees,
        hx: Tensor | States | None = None,
        *,
        at: Tensor | None = None,
        keep: Tensor | Mapping[str, Tensor] | None = None,
        add: Tensor | Mapping[str, Tensor] | None = None,
        return_states: bool = False,
        **others: Any,
    ) -> Any:
        """Runs the layer over a batch of trees. Returns (output, hx).

        Axes: N nodes of all trees, R roots, I = input_size, H = hidden_size (proj_size for a state of that size), L
        layers, D directions.
        input: (N, I), nodes as `trees` numbers them; with `at`, (rows, I).
        trees: their shapes; see `Trees`.
        hx: what nodes go on from that continue none, in the place of the layer's initial state; for a cell with several
            states a tuple. Downwards these are the roots, (L * D, R, H), in the order of trees.roots; upwards the
            leaves, (L * D, leaves, H), in the order of trees.leaves, each of which goes on from it in the place of
            every child. A cell with any number of children reads no such state, and refuses it.
        at: (rows), the nodes that the rows of the input belong to, each at most once: the words of a sentence at the
            leaves of its tree, at=trees.leaves. Of all other nodes the input part of a gate is its bias alone.
        output: (N, D * H), the first state of the last layer at every node.
        The returned hx: every state at the roots, (L * D, R, H), in the order of trees.roots; a tuple of several
            states.
        keep, add: each state that a node goes on from becomes keep * state + add, of all children alike. Each is (N),
            (N, 1) or (N, H), for every state, or a mapping from state to tensor. Both are differentiable.
        return_states: returns (output, hx, states), every state at every node by name, (L * D, N, H) each.
        others: arguments of a call of `Recurrent` that have no meaning over trees; each is refused, with what to do
            instead.

        Trees of a batch do not see one another, and a batch computes what each tree computes alone.
        Raises TypeError, ValueError or RuntimeError for an input or a state of another shape, dtype or device, for `at`
        that names no nodes, for keep or add that do not fit the nodes, and where a node has more children (or,
        downwards, parents) than the cell continues.
        """
        if is_proxy(input):
            named = {"hx": hx, "at": at, "keep": keep, "add": add, **others}
            asked = {} if return_states is False else {"return_states": return_states}
            return as_leaf(self, input, trees, **{name: x for name, x in named.items() if x is not None}, **asked)
        self._follow()
        _refuse(others, REFUSED_IN_CALLS, "argument")
        check_input("Recursive", input, self.input_size, (2,), self.weight_ih_l0)
        if not isinstance(trees, Trees):
            raise TypeError(f"Recursive: trees must be a carousel.Trees, got {type(trees).__name__}")
        at = _check_at(input, trees, at)
        layout = _layout(input, trees)
        by_step = () if keep is None and add is None else (call.GivenByStep(self, layout, keep, add),)
        begun = () if hx is None else (Begun(self, trees, hx),)
        readers = (*of_this_thread(self._taps), *of_this_thread(self._recordings))
        add_ins = self.add_ins(self.training, *by_step, *begun, *readers)
        over_trees = OverTrees(self, trees, at, hx is not None, add_ins)
        output, last = stack.over_layers(self, input, add_ins, lambda rows: rows, over_trees.scan)
        return output, last[0] if len(last) == 1 else last, *((over_trees.states(),) if return_states else ())

    def add_ins(self, training: bool, *more: AddIn) -> AddIns:
        """What takes part in the scans of a call beside the cell: the layer's regularisers, then `more`.

        training: whether the regularisers that act in training alone are among them.
        """
        each = regularizers.chosen(self._program, self, training, over_trees=True)
        return AddIns.of(self._program, (*each, *more))

    def record(self, *names: str) -> Recording:
        """Records values of every node in the calls inside a `with`:

            with layer.record("output", "c") as values:
                layer(x, trees)
            values["c"]    # (L * D, N, H), the first axis in the order of hx

        names: as in `Recurrent.record`. Of what a node has one of for each child, as the forget gates of a cell with
            any number of children, the value is (L * D, E, H), a row for each edge, in the order of trees.child and
            trees.parent. Raises ValueError for an unknown name.
        """
        check_names("Recursive", self.program, names)
        return Recording(names, self._recordings)

    def tap(self) -> Tap:
        """Gradients with respect to the states that each node gives, for the call inside a `with`; see `Tap`:

        with layer.tap() as tap:
            output, _ = layer(x, trees)
        tap.gradients(output[trees.roots].sum())["h"]    # (L * D, N, H)
        """
        return Tap(tuple(self.program.states), self._taps, over_trees=True)

    def explain(self, plan: bool = False, *, trees: Trees | None = None) -> str:
        """Which engine runs this layer's scans, and why.

        trees: the shapes of an input; if given, the text also says how threads divide the work.
        plan: whether to append the engine's plans of the first layer, forward and backward.
        """
        return explaining.explain_over_trees(self, trees, plan)

    def extra_repr(self) -> str:
        options = {name: p.default for name, p in inspect.signature(Recursive).parameters.items()}
        unprinted = ("cell", "input_size", "hidden_size", "device", "dtype", "others")
        shown = {name: default for name, default in options.items() if name not in unprinted}
        return f"{self.cell}, {self.input_size}, {self.hidden_size}" + options_text(self, shown)


def _refuse(others: dict[str, Any], known: Mapping[str, str], what: str) -> None:
    for name in others:
        if name not in known:
            raise TypeError(f"Recursive: there is no {what} {name!r}")
        raise ValueError(f"Recursive: there is no {name} over trees: {known[name]}")


def _layout(input: Tensor, trees: Trees) -> Padded:
    """The nodes as the steps of one sequence, in the order of the caller."""
    return Padded(trees.nodes, 1, False, False, input.new_empty(trees.nodes, 0), None)


def _check_at(input: Tensor, trees: Trees, at: Tensor | None) -> Tensor | None:
    if at is None:
        if len(input) != trees.nodes:
            raise ValueError(
                f"Recursive: the input must have a row for each of the {trees.nodes} nodes, but has {len(input)}; give "
                "at= the nodes that they belong to, at=trees.leaves for instance"
            )
        return None
    if at is trees.leaves and len(at) == len(input):
        return at.to(input.device)
    at = torch.as_tensor(at)
    if at.dtype == torch.bool or at.is_floating_point() or at.dim() != 1:
        raise TypeError(f"Recursive: at must be numbers of nodes, (rows), but is {at.dtype} of shape {tuple(at.shape)}")
    if len(at) != len(input):
        raise ValueError(f"Recursive: at names {len(at)} nodes, and the input has {len(input)} rows")
    if is_compiled():  # the values are checked when the graph is run
        return at.to(input.device, torch.int64)
    sorted_at = at if bool((at.diff() > 0).all()) else at.sort()[0]
    if len(at) and (int(sorted_at[0]) < 0 or int(sorted_at[-1]) >= trees.nodes):
        raise ValueError(f"Recursive: at names a node outside of 0 to {trees.nodes - 1}")
    if not bool((sorted_at.diff() > 0).all()):
        raise ValueError("Recursive: at names a node twice, which can have one row of the input")
    return at.to(input.device, torch.int64)
