from __future__ import annotations

from torch import sigmoid

from carousel.cells.cell import Cell


class ATR(Cell):
    """Addition-subtraction twin-gated recurrent network: two gates from one product of each kind.

        p  = W_p x + b_p                            input part,     (batch, hidden)
        q  = U_p h + c_p                            recurrent part, (batch, hidden)
        i  = sigmoid(p + q)                         input gate,     (batch, hidden)
        f  = sigmoid(p - q)                         forget gate,    (batch, hidden)
        h' = i * p + f * h                          next state,     (batch, hidden)

    Use: translation, with the weights of a simple network. Nothing bounds h.
    Fidelity: as in the paper, with biases, which the paper leaves out.
    Source: Zhang, Xiong, Su, Lin & Zhang, "Simplifying neural machine translation with addition-subtraction twin-gated
    recurrent networks", EMNLP (arXiv:1810.12546, 2018), section 3.
    """

    gates = ("p",)

    def step(self, h, x_p, U_p):
        q = U_p(h)
        i = sigmoid(x_p + q)
        f = sigmoid(x_p - q)
        return i * x_p + f * h


CATALOGUE = {"atr": ATR()}
