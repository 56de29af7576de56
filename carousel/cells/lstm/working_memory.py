from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps, same_as


class WorkingMemoryLSTM(Cell):
    """LSTM with working memory connections: gates see the cell state through a matrix and a tanh.

        i  = sigmoid(W_i x + b_i + U_i h + c_i + tanh(W_ci c))     input gate,      (batch, hidden)
        f  = sigmoid(W_f x + b_f + U_f h + c_f + tanh(W_cf c))     forget gate,     (batch, hidden)
        g  = tanh(W_g x + b_g + U_g h + c_g)                       candidate,       (batch, hidden)
        c' = f * c + i * g                                         next cell state, (batch, hidden)
        o  = sigmoid(W_o x + b_o + U_o h + c_o + tanh(W_co c'))    output gate,     (batch, hidden)
        h' = o * tanh(c')                                          next state,      (batch, hidden)

    Use: where peepholes help, and training is steadier: the tanh keeps a large cell state from saturating the gates.
    Reading: o sees the new cell state c', as in peephole LSTMs, and the candidate sees h, as in every LSTM.
    Libraries have fed o the old c, and torchrecurrent 0.2.5 documents no tanh around W_c c, though its code has one.
    Fidelity: as in the paper; the three connections have no biases of their own, which would add to c_i, c_f and c_o
    inside a tanh.
    Source: Landi, Baraldi, Cornia & Cucchiara, "Working memory connections for LSTM", Neural Networks 144
    (arXiv:2109.00020, 2021), section 3.
    """

    states = ("h", "c")
    gates = ("i", "f", "g", "o")
    matrices = {f"W_c{gate}": ("hidden", "hidden") for gate in "ifo"}
    facts = (bounded("h"), keeps("c", f=1, i=0), same_as("lstm", {"W_ci": 0, "W_cf": 0, "W_co": 0}))

    def step(self, c, i, f, g, o, W_ci, W_cf, W_co):
        i = sigmoid(i + tanh(W_ci(c)))
        f = sigmoid(f + tanh(W_cf(c)))
        g = tanh(g)
        c = f * c + i * g
        o = sigmoid(o + tanh(W_co(c)))
        return o * tanh(c), c


CATALOGUE = {"working-memory-lstm": WorkingMemoryLSTM()}
