"""Expansions over the units of a row, or over its members: sums, softmax and norms, transposes and rolls.

`expansions.py` says what holds for all expansions.
"""

from __future__ import annotations

from typing import Any

from carousel.errors import ProgramError
from carousel.program.builder import Builder, Ref
from carousel.program.expansions import Value


def _over_members(what: str, dim: Any, keepdim: bool) -> bool:
    """Whether it is over the members of a row, dim=-2, and not over its units, dim=-1."""
    dim = dim[0] if isinstance(dim, tuple | list) and len(dim) == 1 else dim
    if dim == -2:
        return True  # with or without keepdim: a row meets its members as it is
    if dim not in (-1, 1) or not keepdim:
        raise ProgramError(
            f"a {what} that is not over the units (write dim=-1, keepdim=True; over members, as a node's children, "
            "dim=-2)"
        )
    return False


def sum(b: Builder, input: Value, dim: Any = None, keepdim: bool = False) -> Ref:
    return b.op("total" if _over_members("sum or mean", dim, keepdim) else "sum", input)


def mean(b: Builder, input: Value, dim: Any = None, keepdim: bool = False) -> Ref:
    if not _over_members("sum or mean", dim, keepdim):
        return _mean(b, b.value(input))
    total = b.op("total", input)
    one = b.op("where", b.op("eq", input, input), 1.0, 1.0)  # of each member, as there is a row of each
    return b.op("div", total, b.op("maximum", b.op("total", one), 1.0))  # of none it is 0


def _mean(b: Builder, a: Ref) -> Ref:
    return a if b.nodes[a].size == "any" else b.op("mul", b.op("sum", a), b.per_unit(a))


def amax(b: Builder, input: Value, dim: Any = None, keepdim: bool = False) -> Ref:
    return b.op("greatest" if _over_members("highest or lowest", dim, keepdim) else "highest", input)


def amin(b: Builder, input: Value, dim: Any = None, keepdim: bool = False) -> Ref:
    return b.op("neg", amax(b, b.op("neg", input), dim, keepdim))


def _parts(b: Builder, input: Value, dim: Any) -> tuple[Ref, Ref, Ref]:
    """v - max(v), exp(v - max(v)) and the sum of the latter: softmax is made of these, and none overflows."""
    highest, sum = ("greatest", "total") if _over_members("softmax", dim, True) else ("highest", "sum")
    # Subtracting the maximum does not change the result, so the maximum needs no gradient.
    less = b.op("sub", input, b.op("detach", b.op(highest, input)))
    powers = b.op("exp", less)
    return less, powers, b.op(sum, powers)


def softmax(b: Builder, input: Value, dim: Any = None) -> Ref:
    _, powers, total = _parts(b, input, dim)
    return b.op("div", powers, total)


def softmin(b: Builder, input: Value, dim: Any = None) -> Ref:
    return softmax(b, b.op("neg", input), dim)


def log_softmax(b: Builder, input: Value, dim: Any = None) -> Ref:
    less, _, total = _parts(b, input, dim)
    return b.op("sub", less, b.op("log", total))


def logsumexp(b: Builder, input: Value, dim: Any = None, keepdim: bool = False) -> Ref:
    highest, sum = ("greatest", "total") if _over_members("logsumexp", dim, keepdim) else ("highest", "sum")
    most = b.op("detach", b.op(highest, input))
    return b.op("add", most, b.op("log", b.op(sum, b.op("exp", b.op("sub", input, most)))))


def turn(b: Builder, input: Value) -> Ref:
    return b.op("turn", input)


def transpose(b: Builder, input: Value, dim0: Any, dim1: Any) -> Ref:
    if {dim0, dim1} != {-1, -2}:
        raise ProgramError("a transpose that does not exchange units and members (write v.mT, or dimensions -1 and -2)")
    return b.op("turn", input)


def roll(b: Builder, input: Value, shifts: Any, dims: Any = None) -> Ref:
    """torch.roll over the members of a row, by a whole number of them."""
    shifts, dims = (one[0] if isinstance(one, tuple) and len(one) == 1 else one for one in (shifts, dims))
    if dims != -2 or not isinstance(shifts, float) or shifts != int(shifts):
        raise ProgramError("a roll that is not over members by a whole number of them (write torch.roll(w, 1, -2))")
    rolled = b.value(input)
    for _ in range(abs(int(shifts))):
        rolled = b.op("roll" if shifts > 0 else "roll_back", rolled)
    return rolled


def layer_norm(
    b: Builder,
    input: Value,
    normalized_shape: Any,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
) -> Ref:
    """Ba, Kiros & Hinton, "Layer normalization" (arXiv:1607.06450, 2016), over all units of the row."""
    _check_shape(b, input, normalized_shape)
    centred = b.op("sub", input, _mean(b, b.value(input)))
    scale = b.op("rsqrt", b.op("add", _mean(b, b.op("mul", centred, centred)), eps))
    return _scaled(b, b.op("mul", centred, scale), weight, bias)


def rms_norm(
    b: Builder, input: Value, normalized_shape: Any, weight: Value | None = None, eps: float | None = None
) -> Ref:
    """Zhang & Sennrich, "Root mean square layer normalization" (arXiv:1910.07467, 2019), over all units of the row."""
    _check_shape(b, input, normalized_shape)
    if eps is None:
        raise ProgramError("rms_norm without eps, which then depends on the dtype (give eps=1e-6, say)")
    scale = b.op("rsqrt", b.op("add", _mean(b, b.op("mul", input, input)), eps))
    return _scaled(b, b.op("mul", input, scale), weight, None)


def _check_shape(b: Builder, input: Value, shape: Any) -> None:
    """Checks normalized_shape: v.shape[-1:], or the number of units, which a layer then compares with its own."""
    last = shape[0] if isinstance(shape, tuple) and len(shape) == 1 else shape
    if isinstance(last, Ref) and last == b.units(b.value(input)):
        return
    if isinstance(last, Ref) or not isinstance(last, float):
        raise ProgramError("a norm that is not over the units (write v.shape[-1:] for the shape)")
    b.demand(b.value(input), last)


def _scaled(b: Builder, row: Ref, weight: Value | None, bias: Value | None) -> Ref:
    row = row if weight is None else b.op("mul", row, weight)
    return row if bias is None else b.op("add", row, bias)
