from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps


class MUT1(Cell):
    """The best of ten thousand mutated cells.

        z  = sigmoid(W_z x + b_z)                               update gate, (batch, hidden)
        r  = sigmoid(W_r x + b_r + U_r h + c_r)                 reset gate,  (batch, hidden)
        n  = tanh(U_n (r * h) + c_n + tanh(W_n x + b_n))        candidate,   (batch, hidden)
        h' = z * n + (1 - z) * h                                next state,  (batch, hidden)

    Use: in the paper better than LSTM and GRU on most tasks, but not on language models.
    Reading: the paper has the tanh of x itself, which asks for an input as long as the state; here it is W_n x + b_n.
    Fidelity: simplified: W_n x + b_n stands where the paper has x.
    Source: Jozefowicz, Zaremba & Sutskever, "An empirical exploration of recurrent network architectures", ICML (2015),
    section 4, MUT1.
    """

    gates = ("r", "n")
    inputs = ("z",)
    facts = (bounded("h"), keeps("h", z=0))

    def step(self, h, z, r, x_n, U_n):
        z = sigmoid(z)
        r = sigmoid(r)
        n = tanh(U_n(r * h) + tanh(x_n))
        return z * n + (1 - z) * h


class MUT2(Cell):
    """The second best of ten thousand mutated cells.

        z  = sigmoid(W_z x + b_z + U_z h + c_z)         update gate, (batch, hidden)
        r  = sigmoid(W_r x + b_r + U_r h + c_r)         reset gate,  (batch, hidden)
        n  = tanh(W_n x + b_n + U_n (r * h) + c_n)      candidate,   (batch, hidden)
        h' = z * n + (1 - z) * h                        next state,  (batch, hidden)

    Use: comparing with the paper. With a matrix W_r before x it is the GRU that resets before the product, z standing
    for 1 - z.
    Reading: the paper adds x itself in r, which asks for an input as long as the state; here it is W_r x + b_r.
    Fidelity: simplified: W_r x + b_r stands where the paper has x.
    Source: Jozefowicz, Zaremba & Sutskever, "An empirical exploration of recurrent network architectures", ICML (2015),
    section 4, MUT2.
    """

    gates = ("z", "r", "n")
    facts = (bounded("h"), keeps("h", z=0))

    def step(self, h, z, r, x_n, U_n):
        z = sigmoid(z)
        r = sigmoid(r)
        n = tanh(x_n + U_n(r * h))
        return z * n + (1 - z) * h


class MUT3(Cell):
    """The third best of ten thousand mutated cells: the update gate sees the state through a tanh.

        z  = sigmoid(W_z x + b_z + U_z tanh(h) + c_z)   update gate, (batch, hidden)
        r  = sigmoid(W_r x + b_r + U_r h + c_r)         reset gate,  (batch, hidden)
        n  = tanh(W_n x + b_n + U_n (r * h) + c_n)      candidate,   (batch, hidden)
        h' = z * n + (1 - z) * h                        next state,  (batch, hidden)

    Use: comparing with the paper.
    Reading: torchrecurrent 0.2.5 documents a z that sees h without the tanh; its code has the tanh, as the paper.
    Fidelity: as in the paper.
    Source: Jozefowicz, Zaremba & Sutskever, "An empirical exploration of recurrent network architectures", ICML (2015),
    section 4, MUT3.
    """

    gates = ("z", "r", "n")
    facts = (bounded("h"), keeps("h", z=0))

    def step(self, h, x_z, U_z, r, x_n, U_n):
        z = sigmoid(x_z + U_z(tanh(h)))
        r = sigmoid(r)
        n = tanh(x_n + U_n(r * h))
        return z * n + (1 - z) * h


CATALOGUE = {"mut1": MUT1(), "mut2": MUT2(), "mut3": MUT3()}
