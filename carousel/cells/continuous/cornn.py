from __future__ import annotations

from dataclasses import dataclass

from torch import tanh

from carousel.cells.cell import Cell


@dataclass(frozen=True)
class CoRNN(Cell):
    """Coupled oscillators: each unit is a damped pendulum that the input and the others push (coRNN).

        z' = z + dt * (tanh(W_n x + b_n + U_n h + c_n + W_zn z) - gamma * h - epsilon * z)    velocity, (batch, hidden)
        h' = h + dt * z'                                                                      position, (batch, hidden)

    dt: the step of time. gamma: the frequency squared. epsilon: the damping.
    Use: very long sequences; for small dt gradients neither vanish nor explode.
    Reading: damping reads the old velocity (explicit), as the authors' code does. The paper's equation 3 writes an
    index that may be the new one (implicit). torchrecurrent 0.2.5 documents the new and computes the old.
    The numbers are those of the authors' experiment on pixels of MNIST.
    Fidelity: as in the authors' code (tk-rusch/coRNN).
    Source: Rusch & Mishra, "Coupled oscillatory recurrent neural network (coRNN): an accurate and (gradient) stable
    architecture for learning long time dependencies", ICLR (arXiv:2010.00951, 2021), equation 3.
    """

    dt: float = 0.042
    gamma: float = 2.7
    epsilon: float = 4.7

    states = ("h", "z")
    gates = ("n",)
    matrices = {"W_zn": ("hidden", "hidden")}

    def step(self, h, z, n, W_zn):
        z = z + self.dt * (tanh(n + W_zn(z)) - self.gamma * h - self.epsilon * z)
        return h + self.dt * z, z


CATALOGUE = {"cornn": CoRNN()}
