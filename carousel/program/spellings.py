"""The functions, operators and methods of torch that a step may call, and the ops that each of them becomes.

A row of `ops.TABLE` lists its own spellings; the others are expansions. Arguments have torch's names, so that each
spelling of a call has the same meaning, and a call that torch refuses is refused here.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from carousel.errors import ProgramError
from carousel.program import activations, ops, over_units
from carousel.program import expansions as e
from carousel.program.builder import Builder, Ref

# NumPy's names of arguments, which torch accepts too.
ALIASES = {"axis": "dim", "keepdims": "keepdim"}


@dataclass(frozen=True)
class Spelling:
    """One function of torch that a step may call.

    make: (b, *arguments) -> the value. takes: its signature, with torch's names of arguments.
    fixed: arguments of torch's function that a step may give only with their default values.
    """

    make: Callable[..., Ref]
    takes: inspect.Signature
    fixed: Mapping[str, Any]

    def arguments(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """The arguments that a call gives, by name; and whether it is in place (`inplace=True`)."""
        try:
            found = self.takes.bind(*args, **{ALIASES.get(key, key): value for key, value in kwargs.items()}).arguments
        except TypeError as error:
            raise ProgramError(f"{name} so called: {error}; it is {name}{self.takes}, which") from None
        inplace = bool(found.pop("inplace", False))
        for key in [key for key in self.fixed if key in found]:
            if (value := found.pop(key)) != self.fixed[key] and not key.startswith("_"):
                raise ProgramError(f"{name} with {key}={value}")
        return found, inplace


def _spelling(make: Callable[..., Ref], fixed: Mapping[str, Any]) -> Spelling:
    own = list(inspect.signature(make).parameters.values())[1:]  # all but b
    first = [p for p in own if p.kind is p.POSITIONAL_OR_KEYWORD]
    more = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=v) for name, v in fixed.items()]
    bare = [p.replace(annotation=p.empty) for p in (*first, *more, *own[len(first) :])]
    return Spelling(make, inspect.Signature(bare), {k: v for k, v in fixed.items() if k != "inplace"})


TABLE: dict[Any, Spelling] = {}


def _enter(make: Callable[..., Ref], *spellings: Any, **fixed: Any) -> None:
    TABLE.update(dict.fromkeys(spellings, _spelling(make, fixed)))


def _letter(row: ops.Op) -> Callable[..., Ref]:
    """A function that applies an op, and whose arguments have torch's names."""

    def one(b: Builder, input: Any) -> Ref:
        return b.op(row.name, input)

    def two(b: Builder, input: Any, other: Any) -> Ref:
        return b.op(row.name, input, other)

    return e.where if row.arity == 3 else two if row.arity == 2 else one


for _row in ops.ROWS:
    _enter(_letter(_row), *_row.spellings)

_enter(e.add, torch.add, "add")
_enter(e.sub, torch.sub, torch.subtract, "sub", "subtract")
_enter(e.rsub, torch.rsub)
_enter(_letter(ops.TABLE["mul"]), torch.multiply, "multiply")
_enter(e.div, torch.div, torch.divide, torch.true_divide, "div", "divide", "true_divide")
_enter(_letter(ops.TABLE["neg"]), torch.negative, "negative")
_enter(_letter(ops.TABLE["abs"]), torch.absolute, "absolute")
_enter(e.positive, operator.pos, torch.positive, "positive")
_enter(e.power, operator.pow, torch.pow, torch.float_power, "pow", "float_power")
_enter(e.square, torch.square, "square")
_enter(e.reciprocal, torch.reciprocal, "reciprocal")
_enter(e.lerp, torch.lerp, "lerp")
_enter(e.addcmul, torch.addcmul, "addcmul")
_enter(e.addcdiv, torch.addcdiv, "addcdiv")
_enter(e.exp2, torch.exp2, torch.special.exp2, "exp2")
_enter(e.log2, torch.log2, "log2")
_enter(e.log10, torch.log10, "log10")
_enter(e.ceil, torch.ceil, "ceil")
_enter(e.trunc, torch.trunc, torch.fix, "trunc", "fix")
_enter(e.frac, torch.frac, "frac")
_enter(e.tan, torch.tan, "tan")
_enter(e.sinh, torch.sinh, "sinh")
_enter(e.cosh, torch.cosh, "cosh")
_enter(e.logaddexp, torch.logaddexp, "logaddexp")
_enter(_letter(ops.TABLE["sigmoid"]), torch.special.expit)
_enter(_letter(ops.TABLE["log1p"]), torch.special.log1p)
_enter(_letter(ops.TABLE["expm1"]), torch.special.expm1)
_enter(_letter(ops.TABLE["erf"]), torch.special.erf)

_enter(_letter(ops.TABLE["gt"]), torch.greater, "greater")
_enter(_letter(ops.TABLE["ge"]), torch.greater_equal, "greater_equal")
_enter(_letter(ops.TABLE["lt"]), torch.less, "less")
_enter(_letter(ops.TABLE["le"]), torch.less_equal, "less_equal")
_enter(_letter(ops.TABLE["ne"]), torch.not_equal, "not_equal")
_enter(e.logical_and, operator.and_, torch.logical_and, torch.bitwise_and, "logical_and", "bitwise_and")
_enter(e.logical_or, operator.or_, torch.logical_or, torch.bitwise_or, "logical_or", "bitwise_or")
_enter(e.logical_xor, operator.xor, torch.logical_xor, torch.bitwise_xor, "logical_xor", "bitwise_xor")
_enter(e.logical_not, operator.invert, torch.logical_not, torch.bitwise_not, "logical_not", "bitwise_not")
_enter(e.isnan, torch.isnan, "isnan")
_enter(e.masked_fill, torch.masked_fill, "masked_fill")
_enter(e.clamp, torch.clamp, torch.clip, "clamp", "clip")
_enter(e.clamp_min, torch.clamp_min, "clamp_min")
_enter(e.clamp_max, torch.clamp_max, "clamp_max")
_enter(e.maximum, torch.max, "max")
_enter(e.minimum, torch.min, "min")

