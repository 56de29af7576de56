from __future__ import annotations

from dataclasses import dataclass

from torch import relu
from torch.nn.functional import layer_norm

from carousel.cells.cell import Cell
from carousel.cells.memory.parts import number_of


@dataclass(frozen=True)
class FastWeights(Cell):
    """Fast weights: a second matrix that decays and learns within a sequence, and attends to the recent past.

        A' = decay * A + rate * h h^T                   next fast weights, (batch, hidden, hidden)
        n  = W_n x + b_n + U_n h + c_n                  held fixed,      (batch, hidden)
        s0 = relu(norm(n))
        s1 = relu(norm(n + A' s0))                      as often as `steps` says
        h' = the last of them                           next state,      (batch, hidden)

    decay, rate: how much of A is kept at a step, and how much of h h^T is added; the paper's lambda and eta.
    steps: how often fast weights are applied within a step.
    norm: layer normalisation over the units, without gains.
    Use: recalling pairs that were seen a few steps ago, with few units.
    Fidelity: as in the paper, equations 1 and 2, with its layer normalisation, and its best lambda, eta and S = 1.
    Source: Ba, Hinton, Mnih, Leibo & Ionescu, "Using fast weights to attend to the recent past", NIPS
    (arXiv:1610.06258, 2016), equations 1 and 2 and section 3.2.
    """

    decay: float = 0.95
    rate: float = 0.5
    steps: int = 1

    states = ("h", "A")
    gates = ("n",)
    sizes = {"A": ("hidden", "hidden")}

    def step(self, h, A, n):
        A = self.decay * A + self.rate * h.mT * h
        s = relu(layer_norm(n, n.shape[-1:]))
        for _ in range(self.steps):
            s = n + number_of(A * s).mT
            s = relu(layer_norm(s, s.shape[-1:]))
        return s, A


CATALOGUE = {"fast-weights": FastWeights()}
