from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps, same_as


class OriginalLSTM(Cell):
    """The LSTM of 1997: no forget gate, so that the cell state only ever adds up.

        i  = sigmoid(W_i x + b_i + U_i h + c_i)     input gate,      (batch, hidden)
        g  = tanh(W_g x + b_g + U_g h + c_g)        candidate,       (batch, hidden)
        o  = sigmoid(W_o x + b_o + U_o h + c_o)     output gate,     (batch, hidden)
        c' = c + i * g                              next cell state, (batch, hidden)
        h' = o * tanh(c')                           next state,      (batch, hidden)

    Use: the constant error carousel by itself: the gradient by c passes through time unchanged. Reset it between
    sequences; on endless ones c grows, which is why forget gates were added.
    Reading: one memory cell a block, and all units see all gates' inputs; the paper's squashing functions g and h, of
    ranges (-2, 2) and (-1, 1), are tanh, as in all later work.
    Fidelity: simplified: the paper's g and h are scaled sigmoids, and its training truncates gradients at the gates.
    Source: Hochreiter & Schmidhuber, "Long short-term memory", Neural Computation 9 (1997), section 4.
    """

    states = ("h", "c")
    gates = ("i", "g", "o")
    facts = (bounded("h"), keeps("c", i=0), same_as("lstm", there={"f": 1}))

    def step(self, c, i, g, o):
        i = sigmoid(i)
        g = tanh(g)
        c = c + i * g
        o = sigmoid(o)
        return o * tanh(c), c


CATALOGUE = {"lstm-1997": OriginalLSTM()}
