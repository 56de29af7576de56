from __future__ import annotations

from dataclasses import dataclass

from torch import exp, relu, softmax, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import Fact, bounded


@dataclass(frozen=True)
class TreeGRU(Cell):
    """Child-Sum Tree-GRU: the GRU over trees, whose gates divide each unit among the children and the candidate.

        rk = softmax over k of (W_r x + b_r + U_r h_k + c_r)              reset gate of child k
        zk = exp(a_k) / (1 + the sum of exp(a_j)),
             a_k = W_z x + b_z + U_z h_k + c_z                            update gate of child k
        n  = tanh(W_n x + b_n + U_n (the sum of rk * h_k) + c_n)          candidate,  (nodes, hidden)
        h' = (1 - the sum of zk) * n + the sum of zk * h_k                next state, (nodes, hidden)

    Use: as the Child-Sum Tree-LSTM, with one state and three gates.
    Reading: a leaf has no children, so that it is its candidate; in the authors' code it has learned ones.
    Fidelity: simplified: inner nodes as in the authors' code, which has no biases.
    Source: Nachum, "Implementation of Tree GRUs", github.com/ofirnachum/tree_rnn, tree_gru.py (2015), after Tai,
    Socher & Manning (2015).
    """

    gates = ("r", "z", "n")
    children = "any"

    @property
    def facts(self) -> tuple[Fact, ...]:
        return (bounded("h"),)

    def step(self, h, x, U):
        r, a = softmax(x.r + U.r(h), -2), x.z + U.z(h)
        most = relu(a.amax(-2)).detach()  # so that no size overflows; it changes nothing
        z = exp(a - most)
        z = z / (exp(-most) + z.sum(-2))
        n = tanh(x.n + U.n((r * h).sum(-2)))
        return (1 - z.sum(-2)) * n + (z * h).sum(-2)


CATALOGUE = {"tree-gru": TreeGRU()}
