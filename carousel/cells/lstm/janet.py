from __future__ import annotations

from dataclasses import dataclass

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded


@dataclass(frozen=True)
class JANET(Cell):
    """Just another network: an LSTM with the forget gate alone.

        s  = W_f x + b_f + U_f h + c_f                          (batch, hidden)
        g  = tanh(W_g x + b_g + U_g h + c_g)        candidate,  (batch, hidden)
        h' = sigmoid(s) * h + (1 - sigmoid(s - beta)) * g       next state, (batch, hidden)

    beta: how much the input is held back, 1 in the paper; with 0 the two shares add up to one.
    Use: long memory with half of an LSTM's weights; the paper starts it with chrono biases
    (`layer.initialize("chrono", longest=...)`).
    Reading: the paper's h is its c, so that there is one state.
    Fidelity: as in the paper.
    Source: van der Westhuizen & Lasenby, "The unreasonable effectiveness of the forget gate" (arXiv:1804.04849, 2018),
    section 3.
    """

    beta: float = 1.0

    gates = ("f", "g")

    @property
    def facts(self):
        return (bounded("h"),) if self.beta == 0 else ()

    def step(self, h, f, g):
        g = tanh(g)
        return sigmoid(f) * h + (1 - sigmoid(f - self.beta)) * g


CATALOGUE = {"janet": JANET()}
