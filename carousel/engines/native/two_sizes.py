"""The sizes of a program as the native library knows them: rows of hidden units, and of one other number of units.

The library calls the other one "projection". A cell may call it anything, so its program is lowered with that name in
the place of the cell's.
"""

from __future__ import annotations

from dataclasses import replace

from carousel.program import Node, Program, Weight
from carousel.program.sharing import made_once

OTHER = "projection"


@made_once(1024)
def others(program: Program) -> tuple[str, ...]:
    """The sizes of a program's rows beside "hidden" and single numbers, in order."""
    of_weights = (size for weight in program.weights.values() for size in (weight.rows, weight.columns))
    of_nodes = (node.size for node in program.nodes)
    found = dict.fromkeys((*program.states.values(), *of_nodes, *of_weights))
    return tuple(size for size in found if size not in ("hidden", "one", "any"))


def other(program: Program) -> str:
    """The one size beside "hidden"; where there is none, the name that the library has for it."""
    return next(iter(others(program)), OTHER)


@made_once(1024)
def as_library_knows(program: Program) -> Program:
    """The program, its size beside "hidden" called as the library calls it. Its nodes have the same places."""
    its = other(program)
    if its == OTHER:
        return program

    def named(size: str) -> str:
        return OTHER if size == its else size

    def node(n: Node) -> Node:
        return replace(n, size=named(n.size), attr=named(n.attr) if n.op == "per_unit" else n.attr)

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
