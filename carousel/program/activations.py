"""Expansions of torch's activation functions. `expansions.py` says what holds for all expansions."""

from __future__ import annotations

import math

from carousel.errors import ProgramError
from carousel.program.builder import Builder, Ref
from carousel.program.expansions import Value, power


def relu(b: Builder, input: Value) -> Ref:
    return b.op("relu", input)


def relu6(b: Builder, input: Value) -> Ref:
    return hardtanh(b, input, 0.0, 6.0)


def leaky_relu(b: Builder, input: Value, negative_slope: float = 0.01) -> Ref:
    return b.op("where", b.op("gt", input, 0.0), input, b.op("mul", input, negative_slope))


def threshold(b: Builder, input: Value, threshold: float, value: float) -> Ref:
    return b.op("where", b.op("gt", input, threshold), input, value)


def elu(b: Builder, input: Value, alpha: float = 1.0) -> Ref:
    return _elu(b, input, alpha, 1.0)


def celu(b: Builder, input: Value, alpha: float = 1.0) -> Ref:
    return _elu(b, input, alpha, 1 / alpha)


def selu(b: Builder, input: Value) -> Ref:
    """Klambauer et al., "Self-normalizing neural networks" (arXiv:1706.02515, 2017); the numbers are torch's."""
    return b.op("mul", 1.0507009873554804934193349852946, _elu(b, input, 1.6732632423543772848170429916717, 1.0))


def _elu(b: Builder, a: Value, alpha: float, inner: float) -> Ref:
    # expm1 receives only numbers at or below 0, so that the branch that is not taken cannot overflow and spoil the
    # gradient. where and not minimum(a, 0): at a = 0 minimum passes only half of the gradient.
    above = b.op("gt", a, 0.0)
    low = b.op("mul", alpha, b.op("expm1", b.op("mul", inner, b.op("where", above, 0.0, a))))
    return b.op("where", above, a, low)


def softplus(b: Builder, input: Value, beta: float = 1.0, threshold: float = 20.0) -> Ref:
    if (beta, threshold) == (1, 20):
        return b.op("softplus", input)
    scaled = b.op("mul", beta, input)
    above = b.op("gt", scaled, threshold)
    low = b.op("log1p", b.op("exp", b.op("where", above, 0.0, scaled)))
    return b.op("where", above, input, b.op("div", low, beta))


def silu(b: Builder, input: Value) -> Ref:
    return b.op("mul", input, b.op("sigmoid", input))


def mish(b: Builder, input: Value) -> Ref:
    return b.op("mul", input, b.op("tanh", b.op("softplus", input)))


def gelu(b: Builder, input: Value, approximate: str = "none") -> Ref:
    """Hendrycks & Gimpel, "Gaussian error linear units" (arXiv:1606.08415, 2016), exact or by tanh."""
    if approximate == "none":
        share = b.op("erf", b.op("mul", input, math.sqrt(0.5)))
    elif approximate == "tanh":
        cube = b.op("mul", 0.044715, power(b, input, 3))
        share = b.op("tanh", b.op("mul", math.sqrt(2 / math.pi), b.op("add", input, cube)))
    else:
        raise ProgramError(f"gelu with approximate={approximate!r} (it is 'none' or 'tanh')")
    return b.op("mul", b.op("mul", 0.5, input), b.op("add", 1.0, share))


def softsign(b: Builder, input: Value) -> Ref:
    return b.op("div", input, b.op("add", 1.0, b.op("abs", input)))


def tanhshrink(b: Builder, input: Value) -> Ref:
    return b.op("sub", input, b.op("tanh", input))


def hardtanh(b: Builder, input: Value, min_val: float = -1.0, max_val: float = 1.0) -> Ref:
    # At the bounds themselves its gradient is 0; that of clamp is 1.
    high = b.op("where", b.op("ge", input, max_val), max_val, input)
    return b.op("where", b.op("le", input, min_val), min_val, high)


def hardsigmoid(b: Builder, input: Value) -> Ref:
    return hardtanh(b, b.op("add", b.op("div", input, 6.0), 0.5), 0.0, 1.0)


def hardswish(b: Builder, input: Value) -> Ref:
    between = b.op("mul", input, b.op("add", b.op("div", input, 6.0), 0.5))
    high = b.op("where", b.op("ge", input, 3.0), input, between)
    return b.op("where", b.op("le", input, -3.0), 0.0, high)


def softshrink(b: Builder, input: Value, lambd: float = 0.5) -> Ref:
    low = b.op("where", b.op("lt", input, -lambd), b.op("add", input, lambd), 0.0)
    return b.op("where", b.op("gt", input, lambd), b.op("sub", input, lambd), low)


def hardshrink(b: Builder, input: Value, lambd: float = 0.5) -> Ref:
    low = b.op("where", b.op("lt", input, -lambd), input, 0.0)
    return b.op("where", b.op("gt", input, lambd), input, low)
