from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.weights import Vector


class FastRNN(Cell):
    """A simple network with a residual connection of two learned numbers.

        n  = tanh(W_n x + b_n + U_n h + c_n)            candidate,  (batch, hidden)
        h' = sigmoid(alpha) * n + sigmoid(beta) * h     next state, (batch, hidden)

    alpha, beta: start at -3 and 3, so that a step first changes the state little.
    Use: small devices; trains over longer sequences than a simple network.
    Reading: alpha and beta are one number for each unit, where the paper has one for all.
    Fidelity: simplified: alpha and beta are vectors, whose units may part.
    Source: Kusupati et al., "FastGRNN: a fast, accurate, stable and tiny kilobyte sized gated recurrent neural
    network", NeurIPS (arXiv:1901.02358, 2018), equations 2 and 3.
    """

    gates = ("n",)
    vectors = {"alpha": Vector(-3.0), "beta": Vector(3.0)}

    def step(self, h, n, alpha, beta):
        n = tanh(n)
        return sigmoid(alpha) * n + sigmoid(beta) * h


class FastGRNN(Cell):
    """A gated network whose gate and candidate share one W and one U.

        a  = W_z x + b_z + U_z h + c_z                  (batch, hidden)
        z  = sigmoid(a)                                 update gate, (batch, hidden)
        n  = tanh(a + d)                                candidate,   (batch, hidden)
        h' = (sigmoid(zeta) * (1 - z) + sigmoid(nu)) * n + z * h     next state, (batch, hidden)

    d: what the candidate's bias differs by. zeta, nu: start at 1 and -4.
    Use: keyword spotting and other tasks of kilobytes.
    Reading: zeta and nu are one number for each unit, where the paper has one for all.
    Fidelity: simplified: zeta and nu are vectors; W and U are dense, where the paper makes them sparse and of low rank.
    Source: Kusupati et al., "FastGRNN: a fast, accurate, stable and tiny kilobyte sized gated recurrent neural
    network", NeurIPS (arXiv:1901.02358, 2018), equations 4 and 5.
    """

    gates = ("z",)
    vectors = {"d": Vector(0.0, bias=True), "zeta": Vector(1.0), "nu": Vector(-4.0)}

    def step(self, h, z, d, zeta, nu):
        n = tanh(z + d)
        z = sigmoid(z)
        return (sigmoid(zeta) * (1 - z) + sigmoid(nu)) * n + z * h


CATALOGUE = {"fastrnn": FastRNN(), "fastgrnn": FastGRNN()}
