from __future__ import annotations

from dataclasses import dataclass

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import keeps


@dataclass(frozen=True)
class AntisymmetricRNN(Cell):
    """A simple network as a stable differential equation: its matrix is U - U^T, whose eigenvalues are imaginary.

        h' = h + epsilon * tanh(W_n x + b_n + (U_n - U_n^T) h + c_n - gamma * h)        next state, (batch, hidden)

    epsilon: the step of time. gamma: the diffusion, which makes up for the step's error.
    Use: long dependencies without a gate.
    Reading: epsilon and gamma are fixed numbers, which the paper chooses for each task.
    Fidelity: as in the paper, with U - U^T of a whole matrix, where the paper learns the triangle above.
    Source: Chang, Chen, Haber & Chi, "AntisymmetricRNN: a dynamical system view on recurrent neural networks", ICLR
    (arXiv:1902.09689, 2019), section 3.
    """

    epsilon: float = 0.1
    gamma: float = 0.01

    gates = ("n",)

    def step(self, h, x_n, U_n):
        return h + self.epsilon * tanh(x_n + U_n(h) - U_n.T(h) - self.gamma * h)


@dataclass(frozen=True)
class GatedAntisymmetricRNN(Cell):
    """An antisymmetric network with a gate on its step, whose recurrent part is the candidate's.

        a  = (U_n - U_n^T) h + c_n - gamma * h                          (batch, hidden)
        z  = sigmoid(W_z x + b_z + a)                                   gate,       (batch, hidden)
        h' = h + epsilon * z * tanh(W_n x + b_n + a)                    next state, (batch, hidden)

    epsilon: the step of time. gamma: the diffusion, which makes up for the step's error.
    Use: long dependencies, where inputs differ in how much they should move.
    Reading: epsilon and gamma are fixed numbers, which the paper chooses for each task.
    Fidelity: as in the paper, with U - U^T of a whole matrix, where the paper learns the triangle above; c_n is added.
    Source: Chang, Chen, Haber & Chi, "AntisymmetricRNN: a dynamical system view on recurrent neural networks", ICLR
    (arXiv:1902.09689, 2019), section 3.
    """

    epsilon: float = 0.1
    gamma: float = 0.01

    gates = ("n",)
    inputs = ("z",)
    facts = (keeps("h", z=0),)

    def step(self, h, x_n, U_n, z):
        a = U_n(h) - U_n.T(h) - self.gamma * h
        z = sigmoid(z + a)
        return h + self.epsilon * z * tanh(x_n + a)


CATALOGUE = {"antisymmetric-rnn": AntisymmetricRNN(), "gated-antisymmetric-rnn": GatedAntisymmetricRNN()}
