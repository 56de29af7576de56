"""What each op of the alphabet is in ONNX: one row each, beside `program.ops.TABLE`. A test holds the two together."""

from __future__ import annotations

from collections.abc import Callable

from carousel.export.onnx.graph import Graph

# ruff: noqa: ARG005 -- every row has the same arguments
Number = Callable[[float], str]  # a constant of the network's precision


def _one(op: str) -> Callable[..., str]:
    return lambda g, number, *arguments: g.op(op, *arguments)


def _remainder(g: Graph, _number: Number, a: str, b: str) -> str:
    """a - floor(a / b) b: Mod of ONNX has the sign of a for floats."""
    return g.op("Sub", a, g.op("Mul", g.op("Floor", g.op("Div", a, b)), b))


def _logsigmoid(g: Graph, number: Number, a: str) -> str:
    """min(a, 0) - ln(1 + exp(-|a|)), whose exp never overflows."""
    rest = g.op("Log", g.op("Add", g.op("Exp", g.op("Neg", g.op("Abs", a))), number(1.0)))
    return g.op("Sub", g.op("Min", a, number(0.0)), rest)


def _sigmoid_grad(g: Graph, number: Number, a: str, y: str) -> str:
    return g.op("Mul", g.op("Mul", a, y), g.op("Sub", number(1.0), y))


def _tanh_grad(g: Graph, number: Number, a: str, y: str) -> str:
    return g.op("Mul", a, g.op("Sub", number(1.0), g.op("Mul", y, y)))


OPERATIONS: dict[str, Callable[..., str]] = {
    "add": _one("Add"),
    "sub": _one("Sub"),
    "mul": _one("Mul"),
    "div": _one("Div"),
    "neg": _one("Neg"),
    "abs": _one("Abs"),
    "sign": _one("Sign"),
    "maximum": _one("Max"),
    "minimum": _one("Min"),
    "exp": _one("Exp"),
    "log": _one("Log"),
    "sqrt": _one("Sqrt"),
    "rsqrt": lambda g, number, a: g.op("Div", number(1.0), g.op("Sqrt", a)),
    "sin": _one("Sin"),
    "cos": _one("Cos"),
    "atan": _one("Atan"),
    "log1p": lambda g, number, a: g.op("Log", g.op("Add", number(1.0), a)),
    "expm1": lambda g, number, a: g.op("Sub", g.op("Exp", a), number(1.0)),
    "erf": _one("Erf"),
    "floor": _one("Floor"),
    "remainder": _remainder,
    "detach": _one("Identity"),
    "sigmoid": _one("Sigmoid"),
    "tanh": _one("Tanh"),
    "relu": _one("Relu"),
    "softplus": _one("Softplus"),
    "logsigmoid": _logsigmoid,
    "sigmoid_grad": _sigmoid_grad,
    "tanh_grad": _tanh_grad,
    "relu_grad": lambda g, number, a, y: g.op("Where", g.op("Greater", y, number(0.0)), a, number(0.0)),
    "gt": _one("Greater"),
    "ge": _one("GreaterOrEqual"),
    "lt": _one("Less"),
    "le": _one("LessOrEqual"),
    "eq": _one("Equal"),
    "ne": lambda g, number, a, b: g.op("Not", g.op("Equal", a, b)),
    "where": _one("Where"),
    "sum": lambda g, number, a: g.op("ReduceSum", a, g.integers(-1), keepdims=1),
    "highest": lambda g, number, a: g.op("ReduceMax", a, g.integers(-1), keepdims=1),
    "broadcast": _one("Identity"),
}
