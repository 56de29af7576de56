from __future__ import annotations

from dataclasses import dataclass

from torch import relu, tanh

from carousel.cells.cell import Cell

NONLINEARITIES = {"relu": relu, "tanh": tanh}


@dataclass(frozen=True)
class IndRNN(Cell):
    """Independently recurrent network: each unit sees of the state itself alone.

        h' = relu(W_n x + b_n + u * h)          next state, (batch, hidden)

    nonlinearity: "relu", or "tanh" in its place.
    Use: very long sequences in deep stacks; units meet in the layer above.
    Fidelity: as in the paper. The paper keeps |u| below 2 ** (1 / T) while training, which is the caller's part.
    Source: Li, Li, Cook, Zhu & Gao, "Independently recurrent neural network (IndRNN): building a longer and deeper
    RNN", CVPR (arXiv:1803.04831, 2018), equation 4.
    """

    nonlinearity: str = "relu"

    inputs = ("n",)
    vectors = ("u",)

    def __post_init__(self) -> None:
        if self.nonlinearity not in NONLINEARITIES:
            known = ", ".join(map(repr, NONLINEARITIES))
            raise ValueError(f"nonlinearity must be among {known}, but {self.nonlinearity!r} was given")

    def step(self, h, n, u):
        return NONLINEARITIES[self.nonlinearity](n + u * h)


CATALOGUE = {"indrnn": IndRNN()}
