"""The alphabet: every op a program may contain, one row each. Engines implement these and nothing else.

All values are rows of a batch: an op reads one row of each argument and writes one row, so a row of a batch can
never see another. A row is as long as its size says: "hidden" or "projection" units, or one number ("one"), which
stands for every unit wherever it meets a longer row.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

aten = torch.ops.aten


@dataclass(frozen=True)
class Op:
    """One letter of the alphabet.

    kind: "pointwise"; "relation" (pointwise, its result may only be asked by `where`); "reduction" (a row to one
        number); "broadcast" (one number to a row); "product" (a row times a named weight).
    meaning: what it computes, in torch. This is the definition; every engine is tested against it.
    text: how it is printed; binding: how tightly the printed text holds together (see `printing`).
    spellings: what authors write for it: torch functions, operators, and names of tensor methods.
    aten: what torch's own derivatives call it.
    """

    name: str
    arity: int
    meaning: Callable[..., Tensor]
    text: str
    spellings: tuple[Any, ...] = ()
    aten: tuple[Any, ...] = ()
    kind: str = "pointwise"
    binding: int = 9


def _sum(a: Tensor) -> Tensor:
    return a.sum(-1, keepdim=True)


def _sigmoid_grad(g: Tensor, y: Tensor) -> Tensor:
    return g * y * (1 - y)


def _tanh_grad(g: Tensor, y: Tensor) -> Tensor:
    return g * (1 - y * y)


def _relu_grad(g: Tensor, y: Tensor) -> Tensor:
    return torch.where(y > 0, g, 0.0)


def _product(a: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(a, weight, bias)


def _product_transposed(a: Tensor, weight: Tensor) -> Tensor:
    return a @ weight


# Each row:  name, arity, meaning, text, what authors write, what derivatives are made of, kind, binding
ROWS = [
    # arithmetic
    Op("add", 2, torch.add, "{} + {}", (operator.add, torch.add, "add"), (aten.add.Tensor, aten.add.Scalar), binding=5),
    Op("sub", 2, torch.sub, "{} - {}", (operator.sub, torch.sub, "sub"), (aten.sub.Tensor, aten.sub.Scalar), binding=5),
    Op("mul", 2, torch.mul, "{} ⊙ {}", (operator.mul, torch.mul, "mul"), (aten.mul.Tensor, aten.mul.Scalar), binding=6),
    Op("div", 2, torch.div, "{} / {}", (operator.truediv, torch.div, "div"), (aten.div.Tensor, aten.div.Scalar), binding=6),  # noqa: E501
    Op("neg", 1, torch.neg, "-{}", (operator.neg, torch.neg, "neg"), (aten.neg.default,), binding=7),
    Op("abs", 1, torch.abs, "|{}|", (operator.abs, torch.abs, "abs"), (aten.abs.default,)),
    Op("sign", 1, torch.sign, "sign({})", (torch.sign, torch.sgn, "sign"), (aten.sign.default, aten.sgn.default)),
    Op("maximum", 2, torch.maximum, "max({}, {})", (torch.maximum, "maximum"), (aten.maximum.default,)),
    Op("minimum", 2, torch.minimum, "min({}, {})", (torch.minimum, "minimum"), (aten.minimum.default,)),
    # functions
    Op("exp", 1, torch.exp, "exp({})", (torch.exp, "exp"), (aten.exp.default,)),
    Op("log", 1, torch.log, "log({})", (torch.log, "log"), (aten.log.default,)),
    Op("sqrt", 1, torch.sqrt, "sqrt({})", (torch.sqrt, "sqrt"), (aten.sqrt.default,)),
    Op("rsqrt", 1, torch.rsqrt, "rsqrt({})", (torch.rsqrt, "rsqrt"), (aten.rsqrt.default,)),
    Op("sin", 1, torch.sin, "sin({})", (torch.sin, "sin"), (aten.sin.default,)),
    Op("cos", 1, torch.cos, "cos({})", (torch.cos, "cos"), (aten.cos.default,)),
    # what recurrent networks are made of
    Op("sigmoid", 1, torch.sigmoid, "σ({})", (torch.sigmoid, F.sigmoid, "sigmoid"), (aten.sigmoid.default,)),
    Op("tanh", 1, torch.tanh, "tanh({})", (torch.tanh, F.tanh, "tanh"), (aten.tanh.default,)),
    Op("relu", 1, torch.relu, "relu({})", (torch.relu, "relu"), (aten.relu.default,)),
    Op("softplus", 1, F.softplus, "softplus({})", (F.softplus,), (aten.softplus.default,)),
    # their derivatives, from the upstream gradient and the function's own value
    Op("sigmoid_grad", 2, _sigmoid_grad, "σ'({}; {})", (), (aten.sigmoid_backward.default,)),
    Op("tanh_grad", 2, _tanh_grad, "tanh'({}; {})", (), (aten.tanh_backward.default,)),
    Op("relu_grad", 2, _relu_grad, "relu'({}; {})"),
    # choice
    Op("gt", 2, torch.gt, "{} > {}", (operator.gt, torch.gt, "gt"), (aten.gt.Tensor, aten.gt.Scalar), "relation", 4),
    Op("ge", 2, torch.ge, "{} ≥ {}", (operator.ge, torch.ge, "ge"), (aten.ge.Tensor, aten.ge.Scalar), "relation", 4),
    Op("lt", 2, torch.lt, "{} < {}", (operator.lt, torch.lt, "lt"), (aten.lt.Tensor, aten.lt.Scalar), "relation", 4),
    Op("le", 2, torch.le, "{} ≤ {}", (operator.le, torch.le, "le"), (aten.le.Tensor, aten.le.Scalar), "relation", 4),
    Op("eq", 2, torch.eq, "{} = {}", (torch.eq, "eq"), (aten.eq.Tensor, aten.eq.Scalar), "relation", 4),
    Op("ne", 2, torch.ne, "{} ≠ {}", (torch.ne, "ne"), (aten.ne.Tensor, aten.ne.Scalar), "relation", 4),
    Op("where", 3, torch.where, "where({}, {}, {})", (torch.where,), (aten.where.self,)),
    # across the units of a row
    Op("sum", 1, _sum, "sum({})", kind="reduction"),
    Op("broadcast", 1, torch.clone, "{}", kind="broadcast"),
    Op("product", 1, _product, "{weight} {}{bias}", kind="product", binding=5),
    Op("product_transposed", 1, _product_transposed, "{weight}ᵀ {}", kind="product", binding=6),
]  # fmt: skip

TABLE = {row.name: row for row in ROWS}

# What a program starts from. A node of one of these has no arguments.
#   input     the input part of a gate, new at every step (attr: the gate)
#   state     what the cell carries into the step (attr: its name)
#   stream    a row given for every step from outside the network: a mask, an amount (attr: its name)
#   vector    a learned vector (attr: its name, or (name, gate) where each gate has a part of it)
#   constant  a number (attr)
#   per_unit  1 / (number of units of the size in attr)
# and in derivatives also
#   saved     a value of the forward program (attr: its node there)
#   gradient  the gradient of a new state or a recorded value (attr: the forward program's name for that result)
LEAVES = ("input", "state", "stream", "vector", "constant", "per_unit", "saved", "gradient")

WRITABLE = {spelling: row.name for row in ROWS for spelling in row.spellings}
DERIVED = {overload: row.name for row in ROWS for overload in row.aten}
