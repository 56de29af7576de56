"""What a program says about its gates: in which bounds they lie, and which one keeps a state."""

from __future__ import annotations

from carousel.program import Program
from carousel.program.rewrite import recordable

# What an op's result cannot leave. Others may be anything.
BOUNDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "sin": (-1.0, 1.0), "cos": (-1.0, 1.0)}


def bounds(program: Program, name: str) -> tuple[float, float] | None:
    """The bounds of a value, from the op that makes it: (0, 1) of sigmoid and of 1 - sigmoid, (-1, 1) of tanh."""
    node = program.nodes[recordable(program)[name]]
    if node.op == "sub":
        one, gate = (program.nodes[a] for a in node.args)
        if one.op == "constant" and one.attr == 1.0 and gate.op == "sigmoid":
            return BOUNDS["sigmoid"]
    return BOUNDS.get(node.op)


def gate_names(program: Program) -> tuple[str, ...]:
    """The recordable values that are gates: named values of a step other than its states, bounded ones first."""
    names = [name for name in recordable(program) if name not in program.states]
    return tuple(sorted(names, key=lambda name: bounds(program, name) is None))


def keeping_gates(program: Program) -> dict[str, str]:
    """For each state c the gate f in c' = f * c + ...: what says how much of it is kept. Only gates between 0 and 1.

    It is read off the program, so that a cell of anybody's has it: through sums, the product of the old state and a
    named value. States without such a term are left out.
    """
    names = {index: name for name, index in recordable(program).items()}
    found = {}
    for state, size in program.states.items():
        del size
        terms = [program.outputs[state]]
        while terms:
            node = program.nodes[terms.pop()]
            if node.op == "add":
                terms += node.args
            elif node.op == "sub":
                terms.append(node.args[0])
            elif node.op == "mul":
                for factor, other in (node.args, node.args[::-1]):
                    old = program.nodes[other]
                    name = names.get(factor, "")
                    if old.op == "state" and old.attr == state and name and bounds(program, name) == (0.0, 1.0):
                        found[state] = name
    return found
