"""Makes the plan of backpropagation through a scan, from a program and its derivative."""

from __future__ import annotations

from typing import Any

from carousel.engines.keeping import Kept
from carousel.engines.native.emit import emit
from carousel.engines.native.forward import results_of, saved_buffers, state_sizes
from carousel.engines.native.items import Items
from carousel.engines.native.leaves import NOTHING, Idle
from carousel.engines.native.plan import (
    ALWAYS,
    BUFFER,
    CHILD,
    CHUNK,
    FORWARD_PREVIOUS,
    PANEL,
    PREVIOUS,
    SIZES,
    TWO,
    WORKSPACE,
    Gather,
    Input,
    Plan,
    Vector,
    View,
    WeightGradient,
)
from carousel.engines.native.select import select
from carousel.program import Derivative, Node, Program, naming, ops


def lower_backward(
    program: Program,
    derivative: Derivative,
    keep: Kept,
    direct: frozenset[str],
    of_streams: bool,
    halves: bool,
    idle: Idle | None = None,
) -> Plan:
    """The plan of backpropagation through a scan that kept `keep`.

    The EXTERNAL rows are, in this order: the values of the output state (over trees, of all states), the gradients of
    all results, the streams, and (if of_streams) the gradients of the streams. direct, halves, idle: see
    `forward.lower_forward`.
    """
    return _Backward(program, derivative, keep, direct, of_streams, halves, idle).plan()


