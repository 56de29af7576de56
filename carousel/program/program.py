"""A program: one step of a cell (or its derivative) as a straight line of ops, and the facts that follow from it."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from carousel.cells.member_sizes import joined, parted
from carousel.cells.weights import Vector
from carousel.errors import ProgramError
from carousel.program import naming, ops

# A node to compute, its meaning, and its arguments.
Line = tuple[int, Callable[..., Any] | None, tuple[int, ...]]


@dataclass(frozen=True)
class Node:
    """One line of a program: a leaf, or an op of the alphabet applied to earlier nodes.

    op: a name from `ops.TABLE` or `ops.LEAVES`.
    args: the nodes it reads, by index; always smaller than its own.
    size: how long its rows are: "hidden", "projection", another name that the cell declares, "one", or "any" for a
        constant.
    attr: what a leaf stands for (see `ops.LEAVES`), or the name of a product's weight.
    members: whose members it has a row of each, in place of one for the row itself: "children", "context", or the size
        that says how many there are; "" if it is a row.
    name: the author's name for it, or "". line: its line in the author's file, or 0.
    """

    op: str
    args: tuple[int, ...] = ()
    size: str = "hidden"
    attr: Any = None
    members: str = ""
    name: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)

    @property
    def row(self) -> str:
        """The size of the one row in which an engine gives its value: with the units of all its members."""
        return str(joined((self.members, self.size))) if self.members else self.size

    @property
    def state(self) -> str:
        """The name of the state that it reads, of the row itself or of a child; "" if it is no leaf of a state."""
        if self.op != "state":
            return ""
        return str(self.attr[0] if isinstance(self.attr, tuple) else self.attr)


@dataclass(frozen=True)
class Weight:
    """A matrix of size `rows` x `columns` that products use: a layer's parameter, or a block of its rows.

    gate: the index of the block in the order of `Interface.recurrents`; a block has "hidden" rows. None for the whole
        parameter. bias: the parameter whose block of the same index is added to the product, or None.
    """

    parameter: str
    rows: str
    columns: str
    gate: int | None = None
    bias: str | None = None


@dataclass(frozen=True)
class Product:
    """Products of the same row with blocks of one parameter, which engines compute as one matrix product.

    source: the node that they read. nodes: the results, by rising gate. parameter: the name of the matrix. bias: the
        parameter that is added, or None.
    gates: the blocks of the parameter, in the order of the nodes; None for the whole parameter.
    """

    source: int
    nodes: tuple[int, ...]
    parameter: str
    bias: str | None
    gates: tuple[int, ...] | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Interface:
    """The gates, states and weights that a cell needs from a layer and an engine. Each row has the shape (batch, size).

    cell: the name of the cell's class.
    gates: all gates, first those that read both x and the output state, then those that read x alone, then those that
        read the state alone. inputs: the gates that read x, in the order of their blocks of rows in weight_ih.
        recurrents: the gates that read the state, in the order of weight_hh. A gate that reads both has the same index
        in all three.
    states: name -> size name, in order. vectors: the vectors that this layer has. weights: the matrices that products
        use, by the names that step calls them by.
    gate_bias: whether gates have biases. own: the cell's own parameters, which all layers share: name -> "number" or
        "row".
    children: how many nodes a step continues: at most that many, "any" number, or None in a cell of sequences.
    parts: the parts of the input, in order: name -> size name. reads: the part that gates read, "" without parts.
    constants: the parameters that are not learned. sparse: whether only some connections of each U count.
    heads: how many blocks of each U a layer stores; engines are given all of U.
    fed: the states that gates read, where it is not the first state alone. context: what is given once for a sequence:
        name -> size name of a position.
    counts: the numbers of members by size name, of states that have members; 0 where a layer says how many.
    """

    cell: str
    gates: tuple[str, ...]
    inputs: tuple[str, ...]
    recurrents: tuple[str, ...]
    states: dict[str, str]  # name -> size name, in order
    vectors: dict[str, Vector]  # the vectors that this layer has
    weights: dict[str, Weight]
    gate_bias: bool
    own: dict[str, str]  # the cell's own parameters, shared by all layers: name -> "number" or "row"
    children: int | str | None  # how many nodes a step continues: at most that many, "any" number, or None in sequences
    parts: dict[str, str] = field(default_factory=dict)  # of the input, in order: name -> size name
    reads: str = ""  # the part that gates read, if there are any
    constants: tuple[str, ...] = ()  # the parameters that are not learned
    sparse: bool = False  # whether only some connections of each U count
    heads: int = 1  # how many blocks of each U a layer stores; engines are given all of U
    fed: tuple[str, ...] = ()  # the states that gates read, where it is not the first state alone
    context: dict[str, str] = field(default_factory=dict)  # given once for a sequence: name -> size name of a position
    counts: dict[str, int] = field(default_factory=dict)  # of sizes of states with members; 0 where a layer says it

    def __deepcopy__(self, memo: object) -> Interface:
        return self  # it never changes, and caches compare it by identity

    @property
    def of_fed(self) -> dict[str, str]:
        """The parameters that hold the U of all gates, and the state that each of them multiplies."""
        fed = self.fed or (self.output_state,)
        names = naming.recurrent(self.children, fed)
        return dict(zip(names, fed if len(fed) > 1 else fed * len(names), strict=True))

    @property
    def output_state(self) -> str:
        """The first state, which is the output of a layer at every step."""
        return next(iter(self.states))

    @cached_property
    def parameters(self) -> dict[str, tuple[str, ...]]:
        """The parameters of a scan and their shapes, in torch.nn's order: name -> sizes.

        A size is "hidden", "projection", "input", a name of the cell's own, or the total of hidden units of several
        gates: "gates" of all gates, "inputs" of those that read x, "recurrents" of those that read the state.
        Raises ProgramError if one parameter would have two shapes.
        """
        found: dict[str, tuple[str, ...]] = {}

        def enter(name: str, *shape: str) -> None:
            if found.setdefault(name, shape) != shape:
                raise ProgramError(
                    f"the program of {self.cell} reads its parameter {name!r} both as {found[name]} and as {shape}"
                )

        enter(naming.W, "inputs", "input")
        for name, state in self.of_fed.items() if self.recurrents else ():
            enter(name, "recurrents", self.states[state])
        if self.gate_bias:
            enter(naming.B, "inputs")
        if self.gate_bias and self.recurrents:
            enter(naming.C, "recurrents")
        for weight in self.weights.values():
            enter(weight.parameter, weight.rows if weight.gate is None else "recurrents", weight.columns)
            if weight.bias is not None:
                enter(weight.bias, weight.rows if weight.gate is None else "recurrents")
        for name, vector in self.vectors.items():
            enter(name, "gates" if vector.per_gate else vector.size)
        for name in self.own:  # engines receive a number as a row that repeats it
            enter(name, "hidden")
        return found

    @cached_property
    def size_names(self) -> frozenset[str]:
        """The size names that rows of a program may have."""
        of_weights = (size for weight in self.weights.values() for size in (weight.rows, weight.columns))
        of_vectors = (vector.size for vector in self.vectors.values())
        known = ("hidden", "projection", "one", "any")
        of_states = (each for size in self.states.values() for each in parted(size) if each)
        own = (*of_states, *of_weights, *of_vectors, *self.parts.values(), *self.context.values(), *self.counts)
        return frozenset((*known, *own))

    @property
    def blocks(self) -> dict[str, int]:
        """The number of gates in each of the sizes "gates", "inputs" and "recurrents"."""
        return {"gates": len(self.gates), "inputs": len(self.inputs), "recurrents": len(self.recurrents)}

    def parameter_shapes(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """The shapes of `parameters` in numbers, by name.

        sizes: a number for each size name, "input" among them.
        """
        units = {**sizes, **{name: count * sizes["hidden"] for name, count in self.blocks.items()}}
        return {name: tuple(units[size] for size in shape) for name, shape in self.parameters.items()}

    def sizes_of(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
        """The reverse of `parameter_shapes`: the number for each size name.

        shapes: the shapes of the parameters, by name. Raises ValueError for a parameter with the wrong number of axes.
        """
        units = {"one": 1, "hidden": shapes[naming.W][0] // len(self.inputs)}
        for name, shape in shapes.items():
            if len(shape) != len(self.parameters[name]):
                raise ValueError(f"{name} must have {len(self.parameters[name])} axes, but is {tuple(shape)}")
            units |= {of: n for of, n in zip(self.parameters[name], shape, strict=True) if of not in self.blocks}
        return self.with_rows(units | {size: count for size, count in self.counts.items() if count})

    def with_rows(self, sizes: dict[str, int]) -> dict[str, int]:
        """The sizes, and those of states with members as rows: as many units as all members have."""
        pairs = {size: parted(size) for size in self.states.values() if parted(size)[0]}
        return sizes | {size: sizes[m] * sizes.get(units, 1) for size, (m, units) in pairs.items() if m in sizes}


@dataclass(frozen=True, eq=False, kw_only=True)
class Program(Interface):
    """One step, ready for engines: the fields of an `Interface`, the nodes in order, and the nodes that are results.

    nodes: the lines of the step; a node reads only nodes before it.
    outputs: result -> node. The results of a forward program are the new states by name, in order, and the recorded
        values, as ("record", name). `derivative.Derivative` describes the results of a derivative.
    lengths: the number of units that the equations demand of a size, if they do (as a norm over 8 units does).
    Programs are compared by identity: `verify.finished` makes programs with the same content one object.
    """

    nodes: tuple[Node, ...]
    outputs: dict[Any, int]
    lengths: dict[str, int] = field(default_factory=dict)

    def content(self) -> tuple[Any, ...]:
        """The content of the program, to be compared and hashed, without the line numbers of the author's file."""
        # Constants are compared as text, where 0.0 and -0.0 differ and NaN equals NaN.
        attrs = (repr(n.attr) if n.op == "constant" else n.attr for n in self.nodes)
        nodes = ((n.op, n.args, n.size, attr, n.members, n.name) for n, attr in zip(self.nodes, attrs, strict=True))
        others = (value for name, value in self._fields().items() if name != "nodes")
        return *(tuple(value.items()) if isinstance(value, dict) else value for value in others), tuple(nodes)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._fields(),)

    def _fields(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def __str__(self) -> str:
        from carousel.program.printing import equations

        return equations(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"  # in a notebook

    # Facts that follow from the nodes. Nobody declares them.

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The nodes to compute, in order: (node, its meaning, its arguments). A meaning that needs a weight or members
        stands as None."""
        return tuple(
            (index, None if (row := ops.TABLE[node.op]).kind in ("product", "members") else row.meaning, node.args)
            for index, node in enumerate(self.nodes)
            if node.op in ops.TABLE
        )

    @cached_property
    def emitted(self) -> tuple[int, ...]:
        """The nodes that a scan returns for every step: the output state, then the recorded values in order."""
        recorded = [index for key, index in self.outputs.items() if isinstance(key, tuple) and key[0] == "record"]
        return (self.outputs[self.output_state], *recorded)

    @cached_property
    def streams(self) -> dict[str, str]:
        """The rows that a caller must give for every step: name -> size name."""
        return {node.attr: node.row for node in self.nodes if node.op == "stream"}

    @cached_property
    def products(self) -> tuple[Product, ...]:
        """The matrix products of one step, in order. Products of one row with one parameter are taken together.

        Products by a transpose are left out: each of them is computed by itself.
        """
        groups: dict[tuple[int, str, str | None], list[int]] = {}
        for index, node in enumerate(self.nodes):
            if node.op == "product":
                weight = self.weights[node.attr]
                groups.setdefault((node.args[0], weight.parameter, weight.bias), []).append(index)
        found = []
        for (source, parameter, bias), nodes in groups.items():
            nodes.sort(key=self._gate)
            gates = None if self._gate(nodes[0]) < 0 else tuple(map(self._gate, nodes))
            found.append(Product(source, tuple(nodes), parameter, bias, gates))
        return tuple(found)

    def _gate(self, index: int) -> int:
        gate = self.weights[self.nodes[index].attr].gate
        return -1 if gate is None else gate

    @cached_property
    def sequential_products(self) -> int:
        """The length of the longest chain of matrix products in one step that need one another (LSTM 1, reset-before
        GRU 2)."""
        depth = [0] * len(self.nodes)
        for index, node in enumerate(self.nodes):
            depth[index] = max((depth[a] for a in node.args), default=0) + (node.op in ops.PRODUCTS)
        return max(depth, default=0)

    @cached_property
    def still(self) -> frozenset[int]:
        """The nodes that are computed of contexts and weights alone, and are the same at every step of a sequence."""
        found: set[int] = set()
        for index, node in enumerate(self.nodes):
            if node.op in ("vector", "constant", "per_unit", "context") or (node.args and {*node.args} <= found):
                found.add(index)
        return frozenset(found)

    @cached_property
    def of_context(self) -> frozenset[int]:
        """Those of them that differ from sequence to sequence, since a context is read."""
        found: set[int] = set()
        for index in sorted(self.still):
            if self.nodes[index].members == ops.CONTEXT or found.intersection(self.nodes[index].args):
                found.add(index)
        return frozenset(found)

    @cached_property
    def depends_on_state(self) -> frozenset[int]:
        """The nodes that depend on a state. All other nodes can be computed for all steps at once."""
        found: set[int] = set()
        for index, node in enumerate(self.nodes):
            if node.op == "state" or any(a in found for a in node.args):
                found.add(index)
        return frozenset(found)

    def count(self, *kinds: str) -> int:
        """The number of ops of some kinds. Leaves are not ops.

        kinds: the kinds of `ops.TABLE`, "product" for instance; without any, all ops are counted.
        """
        return sum(1 for n in self.nodes if n.op in ops.TABLE and (not kinds or ops.TABLE[n.op].kind in kinds))


def _again(fields: dict[str, Any]) -> Program:
    """Unpickles a program. If this process has a program with the same content already, the result is that object."""
    from carousel.program.verify import finished

    program = Program(**fields)
    return finished(program) if program.states else program  # a derivative is kept by its forward program
