from __future__ import annotations

from dataclasses import dataclass

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import Fact, bounded


@dataclass(frozen=True)
class TreeLSTM(Cell):
    """N-ary Tree-LSTM: the LSTM over trees whose children have an order, with a forget gate for each child.

        i  = sigmoid(W_i x + b_i + U_i_0 h_0 + U_i_1 h_1 + c_i)        input gate,      (nodes, hidden)
        fk = sigmoid(W_fk x + b_fk + U_fk_0 h_0 + U_fk_1 h_1 + c_fk)   forget gate of child k, k = 0, 1
        u  = tanh(W_u x + b_u + U_u_0 h_0 + U_u_1 h_1 + c_u)           candidate,       (nodes, hidden)
        o  = sigmoid(W_o x + b_o + U_o_0 h_0 + U_o_1 h_1 + c_o)        output gate,     (nodes, hidden)
        c' = i * u + f0 * c_0 + f1 * c_1                               next cell state, (nodes, hidden)
        h' = o * tanh(c')                                              next state,      (nodes, hidden)

    arity: how many children a node has at most; 2 above.

    Use: binary trees, as of constituents; the best of these where the side of a child matters.
    Reading: a leaf has these equations too, with children of zero; the authors' code gives leaves c' = W x without
    gates and candidate. The bias of a forget gate is one for each child.
    Fidelity: as in the paper, which has one bias, and one W and b for the forget gates of all children.
    Source: Tai, Socher & Manning, "Improved semantic representations from tree-structured long short-term memory
    networks", ACL (arXiv:1503.00075, 2015), equations 9 to 14.
    """

    arity: int = 2

    states = ("h", "c")

    @property
    def children(self) -> int:
        return self.arity

    @property
    def gates(self) -> tuple[str, ...]:
        return ("i", *(f"f{k}" for k in range(self.arity)), "u", "o")

    @property
    def facts(self) -> tuple[Fact, ...]:
        return (bounded("h"),)

    def step(self, h, c, x, U):
        i, *f, u, o = (a + V(h) for a, V in zip(x, U, strict=True))
        i, u, o = sigmoid(i), tanh(u), sigmoid(o)
        f = [*map(sigmoid, f)]
        c = i * u + sum(f_k * c_k for f_k, c_k in zip(f, c, strict=True))
        return o * tanh(c), c


CATALOGUE = {"tree-lstm": TreeLSTM()}
