from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps


class QRNN(Cell):
    """The recurrence of a quasi-recurrent network, fo-pooling: all products are of the input.

        g  = tanh(W_g x + b_g)                      candidate,       (batch, hidden)
        f  = sigmoid(W_f x + b_f)                   forget gate,     (batch, hidden)
        o  = sigmoid(W_o x + b_o)                   output gate,     (batch, hidden)
        c' = f * c + (1 - f) * g                    next cell state, (batch, hidden)
        h' = o * c'                                 next state,      (batch, hidden)

    Use: long texts at little cost; put a convolution before it, or several layers.
    Reading: fo-pooling, equation 3, of filters one step wide. Of wider ones, give the layer an input that holds the
    last steps beside one another.
    Fidelity: as in the paper with filters of width 1, with biases, which the paper has not.
    Source: Bradbury, Merity, Xiong & Socher, "Quasi-recurrent neural networks", ICLR (arXiv:1611.01576, 2017),
    equations 1 and 3.
    """

    states = ("h", "c")
    inputs = ("g", "f", "o")
    facts = (bounded("h"), bounded("c"), keeps("c", f=1))

    def step(self, c, g, f, o):
        g = tanh(g)
        f = sigmoid(f)
        o = sigmoid(o)
        c = f * c + (1 - f) * g
        return o * c, c


CATALOGUE = {"qrnn": QRNN()}
