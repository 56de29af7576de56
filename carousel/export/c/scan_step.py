"""One step of a program as C: matrix products, sums over units, and one loop over the units for all between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from carousel.errors import ProgramError
from carousel.export.c.numbers import number
from carousel.export.c.operations import EXPRESSIONS, expression
from carousel.export.c.products import Products
from carousel.program import Program, naming, ops
from carousel.program.program import Node

INDENT = "    "
REDUCTIONS = {"sum": "sum", "highest": "highest"}  # op -> the function that does it


@dataclass(frozen=True)
class ArrayNames:
    """What the arrays of one scan are called in the file.

    parameters: the parameter, as engines call it -> a constant array. streams: of each, a constant array.
    states: the state -> the expression of an array that lives from step to step.
    parts: the part of the input that a step reads by name -> where it begins in x. read: where the gates' part begins.
    """

    parameters: Mapping[str, str]
    streams: Mapping[str, str]
    states: Mapping[str, str]
    parts: Mapping[str, int]
    read: int


class ScanStep:
    """Prints one step of a program, the numbers of its sizes given.

    A value that is read in its own loop alone is a number there; all others are arrays. The step is cut into passes: a
    pass begins with the products and the sums that need whole rows of the pass before it.
    """

    def __init__(self, program: Program, sizes: Mapping[str, int], names: ArrayNames, products: Products):
        self.program, self.names, self.products = program, names, products
        self.sizes = {**sizes, "one": 1, "any": 1}
        for node in program.nodes:
            if not (node.op in ops.LEAVES or node.op in EXPRESSIONS or node.op in REDUCTIONS or _is_product(node)):
                raise ProgramError(
                    f"{program.cell}: exporting to C needs a C form of every op of its step, and {node.op!r} has none; "
                    "run this cell in Python, or train one of rows alone, such as lstm, to export it"
                )
        self._pass_of = self._cut_into_passes()
        self._called = [
            f"{re.sub(r'[^0-9A-Za-z_]', '_', node.name) or 'v'}_{k}" for k, node in enumerate(program.nodes)
        ]
        self._stands_in_array = self._find_arrays()
        self._inside = self._find_inside()

    def lines(self, output: str) -> list[str]:
        """Statements that read the array `x` and the states, and write the array `output` and the new states."""
        lines = self._inputs()
        for k in range(max(self._pass_of, default=0) + 1):
            lines += self._one_pass([n for n, its in enumerate(self._pass_of) if its == k])
        return lines + self._results(output)

    # Where each value is made, and what it is called there.

    def _cut_into_passes(self) -> list[int]:
        found: list[int] = []
        for node in self.program.nodes:
            before = max((found[a] for a in node.args), default=0)
            found.append(before + (_is_product(node) or node.op in REDUCTIONS))
        return found

    def _find_arrays(self) -> set[int]:
        found = set(self.program.outputs.values())
        for index, node in enumerate(self.program.nodes):
            if _is_product(node) or node.op in REDUCTIONS:
                found |= {index, *node.args}
            found |= {a for a in node.args if self._pass_of[a] < self._pass_of[index]}
        return found

    def _find_inside(self) -> set[int]:
        """Values without a name of their own that one other value of the same loop reads, once: written inside it."""
        readers: dict[int, list[int]] = {}
        for index, node in enumerate(self.program.nodes):
            for a in node.args:
                readers.setdefault(a, []).append(index)
        return {
            a
            for a, by in readers.items()
            if len(by) == 1
            and a not in self._stands_in_array
            and not self.program.nodes[a].name
            and self.program.nodes[a].op in EXPRESSIONS
            and self._size(a) == self._size(by[0])
            and EXPRESSIONS[self.program.nodes[by[0]].op].count(f"{{{self.program.nodes[by[0]].args.index(a)}}}") == 1
        }

    def _size(self, index: int) -> int:
        return self.sizes[self.program.nodes[index].size]

    def _at_unit(self, index: int) -> str:
        """The expression of one unit of a value, inside a loop over `unit`."""
        node, unit = self.program.nodes[index], "0" if self._size(index) == 1 else "unit"
        match node.op:
            case "constant":
                text = number(node.attr, self.products.precision)
                return f"({text})" if text.startswith("-") else text
            case "per_unit":
                return number(1 / self.sizes[node.attr], self.products.precision)
            case "input" | "state" | "stream" | "vector":
                array, first = self._leaf(node)
                return f"{array}[{f'{first} + ' if first else ''}{unit}]"
        if index in self._inside:
            return self._expression(node)
        in_array = index in self._stands_in_array and self._size(index) > 1
        return self._called[index] + ("[unit]" if in_array else "")

    def _array(self, index: int) -> str:
        """The expression of a whole value, to be read by a product or a sum."""
        node = self.program.nodes[index]
        if node.op in ("input", "state", "stream", "vector"):
            array, first = self._leaf(node)
            return f"{array} + {first}" if first else array
        return self._called[index] if self._size(index) > 1 else f"&{self._called[index]}"

    def _leaf(self, node: Node) -> tuple[str, int]:
        """The array that a leaf stands in, and where it begins there."""
        gates = self.program.gates
        match node.op:
            case "input":
                return "inputs", self.program.inputs.index(node.attr) * self.sizes["hidden"]
            case "state":
                return self.names.states[node.attr], 0
            case "stream" if node.attr in self.names.parts:
                return "x", self.names.parts[node.attr]
            case "stream":
                return self.names.streams[node.attr], 0
        name, gate = node.attr if isinstance(node.attr, tuple) else (node.attr, None)
        return self.names.parameters[name], 0 if gate is None else gates.index(gate) * self.sizes["hidden"]

    # Statements.

    def _inputs(self) -> list[str]:
        matrix = self.names.parameters[naming.W]
        if not any(node.op == "input" for node in self.program.nodes):
            return ["(void)x;"]
        rows = self.products.matrices[matrix][0]
        bias = self.names.parameters.get(naming.B)
        source = f"x + {self.names.read}" if self.names.read else "x"
        return [f"real inputs[{rows}];", self.products.affine("inputs", matrix, bias, source)]

    def _one_pass(self, nodes: list[int]) -> list[str]:
        lines: list[str] = []
        loops: dict[int, list[str]] = {}
        for index in nodes:
            node, size, name = self.program.nodes[index], self._size(index), self._called[index]
            if node.op in ops.LEAVES or index in self._inside:
                continue
            if _is_product(node):
                lines += [f"real {name}[{size}];", self._product(node, name)]
            elif node.op in REDUCTIONS:
                over = node.args[0]
                lines.append(f"const real {name} = {REDUCTIONS[node.op]}({self._array(over)}, {self._size(over)});")
            elif size == 1:
                lines.append(f"const real {name} = {self._expression(node)};")
            else:
                if index in self._stands_in_array:
                    lines.append(f"real {name}[{size}];")
                left = f"{name}[unit]" if index in self._stands_in_array else f"const real {name}"
                loops.setdefault(size, []).append(f"{left} = {self._expression(node)};")
        for size, body in loops.items():
            lines += [f"for (unit = 0; unit < {size}; unit++) {{", *(INDENT + line for line in body), "}"]
        return lines

    def _expression(self, node: Node) -> str:
        suffix = self.products.precision.suffix
        text = expression(node.op, [self._at_unit(a) for a in node.args], suffix)
        return f"(real)({text})" if ops.TABLE[node.op].kind == "relation" else text

    def _product(self, node: Node, into: str) -> str:
        weight = self.program.weights[node.attr]
        block = None if weight.gate is None else (weight.gate * self.sizes[weight.rows], self.sizes[weight.rows])
        matrix, source = self.names.parameters[weight.parameter], self._array(node.args[0])
        if node.op == "product_transposed":
            return self.products.transposed(into, matrix, source, block)
        bias = None if weight.bias is None else self.names.parameters.get(weight.bias)
        return self.products.affine(into, matrix, bias, source, block)

    def _results(self, output: str) -> list[str]:
        """New states are written at the end: until then the step reads the old ones."""
        lines, targets = [], []
        for state, size in self.program.states.items():
            index = self.program.outputs[state]
            value = self._at_unit(index)
            if self.program.nodes[index].op == "state":  # it may be overwritten before it is read
                lines += self._loop(self.sizes[size], f"before_{state}[unit] = {value};", declare=f"before_{state}")
                value = f"before_{state}[unit]"
            targets.append((self.names.states[state], self.sizes[size], value))
        for k, (target, count, value) in enumerate(targets):
            also = f"{output}[unit] = " if k == 0 else ""
            lines += self._loop(count, f"{also}{target}[unit] = {value};")
        return lines

    def _loop(self, size: int, statement: str, declare: str = "") -> list[str]:
        head = [f"real {declare}[{size}];"] if declare else []
        return [*head, f"for (unit = 0; unit < {size}; unit++)", INDENT + statement]


def _is_product(node: Node) -> bool:
    return node.op in ops.TABLE and ops.TABLE[node.op].kind == "product"
