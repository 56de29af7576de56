from __future__ import annotations

from dataclasses import dataclass

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded


@dataclass(frozen=True)
class MiRU1(Cell):
    """Minion gated unit 1: a GRU whose update gate is one number.

        r  = sigmoid(W_r x + b_r + U_r h + c_r)         reset gate, (batch, hidden)
        n  = tanh(W_n x + b_n + U_n (r * h) + c_n)      candidate,  (batch, hidden)
        h' = keep * h + (1 - keep) * n                  next state, (batch, hidden)

    keep: how much of the state stays at each step, not learned.
    Use: as small a GRU as will do.
    Fidelity: as described by torchrecurrent 0.2.5; the article itself was not at hand.
    Source: "Minion gated units", Neurocomputing (doi:10.1016/j.neucom.2026.132847, 2026).
    """

    keep: float = 0.5

    gates = ("r", "n")
    facts = (bounded("h"),)

    def step(self, h, r, x_n, U_n):
        r = sigmoid(r)
        n = tanh(x_n + U_n(r * h))
        return self.keep * h + (1 - self.keep) * n


@dataclass(frozen=True)
class MiRU2(Cell):
    """Minion gated unit 2: a GRU whose gates are two numbers.

        n  = tanh(W_n x + b_n + U_n (reset * h) + c_n)      candidate,  (batch, hidden)
        h' = keep * h + (1 - keep) * n                      next state, (batch, hidden)

    reset: how much of the state the candidate sees; keep: how much of it stays at each step. Neither is learned.
    Use: a leaky simple network.
    Fidelity: as described by torchrecurrent 0.2.5; the article itself was not at hand.
    Source: "Minion gated units", Neurocomputing (doi:10.1016/j.neucom.2026.132847, 2026).
    """

    keep: float = 0.5
    reset: float = 0.5

    gates = ("n",)
    facts = (bounded("h"),)

    def step(self, h, x_n, U_n):
        n = tanh(x_n + U_n(self.reset * h))
        return self.keep * h + (1 - self.keep) * n


CATALOGUE = {"miru1": MiRU1(), "miru2": MiRU2()}
