from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps


class MGU(Cell):
    """Minimal gated unit: a GRU in which one gate both resets and updates.

        f  = sigmoid(W_f x + b_f + U_f h + c_f)         forget gate, (batch, hidden)
        n  = tanh(W_n x + b_n + U_n (f * h) + c_n)      candidate,   (batch, hidden)
        h' = (1 - f) * h + f * n                        next state,  (batch, hidden)

    Use: a GRU's results with two thirds of its weights.
    Fidelity: as in the paper.
    Source: Zhou, Wu, Zhang & Zhou, "Minimal gated unit for recurrent neural networks" (arXiv:1603.09420, 2016),
    section 3.
    """

    gates = ("f", "n")
    facts = (bounded("h"), keeps("h", f=0))

    def step(self, h, f, x_n, U_n):
        f = sigmoid(f)
        n = tanh(x_n + U_n(f * h))
        return (1 - f) * h + f * n


CATALOGUE = {"mgu": MGU()}
