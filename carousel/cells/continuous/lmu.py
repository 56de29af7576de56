from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, tanh

from carousel.cells.cell import Cell
from carousel.cells.weights import Matrix, Vector


def legendre(theta: float, order: int) -> tuple[Tensor, Tensor]:
    """The memory's A (order, order) and B (order), for steps of length 1 during which u does not change.

    A window of `theta` steps, in Legendre polynomials: a_ij = (2 i + 1) / theta times -1 for i < j, else
    (-1)^(i - j + 1), and b_i = (2 i + 1) (-1)^i / theta; the matrix exponential of both gives one step.
    """
    i, j = torch.meshgrid(torch.arange(order), torch.arange(order), indexing="ij")
    sign = torch.where(i < j, -1.0, (-1.0) ** ((i - j + 1) % 2).double())
    rate = (2 * torch.arange(order).double() + 1)[:, None] / theta
    both = torch.zeros(order + 1, order + 1, dtype=torch.float64)
    both[:order, :order] = rate * sign
    both[:order, order] = rate[:, 0] * (-1.0) ** (torch.arange(order) % 2).double()
    whole = torch.linalg.matrix_exp(both)
    return whole[:order, :order], whole[:order, order]


def _a(theta: float, rows: int, columns: int) -> Tensor:
    del columns
    return legendre(theta, rows)[0]


def _b(theta: float, units: int) -> Tensor:
    return legendre(theta, units)[1]


@dataclass(frozen=True)
class LMU(Cell):
    """Legendre memory unit: a linear memory that holds a window of the past, and a nonlinear state that reads it.

        u  = sum(e_x * x) + sum(e_h * h) + sum(e_m * m)     what is written, one number,      (batch, 1)
        m' = A m + B u                                      next memory,                      (batch, order)
        h' = tanh(W_n x + b_n + U_n h + c_n + M m')         next state,                       (batch, hidden)

    A and B are constants: the memory's `order` numbers are the coefficients of Legendre polynomials that describe u
    over the last `theta` steps. `Recurrent(LMU(order=64, theta=784.0), ...)`; the layer's `units={"order": 64}` says
    the same of the order.
    Use: windows of hundreds or thousands of steps with few numbers, such as images read pixel by pixel.
    Reading: A and B for a step of length 1 by zero-order hold, as in the authors' later code; the paper's Euler step is
    its limit for a long theta. h reads the new memory.
    Fidelity: from memory: neither the paper nor the authors' code was opened. Theirs has no biases.
    Source: Voelker, Kajic & Eliasmith, "Legendre memory units: continuous-time representation in recurrent neural
    networks", NeurIPS (2019), equations 1 to 7.
    """

    order: int = 8
    theta: float = 32.0

    states = ("h", "m")
    gates = "n"
    parts = {"input": "input"}
    sizes = {"m": "order"}

    @property
    def units(self) -> dict[str, int]:
        return {"order": self.order}

    @property
    def matrices(self) -> dict[str, Matrix]:
        return {
            "A": Matrix("order", "order", initial=partial(_a, self.theta), learned=False),
            "M": Matrix("hidden", "order"),
        }

    @property
    def vectors(self) -> dict[str, Vector]:
        return {
            "e_x": Vector(size="input"),
            "e_h": Vector(),
            "e_m": Vector(0.0, size="order"),
            "B": Vector(partial(_b, self.theta), size="order", learned=False),
        }

    def step(self, h, m, n, input, A, B, M, e_x, e_h, e_m):
        u = sum((e * row).sum(-1, keepdim=True) for e, row in ((e_x, input), (e_h, h), (e_m, m)))
        m = A(m) + B * u
        h = tanh(n + M(m))
        return h, m


CATALOGUE = {"lmu": LMU()}
