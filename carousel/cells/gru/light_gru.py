from __future__ import annotations

from torch import relu, sigmoid

from carousel.cells.cell import Cell
from carousel.cells.facts import keeps


class LightGRU(Cell):
    """Light GRU (Li-GRU): no reset gate, and rectified candidates.

        z  = sigmoid(W_z x + b_z + U_z h + c_z)     update gate, (batch, hidden)
        n  = relu(W_n x + b_n + U_n h + c_n)        candidate,   (batch, hidden)
        h' = z * h + (1 - z) * n                    next state,  (batch, hidden)

    Use: speech recognition.
    Fidelity: simplified: the paper normalizes W_z x and W_n x over the batch, which a cell cannot: it never sees other
    rows. Normalize the input of the layer instead.
    Source: Ravanelli, Brakel, Omologo & Bengio, "Light gated recurrent units for speech recognition", IEEE TETCI 2
    (arXiv:1803.10225, 2018), section III.
    """

    gates = ("z", "n")
    facts = (keeps("h", z=1),)

    def step(self, h, z, n):
        z = sigmoid(z)
        n = relu(n)
        return z * h + (1 - z) * n


CATALOGUE = {"li-gru": LightGRU()}
