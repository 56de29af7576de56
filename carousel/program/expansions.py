"""Functions that are written in terms of the alphabet instead of being letters of it.

Each takes a `Builder` b, then what torch's function of that name takes, by the same names: values are nodes or numbers.
Where torch's formula would lose digits or overflow, these do not; at kinks the gradient is torch's.
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
    # Not maximum and minimum: at the bound itself torch lets the whole gradient of clamp through, and half of theirs.
    if min is not None:
        input = b.op("where", b.op("lt", input, min), min, input)
    return b.value(input) if max is None else b.op("where", b.op("gt", input, max), max, input)


def clamp_min(b: Builder, input: Value, min: Value) -> Ref:
    return clamp(b, input, min=min)


def clamp_max(b: Builder, input: Value, max: Value) -> Ref:
    return clamp(b, input, max=max)


def _truth(b: Builder, relation: Value) -> Ref:
    """1 where a relation holds, 0 where it does not: a row, which other relations can be made of."""
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
    """torch.max(a, b), which is torch.maximum; over units it also gives places."""
    if not isinstance(other, Ref) or over:
        raise ProgramError("torch.max over units, which also gives places (write torch.amax(v, -1, keepdim=True))")
    return b.op("maximum", input, other)


def minimum(b: Builder, input: Value, other: Value | None = None, **over: Any) -> Ref:
    if not isinstance(other, Ref) or over:
        raise ProgramError("torch.min over units, which also gives places (write torch.amin(v, -1, keepdim=True))")
    return b.op("minimum", input, other)


# --- activations


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
    """Klambauer et al., "Self-normalizing neural networks" (arXiv:1706.02515, 2017): its two numbers are torch's."""
    return b.op("mul", 1.0507009873554804934193349852946, _elu(b, input, 1.6732632423543772848170429916717, 1.0))


def _elu(b: Builder, a: Value, alpha: float, inner: float) -> Ref:
    # expm1 only ever sees numbers at or below 0, so the branch not taken cannot overflow into its gradient. Not their
    # minimum with 0: at 0 itself half of its gradient would be lost.
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
    # Unlike clamp's, its gradient is 0 at the bounds themselves.
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


# --- across the units of a row


def _check_over_units(what: str, dim: Any, keepdim: bool) -> None:
    if dim not in (-1, 1, [-1], [1], (-1,), (1,)) or not keepdim:
        raise ProgramError(f"a {what} that is not over the units (write dim=-1, keepdim=True)")


def sum(b: Builder, input: Value, dim: Any = None, keepdim: bool = False) -> Ref:
    _check_over_units("sum or mean", dim, keepdim)
    return b.op("sum", input)


def mean(b: Builder, input: Value, dim: Any = None, keepdim: bool = False) -> Ref:
    _check_over_units("sum or mean", dim, keepdim)
    return _mean(b, b.value(input))


def _mean(b: Builder, a: Ref) -> Ref:
    return a if b.nodes[a].size == "any" else b.op("mul", b.op("sum", a), b.per_unit(a))


def amax(b: Builder, input: Value, dim: Any = None, keepdim: bool = False) -> Ref:
    _check_over_units("highest or lowest", dim, keepdim)
    return b.op("highest", input)


def amin(b: Builder, input: Value, dim: Any = None, keepdim: bool = False) -> Ref:
    return b.op("neg", amax(b, b.op("neg", input), dim, keepdim))


def _parts(b: Builder, input: Value, dim: Any) -> tuple[Ref, Ref]:
    """The row less its highest number, and exp of that: what softmax is made of, which no size can overflow."""
    _check_over_units("softmax", dim, True)
    # The highest number shifts and does not change the result, so that it has no gradient.
    less = b.op("sub", input, b.op("detach", b.op("highest", input)))
    return less, b.op("exp", less)


def softmax(b: Builder, input: Value, dim: Any = None) -> Ref:
    _, powers = _parts(b, input, dim)
    return b.op("div", powers, b.op("sum", powers))


def softmin(b: Builder, input: Value, dim: Any = None) -> Ref:
    return softmax(b, b.op("neg", input), dim)


def log_softmax(b: Builder, input: Value, dim: Any = None) -> Ref:
    less, powers = _parts(b, input, dim)
    return b.op("sub", less, b.op("log", b.op("sum", powers)))


def logsumexp(b: Builder, input: Value, dim: Any = None, keepdim: bool = False) -> Ref:
    _check_over_units("logsumexp", dim, keepdim)
    highest = b.op("detach", b.op("highest", input))
    return b.op("add", highest, b.op("log", b.op("sum", b.op("exp", b.op("sub", input, highest)))))


def layer_norm(
    b: Builder,
    input: Value,
    normalized_shape: Any,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
) -> Ref:
    """Ba, Kiros & Hinton, "Layer normalization" (arXiv:1607.06450, 2016), of all units of the row."""
    _check_shape(b, input, normalized_shape)
    centred = b.op("sub", input, _mean(b, b.value(input)))
    scale = b.op("rsqrt", b.op("add", _mean(b, b.op("mul", centred, centred)), eps))
    return _scaled(b, b.op("mul", centred, scale), weight, bias)


def rms_norm(
    b: Builder, input: Value, normalized_shape: Any, weight: Value | None = None, eps: float | None = None
) -> Ref:
    """Zhang & Sennrich, "Root mean square layer normalization" (arXiv:1910.07467, 2019), of all units of the row."""
    _check_shape(b, input, normalized_shape)
    if eps is None:
        raise ProgramError("rms_norm without eps, which then depends on the dtype (give eps=1e-6, say)")
    scale = b.op("rsqrt", b.op("add", _mean(b, b.op("mul", input, input)), eps))
    return _scaled(b, b.op("mul", input, scale), weight, None)


def _check_shape(b: Builder, input: Value, shape: Any) -> None:
    """A shape is n.shape[-1:], or the number of units: a layer checks that it has as many."""
    last = shape[0] if isinstance(shape, tuple) and len(shape) == 1 else shape
    if isinstance(last, Ref) and last == b.units(b.value(input)):
        return
    if isinstance(last, Ref) or not isinstance(last, float):
        raise ProgramError("a norm that is not over the units (write v.shape[-1:] for the shape)")
    b.demand(b.value(input), last)


def _scaled(b: Builder, row: Ref, weight: Value | None, bias: Value | None) -> Ref:
    row = row if weight is None else b.op("mul", row, weight)
    return row if bias is None else b.op("add", row, bias)


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
    """`n.type_as(h)`, `n.to(h)`: rows have one dtype; only a relation becomes numbers."""
    b.value(other)
    return _truth(b, input) if isinstance(input, Ref) and b.is_relation(input) else b.value(input)


def as_number(b: Builder, input: Value) -> Ref:
    """`(a > b).float()`: 1 where it holds, 0 where it does not."""
    return _truth(b, input)
