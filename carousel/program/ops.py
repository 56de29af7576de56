"""The alphabet: all ops that a program may contain, each in one row of a table. Engines implement these and no others.

All values are rows of a batch. An op reads one row of each argument and writes one row, so that a row of a batch never
sees another row. The size of a row is "hidden" or "projection" units, or one number ("one"); beside a longer row, one
number stands for every unit. A row may have members, as a node of a tree has children and a memory has slots: then a
value may have a row for each member, and only `spread`, `total`, `greatest` and `turn` lead from rows to members and
back. Of the members of a fixed number, a value is (batch, members, units); of others, (all members, units).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from carousel.program.builder import Builder, Ref

# A gradient: a node, a number, or None where the gradient is zero.
Gradients = tuple[Any, ...]


@dataclass(frozen=True)
class Op:
    """One op of the alphabet.

    kind: "pointwise"; "relation" (pointwise; only `where` may read its result); "reduction" (a row to one
        number); "broadcast" (one number to a row); "product" (a row times a named weight); "members" (between a row
        and its members, or among members).
    meaning: the op as a function of torch. This is its definition; every engine is tested against it. For an op of the
        kind "members", its last argument is their `Members` or `Slots`; for a `turn` that gives rows, None.
    derivative: (b, g, y, *arguments) -> the gradients of the arguments, as nodes of the `Builder` b. y is the op's
        value and g the gradient of y. For a product, the name of its weight stands in the place of its argument.
        Where rows have different sizes, `derivative.differentiate` sums. The gradients are torch's, also at kinks.
    text: the printed form. binding: the precedence of that text, by which `printing` sets brackets.
    spellings: the ways in which authors write the op: functions of torch, operators, names of tensor methods.
    """

    name: str
    arity: int
    meaning: Callable[..., Tensor]
    derivative: Callable[..., Gradients]
    text: str
    spellings: tuple[Any, ...] = ()
    kind: str = "pointwise"
    binding: int = 9


def _sum(a: Tensor) -> Tensor:
    return a.sum(-1, keepdim=True)


def _highest(a: Tensor) -> Tensor:
    return a.amax(-1, keepdim=True)


@dataclass(frozen=True)
class Members:
    """Members of which rows have differing numbers: the children of nodes, the positions of a context.

    of: (members), the row of each, never falling. rows: how many rows there are.
    """

    of: Tensor
    rows: int

    def spread(self, a: Tensor) -> Tensor:
        return a.index_select(0, self.of)

    def total(self, a: Tensor) -> Tensor:
        return a.new_zeros(self.rows, a.shape[1]).index_add(0, self.of, a)

    def greatest(self, a: Tensor) -> Tensor:
        """The greatest of a row's members, unit by unit; 0 for a row without any."""
        index = self.of.unsqueeze(1).expand_as(a)
        return a.new_zeros(self.rows, a.shape[1]).scatter_reduce(0, index, a, "amax", include_self=False)


@dataclass(frozen=True)
class Slots:
    """Members of which each row has as many: the slots of a memory. rows: how many rows there are. count: of members."""

    rows: int
    count: int

    def spread(self, a: Tensor) -> Tensor:
        return a.unsqueeze(1).expand(-1, self.count, -1)

    def total(self, a: Tensor) -> Tensor:
        return a.sum(1)

    def greatest(self, a: Tensor) -> Tensor:
        return a.amax(1)


def _spread(a: Tensor, members: Members | Slots) -> Tensor:
    return members.spread(a)


def _total(a: Tensor, members: Members | Slots) -> Tensor:
    return members.total(a)


def _greatest(a: Tensor, members: Members | Slots) -> Tensor:
    return members.greatest(a)


def _turn(a: Tensor, members: Slots | None) -> Tensor:
    if members is None:  # members of one number each become a row
        return a.squeeze(-1)
    return a.unsqueeze(-1) if a.dim() == 2 else a.transpose(-1, -2)


def _roll(a: Tensor, members: Slots) -> Tensor:
    del members
    return a.roll(1, -2)


def _roll_back(a: Tensor, members: Slots) -> Tensor:
    del members
    return a.roll(-1, -2)


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


# Derivatives that need more than a line.


