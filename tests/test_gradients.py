"""Law 2: gradients are those of the equations, first and second order, and every engine has the same.

In this order: the reference engine against numerical differentiation; the derivative program against autograd through
one step; every engine against the reference in float64; a directional derivative over a longer sequence.
A cell in `matrix.py`'s table is covered by being there.
"""

from __future__ import annotations

import pytest
import torch
from matrix import FULL, KINDS, ROWS, Row, assert_close, roundings, runs
from torch.autograd import grad, gradcheck, gradgradcheck
from torch.func import functional_call

from carousel.program import Program, differentiate, evaluate, ops, rewrite, trace

BIASES = pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
float64 = torch.float64

# Numerical differentiation takes long: each row has biases or has none, by turns.
NUMERICALLY = pytest.mark.parametrize(
    ("row", "bias"),
    [
        pytest.param(row, bias, id=f"{row}-{'bias' if bias else 'nobias'}", marks=() if bias is turn else FULL)
        for row, turn in zip(ROWS, [True, False] * len(ROWS), strict=False)
        for bias in (True, False)
    ],
)


def as_function(layer, row: Row):
    """The layer as a function of input, states and parameters, and those: everything that has a gradient."""
    names = [name for name, _ in layer.named_parameters()]
    states = len(row.cell.states)

    def function(x, *rest):
        hx = rest[:states] if states > 1 else rest[0]
        output, last = functional_call(layer, dict(zip(names, rest[states:], strict=True)), (x, hx))
        return output, *(last if states > 1 else (last,))

    return function


def arguments(layer, row: Row, steps: int, batch: int, dtype=float64):
    """(input, states, parameters) to differentiate at."""
    scans = layer.num_layers * (1 + layer.bidirectional)
    x = torch.randn(steps, batch, layer.input_size, dtype=dtype)
    given = [x, *row.initial(scans, batch, layer.hidden_size, dtype), *layer.parameters()]
    return [a.detach().clone().requires_grad_() for a in given]


def in_one(function, given):
    """The same function of one vector, and that vector. PyTorch's fast check goes through the arguments one by one, and
    evaluates the function anew for each: an NTM has 83."""
    shapes, sizes = [a.shape for a in given], [a.numel() for a in given]

    def of_vector(vector):
        parts = [part.reshape(shape) for part, shape in zip(vector.split(sizes), shapes, strict=True)]
        return torch.cat([result.flatten() for result in function(*parts)])

    return of_vector, torch.cat([a.detach().flatten() for a in given]).requires_grad_()


@NUMERICALLY
def test_first_derivatives(row, bias):
    layer = row.layer(2, 3, bias=bias, dtype=float64)
    assert gradcheck(as_function(layer, row), arguments(layer, row, steps=2, batch=2))


@NUMERICALLY
def test_second_derivatives(row, bias):
    layer = row.layer(2, 3, bias=bias, dtype=float64)
    assert gradgradcheck(*in_one(as_function(layer, row), arguments(layer, row, steps=2, batch=2)), fast_mode=True)


# --- the derivative program

SIZES = {"hidden": 4, "projection": 2}


def number(node):
    """The value of a leaf that is one number."""
    return torch.tensor(node.attr if node.op == "constant" else 1 / SIZES[node.attr], dtype=float64)


def one_step(program: Program, batch: int = 3):
    """Leaves of a forward program, one row per sequence each, and its matrices, all differentiable."""

    def draw(node):
        if node.op in ("constant", "per_unit"):
            return number(node)
        row = torch.randn(batch, SIZES[node.size], dtype=float64)
        # sLSTM's normaliser is positive, and streams are masks and amounts; every other row may have any sign.
        positive = node.op == "stream" or (node.op, node.attr) == ("state", "n")
        return (row.abs() + 0.5 if positive else row).requires_grad_()

    leaves = [draw(node) if node.op in ops.LEAVES else None for node in program.nodes]
    matrices = {
        name: torch.randn(SIZES[weight.rows], SIZES[weight.columns], dtype=float64, requires_grad=True)
        for name, weight in program.weights.items()
    }
    return leaves, matrices


