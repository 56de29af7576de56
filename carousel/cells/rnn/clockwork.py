from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, remainder, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded
from carousel.cells.weights import Vector


@dataclass(frozen=True)
class ClockworkRNN(Cell):
    """Clockwork RNN: groups of units, each of which takes a step only as often as its period says.

        h' = tanh(W_n x + b_n + U_n h + c_n) where k = 0, else h    next state,                (batch, hidden)
        k' = (k + 1) mod period                                     steps until it is due,     (batch, hidden)

    modules: how many groups of units there are, of equal size up to one unit; the periods are 1, 2, 4, ...
    A unit reads groups of its own period and of longer ones: the other numbers of U are never used.
    Use: sequences with slow and fast parts; slow units are due seldom and remember longer.
    Reading: every sequence starts with all groups due. All units are computed at every step, so that seldom is not
    cheap here, and `weight_hh` holds the unused numbers too. After a reset the clock starts anew with the sequence.
    Fidelity: from memory: the paper was not opened. Its output layer is a head's part.
    Source: Koutník, Greff, Gomez & Schmidhuber, "A clockwork RNN", ICML (arXiv:1402.3511, 2014), equations 1 and 2.
    """

    modules: int = 4

    states = ("h", "k")
    gates = "n"
    facts = (bounded("h"),)

    def __post_init__(self) -> None:
        if not 1 <= self.modules <= 16:
            raise ValueError(f"modules must be from 1 to 16, but {self.modules!r} was given")

    def groups(self, units: int) -> Tensor:
        """The number of each unit's group."""
        return torch.arange(units) * min(self.modules, units) // units

    def periods(self, units: int) -> Tensor:
        """How many steps each unit's period has."""
        return 2.0 ** self.groups(units)

    def connections(self, rows: int, columns: int) -> Tensor:
        """Whether a unit (row) reads another (column)."""
        return self.groups(columns)[None] >= self.groups(rows)[:, None]

    @property
    def vectors(self) -> dict[str, Vector]:
        return {"period": Vector(self.periods, learned=False)}

    def step(self, h, k, n, period):
        h = torch.where(k == 0, tanh(n), h)
        return h, remainder(k + 1, period)


CATALOGUE = {"clockwork-rnn": ClockworkRNN()}