def _mul(b: Builder, g: Ref, y: Ref, p: Ref, q: Ref) -> Gradients:
    del y
    if p == q:
        return b.op("mul", b.op("mul", 2.0, g), p), None
    by_q = b.op("mul", g, p)
    return b.op("mul", g, q), by_q


def _div(b: Builder, g: Ref, y: Ref, p: Ref, q: Ref) -> Gradients:
    del p
    by_p = b.op("div", g, q)
    return by_p, b.op("neg", b.op("mul", by_p, y))


def _larger(b: Builder, g: Ref, y: Ref, p: Ref, q: Ref) -> Gradients:
    del y
    shared = b.op("where", b.op("eq", p, q), b.op("mul", 0.5, g), g)  # of two equal values each receives half
    return b.op("where", b.op("lt", p, q), 0.0, shared), b.op("where", b.op("gt", p, q), 0.0, shared)


def _smaller(b: Builder, g: Ref, y: Ref, p: Ref, q: Ref) -> Gradients:
    return _larger(b, g, y, q, p)  # min(p, q) gives its gradient to p where max(q, p) gives it to q


def _rsqrt(b: Builder, g: Ref, y: Ref, p: Ref) -> Gradients:
    del p
    return (b.op("mul", b.op("mul", -0.5, g), b.op("mul", y, b.op("mul", y, y))),)


def _sigmoid_twice(b: Builder, g: Ref, y: Ref, p: Ref, q: Ref) -> Gradients:
    del y
    return b.op("sigmoid_grad", g, q), b.op("mul", b.op("mul", g, p), b.op("sub", 1.0, b.op("mul", 2.0, q)))


def _tanh_twice(b: Builder, g: Ref, y: Ref, p: Ref, q: Ref) -> Gradients:
    del y
    return b.op("tanh_grad", g, q), b.op("mul", b.op("mul", g, p), b.op("mul", -2.0, q))


def _where(b: Builder, g: Ref, y: Ref, c: Ref, p: Ref, q: Ref) -> Gradients:
    del y, p, q
    return None, b.op("where", c, g, 0.0), b.op("where", c, 0.0, g)


def _erf(b: Builder, g: Ref, y: Ref, p: Ref) -> Gradients:
    del y
    return (b.op("mul", g, b.op("mul", 2 / math.sqrt(math.pi), b.op("exp", b.op("neg", b.op("mul", p, p))))),)


def _remainder(b: Builder, g: Ref, y: Ref, p: Ref, q: Ref) -> Gradients:
    # y = p - floor(p / q) * q, so that the derivative by q is -floor(p / q) = -(p - y) / q.
    return g, b.op("mul", g, b.op("detach", b.op("div", b.op("sub", y, p), q)))


def _highest_grad(b: Builder, g: Ref, y: Ref, p: Ref) -> Gradients:
    is_highest = b.op("eq", p, y)
    share = b.op("div", g, b.op("sum", b.op("where", is_highest, 1.0, 0.0)))  # equal maxima share the gradient
    return (b.op("where", is_highest, share, 0.0),)


def _greatest_grad(b: Builder, g: Ref, y: Ref, p: Ref) -> Gradients:
    is_greatest = b.op("eq", p, y)
    count = b.op("total", b.op("where", is_greatest, 1.0, 0.0))  # as many as there are share it
    share = b.op("div", g, b.op("maximum", count, 1.0))  # a row without members is 0, and not 0 / 0
    return (b.op("where", is_greatest, share, 0.0),)


def _turn_grad(b: Builder, g: Ref, y: Ref, p: Ref) -> Gradients:
    del p
    return (b.op("turn", b.like(g, y)),)  # a number that stands for all of y is none for all of p


def _rolled(back: str) -> Callable[..., Gradients]:
    def derivative(b: Builder, g: Ref, y: Ref, p: Ref) -> Gradients:
        del y, p
        return (b.op(back, g) if b.nodes[g].members else g,)  # what is the same for all members stays so

    return derivative


def _none(b: Builder, g: Ref, y: Ref, *arguments: Ref) -> Gradients:
    del b, g, y
    return (None,) * len(arguments)


