"""The derivative of a program: each op's own, from its row of the alphabet, held against torch's in float64.

An op is covered by its row being there. The derivatives of whole cells are held against autograd in `test_gradients`.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from carousel import cells
from carousel.engines.keeping import kept as kept_by
from carousel.engines.native import backward as native_backward
from carousel.program import Node, Program, Weight, differentiate, evaluate, ops, trace, verify
from carousel.program.builder import Builder, Ref, prune

float64 = torch.float64
SIZES = {"hidden": 3, "projection": 2, "one": 1}
WEIGHTS = {"W_ab": Weight("weight_ab", "projection", "hidden")}
# What a cell declares, for programs of one op.
DECLARED: dict[str, Any] = {
    "cell": "One",
    "gates": (),
    "inputs": (),
    "recurrents": (),
    "vectors": {},
    "gate_bias": False,
    "own": {},
}
DECLARED |= {"children": None}
POSITIVE = ("log", "sqrt", "rsqrt")

# Numbers at which rows meet every case of an op: kinks, equal values, both signs, far and near.
NUMBERS = [0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -3.0, 19.0, -40.0, 1e-4]


def sizes_of(op: ops.Op) -> list[tuple[str, ...]]:
    """The sizes of an op's arguments, and of its value, that are tried."""
    match op.kind:
        case "reduction":
            return [("hidden", "one")]
        case "broadcast":
            return [("one", "hidden")]
        case "product":
            shape = ("hidden", "projection")
            return [shape if op.name == "product" else shape[::-1]]
    mixed = [("hidden", "one"), ("one", "hidden")] if op.arity > 1 and op.kind == "pointwise" else []
    rest = ("hidden",) * (op.arity - 2)
    return [("hidden",) * (op.arity + 1), *((*rest, *sizes, "hidden") for sizes in mixed)]


def rows(op: ops.Op, sizes: tuple[str, ...]) -> list[Tensor]:
    """An argument each, whose rows pair all numbers with all; positive where the op has no other domain."""
    numbers = torch.tensor(NUMBERS, dtype=float64)
    pairs = torch.cartesian_prod(numbers, numbers)
    pairs = pairs.abs() + 0.25 if op.name in POSITIVE else pairs
    if op.name in ("div", "remainder"):  # torch's own is no number at a divisor of 0
        pairs = pairs[pairs[:, 1] != 0]
    found = []
    for place, size in enumerate(sizes[: op.arity]):
        column = pairs[:, min(place, 1) if op.arity > 1 else 0]
        spread = torch.arange(SIZES[size], dtype=float64) * (0 if op.name in ("div", "remainder", *POSITIVE) else 1)
        found.append(column.unsqueeze(1) + spread)
    return found


def program_of(op: ops.Op, sizes: tuple[str, ...], second: bool = False) -> Program:
    """The op of states p, q, r; or its derivative as a forward program, whose upstream gradient is the state g."""
    b = Builder(WEIGHTS)
    names = "pqr"[: op.arity]
    arguments = [b.leaf("state", name, size) for name, size in zip(names, sizes, strict=False)]
    condition = b.op("gt", arguments[0], 0.0) if op.name == "where" else None
    y = made(b, op, arguments, condition)
    outputs = {"y": y}
    states = dict(zip(names, sizes, strict=False))
    if second:
        g = b.leaf("state", "g", sizes[-1])
        states["g"] = sizes[-1]
        given = ["W_ab"] if op.kind == "product" else [*arguments] if condition is None else [condition, *arguments[1:]]
        by = op.derivative(b, g, y, *given)
        rows = zip(names, by, sizes, strict=False)
        outputs = {name: b.broadcast(b.value(v), size) for name, v, size in rows if v is not None}
    nodes, results = prune(b.nodes, outputs)
    return Program(**DECLARED, states=states, weights=WEIGHTS, nodes=nodes, outputs=results)


def made(b: Builder, op: ops.Op, arguments: list[Ref], condition: Ref | None) -> Ref:
    if op.kind == "product":
        return b.product("W_ab", arguments[0], transposed=op.name == "product_transposed")
    if op.kind == "broadcast":
        return b.broadcast(arguments[0], "hidden")
    return b.op(op.name, *(arguments if condition is None else [condition, *arguments[1:]]))


MATRIX = torch.randn(2, 3, dtype=float64, generator=torch.Generator().manual_seed(0))


def values(program: Program, leaves: dict[tuple[str, object], Tensor]) -> dict[object, Tensor]:
    """What a program gives, computed by torch from these leaves by (op, attr)."""

    def leaf(node: Node) -> Tensor | None:
        if node.op == "constant":
            return torch.tensor(node.attr, dtype=float64)
        return leaves[node.op, node.attr] if node.op in ops.LEAVES else None

    def multiply(index: int, row: Tensor) -> Tensor:
        return ops.TABLE[program.nodes[index].op].meaning(row, MATRIX)

    done = evaluate(program, [leaf(node) for node in program.nodes], multiply)
    return {key: done[index] for key, index in program.outputs.items()} | dict(enumerate(done))


def by_rules(program: Program, given: dict[str, Tensor], upstream: dict[object, Tensor]) -> dict[str, Tensor]:
    """The gradients by the states, as the derivative program gives them."""
    states = {("state", name): row.detach() for name, row in given.items()}
    forward = values(program, states)  # type: ignore[arg-type]
    derivative = differentiate(program)
    verify(derivative.program)
    leaves = states | {("saved", i): forward[i] for i in derivative.saved}
    found = values(derivative.program, leaves | {("gradient", key): g for key, g in upstream.items()})
    return {name: found["state", name] for name in given if ("state", name) in derivative.program.outputs}


