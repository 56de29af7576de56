from __future__ import annotations

from dataclasses import dataclass

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import Fact, bounded


@dataclass(frozen=True)
class ChildSumTreeLSTM(Cell):
    """Child-Sum Tree-LSTM: the LSTM over trees of any number of children, in no order.

        s  = the sum of h_k over the children k
        i  = sigmoid(W_i x + b_i + U_i s + c_i)         input gate,      (nodes, hidden)
        fk = sigmoid(W_f x + b_f + U_f h_k + c_f)       forget gate of child k
        u  = tanh(W_u x + b_u + U_u s + c_u)            candidate,       (nodes, hidden)
        o  = sigmoid(W_o x + b_o + U_o s + c_o)         output gate,     (nodes, hidden)
        c' = i * u + the sum of fk * c_k                next cell state, (nodes, hidden)
        h' = o * tanh(c')                               next state,      (nodes, hidden)

    Use: trees of dependencies, and all whose nodes have many children or children without an order.
    Fidelity: as in the paper, which has one bias.
    Source: Tai, Socher & Manning, "Improved semantic representations from tree-structured long short-term memory
    networks", ACL (arXiv:1503.00075, 2015), equations 2 to 8.
    """

    states = ("h", "c")
    gates = ("i", "f", "u", "o")
    children = "any"

    @property
    def facts(self) -> tuple[Fact, ...]:
        return (bounded("h"),)

    def step(self, h, c, i, u, o, x_f, U_f):
        i, u, o = sigmoid(i), tanh(u), sigmoid(o)
        f = sigmoid(x_f + U_f(h))
        c = i * u + (f * c).sum(-2)
        return o * tanh(c), c


CATALOGUE = {"child-sum-tree-lstm": ChildSumTreeLSTM()}
