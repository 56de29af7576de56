from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import keeps


class TauGRU(Cell):
    """A GRU of a delay differential equation: a second candidate reads the state of some steps ago (tau-GRU).

        u  = tanh(W_u x + b_u + U_u h + c_u)            candidate now,     (batch, hidden)
        z  = tanh(W_z x + b_z + U_z h3 + c_z)           candidate delayed, (batch, hidden)
        g  = sigmoid(W_g x + b_g + U_g h + c_g)         time scale,        (batch, hidden)
        a  = sigmoid(W_a x + b_a + U_a h + c_a)         weight of z,       (batch, hidden)
        h' = (1 - g) * h + g * (u + a * z)              next state,        (batch, hidden)
        h1' = h, h2' = h1, h3' = h2                     what h was 1, 2, 3 steps ago

    The delay is 3 steps: h3 is h three steps before. For another, write the cell with as many states.
    Use: dependencies at a known distance.
    Fidelity: as in the paper; the delay, which the paper tunes for each task, is fixed.
    Source: Erichson, Lim & Mahoney, "Gated recurrent neural networks with weighted time-delay feedback"
    (arXiv:2212.00228, 2022), section 3.
    """

    states = ("h", "h1", "h2", "h3")
    gates = ("u", "z", "g", "a")
    facts = (keeps("h", g=0),)

    def step(self, h, h1, h2, h3, u, x_z, U_z, g, a):
        u = tanh(u)
        z = tanh(x_z + U_z(h3))
        g = sigmoid(g)
        a = sigmoid(a)
        return (1 - g) * h + g * (u + a * z), h, h1, h2


CATALOGUE = {"tau-gru": TauGRU()}
