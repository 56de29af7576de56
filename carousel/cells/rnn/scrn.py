from __future__ import annotations

from dataclasses import dataclass

from torch import sigmoid

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded


@dataclass(frozen=True)
class SCRN(Cell):
    """Structurally constrained network: a simple network beside a slow context, which forgets at a fixed rate.

        s' = (1 - alpha) * (W_k x + b_k) + alpha * s                context,    (batch, hidden)
        h' = sigmoid(W_n x + b_n + U_n h + c_n + W_sn s')           next state, (batch, hidden)

    alpha: the share of the context that stays, 0.95 in the paper.
    Use: topics of a text, kept without a gate.
    Reading: the hidden layer is fed back, as in the paper; torchrecurrent 0.2.5 feeds back the output layer. The
    paper's output V h + W_ys s is a head's part: read both states, with return_states=True.
    Fidelity: simplified: context and hidden layer are of one size; the paper's output layer is left to the caller.
    Source: Mikolov, Joulin, Chopra, Mathieu & Ranzato, "Learning longer memory in recurrent neural networks"
    (arXiv:1412.7753, 2014), equations 4 to 6.
    """

    alpha: float = 0.95

    states = ("h", "s")
    gates = ("n",)
    inputs = ("k",)
    matrices = {"W_sn": ("hidden", "hidden")}
    facts = (bounded("h", 0, 1),)

    def step(self, s, n, k, W_sn):
        s = (1 - self.alpha) * k + self.alpha * s
        return sigmoid(n + W_sn(s)), s


CATALOGUE = {"scrn": SCRN()}
