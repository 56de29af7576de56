from __future__ import annotations

from dataclasses import dataclass

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps
from carousel.cells.weights import Vector


@dataclass(frozen=True)
class LEM(Cell):
    """Long expressive memory: two states, each with learned steps of time.

        a  = dt * sigmoid(W_a x + b_a + U_a h + c_a)            step of time of h, (batch, hidden)
        b  = dt * sigmoid(W_b x + b_b + U_b h + c_b)            step of time of z, (batch, hidden)
        z' = (1 - b) * z + b * tanh(W_g x + b_g + U_g h + c_g)  memory,            (batch, hidden)
        h' = (1 - a) * h + a * tanh(W_n x + b_n + W_zn z' + d)  next state,        (batch, hidden)

    dt: the longest step of time, 1 in most of the paper's experiments; at most 1.
    Use: long sequences with several scales of time, where an LSTM forgets.
    Reading: h reads the new z', as the authors' code and the paper have it. torchrecurrent 0.2.5 reads the old z,
    and documents one step of time for both states.
    Fidelity: as in the authors' code (tk-rusch/LEM).
    Source: Rusch, Mishra, Erichson & Mahoney, "Long expressive memory for sequence modeling", ICLR (arXiv:2110.04744,
    2022), equation 3.
    """

    dt: float = 1.0

    states = ("h", "z")
    gates = ("a", "b", "g")
    inputs = ("n",)
    matrices = {"W_zn": ("hidden", "hidden")}
    vectors = {"d": Vector(bias=True)}
    facts = (bounded("h"), bounded("z"), keeps("h", a=0), keeps("z", b=0))

    def __post_init__(self) -> None:
        if not 0 < self.dt <= 1:
            raise ValueError(f"dt must be above 0 and at most 1, but {self.dt!r} was given")

    def step(self, h, z, a, b, g, n, W_zn, d):
        a = self.dt * sigmoid(a)
        b = self.dt * sigmoid(b)
        z = (1 - b) * z + b * tanh(g)
        return (1 - a) * h + a * tanh(n + W_zn(z) + d), z


CATALOGUE = {"lem": LEM()}
