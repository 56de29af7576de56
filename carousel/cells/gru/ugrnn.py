from __future__ import annotations

from dataclasses import dataclass

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps


@dataclass(frozen=True)
class UGRNN(Cell):
    """Update gate RNN: a simple network and one gate that decides how much of it is new.

        n  = tanh(W_n x + b_n + U_n h + c_n)                candidate,   (batch, hidden)
        g  = sigmoid(W_g x + b_g + U_g h + c_g + bias)      update gate, (batch, hidden)
        h' = g * h + (1 - g) * n                            next state,  (batch, hidden)

    bias: what is added to the gate's argument beside its learned biases; 1 in TensorFlow's UGRNNCell (forget_bias).
    Use: the simplest gated cell; among the best in the paper to train at depth 1 and 2.
    Reading: the paper has no fixed bias and starts b_g at 1; so does `layer.initialize("forget-bias")`.
    Fidelity: as in the paper.
    Source: Collins, Sohl-Dickstein & Sussillo, "Capacity and trainability in recurrent neural networks", ICLR
    (arXiv:1611.09913, 2017), section 1.2.
    """

    bias: float = 0.0

    gates = ("n", "g")
    facts = (bounded("h"), keeps("h", g=1))

    def step(self, h, n, g):
        n = tanh(n)
        g = sigmoid(g + self.bias) if self.bias else sigmoid(g)
        return g * h + (1 - g) * n


CATALOGUE = {"ugrnn": UGRNN()}
