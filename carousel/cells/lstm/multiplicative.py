from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps


class MultiplicativeLSTM(Cell):
    """Multiplicative LSTM: each input has a recurrent matrix of its own, factored into a diagonal between two matrices.

        m  = (W_m x + b_m) * (U_m h + c_m)          intermediate state, (batch, hidden)
        i  = sigmoid(W_i x + b_i + U_i m + c_i)     input gate,      (batch, hidden)
        f  = sigmoid(W_f x + b_f + U_f m + c_f)     forget gate,     (batch, hidden)
        g  = tanh(W_g x + b_g + U_g m + c_g)        candidate,       (batch, hidden)
        o  = sigmoid(W_o x + b_o + U_o m + c_o)     output gate,     (batch, hidden)
        c' = f * c + i * g                          next cell state, (batch, hidden)
        h' = o * tanh(c')                           next state,      (batch, hidden)

    Use: text by characters, where the next state should depend on which symbol was read.
    Reading: g has a tanh; the paper prints none in equation 18 and one around c' in the next.
    Fidelity: as in the paper, with biases in m, which the paper has not.
    Source: Krause, Lu, Murray & Renals, "Multiplicative LSTM for sequence modelling" (arXiv:1609.07959, 2016),
    section 3.
    """

    states = ("h", "c")
    gates = ("m", "i", "f", "g", "o")
    facts = (bounded("h"), keeps("c", f=1, i=0))

    def step(self, h, c, x, U):
        m = x.m * U.m(h)
        i = sigmoid(x.i + U.i(m))
        f = sigmoid(x.f + U.f(m))
        g = tanh(x.g + U.g(m))
        o = sigmoid(x.o + U.o(m))
        c = f * c + i * g
        return o * tanh(c), c


CATALOGUE = {"multiplicative-lstm": MultiplicativeLSTM()}
