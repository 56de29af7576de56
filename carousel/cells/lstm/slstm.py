from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import exp, maximum, sigmoid, tanh
from torch.nn.functional import logsigmoid

from carousel.cells.cell import Cell


@dataclass(frozen=True)
class SLSTM(Cell):
    """sLSTM of the xLSTM: an exponential input gate, a normaliser n, and a stabiliser m that keeps both finite.

        l  = log sigmoid(W_f x + b_f + U_f h + c_f)     log of the forget gate, (batch, hidden)
        k  = W_i x + b_i + U_i h + c_i                  log of the input gate,  (batch, hidden)
        m' = max(l + m, k), or k where n = 0            next stabiliser, (batch, hidden)
        i  = exp(k - m')                                input gate,      (batch, hidden)
        f  = exp(l + m - m'), or 1 where n = 0          forget gate, of nothing there, (batch, hidden)
        g  = tanh(W_g x + b_g + U_g h + c_g)            candidate,       (batch, hidden)
        c' = f * c + i * g                              next cell state, (batch, hidden)
        n' = f * n + i                                  next normaliser, (batch, hidden)
        o  = sigmoid(W_o x + b_o + U_o h + c_o)         output gate,     (batch, hidden)
        h' = o * c' / n'                                next state,      (batch, hidden)

    heads: how many blocks U has on its diagonal; units of one head read those of that head alone.
    Use: revising what is stored: a new input may outweigh all that was written before.
    Reading: the forget gate is a sigmoid; the paper allows an exponential too. Nothing has been written where n = 0:
    there the stabiliser is the input gate's alone. Here this is decided for each row and unit. The authors' code
    decides it once for a whole batch, by whether all of n is 0, so that a row that is reset gets other numbers
    than the same row by itself (it may even divide 0 by 0).
    Fidelity: as in the paper, equations 8 to 17. The paper's U are block-diagonal, one block a head; with one head,
    as by default here, they are dense. Heads are multiplied as one matrix with zeros.
    Source: Beck et al., "xLSTM: extended long short-term memory", NeurIPS (arXiv:2405.04517, 2024), equations 8 to 17.
    """

    heads: int = 1

    states = ("h", "c", "n", "m")
    gates = ("i", "f", "g", "o")

    def step(self, c, n, m, i, f, g, o):
        old = torch.where(n == 0, i, logsigmoid(f) + m)  # here, so that no exponential overflows unseen
        m = maximum(old, i)
        i = exp(i - m)
        f = exp(old - m)
        g = tanh(g)
        c = f * c + i * g
        n = f * n + i
        o = sigmoid(o)
        return o * c / n, c, n, m


CATALOGUE = {"slstm": SLSTM()}
