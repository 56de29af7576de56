from __future__ import annotations

from dataclasses import dataclass

from torch import relu, sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded


@dataclass(frozen=True)
class NAS(Cell):
    """The cell that a search by reinforcement learning found for words of the Penn Treebank.

        a, c, f, k = sigmoid(W x + b + U h + c)           each with its own weights, (batch, hidden)
        p          = relu(W_p x + b_p + U_p h + c_p)      (batch, hidden)
        q          = relu((W_q x + b_q) * (U_q h + c_q))  (batch, hidden)
        e, g       = tanh(W x + b + U h + c)              each with its own weights, (batch, hidden)
        m  = tanh(tanh(a * p) + s)                        (batch, hidden)
        s' = m * tanh(c + q)                              next cell state, (batch, hidden)
        h' = tanh(s' * tanh(tanh(e * f) + sigmoid(g + k)))   next state,   (batch, hidden)

    product: whether q multiplies its two halves, as the authors' code does, or adds them, as it does for the others.
    Use: language models; eight gates, so twice an LSTM's cost.
    Reading: the paper shows the tree of operations as a picture (figure 8) and no equations. TensorFlow's NASCell, by
    its authors, multiplies in q; torchrecurrent 0.2.5 adds. `NAS(product=False)` adds.
    Fidelity: as in the authors' code (NASCell of tensorflow.contrib.rnn, without projection).
    Source: Zoph & Le, "Neural architecture search with reinforcement learning", ICLR
    (arXiv:1611.01578, 2017), figure 8.
    """

    product: bool = True

    states = ("h", "s")
    gates = ("a", "p", "c", "q", "e", "f", "g", "k")
    facts = (bounded("h"), bounded("s"))

    def step(self, s, a, p, c, x_q, U_q, h, e, f, g, k):
        q = relu(x_q * U_q(h) if self.product else x_q + U_q(h))
        m = tanh(tanh(sigmoid(a) * relu(p)) + s)
        s = m * tanh(sigmoid(c) + q)
        n = tanh(tanh(tanh(e) * sigmoid(f)) + sigmoid(tanh(g) + sigmoid(k)))
        return tanh(s * n), s


CATALOGUE = {"nas": NAS()}
