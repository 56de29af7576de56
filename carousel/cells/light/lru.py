from __future__ import annotations

from torch import cos, exp, sin

from carousel.cells.cell import Cell
from carousel.cells.weights import Vector


class LRU(Cell):
    """Linear recurrent unit: each unit is a complex number that turns and shrinks at a learned rate.

        r  = exp(-exp(nu))                                      what a step leaves of it
        w  = exp(theta)                                         the angle that it turns by
        h' = r cos(w) * h - r sin(w) * q + s * (W_a x + b_a)    real part,      (batch, hidden)
        q' = r sin(w) * h + r cos(w) * q + s * (W_b x + b_b)    imaginary part, (batch, hidden)
        s  = sqrt(1 - r * r)                                    so that the state's size does not depend on r

    Use: very long sequences; put a nonlinear layer between several of these.
    Reading: the paper's complex diagonal, written in two real rows. Its gamma, which starts at s and is learned, is s
    itself here. The output C h + D x is a head's part: read both states.
    Fidelity: simplified: gamma follows r; nu and theta start at fixed numbers for all units, where the paper draws
    them from a ring.
    Source: Orvieto et al., "Resurrecting recurrent neural networks for long sequences", ICML (arXiv:2303.06349, 2023),
    section 3.
    """

    states = ("h", "q")
    inputs = ("a", "b")
    vectors = {"nu": Vector(), "theta": Vector()}

    def step(self, h, q, a, b, nu, theta):
        r, w = exp(-exp(nu)), exp(theta)
        real, imaginary = r * cos(w), r * sin(w)
        s = (1 - r * r) ** 0.5
        return real * h - imaginary * q + s * a, imaginary * h + real * q + s * b


CATALOGUE = {"lru": LRU()}
