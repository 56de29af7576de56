"""Checks what a cell declares, and says which arguments step may have and what each of them means."""

from __future__ import annotations

import inspect
from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import nn

from carousel.cells.cell import Cell, names
from carousel.errors import ProgramError
from carousel.program import declared_weights, member_states, naming, ops
from carousel.program.program import Program, Weight


class SymbolSource(Protocol):
    """Makes the values that step receives: symbols when step is traced, rows when it runs as plain Python."""

    def leaf(self, op: str, attr: Any, size: str = "hidden", members: str = "") -> Any: ...

    def state(self, name: str) -> Any: ...

    def gate(self, gate: str) -> Any: ...

    def product(self, *weights: str) -> Map: ...


class Map:
    """A matrix that step calls: U_f(v) is U_f v + c_f, and U_f.T(v) is its transpose times v.

    In a cell with a number of children it is a matrix for each of them: U_f((v, w)) is U_f_0 v + U_f_1 w + c_f.
    """

    def __init__(self, multiply: Callable[[Any, bool], Any]):
        self._multiply = multiply

    def __call__(self, row: Any) -> Any:
        return self._multiply(row, False)

    @property
    def T(self) -> Callable[[Any], Any]:  # as torch calls it
        return lambda row: self._multiply(row, True)


# The ops whose attr is the name of a weight.
READS = ("input", "vector", "product", "product_transposed")


