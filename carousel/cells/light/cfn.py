from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded


class CFN(Cell):
    """Chaos free network: without input every unit falls to zero, and nothing is chaotic.

        t  = sigmoid(W_t x + b_t + U_t h + c_t)         forget gate, (batch, hidden)
        e  = sigmoid(W_e x + b_e + U_e h + c_e)         input gate,  (batch, hidden)
        h' = t * tanh(h) + e * tanh(W_n x + b_n)        next state,  (batch, hidden)

    Use: dynamics that can be understood; language models about as good as an LSTM's.
    Fidelity: as in the paper, with a bias b_n, which the paper has not.
    Source: Laurent & von Brecht, "A recurrent neural network without chaos", ICLR (arXiv:1612.06212, 2017),
    equations 1 and 2.
    """

    gates = ("t", "e")
    inputs = ("n",)
    facts = (bounded("h", -2, 2),)

    def step(self, h, t, e, n):
        t = sigmoid(t)
        e = sigmoid(e)
        return t * tanh(h) + e * tanh(n)


CATALOGUE = {"cfn": CFN()}
