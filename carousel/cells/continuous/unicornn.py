from __future__ import annotations

from dataclasses import dataclass

from torch import sigmoid, tanh

from carousel.cells.cell import Cell


@dataclass(frozen=True)
class UnICORNN(Cell):
    """Independent oscillators without damping, each with a learned step of time.

        z' = z - dt * sigmoid(k) * (tanh(w * h + W_n x + b_n) + alpha * h)      velocity, (batch, hidden)
        h' = h + dt * sigmoid(k) * z'                                           position, (batch, hidden)

    dt: the longest step of time. alpha: the frequency squared.
    Use: very long sequences in deep stacks; units meet in the layer above.
    Reading: h is moved by the new z' (symplectic Euler), as in the paper; the step's share of dt is a sigmoid, as in
    the authors' code, where the paper writes 0.5 + 0.5 tanh(k / 2), the same function.
    Fidelity: as in the authors' code (tk-rusch/unicornn); it draws w from 0 to 1 and k from -0.1 to 0.1.
    Source: Rusch & Mishra, "UnICORNN: a recurrent model for learning very long time dependencies", ICML
    (arXiv:2103.05487, 2021), equation 3.
    """

    dt: float = 0.1
    alpha: float = 0.5

    states = ("h", "z")
    inputs = ("n",)
    vectors = ("w", "k")

    def step(self, h, z, n, w, k):
        share = self.dt * sigmoid(k)
        z = z - share * (tanh(w * h + n) + self.alpha * h)
        return h + share * z, z


CATALOGUE = {"unicornn": UnICORNN()}
