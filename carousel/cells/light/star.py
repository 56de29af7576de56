from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded


class STAR(Cell):
    """Stackable recurrent cell: made so that gradients keep their size through many layers.

        k  = sigmoid(W_k x + b_k + U_k h + c_k)             gate,       (batch, hidden)
        n  = tanh(W_n x + b_n)                              candidate,  (batch, hidden)
        h' = tanh((1 - k) * h + k * n)                      next state, (batch, hidden)

    Use: many layers.
    Fidelity: as in the paper.
    Source: Turkoglu, D'Aronco, Wegner & Schindler, "Gating revisited: deep multi-layer RNNs that can be trained", IEEE
    TPAMI (arXiv:1911.11033, 2021), section 3.3.
    """

    gates = ("k",)
    inputs = ("n",)
    facts = (bounded("h"),)

    def step(self, h, k, n):
        k = sigmoid(k)
        n = tanh(n)
        return tanh((1 - k) * h + k * n)


CATALOGUE = {"star": STAR()}
