"""The sizes of a program as the native library knows them: rows of hidden units, and of two other numbers of units.

The library calls the others "projection" and "further". A cell may call them anything, so its program is lowered with
these names in the place of the cell's. It multiplies rows and not single numbers: a product with a matrix of one row
or column is lowered as a sum over units, with a learned vector in the place of the matrix.
"""

from __future__ import annotations

from dataclasses import replace

from carousel.cells.member_sizes import joined, parted
from carousel.cells.weights import Vector
from carousel.engines.parameters import parameters_of
from carousel.program import Node, Program, Weight, ops
from carousel.program.builder import Builder, Ref, prune
from carousel.program.sharing import made_once

OTHERS = ("projection", "further")


@made_once(1024)
def others(program: Program) -> tuple[str, ...]:
    """The sizes of a program's rows beside "hidden" and single numbers, in order."""
    weights = (program.weights[node.attr] for node in program.nodes if node.op in ops.PRODUCTS)
    of_weights = (size for weight in weights for size in (weight.rows, weight.columns))
    of_states = (parted(size)[1] for size in program.states.values())
    of_nodes = (node.size for node in program.nodes)
    found = dict.fromkeys((*of_states, *of_nodes, *of_weights))
    return tuple(size for size in found if size not in ("hidden", "one", "any"))


def names(program: Program) -> dict[str, str]:
    """The library's name for each of them. "projection" keeps its name."""
    of_program = others(program)
    free = [name for name in OTHERS if name not in of_program]
    return {size: size if size in OTHERS else free.pop(0) for size in of_program}


@made_once(1024)
def members_of(program: Program) -> tuple[str, ...]:
    """The sizes that say how many members rows have, of members that are as many for every row."""
    found = dict.fromkeys(node.members for node in program.nodes)
    return tuple(members for members in found if members not in ("", *ops.RAGGED))


@made_once(1024)
def as_library_knows(program: Program) -> Program:
    """The program with the library's names of sizes, and without products of single numbers."""
    program = _of_rows(program)
    its = names(program)
    if all(size == name for size, name in its.items()):
        return program

    def named(size: str) -> str:
        members, units = parted(size)
        return str(joined((its.get(members, members), its.get(units, units)))) if members else its.get(size, size)

    def node(n: Node) -> Node:
        attr = named(n.attr) if n.op == "per_unit" else n.attr
        return replace(n, size=named(n.size), members=named(n.members), attr=attr)

    def weight(w: Weight) -> Weight:
        return replace(w, rows=named(w.rows), columns=named(w.columns))

    return replace(
        program,
        nodes=tuple(map(node, program.nodes)),
        states={state: named(size) for state, size in program.states.items()},
        parts={part: named(size) for part, size in program.parts.items()},
        weights={name: weight(w) for name, w in program.weights.items()},
        vectors={name: replace(v, size=named(v.size)) for name, v in program.vectors.items()},
    )


def _of_rows(program: Program) -> Program:
    """The program with sums over units in the place of products with a matrix of one row or column."""
    if not any(_is_of_numbers(program, node) for node in program.nodes):
        return program
    b = Builder(program.weights)
    new: dict[int, Ref] = {}
    for index, node in enumerate(program.nodes):
        args = [new[a] for a in node.args]
        of_numbers = _is_of_numbers(program, node)
        new[index] = _sum(b, program.weights[node.attr], node, args[0]) if of_numbers else b.copy(node, args)
    nodes, outputs = prune(b.nodes, {key: new[index] for key, index in program.outputs.items()})
    numbers = {name: weight for name, weight in program.weights.items() if "one" in (weight.rows, weight.columns)}
    vectors = {
        weight.parameter: Vector(size=weight.columns if weight.rows == "one" else weight.rows)
        for weight in numbers.values()
    }
    vectors |= {weight.bias: Vector(size=weight.rows) for weight in numbers.values() if weight.bias is not None}
    weights = {name: weight for name, weight in program.weights.items() if name not in numbers}
    made = replace(program, nodes=nodes, outputs=outputs, weights=weights, vectors=program.vectors | vectors)
    assert parameters_of(made) == parameters_of(program), "an engine takes parameters in the program's order"
    return made


def _is_of_numbers(program: Program, node: Node) -> bool:
    if node.op not in ops.PRODUCTS:
        return False
    weight = program.weights[node.attr]
    return "one" in (weight.rows, weight.columns)


def _sum(b: Builder, weight: Weight, node: Node, row: Ref) -> Ref:
    """W row, or its transpose, of a matrix with one row or column, as a sum over units or as a row times a number."""
    takes, gives = weight.columns, weight.rows
    if node.op == "product_transposed":
        takes, gives = gives, takes
    vector = b.leaf("vector", weight.parameter, takes if gives == "one" else gives)
    product = b.op("mul", b.broadcast(row, takes), vector)
    found = b.op("sum", product) if gives == "one" else product
    if node.op == "product" and weight.bias is not None:
        found = b.op("add", found, b.leaf("vector", weight.bias, gives))
    return found
