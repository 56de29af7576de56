"""What the equations of a program say about its gates: their bounds, and the share of a state that they keep."""

from __future__ import annotations

from carousel.program import Program
from carousel.program.keeping import BOUNDS, keeping
from carousel.program.rewrite import recordable


def bounds(program: Program, name: str) -> tuple[float, float] | None:
    """The bounds of a value: (0, 1) for a sigmoid and for a kept share, (-1, 1) for a tanh, None for others."""
    if name in keeping_gates(program).values():
        return BOUNDS["sigmoid"]
    node = program.nodes[recordable(program)[name]]
    if node.op == "sub":
        one, gate = (program.nodes[a] for a in node.args)
        if one.op == "constant" and one.attr == 1.0 and gate.op == "sigmoid":
            return BOUNDS["sigmoid"]
    return BOUNDS.get(node.op)


def gate_names(program: Program) -> tuple[str, ...]:
    """The names of the gates of a step: its named values except states, and kept shares; those with bounds first."""
    names = dict.fromkeys([*recordable(program), *keeping_gates(program).values()])
    gates = [name for name in names if name not in program.states]
    return tuple(sorted(gates, key=lambda name: bounds(program, name) is None))


def keeping_gates(program: Program) -> dict[str, str]:
    """For each state c that gates keep, the name of the share f in c' = f * c + ...: "f", "1 - z".

    `carousel.program.keeping` finds it in the equations, in whatever form they are written.
    """
    return {state: how.name for state, how in keeping(program).items()}