def multiplier(program: Program, matrices):
    """How a program's products multiply, forward and transposed, without biases: they add nothing to a derivative."""

    def multiply(index, row):
        node = program.nodes[index]
        return ops.TABLE[node.op].meaning(row, matrices[node.attr])

    return multiply


REWRITINGS = {
    "recording": lambda program: rewrite.record(program, tuple(rewrite.recordable(program))),
    "modified": lambda program: rewrite.modify(program, tuple(program.states)),
    "zoneout": lambda program: rewrite.zoneout(program, tuple(program.states)),
    "recurrent-dropout": rewrite.recurrent_dropout,
}
REWRITTEN = ("peephole-lstm", "gru-reset-before", "multiplicative-lstm", "slstm", "low-rank-memory")


@BIASES
@pytest.mark.parametrize("row", [row for row in ROWS if row.traced], ids=repr)
def test_the_derivative_program_is_the_steps_gradient(row, bias):
    check_derivative(trace(row.cell, bias))


@pytest.mark.parametrize("rewriting", REWRITINGS.values(), ids=REWRITINGS)
@pytest.mark.parametrize("row", [row for row in KINDS if row.name in REWRITTEN], ids=repr)
def test_so_is_that_of_a_rewritten_program(row, rewriting):
    check_derivative(rewriting(trace(row.cell)))


def check_derivative(program: Program):
    """What differentiate(program) computes, by key, is what autograd finds through one step."""
    leaves, matrices = one_step(program)
    values = evaluate(program, leaves, multiplier(program, matrices))
    new = {key: values[index] for key, index in program.outputs.items()}
    upstream = {key: torch.randn_like(value) for key, value in new.items()}

    derivative = differentiate(program)
    given = []
    for node in derivative.program.nodes:
        match node.op:
            case "gradient":
                given.append(upstream[node.attr])
            case "saved":
                given.append(values[node.attr].detach())
            case "constant" | "per_unit":
                given.append(number(node))
            case op if op in ops.LEAVES:
                at = next(i for i, n in enumerate(program.nodes) if n == node)
                given.append(leaves[at].detach())
            case _:
                given.append(None)  # type: ignore[arg-type]
    assert [n.attr for n in derivative.program.nodes if n.op == "saved"] == list(derivative.saved)
    done = evaluate(
        derivative.program, given, multiplier(derivative.program, {k: m.detach() for k, m in matrices.items()})
    )
    results = {key: done[index] for key, index in derivative.program.outputs.items()}

    wanted = {(node.op, node.attr): leaves[i] for i, node in enumerate(program.nodes) if leaves[i] is not None}
    wanted = {key: leaf for key, leaf in wanted.items() if key[0] in ("state", "input", "stream", "vector")}
    wanted |= {("product", i): values[i] for i, node in enumerate(program.nodes) if node.op in ops.PRODUCTS}
    assert set(results) == set(wanted)
    at = [*wanted.values(), *matrices.values()]
    by_autograd = grad([*new.values()], at, [upstream[key] for key in new], allow_unused=True)
    for (key, at), expected in zip(wanted.items(), by_autograd, strict=False):
        expected = torch.zeros_like(at) if expected is None else expected
        assert_close(results[key].expand_as(at), expected, terms=roundings(1, 0, 4), what=f"the gradient of {key}")

    # "The gradient of a weight is the sum over rows of (gradient of its product) x (row it multiplied)."
    for name, expected in zip(matrices, by_autograd[len(wanted) :], strict=True):
        # For a transposed one, the other way round.
        total = torch.zeros_like(expected)
        for i, node in enumerate(program.nodes):
            if node.attr == name and node.op in ops.PRODUCTS:
                outer = results["product", i].expand_as(values[i]).T @ values[node.args[0]]
                total = total + (outer.T if node.op == "product_transposed" else outer)
        assert_close(total, expected, terms=roundings(3, 0, 4), what=f"the gradient of {name}")


# --- every engine


