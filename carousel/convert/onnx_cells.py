"""ONNX's LSTM, GRU and RNN with other activations or a clip, which are no cells of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from carousel.cells import Cell
from carousel.errors import DataError

# name: the function of (a, alpha, beta), and the defaults of those that it has. Source: ONNX's operator schemas.
ACTIVATIONS: dict[str, tuple[Callable[..., Any], tuple[float, ...]]] = {
    "affine": (lambda a, alpha, beta: alpha * a + beta, (1.0, 0.0)),
    "relu": (lambda a: torch.relu(a), ()),
    "leakyrelu": (lambda a, alpha: torch.where(a > 0, a, alpha * a), (0.01,)),
    "thresholdedrelu": (lambda a, alpha: torch.where(a > alpha, a, 0.0), (1.0,)),
    "tanh": (lambda a: torch.tanh(a), ()),
    "scaledtanh": (lambda a, alpha, beta: alpha * torch.tanh(beta * a), (1.0, 1.0)),
    "sigmoid": (lambda a: torch.sigmoid(a), ()),
    "hardsigmoid": (lambda a, alpha, beta: torch.clamp(alpha * a + beta, 0.0, 1.0), (0.2, 0.5)),
    "elu": (lambda a, alpha: torch.where(a > 0, a, alpha * torch.expm1(torch.clamp(a, max=0.0))), (1.0,)),
    "softsign": (lambda a: a / (1 + torch.abs(a)), ()),
    "softplus": (lambda a: torch.nn.functional.softplus(a), ()),
}


@dataclass(frozen=True)
class Activation:
    """A function of one number, as ONNX names it, with its constants."""

    name: str
    constants: tuple[float, ...] = ()
    clip: float | None = None  # the function's input is limited to ± clip

    def __call__(self, a: Any) -> Any:
        if self.clip is not None:
            a = torch.clamp(a, -self.clip, self.clip)
        return ACTIVATIONS[self.name][0](a, *self.constants)


def activations_of(
    names: Sequence[str], alphas: Sequence[float], betas: Sequence[float], clip: float | None, where: str
) -> tuple[Activation, ...]:
    """The functions of one direction. alphas, betas: for those that have some, in order, as far as they go."""
    alphas, betas, found = list(alphas), list(betas), []
    for name in names:
        known = name.lower()
        if known not in ACTIVATIONS:
            raise DataError(f"{where}: its activations must be among {', '.join(ACTIVATIONS)}, but one is {name}")
        given = zip(ACTIVATIONS[known][1], (alphas, betas), strict=False)
        constants = tuple(float(several.pop(0)) if several else default for default, several in given)
        found.append(Activation(known, constants, clip))
    return tuple(found)


@dataclass(frozen=True)
class OnnxRNN(Cell):
    """h' = f(W x + b + U h + c)."""

    activations: tuple[Activation, ...]

    gates = ("n",)

    def step(self, n):  # type: ignore[no-untyped-def]
        return self.activations[0](n)


@dataclass(frozen=True)
class OnnxGRU(Cell):
    """z, r = f(...), n = g(W x + b + r * (U h + c)), or of U (r * h) + c; h' = (1 - z) n + z h."""

    activations: tuple[Activation, ...]
    linear_before_reset: bool

    gates = ("z", "r", "n")

    def step(self, h, z, r, x_n, U_n):  # type: ignore[no-untyped-def]
        f, g = self.activations
        z, r = f(z), f(r)
        n = g(x_n + (r * U_n(h) if self.linear_before_reset else U_n(r * h)))
        return (1 - z) * n + z * h


@dataclass(frozen=True)
class OnnxLSTM(Cell):
    """i, f, o = f(... + p c), g = g(...), c' = f c + i g, h' = o h(c'); with input_forget f = 1 - i.

    A clip is applied as ONNX Runtime does it: to the inputs of f and g, and not to that of h.
    """

    activations: tuple[Activation, ...]
    input_forget: bool
    peepholes: bool

    states = ("h", "c")

    @property
    def gates(self) -> tuple[str, ...]:
        return ("i", "o", "g") if self.input_forget else ("i", "o", "f", "g")

    @property
    def vectors(self) -> tuple[str, ...]:
        return tuple(f"p_{gate}" for gate in self.gates if gate != "g") if self.peepholes else ()

    def step(self, c, i, o, g, f=None, p_i=0, p_o=0, p_f=0):  # type: ignore[no-untyped-def]
        of_gates, of_input, of_cell = self.activations
        i = of_gates(i + p_i * c)
        f = 1 - i if f is None else of_gates(f + p_f * c)
        c = f * c + i * of_input(g)
        o = of_gates(o + p_o * c)
        return o * replace(of_cell, clip=None)(c), c
