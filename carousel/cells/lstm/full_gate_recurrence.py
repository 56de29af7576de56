from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps

MATRICES = tuple(f"W_{source}{gate}" for source in "ifo" for gate in "ifo")


class FullGateRecurrenceLSTM(Cell):
    """Peephole LSTM whose gates also see what all gates were one step before (FGR).

        R_k = W_ik last_i + W_fk last_f + W_ok last_o                     for k in i, f, o, (batch, hidden)
        i   = sigmoid(W_i x + b_i + U_i h + c_i + p_i * c + R_i)          input gate,      (batch, hidden)
        f   = sigmoid(W_f x + b_f + U_f h + c_f + p_f * c + R_f)          forget gate,     (batch, hidden)
        g   = tanh(W_g x + b_g + U_g h + c_g)                             candidate,       (batch, hidden)
        c'  = f * c + i * g                                               next cell state, (batch, hidden)
        o   = sigmoid(W_o x + b_o + U_o h + c_o + p_o * c' + R_o)         output gate,     (batch, hidden)
        h'  = o * tanh(c')                                                next state,      (batch, hidden)
        last_i' = i, last_f' = f, last_o' = o                             what the gates were, (batch, hidden)

    Use: comparing with the LSTM of 1997, which had these connections. Greff et al. found that they add nine matrices
    and help nothing.
    Fidelity: as in the paper (the variant FGR).
    Source: Greff, Srivastava, Koutnik, Steunebrink & Schmidhuber, "LSTM: a search space odyssey", IEEE TNNLS 28
    (arXiv:1503.04069, 2017), section III.
    """

    states = ("h", "c", "last_i", "last_f", "last_o")
    gates = ("i", "f", "g", "o")
    vectors = ("p_i", "p_f", "p_o")
    matrices = dict.fromkeys(MATRICES, ("hidden", "hidden"))
    facts = (bounded("h"), keeps("c", f=1, i=0))

    def step(
        self, c, last_i, last_f, last_o, i, f, g, o, p_i, p_f, p_o,
        W_ii, W_fi, W_oi, W_if, W_ff, W_of, W_io, W_fo, W_oo,
    ):  # fmt: skip
        i = sigmoid(i + p_i * c + W_ii(last_i) + W_fi(last_f) + W_oi(last_o))
        f = sigmoid(f + p_f * c + W_if(last_i) + W_ff(last_f) + W_of(last_o))
        g = tanh(g)
        c = f * c + i * g
        o = sigmoid(o + p_o * c + W_io(last_i) + W_fo(last_f) + W_oo(last_o))
        return o * tanh(c), c, i, f, o


CATALOGUE = {"full-gate-recurrence-lstm": FullGateRecurrenceLSTM()}
