from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps


class LightRU(Cell):
    """Light recurrent unit: one gate, and a candidate of the input alone.

        f  = sigmoid(W_f x + b_f + U_f h + c_f)         forget gate, (batch, hidden)
        n  = tanh(W_n x + b_n)                          candidate,   (batch, hidden)
        h' = (1 - f) * h + f * n                        next state,  (batch, hidden)

    Use: a GRU's gate at the cost of a simple network's product.
    Fidelity: as described by torchrecurrent 0.2.5; the article itself was not at hand.
    Source: "A light recurrent unit", Electronics 13, 3204 (2024).
    """

    gates = ("f",)
    inputs = ("n",)
    facts = (bounded("h"), keeps("h", f=0))

    def step(self, h, f, n):
        f = sigmoid(f)
        n = tanh(n)
        return (1 - f) * h + f * n


CATALOGUE = {"light-ru": LightRU()}
