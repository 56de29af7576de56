from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps


class MinimalRNN(Cell):
    """MinimalRNN: the input is mapped into the space of the state, and a gate mixes the two.

        n  = tanh(W_n x + b_n)                              candidate,   (batch, hidden)
        u  = sigmoid(U_u h + c_u + W_zu n)                  update gate, (batch, hidden)
        h' = u * h + (1 - u) * n                            next state,  (batch, hidden)

    Use: states that stay where the inputs are; long sequences (the paper derives how to start it).
    Fidelity: as in the paper, its map of the input being one layer with tanh.
    Source: Chen, "MinimalRNN: toward more interpretable and trainable recurrent neural networks" (arXiv:1711.06788,
    2017), section 3.
    """

    inputs = ("n",)
    recurrents = ("u",)
    matrices = {"W_zu": ("hidden", "hidden")}
    facts = (bounded("h"), keeps("h", u=1))

    def step(self, h, n, U_u, W_zu):
        n = tanh(n)
        u = sigmoid(U_u(h) + W_zu(n))
        return u * h + (1 - u) * n


CATALOGUE = {"minimal-rnn": MinimalRNN()}
