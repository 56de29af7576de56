from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps


class MemoryControllerLSTM(Cell):
    """LSTM with two outputs: what its own gates read next, and what is given out, each through a gate of its own.

        f  = sigmoid(W_f x + b_f + U_f v + c_f)     forget gate,      (batch, hidden)
        i  = sigmoid(W_i x + b_i + U_i v + c_i)     input gate,       (batch, hidden)
        o  = sigmoid(W_o x + b_o + U_o v + c_o)     output gate,      (batch, hidden)
        k  = sigmoid(W_k x + b_k + U_k v + c_k)     control gate,     (batch, hidden)
        g  = tanh(W_g x + b_g + U_g v + c_g)        candidate,        (batch, hidden)
        c' = f * c + i * g                          next cell state,  (batch, hidden)
        h' = o * tanh(c')                           next state, the output, (batch, hidden)
        v' = k * tanh(c')                           next controller,  (batch, hidden)

    Use: where what is put out says little about what has to be remembered.
    Fidelity: as described by torchrecurrent 0.2.5; the workshop paper itself was not at hand.
    Source: "Memory-controller LSTM", Sequence Modeling workshop, NIPS (2017).
    """

    states = ("h", "v", "c")
    gates = ("f", "i", "o", "k", "g")
    facts = (bounded("h"), bounded("v"), keeps("c", f=1, i=0))

    def step(self, v, c, x, U):
        f, i, o, k = (sigmoid(a + u(v)) for a, u in zip(x[:4], U[:4], strict=True))
        g = tanh(x.g + U.g(v))
        c = f * c + i * g
        return o * tanh(c), k * tanh(c), c


CATALOGUE = {"memory-controller-lstm": MemoryControllerLSTM()}