_enter(activations.relu, F.relu, inplace=False)
_enter(activations.relu6, F.relu6, inplace=False)
_enter(activations.leaky_relu, F.leaky_relu, inplace=False)
_enter(activations.threshold, F.threshold, torch.threshold, inplace=False)
_enter(activations.elu, F.elu, inplace=False)
_enter(activations.celu, F.celu, torch.celu, inplace=False)
_enter(activations.selu, F.selu, torch.selu, inplace=False)
_enter(activations.softplus, F.softplus)
_enter(activations.silu, F.silu, inplace=False)
_enter(activations.mish, F.mish, inplace=False)
_enter(activations.gelu, F.gelu)
_enter(activations.softsign, F.softsign)
_enter(activations.tanhshrink, F.tanhshrink)
_enter(activations.hardtanh, F.hardtanh, inplace=False)
_enter(activations.hardsigmoid, F.hardsigmoid, inplace=False)
_enter(activations.hardswish, F.hardswish, inplace=False)
_enter(activations.softshrink, F.softshrink)
_enter(activations.hardshrink, F.hardshrink, torch.hardshrink, "hardshrink")

_enter(over_units.sum, torch.sum, "sum", dtype=None)
_enter(over_units.mean, torch.mean, "mean", dtype=None)
_enter(over_units.amax, torch.amax, "amax")
_enter(over_units.amin, torch.amin, "amin")
_enter(over_units.softmax, F.softmax, _stacklevel=3, dtype=None)
_enter(over_units.softmin, F.softmin, _stacklevel=3, dtype=None)
_enter(over_units.log_softmax, F.log_softmax, _stacklevel=3, dtype=None)
_enter(over_units.softmax, torch.softmax, torch.special.softmax, "softmax", dtype=None)
_enter(over_units.log_softmax, torch.log_softmax, torch.special.log_softmax, "log_softmax", dtype=None)
_enter(over_units.logsumexp, torch.logsumexp, torch.special.logsumexp, "logsumexp")
_enter(over_units.turn, "mT")
_enter(over_units.transpose, torch.transpose, torch.swapaxes, "transpose", "swapaxes")
_enter(over_units.roll, torch.roll, "roll")
_enter(over_units.layer_norm, F.layer_norm)
_enter(over_units.layer_norm, torch.layer_norm, cudnn_enable=True)
_enter(over_units.rms_norm, F.rms_norm, torch.rms_norm)

_LIKE = {"dtype": None, "layout": None, "device": None, "requires_grad": False, "memory_format": None}
_enter(e.zeros_like, torch.zeros_like, **_LIKE)
_enter(e.ones_like, torch.ones_like, **_LIKE)
_enter(e.full_like, torch.full_like, **_LIKE)
_enter(e.same, torch.clone, "clone", memory_format=None)
_enter(e.same, "contiguous")
_enter(e.expand_as, "expand_as")
_enter(e.same_as, "type_as", "to")
_enter(e.as_number, "float", "double")

_ROWS_STAY = "A step sees rows of units, which keep their size: declare a gate for each part of what you compute."
_NO_VALUES = "A step says what is computed, not on which numbers: choose by torch.where(condition, a, b)."
_NO_CHANCE = "A step draws nothing: a layer has recurrent_dropout=, candidate_dropout= and zoneout= for that."
_NO_COUNTS = "Write torch.floor(a / b) or torch.remainder(a, b), the second of which has a gradient."
_MATRIX = 'Declare the matrix, matrices = {"W_ab": ("hidden", "hidden")}, and call it: W_ab(v).'
_HINTS = {
    _ROWS_STAY: "cat concat stack chunk split unbind view reshape unsqueeze squeeze transpose permute flatten T mT "
    "roll flip expand repeat narrow select index_select gather",
    _NO_VALUES: "any all item tolist numpy nonzero equal allclose is_nonzero isclose argmax argmin topk sort max min",
    _NO_CHANCE: "dropout alpha_dropout rand_like randn_like randint_like bernoulli normal gumbel_softmax",
    _NO_COUNTS: "fmod floor_divide floordiv round",
    _MATRIX: "matmul mm bmm mv linear einsum bilinear addmm tensordot inner dot",
    "Write torch.sqrt((v * v).sum(-1, keepdim=True)).": "norm vector_norm",
    "Write m = v.mean(-1, keepdim=True) and ((v - m) ** 2).mean(-1, keepdim=True).": "var std var_mean std_mean",
}
HINTS = {name: hint for hint, names in _HINTS.items() for name in names.split()}


def name_of(called: Any) -> str:
    """The name of a function in messages: torch.tanh, Tensor.add, operator.mod."""
    if isinstance(called, str):
        return f"Tensor.{called}"
    name = getattr(called, "__name__", type(called).__name__)
    if getattr(operator, name, None) is called:
        return f"operator.{name}"
    if getattr(torch, name, None) is called:
        return f"torch.{name}"  # its own qualified name would be that of a private class
    if getattr(Tensor, name, None) is called:
        return f"Tensor.{name}"
    return torch.typename(called)


def find(called: Any) -> Spelling | None:
    """The spelling of a function, of an operator, or of a method given by its name; None if a step may not call it."""
    if called in TABLE:
        return TABLE[called]
    # Tensor.add of a tensor with one number and a symbol.
    kind, _, name = getattr(called, "__qualname__", "").rpartition(".")
    return TABLE.get(name) if kind in ("Tensor", "TensorBase") else None
