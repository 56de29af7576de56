"""What a program says about its gates, in the words of a reader: their bounds, and which share of a state is kept."""

from __future__ import annotations

from carousel.program import Program
from carousel.program.keeping import BOUNDS, keeping
from carousel.program.rewrite import recordable


def bounds(program: Program, name: str) -> tuple[float, float] | None:
    """The bounds of a value, from the op that makes it: (0, 1) of sigmoid and of a share kept, (-1, 1) of tanh."""
    if name in keeping_gates(program).values():
        return BOUNDS["sigmoid"]
    node = program.nodes[recordable(program)[name]]
    if node.op == "sub":
        one, gate = (program.nodes[a] for a in node.args)
        if one.op == "constant" and one.attr == 1.0 and gate.op == "sigmoid":
            return BOUNDS["sigmoid"]
    return BOUNDS.get(node.op)


def gate_names(program: Program) -> tuple[str, ...]:
    """The gates of a step: its named values other than states, and the shares kept; those with bounds first."""
    names = dict.fromkeys([*recordable(program), *keeping_gates(program).values()])
    gates = [name for name in names if name not in program.states]
    return tuple(sorted(gates, key=lambda name: bounds(program, name) is None))


def keeping_gates(program: Program) -> dict[str, str]:
    """For each state c the share f in c' = f * c + ..., in the author's words: "f", "1 - z". Shares of gates alone.

    It is read off the equations, however they are written; see `carousel.program.keeping`.
    """
    return {state: how.name for state, how in keeping(program).items()}
