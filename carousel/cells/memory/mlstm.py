from __future__ import annotations

from torch import exp, maximum, sigmoid
from torch.nn.functional import logsigmoid

from carousel.cells.cell import Cell
from carousel.cells.memory.parts import number_of
from carousel.cells.weights import Matrix


class MLSTM(Cell):
    """mLSTM of the xLSTM: a matrix memory of keys and values, with exponential gates that a stabiliser keeps finite.

        q, v  = W x + b of each                         query and value, (batch, hidden)
        k  = (W_k x + b_k) / sqrt(hidden)               key,            (batch, hidden)
        l  = log sigmoid(w_f . x + b_f)                 log of the forget gate, one number
        s  = w_i . x + b_i                              log of the input gate, one number
        m' = max(l + m, s)                              next stabiliser, one number
        f  = exp(l + m - m'),  i = exp(s - m')          gates,          one number each
        C' = f * C + i * v k^T                          next memory,    (batch, hidden, hidden)
        n' = f * n + i * k                              next normaliser, (batch, hidden)
        o  = sigmoid(W_o x + b_o)                       output gate,    (batch, hidden)
        h' = o * (C' q) / max(|n' . q|, exp(-m'))       next state,     (batch, hidden)

    Use: storing many pairs, and recalling them by key; no gate reads the state, so that a layer's products are one.
    Reading: one head; a layer of several heads is several layers side by side. The forget gate is a sigmoid, as in
    the authors' code; the paper allows an exponential too. The bound of the denominator is exp(-m'), so that h' is
    what it would be without the stabiliser, as in the authors' code; the paper prints 1 for both.
    Fidelity: as in the paper, equations 19 to 27, without the block around the cell.
    Source: Beck et al., "xLSTM: extended long short-term memory", NeurIPS (arXiv:2405.04517, 2024), equations 19 to 27.
    """

    states = ("h", "C", "n", "m")
    inputs = ("q", "k", "v", "o")
    sizes = {"C": ("hidden", "hidden"), "m": "one"}
    parts = ("given",)
    matrices = {"W_i": Matrix("one", "input", bias=True), "W_f": Matrix("one", "input", bias=True)}

    def step(self, C, n, m, given, q, k, v, o, W_i, W_f):
        k = k * k.shape[-1] ** -0.5
        old, s = logsigmoid(W_f(given)) + m, W_i(given)
        m = maximum(old, s)
        f = exp(old - m)
        i = exp(s - m)
        C = f * C + i * v.mT * k
        n = f * n + i * k
        h = sigmoid(o) * number_of(C * q).mT / maximum(abs(number_of(n * q)), exp(-m))
        return h, C, n, m


CATALOGUE = {"mlstm": MLSTM()}