# Those between rows and members stand in test_members.
CASES = [(op, sizes) for op in ops.TABLE.values() if op.kind not in ("relation", "members") for sizes in sizes_of(op)]
IDS = [f"{op.name}-{'-'.join(sizes)}" for op, sizes in CASES]


def inputs(op: ops.Op, sizes: tuple[str, ...]) -> tuple[dict[str, Tensor], Tensor]:
    """The states, and the upstream gradient of y."""
    given = {name: row.requires_grad_() for name, row in zip("pqr", rows(op, sizes), strict=False)}
    torch.manual_seed(0)
    count = max(SIZES[sizes[-1]], 1)
    return given, torch.randn(len(given["p"]), count, dtype=float64).requires_grad_()


def meaning(op: ops.Op, arguments: list[Tensor], sizes: tuple[str, ...]) -> Tensor:
    if op.kind == "product":
        return op.meaning(arguments[0], MATRIX)
    if op.name == "where":
        arguments = [arguments[0] > 0, *arguments[1:]]
    value = op.meaning(*arguments)
    return value.expand(len(value), SIZES[sizes[-1]])


def torchs(op: ops.Op, sizes: tuple[str, ...], given: dict[str, Tensor], g: Tensor) -> list[Tensor]:
    """torch's own vjp of the op, differentiable."""
    y = meaning(op, list(given.values()), sizes)
    if not y.requires_grad:  # of detach
        return [torch.zeros_like(x) for x in given.values()]
    found = torch.autograd.grad(y, list(given.values()), g, create_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if v is None else v for x, v in zip(given.values(), found, strict=True)]


@pytest.mark.parametrize(("op", "sizes"), CASES, ids=IDS)
def test_every_row_has_torchs_first_derivative(op, sizes):
    given, g = inputs(op, sizes)
    found = by_rules(program_of(op, sizes), given, {"y": g.detach()})
    for (name, row), expected in zip(given.items(), torchs(op, sizes, given, g), strict=True):
        ours = found.get(name, torch.zeros(())).expand_as(row)
        torch.testing.assert_close(ours, expected.detach(), rtol=1e-8, atol=1e-12, msg=lambda m, n=name: f"by {n}: {m}")  # type: ignore[misc]


# The second derivatives of mixed sizes follow from those of rows, by the sums of `differentiate`.
TWICE = [
    (op, sizes)
    for op, sizes in CASES
    if op.name not in ("sign", "floor", "detach", "broadcast") and "one" not in sizes[: op.arity]
]


@pytest.mark.parametrize(("op", "sizes"), TWICE, ids=[op.name for op, _ in TWICE])
def test_every_row_has_torchs_second_derivative(op, sizes):
    """The row's derivative is a program too: its own derivative, by the same rows, is torch's double vjp."""
    program = program_of(op, sizes, second=True)
    given, g = inputs(op, sizes)
    first = dict(zip(given, torchs(op, sizes, given, g), strict=True))
    read = {name: row for name, row in {**given, "g": g}.items() if any(n.attr == name for n in program.nodes)}
    torch.manual_seed(1)
    upstream = {name: torch.randn_like(given[name]) for name in program.outputs}
    found = by_rules(program, read, upstream)
    # Beyond 20 torch's softplus is a line, which errs by up to exp(-20).
    allowed = 3e-8 if op.name == "softplus" else 1e-12
    differentiable = [name for name in upstream if first[name].requires_grad]
    expected = torch.autograd.grad(
        [first[name] for name in differentiable],
        list(read.values()),
        [upstream[name] for name in differentiable],
        allow_unused=True,
    )
    for (name, row), theirs in zip(read.items(), expected, strict=True):
        theirs = torch.zeros_like(row) if theirs is None else theirs
        ours = found[name].expand_as(row)
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=allowed, msg=lambda m, n=name: f"by {n}: {m}")  # type: ignore[misc]


# What a step of backpropagation costs: (pointwise ops, values kept from the forward step, instructions of its plan).
# Fewer is welcome; more is slower training.
COSTS = {
    "rnn": (1, 1, 4),
    "gru": (13, 5, 13),
    "gru-reset-before": (13, 4, 14),
    "lstm": (15, 5, 14),
    "coupled-lstm": (14, 5, 14),
    "peephole-lstm": (24, 6, 23),
    "projected-lstm": (15, 5, 14),
    "layer-norm-gru": (95, 21, 150),
    "layer-norm-lstm": (118, 26, 184),
}


@pytest.mark.parametrize("name", COSTS)
def test_derivatives_cost_no_more_than_they_did(name):
    program = trace(cells.find(name))
    derivative = differentiate(program)
    kept = kept_by(program, derivative)
    plan = native_backward.lower_backward(program, derivative, kept, frozenset(), False, False)
    found = derivative.program.count("pointwise"), len(derivative.saved), len(plan.instructions)
    assert all(now <= before for now, before in zip(found, COSTS[name], strict=True)), found


def test_equal_factors_are_one_gradient():
    """n * n gives 2 n, in one product and not in two that are added."""
    b = Builder({})
    p = b.leaf("state", "p")
    nodes, outputs = prune(b.nodes, {"y": b.op("mul", p, p)})
    program = Program(**DECLARED, states={"p": "hidden"}, weights={}, nodes=nodes, outputs=outputs)
    assert [n.op for n in differentiate(program).program.nodes if n.op in ops.TABLE] == ["mul", "mul"]
