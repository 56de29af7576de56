from __future__ import annotations

from dataclasses import dataclass

import torch

from carousel.cells.cell import Cell
from carousel.cells.facts import Fact, bounded

NONLINEARITIES = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}


@dataclass(frozen=True)
class RNN(Cell):
    """Simple recurrent network, also known as the Elman network.

        h' = tanh(W_n x + b_n + U_n h + c_n)        next state, (batch, hidden)

    nonlinearity: "tanh", "relu" or "sigmoid" (Elman's own choice) in the place of tanh.
    Use: short dependencies, and comparing: what a gate is worth.
    Fidelity: as in torch.nn.RNN with tanh and relu; Elman's own units are sigmoids.
    Source: Elman, "Finding structure in time", Cognitive Science 14 (1990).
    """

    nonlinearity: str = "tanh"

    gates = ("n",)

    @property
    def facts(self) -> tuple[Fact, ...]:
        ranges = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
        return (bounded("h", *ranges[self.nonlinearity]),) if self.nonlinearity in ranges else ()

    def __post_init__(self) -> None:
        if self.nonlinearity not in NONLINEARITIES:
            # torch.nn.RNN's own words, with the choices added.
            raise ValueError(
                f"Unknown nonlinearity '{self.nonlinearity}'. Select from {', '.join(map(repr, NONLINEARITIES))}."
            )

    def step(self, n):
        return NONLINEARITIES[self.nonlinearity](n)


CATALOGUE = {"rnn": RNN(), "rnn-relu": RNN("relu"), "rnn-sigmoid": RNN("sigmoid")}
