from __future__ import annotations

from dataclasses import dataclass

from torch import clamp, sigmoid, tanh
from torch.nn.functional import hardsigmoid, softplus

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps

# Both are straight between 0 and 1; they differ in the slope.
HARD_SIGMOIDS = {"keras": lambda a: clamp(0.2 * a + 0.5, 0.0, 1.0), "torch": hardsigmoid}


@dataclass(frozen=True)
class SGU(Cell):
    """Simple gated unit: the input scales the state before a product, and the product scales the state again.

        k  = tanh(U_g ((W_g x + b_g) * h) + c_g)            scale,       (batch, hidden)
        n  = softplus(k * h)                                candidate,   (batch, hidden)
        z  = hard(W_z x + b_z + U_z h + c_z)                update gate, (batch, hidden)
        h' = (1 - z) * h + z * n                            next state,  (batch, hidden)

    hard: the hard sigmoid: "keras", which cuts 0.2 a + 0.5 to 0 and 1, or "torch", which cuts a / 6 + 0.5.
    Use: long sequences with a GRU's cost less one product of the input.
    Reading: the paper says a hard sigmoid, and does not say which; Keras' of that time is taken.
    Fidelity: as described by torchrecurrent 0.2.5, whose hard sigmoid is torch's.
    Source: Gao & Glowacka, "Deep gate recurrent neural network", ACML (arXiv:1604.02910, 2016), section 3.
    """

    hard: str = "keras"

    gates = ("g", "z")
    facts = (keeps("h", z=0),)

    def __post_init__(self) -> None:
        check_hard(self.hard)

    def step(self, h, x_g, U_g, z):
        k = tanh(U_g(x_g * h))
        n = softplus(k * h)
        z = HARD_SIGMOIDS[self.hard](z)
        return (1 - z) * h + z * n


@dataclass(frozen=True)
class DSGU(Cell):
    """Deep simple gated unit: an SGU with one more product, and a candidate within 0 and 1.

        k  = tanh(U_g ((W_g x + b_g) * h) + c_g)            scale,       (batch, hidden)
        n  = sigmoid(W_kn (k * h))                          candidate,   (batch, hidden)
        z  = hard(W_z x + b_z + U_z h + c_z)                update gate, (batch, hidden)
        h' = (1 - z) * h + z * n                            next state,  (batch, hidden)

    hard: the hard sigmoid: "keras", which cuts 0.2 a + 0.5 to 0 and 1, or "torch", which cuts a / 6 + 0.5.
    Use: as the SGU, where the classes depend on early inputs.
    Reading: as the SGU's.
    Fidelity: as described by torchrecurrent 0.2.5, whose hard sigmoid is torch's.
    Source: Gao & Glowacka, "Deep gate recurrent neural network", ACML (arXiv:1604.02910, 2016), section 3.
    """

    hard: str = "keras"

    gates = ("g", "z")
    matrices = {"W_kn": ("hidden", "hidden")}
    facts = (bounded("h", 0, 1), keeps("h", z=0))

    def __post_init__(self) -> None:
        check_hard(self.hard)

    def step(self, h, x_g, U_g, z, W_kn):
        k = tanh(U_g(x_g * h))
        n = sigmoid(W_kn(k * h))
        z = HARD_SIGMOIDS[self.hard](z)
        return (1 - z) * h + z * n


def check_hard(hard: str) -> None:
    """Raises ValueError for a hard sigmoid that there is not."""
    if hard not in HARD_SIGMOIDS:
        raise ValueError(f"hard must be among {', '.join(map(repr, HARD_SIGMOIDS))}, but {hard!r} was given")


CATALOGUE = {"sgu": SGU(), "dsgu": DSGU()}
