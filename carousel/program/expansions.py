"""Functions of torch that a step may call and that are no ops themselves: each is expanded into ops of the alphabet.

Each function takes a `Builder` b and then the arguments of torch's function, by torch's names; a value is a node or a
number. Each is written so that it loses no digits and does not overflow where the plain formula would. Where a function
has a kink, the gradient there is torch's. Activations stand in `activations.py`, and functions over the units of a row
in `over_units.py`.
"""

from __future__ import annotations

import math
from typing import Any

from carousel.errors import ProgramError
from carousel.program.builder import Builder, Ref

Value = Ref | float


# --- arithmetic


def add(b: Builder, input: Value, other: Value, *, alpha: float = 1) -> Ref:
    return b.op("add", input, other if alpha == 1 else b.op("mul", other, alpha))


def sub(b: Builder, input: Value, other: Value, *, alpha: float = 1) -> Ref:
    return b.op("sub", input, other if alpha == 1 else b.op("mul", other, alpha))


def rsub(b: Builder, input: Value, other: Value, *, alpha: float = 1) -> Ref:
    return sub(b, other, input, alpha=alpha)


def div(b: Builder, input: Value, other: Value, *, rounding_mode: str | None = None) -> Ref:
    if rounding_mode is not None:
        raise ProgramError(f"a division that rounds (rounding_mode={rounding_mode!r})")
    return b.op("div", input, other)


def power(b: Builder, input: Value, exponent: Value) -> Ref:
    if isinstance(exponent, Ref):
        if not isinstance(input, Ref) and input > 0:
            return b.op("exp", b.op("mul", exponent, math.log(input)))
        raise ProgramError(
            "a power whose exponent is a row (where the base is above 0, write exp(exponent * log(base)))"
        )
    match exponent:
        case 0:
            return b.constant(1.0)
        case 0.5:
            return b.op("sqrt", input)
        case -0.5:
            return b.op("rsqrt", input)
        case int() | float() if exponent == int(exponent) and 1 <= abs(exponent) <= 8:
            result = b.value(input)
            for _ in range(int(abs(exponent)) - 1):
                result = b.op("mul", result, input)
            return result if exponent > 0 else b.op("div", 1.0, result)
    raise ProgramError(f"a power of {exponent} (whole numbers from -8 to 8, 0.5 and -0.5 are in the alphabet)")


def square(b: Builder, input: Value) -> Ref:
    return b.op("mul", input, input)


def reciprocal(b: Builder, input: Value) -> Ref:
    return b.op("div", 1.0, input)


def lerp(b: Builder, input: Value, end: Value, weight: Value) -> Ref:
    return b.op("add", input, b.op("mul", weight, b.op("sub", end, input)))


def addcmul(b: Builder, input: Value, tensor1: Value, tensor2: Value, *, value: float = 1) -> Ref:
    return b.op("add", input, b.op("mul", value, b.op("mul", tensor1, tensor2)))


def addcdiv(b: Builder, input: Value, tensor1: Value, tensor2: Value, *, value: float = 1) -> Ref:
    return b.op("add", input, b.op("mul", value, b.op("div", tensor1, tensor2)))


def positive(b: Builder, input: Value) -> Ref:
    return b.value(input)


# --- functions


def exp2(b: Builder, input: Value) -> Ref:
    return b.op("exp", b.op("mul", input, math.log(2)))


def log2(b: Builder, input: Value) -> Ref:
    return b.op("div", b.op("log", input), math.log(2))


def log10(b: Builder, input: Value) -> Ref:
    return b.op("div", b.op("log", input), math.log(10))


def ceil(b: Builder, input: Value) -> Ref:
    return b.op("neg", b.op("floor", b.op("neg", input)))


def trunc(b: Builder, input: Value) -> Ref:
    return b.op("mul", b.op("sign", input), b.op("floor", b.op("abs", input)))


def frac(b: Builder, input: Value) -> Ref:
    return b.op("sub", input, trunc(b, input))


def tan(b: Builder, input: Value) -> Ref:
    return b.op("div", b.op("sin", input), b.op("cos", input))


def sinh(b: Builder, input: Value) -> Ref:
    difference = b.op("sub", b.op("expm1", input), b.op("expm1", b.op("neg", input)))
    return b.op("mul", 0.5, difference)


