"""Functions that are written in terms of the alphabet instead of being letters of it.

Each row rewrites one torch function into ops, given a `Builder` b and the function's own arguments.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from carousel.errors import ProgramError
from carousel.program.builder import Builder, Ref


def _scaled_sum(name: str) -> Callable[..., Ref]:
    def expand(b: Builder, a: Ref, other: Any, alpha: float = 1) -> Ref:
        return b.op(name, a, other if alpha == 1 else b.op("mul", other, alpha))

    return expand


def _power(b: Builder, a: Ref | float, exponent: Ref | float) -> Ref:
    if isinstance(exponent, Ref):
        if not isinstance(a, Ref) and a > 0:
            return b.op("exp", b.op("mul", exponent, math.log(a)))
        raise ProgramError(
            "a power whose exponent is a row (where the base is above 0, write exp(exponent * log(base)))"
        )
    match exponent:
        case 0.5:
            return b.op("sqrt", a)
        case -0.5:
            return b.op("rsqrt", a)
        case int() | float() if exponent == int(exponent) and 1 <= abs(exponent) <= 8:
            result = b.value(a)
            for _ in range(int(abs(exponent)) - 1):
                result = b.op("mul", result, a)
            return result if exponent > 0 else b.op("div", 1.0, result)
    raise ProgramError(f"a power of {exponent} (whole numbers from -8 to 8, 0.5 and -0.5 are in the alphabet)")


def _clamp(b: Builder, a: Ref, min: Any = None, max: Any = None) -> Ref:
    # Not maximum and minimum: at the bound itself torch lets the whole gradient of clamp through, and half of theirs.
    if min is not None:
        a = b.op("where", b.op("lt", a, min), min, a)
    return a if max is None else b.op("where", b.op("gt", a, max), max, a)


def _over_units(b: Builder, a: Ref, dim: Any = None, keepdim: bool = False, **_: object) -> Ref:
    if dim not in (-1, 1, [-1], [1], (-1,), (1,)) or not keepdim:
        raise ProgramError("a sum or mean that is not over the units (write dim=-1, keepdim=True)")
    return b.op("sum", a)


def _mean(b: Builder, a: Ref, dim: Any = None, keepdim: bool = False, **_: object) -> Ref:
    return b.op("mul", _over_units(b, a, dim, keepdim), b.per_unit(a))


def _leaky_relu(b: Builder, a: Ref, negative_slope: float = 0.01, inplace: bool = False) -> Ref:
    del inplace  # rewriting has no places
    return b.op("where", b.op("gt", a, 0.0), a, b.op("mul", a, negative_slope))


def _elu(b: Builder, a: Ref, alpha: float = 1.0, inplace: bool = False) -> Ref:
    del inplace
    # exp only ever sees numbers at or below 0, so the branch not taken cannot overflow into its gradient. Not their
    # minimum with 0: at 0 itself half of its gradient would be lost.
    above = b.op("gt", a, 0.0)
    low = b.op("mul", alpha, b.op("sub", b.op("exp", b.op("where", above, 0.0, a)), 1.0))
    return b.op("where", above, a, low)


def _hardtanh(b: Builder, a: Ref, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Ref:
    del inplace
    # Unlike clamp's, its gradient is 0 at the bounds themselves.
    return b.op("where", b.op("le", a, min_val), min_val, b.op("where", b.op("ge", a, max_val), max_val, a))


def _relu(b: Builder, a: Ref, inplace: bool = False) -> Ref:
    del inplace
    return b.op("relu", a)


def _lerp(b: Builder, start: Ref, end: Ref, weight: Any) -> Ref:
    return b.op("add", start, b.op("mul", weight, b.op("sub", end, start)))


TABLE: dict[Any, Callable[..., Ref]] = {}


def _row(*spellings: Any) -> Callable[[Callable[..., Ref]], None]:
    def enter(expand: Callable[..., Ref]) -> None:
        for spelling in spellings:
            TABLE[spelling] = expand

    return enter


_row(torch.add, "add")(_scaled_sum("add"))
_row(torch.sub, "sub")(_scaled_sum("sub"))
_row(torch.rsub)(lambda b, a, other: b.op("sub", other, a))
_row(operator.pow, torch.pow, "pow")(_power)
_row(torch.square, "square")(lambda b, a: b.op("mul", a, a))
_row(torch.reciprocal, "reciprocal")(lambda b, a: b.op("div", 1.0, a))
_row(torch.sum, "sum")(_over_units)
_row(torch.mean, "mean")(_mean)
_row(torch.clamp, "clamp")(_clamp)
_row(F.hardtanh)(_hardtanh)
_row(F.silu)(lambda b, a, inplace=False: b.op("mul", a, b.op("sigmoid", a)))  # noqa: ARG005
_row(F.logsigmoid)(lambda b, a: b.op("neg", b.op("softplus", b.op("neg", a))))
_row(F.softsign)(lambda b, a: b.op("div", a, b.op("add", 1.0, b.op("abs", a))))
_row(F.relu)(_relu)
_row(F.leaky_relu)(_leaky_relu)
_row(F.elu)(_elu)
_row(torch.lerp, "lerp")(_lerp)
_row(torch.addcmul)(lambda b, a, p, q, value=1: b.op("add", a, b.op("mul", value, b.op("mul", p, q))))
