from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, floor, sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import keeps
from carousel.cells.weights import Vector


def periods(units: int) -> Tensor:
    """Periods from 1 to 1000 units of time, uniform in their logarithm, as TensorFlow's PhasedLSTMCell draws them."""
    return torch.empty(units).uniform_(0.0, math.log(1000.0)).exp()


@dataclass(frozen=True)
class PhasedLSTM(Cell):
    """Phased LSTM: each unit is open for a part of a period of its own, and else carries its states through.

        p  = (time - s) / tau - floor((time - s) / tau)     phase, from 0 to 1,                   (batch, hidden)
        k  = 2 p / r where p < r / 2, 2 - 2 p / r where p < r, else leak * p    openness,         (batch, hidden)
        i  = sigmoid(W_i x + b_i + U_i h + c_i + p_i * c)   input gate,                           (batch, hidden)
        f  = sigmoid(W_f x + b_f + U_f h + c_f + p_f * c)   forget gate,                          (batch, hidden)
        g  = tanh(W_g x + b_g + U_g h + c_g)                candidate,                            (batch, hidden)
        c~ = f * c + i * g                                  the cell state of an open unit,       (batch, hidden)
        o  = sigmoid(W_o x + b_o + U_o h + c_o + p_o * c~)  output gate,                          (batch, hidden)
        c' = k * c~ + (1 - k) * c                           next cell state,                      (batch, hidden)
        h' = k * o * tanh(c~) + (1 - k) * h                 next state,                           (batch, hidden)

    The last column of the input is the time of the step; layers above the first see it too. tau (the period), s (its
    shift) and r (the share of a period that a unit is open for) are learned. leak: of a unit that is closed, so that
    gradients reach it; the paper has 0 in evaluation: `layer.cell` may be replaced by PhasedLSTM(leak=0.0).
    Use: events at irregular times, and long series in which most steps say nothing.
    Reading: r begins at 0.05, as the paper has it; TensorFlow's cell begins at 0.1. The gradient by the phase passes
    through floor as if it were constant, as TensorFlow's does.
    Fidelity: from memory: the paper was not opened. Initial periods are those of TensorFlow's PhasedLSTMCell; the
    shift begins within the first unit of time, where the paper draws it within the period.
    Source: Neil, Pfeiffer & Liu, "Phased LSTM: accelerating recurrent network training for long or event-based
    sequences", NeurIPS (arXiv:1610.09513, 2016).
    """

    leak: float = 0.001

    states = ("h", "c")
    gates = ("i", "f", "g", "o")
    parts = {"features": "input", "time": "one"}
    vectors = {
        "p_i": Vector(),
        "p_f": Vector(),
        "p_o": Vector(),
        "tau": Vector(periods),
        "s": Vector(torch.rand),
        "r": Vector(0.05),
    }
    facts = (keeps("c", k=0), keeps("h", k=0))

    def step(self, h, c, i, f, g, o, time, p_i, p_f, p_o, tau, s, r):
        turns = (time - s) / tau
        p = turns - floor(turns)
        rising = 2 * p / r
        k = torch.where(p < r, torch.where(p < r / 2, rising, 2 - rising), self.leak * p)
        i = sigmoid(i + p_i * c)
        f = sigmoid(f + p_f * c)
        opened = f * c + i * tanh(g)
        o = sigmoid(o + p_o * opened)
        h = k * o * tanh(opened) + (1 - k) * h
        return h, k * opened + (1 - k) * c


CATALOGUE = {"phased-lstm": PhasedLSTM()}
