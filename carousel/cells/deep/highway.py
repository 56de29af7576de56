from __future__ import annotations

from dataclasses import dataclass
from inspect import Parameter, Signature

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded
from carousel.cells.weights import Vector

DEPTHS = range(2, 11)


@dataclass(frozen=True)
class RHN(Cell):
    """Recurrent highway network: several gated layers within each step.

        s1 = (tanh(W_n x + b_n + U_n h + c_n) - h) * sigmoid(W_t x + b_t + U_t h + c_t) + h        (batch, hidden)
        s2 = (tanh(W_n2 s1 + b_n2) - s1) * sigmoid(W_t2 s1 + b_t2) + s1                            (batch, hidden)
        ...                                                         as many as the depth says
        h' = the last of them                                       next state, (batch, hidden)

    depth: how many layers a step has, 2 to 10; only the first reads the input.
    Use: language models; depth within a step costs time, not a longer way for gradients over time.
    Reading: carry and transform gates are coupled, c = 1 - t, as in all of the paper's experiments.
    Fidelity: as in the paper, equations 6 to 9. The authors' code starts the b_t at -2 or less.
    Source: Zilly, Srivastava, Koutnik & Schmidhuber, "Recurrent highway networks", ICML (arXiv:1607.03474, 2017),
    equations 6 to 9.
    """

    depth: int = 3

    gates = ("n", "t")
    facts = (bounded("h"),)

    def __post_init__(self) -> None:
        if self.depth not in DEPTHS:
            raise ValueError(f"depth must be from {DEPTHS[0]} to {DEPTHS[-1]}, but {self.depth!r} was given")

    @property
    def vectors(self) -> dict[str, Vector]:
        return {f"b_{gate}{k}": Vector(0.0, bias=True) for k in range(2, self.depth + 1) for gate in "nt"}

    @property
    def matrices(self) -> dict[str, tuple[str, str]]:
        return {f"W_{gate}{k}": ("hidden", "hidden") for k in range(2, self.depth + 1) for gate in "nt"}

    @property
    def step(self):
        """The step, with an argument for each layer's weights."""

        def step(h, n, t, **layers):
            s = (tanh(n) - h) * sigmoid(t) + h
            for k in range(2, self.depth + 1):
                n = tanh(layers[f"W_n{k}"](s) + layers[f"b_n{k}"])
                t = sigmoid(layers[f"W_t{k}"](s) + layers[f"b_t{k}"])
                s = (n - s) * t + s
            return s

        names = ("h", *self.gates, *self.vectors, *self.matrices)
        step.__signature__ = Signature([Parameter(name, Parameter.KEYWORD_ONLY) for name in names])
        return step


CATALOGUE = {"rhn": RHN()}
