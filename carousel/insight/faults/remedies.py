"""Remedies of faults, in words that fit the layer."""

from __future__ import annotations

from carousel.insight.keeping import keeping_gates
from carousel.layers import Recurrent
from carousel.program import Program
from carousel.program.keeping import keeping


def remember_longer(layer: Recurrent, memory: int) -> str:
    """A phrase that says how to make this layer remember longer."""
    keeps = keeping_gates(layer.program) if isinstance(layer.program, Program) else {}
    if keeps:
        return open_gates(layer, next(reversed(keeps.values())), memory)
    return (
        f"an LSTM with forget bias 2 or more, or one that begins with initialize('chrono', longest={memory}); "
        f"if it must be this cell, initialize('orthogonal')"
    )


def open_gates(layer: Recurrent, share: str, memory: int) -> str:
    """A phrase that says how to initialise the gates that keep a state: by name if they have a bias, else by hand."""
    assert isinstance(layer.program, Program)
    gates = next(how.keeps for how in keeping(layer.program).values() if how.name == share)
    bias = "" if layer.bias else "bias=True, and "
    if layer.bias and any(gate.bias is None for gate in gates):
        return f"a bias for what keeps the state, {share}, with which it is {1 - 1 / max(memory, 2):.2g}"
    return (
        f"{bias}initialize('chrono', longest={max(memory, 3)}), which begins with gates that keep that long, or "
        f"'forget-bias' for less"
    )


def calm(layer: Recurrent) -> str:
    gated = isinstance(layer.program, Program) and keeping_gates(layer.program)
    return "clip gradients to a norm of 1, begin with initialize('orthogonal'), lower the learning rate" + (
        "" if gated else "; or an LSTM or a GRU, whose gates bound what is added"
    )