class Declaration:
    """The checked declaration of a cell, for a layer with or without biases."""

    def __init__(self, cell: Cell, bias: bool):
        self.cell = cell
        both, inputs, recurrents = names(cell.gates), names(cell.inputs), names(cell.recurrents)
        self.gates = (*both, *inputs, *recurrents)
        self.inputs, self.recurrents = (*both, *inputs), (*both, *recurrents)
        self.states = names(cell.states)
        self.matrices = cell.matrix_table()
        self.all_vectors = cell.vector_table()
        self.vectors = {name: v for name, v in self.all_vectors.items() if bias or not v.bias}
        self.gate_bias = bias and cell.gate_bias
        self.own = own_parameters(cell)
        self.children = cell.children
        self.fed = names(cell.fed)
        self.context = dict(cell.context)
        self.parts = cell.part_table()
        self.reads = cell.reads or next(iter(self.parts), "")
        self._check()
        member_states.check(cell, self.states, self.fed)
        declared_weights.check(cell, self.states, self.all_vectors, self.matrices)
        declared_weights.check_parts(cell, self.parts, self.reads)
        parameters = naming.recurrent(self.children, self.fed)
        fed = [cell.size_of(state) for state in self.fed] or [cell.size_of(self.states[0])]
        fed = fed if len(fed) > 1 else fed * len(parameters)
        self.weights = {
            name: Weight(
                parameter, "hidden", size, k, naming.C if self.gate_bias and parameter == parameters[0] else None
            )
            for k, gate in enumerate(self.recurrents)
            for name, parameter, size in zip(self.maps(gate), parameters, fed, strict=True)
        } | {
            name: Weight(
                naming.of_matrix(name), m.rows, m.columns, bias=naming.of_bias(name) if bias and m.bias else None
            )
            for name, m in self.matrices.items()
        }

    def maps(self, gate: str) -> tuple[str, ...]:
        """The weights that a gate multiplies states with: one, or one for each child or state. The first has its c."""
        return naming.maps_of(gate, self.children, self.fed)

    def _check_children(self, title: str) -> None:
        if not (self.children in (None, "any") or (type(self.children) is int and self.children > 0)):
            raise ProgramError(
                f"the cell {title} declares children = {self.children!r}; write how many children a node has at most, "
                "children = 2, or children = 'any'; leave it out in a cell of sequences"
            )

    def _check(self) -> None:
        title = type(self.cell).__name__
        self._check_children(title)
        vectors, matrices = self.all_vectors, self.matrices
        kinds = vectors, matrices, self.own, self.children, self.parts, self.fed, self.context
        naming.check(title, self.states, self.gates, *kinds)
        for name, parameter in self.own.items():
            if (parameter.dim() > 1 and parameter.numel() != 1) or not parameter.is_floating_point():
                raise ProgramError(
                    f"the cell {title} has the parameter {name!r} of shape {tuple(parameter.shape)} and "
                    f"{parameter.dtype}; a parameter of a cell's own is one number, or a row of one number per unit. "
                    "Declare what a layer is to learn for itself: vectors = {name: carousel.Vector()}, matrices = "
                    "{'W_ab': ('hidden', 'hidden')}"
                )
        if not self.states or not self.gates:
            raise ProgramError(f"the cell {title} must declare at least one state and one gate")
        if not self.inputs:
            raise ProgramError(
                f"the cell {title} declares no gate that reads the input, only {', '.join(self.recurrents)} of the "
                "state; declare at least one in gates (W x + b + U h + c) or in inputs (W x + b)"
            )
        declared = [*self.states, *self.gates, *self.all_vectors, *self.matrices]
        step = inspect.getattr_static(type(self.cell), "step")
        first = next(iter(inspect.signature(step).parameters), "") if inspect.isfunction(step) else ""
        if first in declared:
            raise ProgramError(
                f"the first argument of {title}.step, a method, is the cell itself, but it is called {first!r}: "
                f"write def step(self, {first}, ...)"
            )

    def interface(self) -> dict[str, Any]:
        """The fields of `program.Interface`."""
        return {
            "cell": type(self.cell).__name__,
            "gates": self.gates,
            "inputs": self.inputs,
            "recurrents": self.recurrents,
            "states": {state: self.cell.size_of(state) for state in self.states},
            "vectors": {name: declared_weights.as_declared(vector) for name, vector in self.vectors.items()},
            "weights": self.weights,
            "gate_bias": self.gate_bias,
            "parts": self.parts,
            "reads": self.reads,
            "heads": self.cell.heads,
            "sparse": self.cell.connections is not None,
            "constants": (
                *(name for name, vector in self.vectors.items() if not vector.learned),
                *(naming.of_matrix(name) for name, matrix in self.matrices.items() if not matrix.learned),
            ),
            "own": {name: "number" if parameter.numel() == 1 else "row" for name, parameter in self.own.items()},
            "children": self.children,
            "fed": self.fed,
            "context": self.context,
            "counts": member_states.counts({s: self.cell.size_of(s) for s in self.states}, self.cell.units),
        }

    def with_symbols(self, symbols: SymbolSource) -> Cell:
        """A copy of the cell whose own parameters are replaced by symbols. step reads them as attributes."""
        if not self.own:
            return self.cell
        made = object.__new__(type(self.cell))
        values = {name: symbols.leaf("vector", name) for name in self.own}
        vars(made).update(vars(self.cell))
        if isinstance(self.cell, nn.Module):
            vars(made)["_parameters"] = dict(self.cell._parameters) | values
        else:
            vars(made).update(values)
        return made

    def returned(self, results: Any) -> tuple[Any, ...]:
        """Checks what step returned: one value for each state, as a tuple."""
        several = isinstance(results, tuple | list)
        values = tuple(results) if several else (results,)
        if len(values) != len(self.states) or isinstance(results, dict):
            found = f"{len(values)} values" if several else "a dict" if isinstance(results, dict) else "1 value"
            raise ProgramError(
                f"{title(self.cell)} must return its states {', '.join(self.states)}, one row each and in this order, "
                f"but returned {found}"
            )
        return values

    def arguments(self, symbols: SymbolSource) -> dict[str, Any]:
        """The arguments for a call of step, by the names in its signature."""
        arguments: dict[str, Any] = {}
        for name, parameter in inspect.signature(self.cell.step).parameters.items():
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                raise ProgramError(f"{title(self.cell)} must name its arguments one by one, but has *{name}")
            make = self._maker(name, symbols)
            if make is not None:
                arguments[name] = make()
            elif parameter.default is parameter.empty:
                raise self._unknown(name)
        return arguments

    def _unknown(self, name: str) -> ProgramError:
        """The error for an argument of step that the cell does not declare."""
        cell, (kind, _, gate) = type(self.cell).__name__, name.partition("_")
        if kind in ("x", "U") and gate in self.gates:
            side, other = ("inputs", "state") if kind == "U" else ("recurrents", "input")
            return ProgramError(
                f"{title(self.cell)} asks for {name!r}, but {cell} declares the gate {gate!r} in {side}, so that it "
                f"does not read the {other}; declare it in gates to have both"
            )
        return ProgramError(
            f"{title(self.cell)} asks for {name!r}, which {cell} does not declare. "
            f"Declared: states {', '.join(self.states)}; gates {', '.join(self.gates)} (and x_ and U_ before "
            f"each, or all as x and U); vectors {', '.join(self.all_vectors) or 'none'}; "
            f"matrices {', '.join(self.matrices) or 'none'}"
            + (f"; parts of the input {', '.join(self.parts)}" if self.parts else "")
            + (f"; context {', '.join(self.context)}" if self.context else "")
        )

    def _maker(self, name: str, symbols: SymbolSource) -> Callable[[], Any] | None:
        kind, _, gate = name.partition("_")
        if name in self.states:
            return lambda: symbols.state(name)
        if name in self.gates:
            return lambda: symbols.gate(name)
        if name == "x":
            return lambda: _by_name(self.inputs, lambda g: symbols.leaf("input", g))
        if name == "U":
            return lambda: _by_name(self.recurrents, lambda g: symbols.product(*self.maps(g)))
        if kind == "x" and gate in self.inputs:
            return lambda: symbols.leaf("input", gate)
        if kind == "U" and gate in self.recurrents:
            return lambda: symbols.product(*self.maps(gate))
        if name in self.matrices:
            return lambda: symbols.product(name)
        if name in self.parts:
            return lambda: symbols.leaf("stream", name, self.parts[name])
        if name in self.context:
            return lambda: symbols.leaf("context", name, self.context[name], ops.CONTEXT)
        if name in self.all_vectors:
            vector, present = self.all_vectors[name], name in self.vectors
            if vector.per_gate:
                return lambda: _by_name(self.gates, lambda g: symbols.leaf("vector", (name, g)) if present else 0.0)
            return lambda: symbols.leaf("vector", name, vector.size) if present else 0.0
        return None

    def unused(self, program: Program) -> tuple[str, int] | None:
        """A weight that no equation reads, so that no training would change it; None if there is none.

        The result is a phrase with the weight and the remedy, and the line of the equation that reads the other part of
        the weight's gate, or 0.
        """
        reads = {node.attr: index for index, node in enumerate(program.nodes) if node.op in READS}
        plain = {node.attr for node in program.nodes if node.op == "product"}
        for gate in self.recurrents:
            if (first := self.maps(gate)[0]) in reads and first not in plain:
                index = reads[first]
                return (
                    f"uses U_{gate} only as U_{gate}.T, so that nothing reads its bias; write U_{gate}(v)",
                    index and (program.nodes[index].line),
                )
        line = {a: node.line for node in reversed(program.nodes) for a in node.args}  # the first line that reads it
        for gate in self.gates:
            parts = {"x_" + gate: reads.get(gate)} | {name: reads.get(name) for name in self.maps(gate)}
            asked = {f"x_{g}" for g in self.inputs} | {name for g in self.recurrents for name in self.maps(g)}
            absent = [part for part, index in parts.items() if index is None and part in asked]
            present = [index for index in parts.values() if index is not None]
            if absent and not present:
                return f"declares the gate {gate!r}, but step never uses its {absent[0]}; leave the gate out", 0
            if absent:
                side = "inputs" if absent[0].startswith("U_") else "recurrents"
                what = "the input" if side == "inputs" else f"the state {self.states[0]}"
                return (
                    f"declares the gate {gate!r} in gates, but step never uses its {absent[0]}; a gate of {what} alone "
                    f"is declared in {side}: {side} = {gate!r},"
                ), program.nodes[present[0]].line or line.get(present[0], 0)
        used = {attr[0] if isinstance(attr, tuple) else attr for attr in reads}
        used |= {node.attr for node in program.nodes if node.op == "context"}
        for name in (*self.vectors, *self.matrices, *self.own, *self.context):
            if name not in used:
                return f"declares {name!r}, but step never uses it; leave it out", 0
        return None


def _by_name(names: Sequence[str], make: Callable[[str], Any]) -> Any:
    """A named tuple with make(name) for each name: x.f, x.i, ..."""
    kind = namedtuple("gates", names)  # type: ignore[misc]
    return kind(*map(make, names))


def own_parameters(cell: Cell) -> dict[str, nn.Parameter]:
    """The parameters that are attributes of a cell, by name. The cell may be an nn.Module or a plain object."""
    found = dict(vars(cell))
    if isinstance(cell, nn.Module):
        found |= cell._parameters
    return {name: value for name, value in found.items() if isinstance(value, nn.Parameter)}


def title(cell: Cell) -> str:
    return f"{type(cell).__name__}.step"
