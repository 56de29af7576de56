from __future__ import annotations

from dataclasses import dataclass

from torch import tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import Fact, bounded


@dataclass(frozen=True)
class RvNN(Cell):
    """Recursive neural network: a node is one layer of its two children.

        h' = tanh(W_n x + b_n + U_n_0 h_0 + U_n_1 h_1 + c_n)            next state, (nodes, hidden)

    arity: how many children a node has at most; 2 above.

    Use: the simplest network over trees, to compare with; shallow trees.
    Reading: in the paper a leaf's state is its word's vector; here a leaf is a step like any other, tanh(W_n x + ...).
    Fidelity: simplified: inner nodes as in the paper, leaves by one more linear map and tanh.
    Source: Socher, Lin, Ng & Manning, "Parsing natural scenes and natural language with recursive neural networks",
    ICML (2011), equation 2.
    """

    arity: int = 2

    gates = ("n",)

    @property
    def children(self) -> int:
        return self.arity

    @property
    def facts(self) -> tuple[Fact, ...]:
        return (bounded("h"),)

    def step(self, n):
        return tanh(n)


CATALOGUE = {"rvnn": RvNN()}