class _Backward:
    """Collects, for the plan of backpropagation, where each value that it reads is, and where each gradient goes.

    homes, sums: the arguments of `select`, for nodes of the derivative.
    gradient_of: the buffer of each gradient of an input part or of a product, by its key in the derivative's outputs.
    """

    def __init__(
        self,
        program: Program,
        derivative: Derivative,
        keep: Kept,
        direct: frozenset[str],
        of_streams: bool,
        halves: bool,
        idle: Idle | None,
    ):
        self.program, self.derivative, self.keep = program, derivative, keep
        self.states = list(program.states)
        b = self.b = Items(program, direct)
        self.trees, self.idle = idle is not None, idle or NOTHING
        b.idle = self.idle.backward
        self.stored = saved_buffers(b, program, keep, halves, self.trees)
        given = self.states if self.trees else [program.output_state]
        self.outputs = {state: b.external(program.states[state]) for state in given}
        self.upstream = {k: b.external(program.nodes[i].row) for k, i in results_of(program, self.trees).items()}
        self.streams = {name: b.external(row) for name, row in program.streams.items()}
        self.grad_streams = {name: b.external(row) for name, row in program.streams.items()} if of_streams else {}
        b.plan.state_sizes = state_sizes(program)
        # The gradients of states: of this step and the one before it in the walk, or over trees of all nodes.
        time = ALWAYS if self.trees else TWO
        self.carried = [b.state_buffer(row, time, WORKSPACE) for row in program.states.values()]
        if not self.trees:
            b.plan.forward_states = [self._forward_state(state) for state in self.states]
            b.plan.carried = self.carried
        self.homes: dict[int, list[int]] = {}
        self.sums: dict[int, list[int]] = {}
        self.gradient_of: dict[tuple[str, Any], int] = {}
        self._forward_items: dict[int, int] = {}

    def plan(self) -> Plan:
        for key, index in self.derivative.program.outputs.items():
            self._claim(key[0], key[1], index)
        select(self.b, self.derivative.program.nodes, self._leaf, self.homes, self.sums, forward_inputs=None)
        for state, carried in zip(self.states, self.b.plan.carried, strict=False):
            if ("state", state) not in self.derivative.program.outputs:  # the step does not read it
                self.b.keep_in(self.b.common_leaf(Node("constant", (), "any", 0.0)), carried)
        self._gradients_of_inputs()
        self._gradients_of_weights()
        self._gradients_of_transposed()
        # Entries with the same source share its packing, which the first of them asks for.
        self.b.plan.weight_gradients.sort(key=lambda w: (w.source, w.idle))
        return emit(self.b)

    # --- values that backpropagation reads

    def _forward_state(self, state: str) -> int:
        """The buffer with the values of a state in the forward scan, or -1 if forward did not keep them."""
        return self.outputs[state] if state in self.outputs else self.stored.get(("state", state), -1)

    def _forward_value(self, node: int) -> View:
        """The view of a value that the forward scan kept."""
        for state in self.outputs if self.trees else (self.program.output_state, *self.keep.states):
            if self.program.outputs[state] == node:
                return View(BUFFER, self._forward_state(state))
        return View(BUFFER, self.stored["node", node])

    def _forward_item(self, index: int) -> int:
        """The item of a value of the forward scan: the same for all rows, or computed again, or kept by forward."""
        if index not in self._forward_items:
            self._forward_items[index] = self._new_forward_item(index)
        return self._forward_items[index]

    def _new_forward_item(self, index: int) -> int:
        node = self.program.nodes[index]
        if node.op in ("constant", "per_unit", "vector"):
            return self.b.common_leaf(node)
        if index in self.keep.again:
            arguments = [self._forward_item(a) for a in node.args]
            if ops.is_of_members(node.op):
                return self.b.across(node.op, node.size, arguments[0], bool(node.members))
            return self.b.op("copy" if node.op == "broadcast" else node.op, node.size, *arguments)
        if node.op == "state":
            return self._leaf(node)
        view = self._forward_value(index)
        if node.size == "one":
            return self.b.number_leaf(view, bool(node.members))
        return self.b.leaf("saved", view, node.size, bool(node.members))

    def _leaf(self, node: Node) -> int:
        match node.op:
            case "saved":
                return self._forward_item(node.attr)
            case "input":
                return self._forward_item(self.program.nodes.index(node))
            case "state" if self.trees:
                return self.b.children_leaf(node.attr, node.size, self._values_of(node.attr))
            case "state":
                view = View(FORWARD_PREVIOUS, self.states.index(node.attr))
                return self.b.state_leaf(view, node.size, bool(node.members))
            case "stream":
                return self.b.rows_leaf(self.streams[node.attr], node.size)
            case "gradient":
                return self._gradient(node)
        return self.b.common_leaf(node)

    def _gradient(self, node: Node) -> int:
        """The item of the gradient of a new state: from the following step, from the emitted values, or their sum."""
        if node.attr not in self.states:
            return self.b.rows_leaf(self.upstream[node.attr], node.size)
        index = self.states.index(node.attr)
        view = View(BUFFER, self.carried[index]) if self.trees else View(PREVIOUS, index)
        carried = self.b.state_leaf(view, node.size, bool(node.members))
        if node.attr not in self.upstream:
            return carried
        return self.b.op("add", node.size, carried, self.b.rows_leaf(self.upstream[node.attr], node.size))

    # --- gradients that backpropagation computes

    def _claim(self, kind: str, what: Any, index: int) -> None:
        """Records where the gradient at node `index` must be stored."""
        plan, homes = self.b.plan, self.homes.setdefault(index, [])
        match kind:
            case "state" if self.trees:
                state, slot = self.b.child(what)
                panel = self.b.buffer(PANEL, list(SIZES)[plan.state_sizes[state]], TWO, WORKSPACE, slot < 0)
                plan.scatters.append(Gather(state, slot, self.carried[state], panel))
                homes.append(panel)
            case "state":
                homes.append(self.carried[self.states.index(what)])
            case "vector":
                name, gate = what if isinstance(what, tuple) else (what, None)
                self.sums.setdefault(index, []).append(len(plan.column_sums))
                part = -1 if gate is None else self.program.gates.index(gate)
                units = next(n.size for n in self.program.nodes if n.op == "vector" and n.attr == what)
                of = SIZES["single" if units == "one" else units]
                plan.column_sums.append(Vector(self.b.parameter(name), part, of))
            case "stream":
                if what in self.grad_streams:
                    homes.append(self.grad_streams[what])
            case _:
                size = SIZES["hidden" if kind == "input" else self.program.nodes[what].size]
                members = kind == "product" and bool(self.program.nodes[what].members)
                # If one value is the gradient of several things, they share its buffer.
                mine = [h for h in homes if h in self.gradient_of.values() and plan.buffers[h].size == size]
                if not mine:
                    homes += (mine := [self.b.buffer(PANEL, list(SIZES)[size], CHUNK, WORKSPACE, members)])
                self.gradient_of[kind, what] = mine[0]

    def _gradients_of_inputs(self) -> None:
        plan, bias = self.b.plan, self.b.parameter(naming.B) if self.program.gate_bias else -1
        for number, gate in sorted(enumerate(self.program.inputs), key=lambda of: of[1] in self.idle.inputs):
            buffer, idle = self.gradient_of["input", gate], int(gate in self.idle.inputs)
            plan.inputs.append(Input(buffer, number, idle=idle))
            weight = self.b.parameter(naming.W)
            plan.weight_gradients.append(WeightGradient(-1, 0, buffer, SIZES["hidden"], weight, number, bias, idle))

    def _gradients_of_weights(self) -> None:
        program, plan = self.program, self.b.plan
        for group in program.products:
            source = program.nodes[group.source]
            view = self._values_read(source) if source.op == "state" else self._forward_value(group.source)
            bias = -1 if group.bias is None else self.b.parameter(group.bias)
            for place, node in enumerate(group.nodes):
                gate = -1 if group.gates is None else group.gates[place]
                weight = program.weights[program.nodes[node].attr]
                read = plan.view(view), SIZES[weight.columns]
                made = self.gradient_of["product", node], SIZES[program.nodes[node].size]
                idle = int(node in self.idle.products)
                plan.weight_gradients.append(
                    WeightGradient(*read, *made, self.b.parameter(group.parameter), gate, bias, idle)
                )

    def _values_of(self, attr: Any) -> int:
        """Over trees: the buffer with the values at all nodes of the state that a leaf reads."""
        return self.outputs[self.states[self.b.child(attr)[0]]]

    def _values_read(self, state: Node) -> View:
        """The view by which the gradient of a weight reads a state that was multiplied."""
        if self.trees:
            return View(CHILD, self.b.gather(state.attr, self._values_of(state.attr)))
        return View(FORWARD_PREVIOUS, self.states.index(state.attr))

    def _gradients_of_transposed(self) -> None:
        """Gives v a buffer for each product y = Wᵀ v, where the gradient of W is the sum of v (gradient of y)ᵀ."""
        products = [(i, node) for i, node in enumerate(self.program.nodes) if node.op == "product_transposed"]
        for index, node in products:
            plan, weight = self.b.plan, self.program.weights[node.attr]
            copy = self.b.op("copy", weight.rows, self._source(node.args[0]))
            buffer = self.b.buffer(PANEL, weight.rows, CHUNK, WORKSPACE, bool(node.members))
            self.b[copy].homes.append(buffer)
            read = plan.view(View(BUFFER, self.gradient_of["product", index])), SIZES[weight.columns]
            made, gate = (buffer, SIZES[weight.rows]), -1 if weight.gate is None else weight.gate
            plan.weight_gradients.append(WeightGradient(*read, *made, self.b.parameter(weight.parameter), gate, -1))

    def _source(self, index: int) -> int:
        """The item of the row that a product of the forward scan reads."""
        node = self.program.nodes[index]
        return self._leaf(node) if node.op in ("state", "stream") else self._forward_item(index)