@pytest.mark.parametrize(("row", "bias", "engine", "dtype"), runs())
def test_every_engine_has_the_references_values_and_gradients(row, bias, engine, dtype):
    """Measured against the reference in float64, with what dtype's roundings allow; two layers, both directions."""
    steps, batch, input_size, hidden = 7, 3, 3, 5
    options = {"num_layers": 2, "bidirectional": True, "bias": bias}
    exact = row.layer(input_size, hidden, **options).double()
    layer = row.layer(input_size, hidden, engine, dtype=dtype, **options)
    given = arguments(exact, row, steps, batch)
    rounded = [a.detach().to(dtype).requires_grad_() for a in given]
    # The reference gets the rounded values too: what is measured is the arithmetic.
    given = [a.detach().double().requires_grad_() for a in rounded]

    wanted = as_function(exact, row)(*given)
    upstream = [torch.randn_like(value).to(dtype) for value in wanted]
    wanted_gradients = grad(wanted, given, [g.double() for g in upstream])
    found = as_function(layer, row)(*rounded)
    gradients = grad(found, rounded, upstream)

    terms = roundings(steps, input_size, hidden, num_layers=2)
    for index, pair in enumerate(zip(found, wanted, strict=True)):
        assert_close(*pair, terms=terms, dtype=dtype, what=f"result {index}")
    names = ["input", *row.cell.states, *(name for name, _ in layer.named_parameters())]
    for name, *pair in zip(names, gradients, wanted_gradients, strict=True):
        # There and back, and a sum over all rows.
        assert_close(*pair, terms=2 * terms + steps * batch, dtype=dtype, what=f"the gradient of {name}")


@BIASES
@pytest.mark.parametrize("row", KINDS, ids=repr)
def test_the_slope_along_a_direction_over_a_longer_sequence(row, bias):
    """A central difference of step e errs by about e^2 (curvature) and eps / e (rounding): least at e = eps^(1/3)."""
    steps = 25
    layer = row.layer(2, 4, bias=bias, dtype=float64, bidirectional=True)
    function = as_function(layer, row)
    at = arguments(layer, row, steps, batch=2)
    upstream = [torch.randn_like(value) for value in function(*at)]

    def loss(*given):
        return sum((g * value).sum() for g, value in zip(upstream, function(*given), strict=True))

    direction = [torch.randn_like(a) for a in at]
    length = torch.sqrt(sum((d * d).sum() for d in direction))  # type: ignore[arg-type]
    direction = [d / length for d in direction]
    slope = sum((g * d).sum() for g, d in zip(grad(loss(*at), at), direction, strict=True))
    e = torch.finfo(float64).eps ** (1 / 3)
    with torch.no_grad():
        ahead, behind = (loss(*(a + sign * e * d for a, d in zip(at, direction, strict=True))) for sign in (1, -1))
    measured = (ahead - behind) / (2 * e)
    # One rounding of the loss, seen through 1 / e; the curvature is of the same order along a unit direction.
    allowed = 8 * e * e * roundings(steps, 2, 4) * max(1.0, abs(slope.item()))
    assert abs(measured - slope).item() <= allowed


@pytest.mark.parametrize(("row", "bias", "engine", "dtype"), runs(KINDS, biases=(True,)))
def test_any_one_gradient_can_be_asked_for_alone(row, bias, engine, dtype):
    """Frozen parameters, an input without gradient: the gradient that remains is the same."""
    layer = row.layer(2, 4, engine, dtype=dtype, bias=bias)
    given = arguments(layer, row, 4, 2, dtype)
    function = as_function(layer, row)
    everything = grad(function(*given)[0].sum(), given, allow_unused=True)
    for index in range(len(given)):
        only = [a.detach().requires_grad_(k == index) for k, a in enumerate(given)]
        output = function(*only)[0]
        (alone,) = grad(output.sum(), [only[index]], allow_unused=True)
        assert (alone is None) == (everything[index] is None)
        if alone is not None:
            assert_close(alone, everything[index], terms=roundings(4, 2, 4) * 2)