# Each row:  name, arity, meaning, derivative, text, spellings, kind, binding
# ruff: noqa: E501, ARG005
ROWS = [
    # arithmetic
    Op("add", 2, torch.add, lambda b, g, y, p, q: (g, g), "{} + {}", (operator.add, torch.add, "add"), binding=5),
    Op("sub", 2, torch.sub, lambda b, g, y, p, q: (g, b.op("neg", g)), "{} - {}", (operator.sub, torch.sub, "sub"), binding=5),
    Op("mul", 2, torch.mul, _mul, "{} ⊙ {}", (operator.mul, torch.mul, "mul"), binding=6),
    Op("div", 2, torch.div, _div, "{} / {}", (operator.truediv, torch.div, "div"), binding=6),
    Op("neg", 1, torch.neg, lambda b, g, y, p: (b.op("neg", g),), "-{}", (operator.neg, torch.neg, "neg"), binding=7),
    Op("abs", 1, torch.abs, lambda b, g, y, p: (b.op("mul", g, b.op("sign", p)),), "|{}|", (operator.abs, torch.abs, "abs")),
    Op("sign", 1, torch.sign, _none, "sign({})", (torch.sign, torch.sgn, "sign")),
    Op("maximum", 2, torch.maximum, _larger, "max({}, {})", (torch.maximum, "maximum")),
    Op("minimum", 2, torch.minimum, _smaller, "min({}, {})", (torch.minimum, "minimum")),
    # functions
    Op("exp", 1, torch.exp, lambda b, g, y, p: (b.op("mul", g, y),), "exp({})", (torch.exp, "exp")),
    Op("log", 1, torch.log, lambda b, g, y, p: (b.op("div", g, p),), "log({})", (torch.log, "log")),
    Op("sqrt", 1, torch.sqrt, lambda b, g, y, p: (b.op("div", g, b.op("mul", 2.0, y)),), "sqrt({})", (torch.sqrt, "sqrt")),
    Op("rsqrt", 1, torch.rsqrt, _rsqrt, "rsqrt({})", (torch.rsqrt, "rsqrt")),
    Op("sin", 1, torch.sin, lambda b, g, y, p: (b.op("mul", g, b.op("cos", p)),), "sin({})", (torch.sin, "sin")),
    Op("cos", 1, torch.cos, lambda b, g, y, p: (b.op("neg", b.op("mul", g, b.op("sin", p))),), "cos({})", (torch.cos, "cos")),
    Op("log1p", 1, torch.log1p, lambda b, g, y, p: (b.op("div", g, b.op("add", 1.0, p)),), "log1p({})", (torch.log1p, "log1p")),
    Op("expm1", 1, torch.expm1, lambda b, g, y, p: (b.op("mul", g, b.op("add", y, 1.0)),), "expm1({})", (torch.expm1, "expm1")),
    Op("erf", 1, torch.erf, _erf, "erf({})", (torch.erf, "erf")),
    Op("atan", 1, torch.atan, lambda b, g, y, p: (b.op("div", g, b.op("add", 1.0, b.op("mul", p, p))),), "atan({})", (torch.atan, torch.arctan, "atan", "arctan")),
    Op("floor", 1, torch.floor, _none, "⌊{}⌋", (torch.floor, "floor")),
    Op("remainder", 2, torch.remainder, _remainder, "({} mod {})", (operator.mod, torch.remainder, "remainder")),
    Op("detach", 1, torch.detach, _none, "fixed({})", (torch.detach, "detach")),
    # activations of recurrent networks
    Op("sigmoid", 1, torch.sigmoid, lambda b, g, y, p: (b.op("sigmoid_grad", g, y),), "σ({})", (torch.sigmoid, F.sigmoid, "sigmoid")),
    Op("tanh", 1, torch.tanh, lambda b, g, y, p: (b.op("tanh_grad", g, y),), "tanh({})", (torch.tanh, F.tanh, "tanh")),
    Op("relu", 1, torch.relu, lambda b, g, y, p: (b.op("relu_grad", g, y),), "relu({})", (torch.relu, "relu")),
    Op("softplus", 1, F.softplus, lambda b, g, y, p: (b.op("mul", g, b.op("sigmoid", p)),), "softplus({})", (F.softplus,)),
    Op("logsigmoid", 1, F.logsigmoid, lambda b, g, y, p: (b.op("mul", g, b.op("sigmoid", b.op("neg", p))),), "log σ({})", (F.logsigmoid,)),
    # their derivatives, from the gradient of the result and the result
    Op("sigmoid_grad", 2, _sigmoid_grad, _sigmoid_twice, "σ'({}; {})"),
    Op("tanh_grad", 2, _tanh_grad, _tanh_twice, "tanh'({}; {})"),
    Op("relu_grad", 2, _relu_grad, lambda b, g, y, p, q: (b.op("relu_grad", g, q), None), "relu'({}; {})"),
    # choice
    Op("gt", 2, torch.gt, _none, "{} > {}", (operator.gt, torch.gt, "gt"), "relation", 4),
    Op("ge", 2, torch.ge, _none, "{} ≥ {}", (operator.ge, torch.ge, "ge"), "relation", 4),
    Op("lt", 2, torch.lt, _none, "{} < {}", (operator.lt, torch.lt, "lt"), "relation", 4),
    Op("le", 2, torch.le, _none, "{} ≤ {}", (operator.le, torch.le, "le"), "relation", 4),
    Op("eq", 2, torch.eq, _none, "{} = {}", (operator.eq, torch.eq, "eq"), "relation", 4),
    Op("ne", 2, torch.ne, _none, "{} ≠ {}", (operator.ne, torch.ne, "ne"), "relation", 4),
    Op("where", 3, torch.where, _where, "where({}, {}, {})", (torch.where,)),
    # across the units of a row
    Op("sum", 1, _sum, lambda b, g, y, p: (g,), "sum({})", kind="reduction"),
    Op("highest", 1, _highest, _highest_grad, "max({})", kind="reduction"),
    Op("broadcast", 1, torch.clone, lambda b, g, y, p: (g,), "{}", kind="broadcast"),
    # between a row and its members: the builder enters spread wherever a row meets members
    Op("spread", 1, _spread, lambda b, g, y, p: (b.op("total", b.of_members(g, y)),), "{}", kind="members"),
    Op("total", 1, _total, lambda b, g, y, p: (b.spread(g, b.nodes[p].members),), "Σ({})", kind="members"),
    Op("greatest", 1, _greatest, _greatest_grad, "greatest({})", kind="members"),
    # of members of a fixed number: those of one number each are a row, and the reverse; each to the next, or back
    Op("turn", 1, _turn, _turn_grad, "{}ᵀ", kind="members", binding=8),
    Op("roll", 1, _roll, _rolled("roll_back"), "roll({})", kind="members"),
    Op("roll_back", 1, _roll_back, _rolled("roll"), "roll back({})", kind="members"),
    # with a weight
    Op("product", 1, _product, lambda b, g, y, weight: (b.product(weight, g, transposed=True),), "{weight} {}{bias}", kind="product", binding=5),
    Op("product_transposed", 1, _product_transposed, lambda b, g, y, weight: (b.product(weight, g),), "{weight}ᵀ {}", kind="product", binding=6),
]  # fmt: skip

TABLE = {row.name: row for row in ROWS}
PRODUCTS = tuple(row.name for row in ROWS if row.kind == "product")


# Whose members they are, where it is no size: their number differs from row to row.
CHILDREN, CONTEXT = "children", "context"
RAGGED = (CHILDREN, CONTEXT)


def is_of_members(op: str) -> bool:
    """Whether an op leads between a row and its members, or among members."""
    return op in TABLE and TABLE[op].kind == "members"


# The leaves of a program, which have no arguments.
#   input     the input part of a gate, W x + b (attr: the gate)
#   state     a state before the step (attr: its name; for the state of a node's child, (name, number of the child))
#   stream    a row that the caller gives for every step, such as a mask (attr: its name)
#   context   rows that the caller gives once for each sequence, its members (attr: its name)
#   vector    a learned vector (attr: its name, or (name, gate) where each gate has a part of it)
#   constant  a number (attr)
#   per_unit  1 / (number of units of the size in attr)
# and in derivatives also
#   saved     a value of the forward program (attr: its node there)
#   gradient  the gradient of a new state or a recorded value (attr: the forward program's name for that result)
LEAVES = ("input", "state", "stream", "context", "vector", "constant", "per_unit", "saved", "gradient")
