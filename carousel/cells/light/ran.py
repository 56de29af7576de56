from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps


class RAN(Cell):
    """Recurrent additive network: the cell state is a weighted sum of inputs, and nothing else.

        g  = W_g x + b_g                                content,         (batch, hidden)
        i  = sigmoid(W_i x + b_i + U_i h + c_i)         input gate,      (batch, hidden)
        f  = sigmoid(W_f x + b_f + U_f h + c_f)         forget gate,     (batch, hidden)
        c' = i * g + f * c                              next cell state, (batch, hidden)
        h' = tanh(c')                                   next state,      (batch, hidden)

    Use: language models whose state can be read: each input's weight in it is a product of gates.
    Fidelity: as in the paper, with a bias b_g, which the paper has not.
    Source: Lee, Levy & Zettlemoyer, "Recurrent additive networks" (arXiv:1705.07393, 2017), section 2.
    """

    states = ("h", "c")
    gates = ("i", "f")
    inputs = ("g",)
    facts = (bounded("h"), keeps("c", f=1, i=0))

    def step(self, c, i, f, g):
        i = sigmoid(i)
        f = sigmoid(f)
        c = i * g + f * c
        return tanh(c), c


CATALOGUE = {"ran": RAN()}
