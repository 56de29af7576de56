from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps


class BRC(Cell):
    """Bistable recurrent cell: where a is above 1 a unit has two states to rest in, as neurons have, and keeps either.

        a  = 1 + tanh(W_a x + b_a + w_a * h)            feedback,    (batch, hidden)
        c  = sigmoid(W_c x + b_c + w_c * h)             update gate, (batch, hidden)
        h' = c * h + (1 - c) * tanh(W_n x + b_n + a * h)    next state, (batch, hidden)

    Use: memories that never fade.
    Fidelity: as in the paper, with biases, which the paper has not.
    Source: Vecoven, Ernst & Drion, "A bio-inspired bistable recurrent cell allows for long-lasting memory", PLOS ONE 16
    (arXiv:2006.05252, 2021), equation 5.
    """

    inputs = ("a", "c", "n")
    vectors = ("w_a", "w_c")
    facts = (bounded("h"), keeps("h", c=1))

    def step(self, h, a, c, n, w_a, w_c):
        a = 1 + tanh(a + w_a * h)
        c = sigmoid(c + w_c * h)
        return c * h + (1 - c) * tanh(n + a * h)


class NBRC(Cell):
    """Bistable recurrent cell with neuromodulation: units set each other's feedback and gate.

        a  = 1 + tanh(W_a x + b_a + U_a h + c_a)            feedback,    (batch, hidden)
        c  = sigmoid(W_c x + b_c + U_c h + c_c)             update gate, (batch, hidden)
        h' = c * h + (1 - c) * tanh(W_n x + b_n + a * h)    next state,  (batch, hidden)

    Use: memories that never fade.
    Reading: U_a h and U_c h are products of matrices, as in the paper; torchrecurrent 0.2.5 documents them as one
    weight per unit.
    Fidelity: as in the paper, with biases, which the paper has not.
    Source: Vecoven, Ernst & Drion, "A bio-inspired bistable recurrent cell allows for long-lasting memory", PLOS ONE 16
    (arXiv:2006.05252, 2021), equation 6.
    """

    gates = ("a", "c")
    inputs = ("n",)
    facts = (bounded("h"), keeps("h", c=1))

    def step(self, h, a, c, n):
        a = 1 + tanh(a)
        c = sigmoid(c)
        return c * h + (1 - c) * tanh(n + a * h)


CATALOGUE = {"brc": BRC(), "nbrc": NBRC()}