def cosh(b: Builder, input: Value) -> Ref:
    return b.op("mul", 0.5, b.op("add", b.op("exp", input), b.op("exp", b.op("neg", input))))


def logaddexp(b: Builder, input: Value, other: Value) -> Ref:
    apart = b.op("abs", b.op("sub", input, other))
    return b.op("add", b.op("maximum", input, other), b.op("log1p", b.op("exp", b.op("neg", apart))))


# --- choice


def where(b: Builder, condition: Value, input: Value, other: Value) -> Ref:
    return b.op("where", condition, input, other)


def masked_fill(b: Builder, input: Value, mask: Value, value: Value) -> Ref:
    return b.op("where", mask, value, input)


def clamp(b: Builder, input: Value, min: Value | None = None, max: Value | None = None) -> Ref:
    if min is None and max is None:
        raise ProgramError("a clamp between nothing and nothing (give min, max or both)")
    # where and not maximum or minimum: at a bound torch passes the whole gradient of clamp, but half of theirs.
    if min is not None:
        input = b.op("where", b.op("lt", input, min), min, input)
    return b.value(input) if max is None else b.op("where", b.op("gt", input, max), max, input)


def clamp_min(b: Builder, input: Value, min: Value) -> Ref:
    return clamp(b, input, min=min)


def clamp_max(b: Builder, input: Value, max: Value) -> Ref:
    return clamp(b, input, max=max)


def _truth(b: Builder, relation: Value) -> Ref:
    """A row that is 1 where the relation holds and 0 where it does not. Raises ProgramError if it is no relation."""
    if not isinstance(relation, Ref) or not b.is_relation(relation):
        raise ProgramError("a logical operator of something that is no relation (write (a > 0) & (b > 0))")
    return b.op("where", relation, 1.0, 0.0)


def logical_and(b: Builder, input: Value, other: Value) -> Ref:
    return b.op("gt", b.op("mul", _truth(b, input), _truth(b, other)), 0.0)


def logical_or(b: Builder, input: Value, other: Value) -> Ref:
    return b.op("gt", b.op("add", _truth(b, input), _truth(b, other)), 0.0)


def logical_xor(b: Builder, input: Value, other: Value) -> Ref:
    return b.op("ne", _truth(b, input), _truth(b, other))


def logical_not(b: Builder, input: Value) -> Ref:
    return b.op("eq", _truth(b, input), 0.0)


def isnan(b: Builder, input: Value) -> Ref:
    return b.op("ne", input, input)


def maximum(b: Builder, input: Value, other: Value | None = None, **over: Any) -> Ref:
    """torch.max(a, b), which is torch.maximum. Raises ProgramError for a maximum over units."""
    if not isinstance(other, Ref) or over:
        raise ProgramError("torch.max over units, which also gives indices (write torch.amax(v, -1, keepdim=True))")
    return b.op("maximum", input, other)


def minimum(b: Builder, input: Value, other: Value | None = None, **over: Any) -> Ref:
    if not isinstance(other, Ref) or over:
        raise ProgramError("torch.min over units, which also gives indices (write torch.amin(v, -1, keepdim=True))")
    return b.op("minimum", input, other)


# --- like another row


def zeros_like(b: Builder, input: Value) -> Ref:
    del input
    return b.constant(0.0)


def ones_like(b: Builder, input: Value) -> Ref:
    del input
    return b.constant(1.0)


def full_like(b: Builder, input: Value, fill_value: float) -> Ref:
    del input
    return b.value(fill_value)


def same(b: Builder, input: Value) -> Ref:
    return b.value(input)


def expand_as(b: Builder, input: Value, other: Value) -> Ref:
    return b.broadcast(b.value(input), b.nodes[b.value(other)].size)


def same_as(b: Builder, input: Value, other: Value) -> Ref:
    """`n.type_as(h)`, `n.to(h)`. All rows have one dtype, so that only a relation changes: it becomes 1 and 0."""
    b.value(other)
    return _truth(b, input) if isinstance(input, Ref) and b.is_relation(input) else b.value(input)


def as_number(b: Builder, input: Value) -> Ref:
    """`(a > b).float()`: 1 where the relation holds, 0 where it does not."""
    return _truth(b, input)
