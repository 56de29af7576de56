"""Every way to write an op is tried against torch itself: values and gradients, far out, close to 0 and at kinks.

A spelling is covered by being in `carousel.program.spellings.TABLE`.
"""

from __future__ import annotations

import functools
import operator
import re
from pathlib import Path

import helper_of_cells
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import carousel
from carousel.cells import Cell, Vector
from carousel.engines import ENGINES
from carousel.errors import ProgramError
from carousel.program import ops, spellings, trace, untraced

UNITS = 8
DIVIDING = (operator.truediv, operator.mod, torch.remainder, "remainder")


def cell_of(function, **declared) -> Cell:
    return type("Example", (Cell,), {"gates": ("n",), "step": staticmethod(function), **declared})()


# What a call is given beside n, where that is not h alone; and which numbers it is for.
GIVEN = {
    "where": lambda n, h: (n > 0.1, n, h),
    "masked_fill": lambda n, h: (n, h > 0.1, 0.5),
    "power": lambda n, _: (n, 3),
    "lerp": lambda n, h: (n, h, 0.3),
    "addcmul": lambda n, h: (n, h, h),
    "addcdiv": lambda n, h: (n, h, h * h + 1),
    "clamp": lambda n, _: (n, -1, 1),
    "clamp_min": lambda n, _: (n, 0.2),
    "clamp_max": lambda n, _: (n, 0.2),
    "threshold": lambda n, _: (n, 0.2, 20.0),
    "sum": lambda n, _: (n, -1, True),
    "mean": lambda n, _: (n, -1, True),
    "amax": lambda n, _: (n, -1, True),
    "amin": lambda n, _: (n, -1, True),
    "softmax": lambda n, _: (n, -1),
    "softmin": lambda n, _: (n, -1),
    "log_softmax": lambda n, _: (n, -1),
    "logsumexp": lambda n, _: (n, -1, True),
    "layer_norm": lambda n, _: (n, (UNITS,)),
    "rms_norm": lambda n, _: (n, (UNITS,), None, 1e-6),
    "full_like": lambda n, _: (n, 2.5),
    "logical_and": lambda n, h: (n > 0.1, h > 0.1),
    "logical_or": lambda n, h: (n > 0.1, h > 0.1),
    "logical_xor": lambda n, h: (n > 0.1, h > 0.1),
    "logical_not": lambda n, _: (n > 0.1,),
    "as_number": lambda n, _: (n > 0.1,),
}
POSITIVE = {torch.log, torch.sqrt, torch.rsqrt, torch.log2, torch.log10, torch.log1p, torch.special.log1p}
POSITIVE |= {f.__name__ for f in POSITIVE}
OVER_UNITS = ("sum", "mean", "amax", "amin", "softmax", "softmin", "log_softmax", "logsumexp", "layer_norm", "rms_norm")
SHORT = ("as_number", "same_as", "expand_as", "zeros_like", "ones_like", "full_like")

NEAR = [-6.0, -3.0, -2.0, -1.0, -0.5, -0.2, 0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 6.0]
FAR = [1e-200, 1e-12, 1e-5, 10.0, 19.5, 21.0, 45.0, 300.0]
NUMBERS = torch.tensor([*NEAR, *FAR, *(-x for x in FAR), 0.3, -0.3], dtype=torch.float64)


def called(spelling, make):
    """The spelling as a function of (h, n) that gives a row: a relation chooses, and what is short is repeated."""

    def function(h, n):
        if spelling in POSITIVE:
            n = n * n + 1e-3
        few = len(spellings.TABLE[spelling].takes.parameters) == 1
        default = (lambda n, _: (n,)) if few or one_argument(spelling) else (lambda n, h: (n, h))
        args = GIVEN.get(make, default)(n, h)
        found = getattr(args[0], spelling)(*args[1:]) if isinstance(spelling, str) else spelling(*args)
        if gives_relation(spelling, make):
            return torch.where(found, n, h)
        return found * 1.0 + n * h if make in (*OVER_UNITS, *SHORT) else found

    return function


def one_argument(spelling) -> bool:
    parameters = spellings.TABLE[spelling].takes.parameters.values()
    return sum(p.default is p.empty for p in parameters) == 1 and spelling not in (torch.max, torch.min, "max", "min")


def gives_relation(spelling, make: str) -> bool:
    row = next((row for row in ops.ROWS if spelling in row.spellings), None)
    name = getattr(spelling, "__name__", spelling)
    relational = ("greater", "greater_equal", "less", "less_equal", "not_equal", "isnan")
    return (row is not None and row.kind == "relation") or make.startswith("logical") or name in relational


OF_MEMBERS = ("turn", "transpose", "roll")  # these stand in test_member_states.py
CASES = [(spelling, spellings.TABLE[spelling].make.__name__) for spelling in spellings.TABLE]
CASES = [(spelling, make) for spelling, make in CASES if make not in OF_MEMBERS]
IDS = [f"{make}-{spellings.name_of(spelling)}" for spelling, make in CASES]


def both_ways(function, h: Tensor, n: Tensor, engine: str, **declared):
    """Values, and gradients by h and n: of a layer whose gate is n, and of plain torch."""
    layer = carousel.Recurrent(cell_of(function, **declared), UNITS, UNITS, bias=False, engine=engine, dtype=h.dtype)
    assert layer.why_untraced == ""
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.eye(UNITS))
        layer.weight_hh_l0.zero_()
    results = []
    for run in (lambda h, n: layer(n.unsqueeze(0), h.unsqueeze(0))[0][0], function):
        given = h.clone().requires_grad_(), n.clone().requires_grad_()
        y = run(*given).to(h.dtype)
        upstream = torch.linspace(0.5, 1.5, y.numel(), dtype=h.dtype).view_as(y)
        found = torch.autograd.grad(y, given, upstream, allow_unused=True) if y.requires_grad else (None, None)
        results.append([y.detach(), *(torch.zeros_like(h) if g is None else g for g in found)])
    return results


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("spelling", "make"), CASES, ids=IDS)
def test_every_spelling_means_what_it_means_in_torch(spelling, make, engine):
    pairs = torch.cartesian_prod(NUMBERS, NUMBERS)
    if make == "power" or spelling in (torch.exp2, "exp2", torch.special.exp2, torch.addcdiv, "addcdiv"):
        pairs = pairs[(pairs[:, 0].abs() < 100) & (pairs[:, 1].abs() < 100)]
    if make in ("div", "reciprocal") or spelling in DIVIDING:
        pairs = pairs[(pairs.abs() > 1e-20).all(1)]
    pairs = pairs[torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))]
    pairs = pairs[: len(pairs) // UNITS * UNITS]
    n, h = (pairs[:, k].reshape(-1, UNITS) for k in (0, 1))
    ours, theirs = both_ways(called(spelling, make), h, n, engine)
    # Sums over units cancel, and so do a few derivatives far out; the native engine multiplies and adds in one; torch's
    # 1/6 is a float32. All else is exact to the last digits of every single number.
    small = 1e-10 if make in OVER_UNITS else 1e-15 if make in ("cosh", "elu", "celu", "selu", "lerp", *SHORT) else 0
    close = 1e-7 if make == "hardsigmoid" else 1e-8
    for a, b, what in zip(ours, theirs, ("value", "by h", "by n"), strict=True):
        torch.testing.assert_close(a, b, rtol=close, atol=small, equal_nan=True, msg=lambda m, w=what: f"{w}: {m}")  # type: ignore[misc]


softplus, scale = nn.Softplus(), nn.Parameter(torch.tensor(0.5))
WRITTEN = {
    "by torch's names": lambda h, n: torch.add(input=h, other=torch.tanh(input=n), alpha=2),
    "the other by name": lambda h, n: h.add(other=n, alpha=0.5),
    "subtract with alpha": lambda h, n: torch.subtract(h, n, alpha=3),
    "where by name": lambda h, n: torch.where(condition=n > 0, input=n, other=h),
    "no rounding": lambda h, n: torch.div(h, n * n + 1, rounding_mode=None),
    "sum by NumPy's names": lambda h, n: h + n.sum(axis=-1, keepdims=True),
    "a number of NumPy's on the left": lambda h, n: np.sqrt(2.0) * n + np.float32(0.5) - h,
    "and on the right": lambda h, n: n * np.sqrt(2.0) - h / np.int64(3),
    "dividing a number of NumPy's": lambda h, n: np.float64(2.0) / (n * n + 1) + h,
    "compared with a number of NumPy's": lambda h, n: torch.where(np.float64(0.1) < n, n, h),
    "a tensor of no dimensions": lambda h, n: torch.tensor(0.5) * n - torch.tensor(2.0) / (h * h + 1),
    "== of rows": lambda h, n: torch.where(n == h, n, 2 * h),
    "!= of rows": lambda h, n: torch.where(n != h, n, 2 * h),
    "relations of relations": lambda h, n: torch.where(((n > 0) & (h > 0)) | ~(n < h) ^ (h == 0), n, h),
    "nn.Softplus": lambda h, n: softplus(n) + h,
    "nn.Softplus of another beta": lambda h, n: nn.Softplus(beta=2.0, threshold=10.0)(n) + h,
    "nn modules": lambda h, n: nn.Sigmoid()(n) + nn.Tanh()(h) + nn.ReLU()(n) + nn.LeakyReLU(0.2)(h) + nn.Identity()(n),
    "nn modules again": lambda h, n: nn.GELU()(n) + nn.SiLU()(h) + nn.ELU(0.5)(n) + nn.Mish()(h) + nn.Hardswish()(n),
    "nn modules once more": lambda h, n: nn.CELU(0.5)(n) + nn.SELU()(h) + nn.Softsign()(n) + nn.LogSigmoid()(h),
    "nn.Softmax": lambda h, n: nn.Softmax(dim=-1)(n) * h,
    "nn.LayerNorm without weights": lambda h, n: nn.LayerNorm(UNITS, elementwise_affine=False)(n) + h,
    "gelu by tanh": lambda h, n: F.gelu(n, approximate="tanh") + h,
    "clamp by a row": lambda h, n: torch.clamp(n, min=h) + n.clip(max=h),
    "clamp on one side": lambda h, n: n.clamp(min=-0.2) + torch.clip(h, max=0.2),
    "the other of two": lambda h, n: torch.max(n, h) - torch.min(other=h, input=n),
    "layer_norm with the shape of the row": lambda h, n: F.layer_norm(n, n.shape[-1:]) + F.layer_norm(h, (h.size(-1),)),
    "scaled by the number of units": lambda h, n: n * n.shape[-1] ** -0.5 + h / h.size(1),
    "inplace is in place": lambda h, n: F.relu(n := n * 1.0, inplace=True) * 0 + n + h,
    "written in place": lambda h, n: _in_place(h, n),
    "like a row": lambda h, n: torch.ones_like(n) - n + torch.full_like(h, 0.5) * h + torch.zeros_like(n),
    "expand_as": lambda h, n: n.mean(-1, keepdim=True).expand_as(n) * h,
    "a relation as numbers": lambda h, n: (n > h).to(n) * h + n,
    "held fixed": lambda h, n: n.detach() * h + n,
    "the power 0": lambda h, n: n**0 * n + h,
}


def _in_place(h, n):
    other = n = n * 1.0
    n += h
    other *= 2
    other.add_(h, alpha=0.5).sub_(1)
    return torch.tanh(n) + torch.sigmoid(other)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("function", WRITTEN.values(), ids=WRITTEN)
def test_other_ways_to_write(function, engine):
    torch.manual_seed(0)
    h, n = torch.randn(2, 64, UNITS, dtype=torch.float64) * 3
    h[:5], n[0] = n[:5], 0
    ours, theirs = both_ways(function, h, n, engine)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10, equal_nan=True)


def test_a_state_may_become_a_row_of_one_number():
    class Reset(Cell):
        states = ("h", "t")
        gates = "n"

        def step(self, h, t, n):
            return h * t + n, torch.ones_like(t)

    for engine in ENGINES:
        _, (_, t) = carousel.Recurrent(Reset, 2, 3, engine=engine)(torch.randn(4, 2, 2))
        assert torch.equal(t, torch.ones(1, 2, 3))


def test_a_norm_of_another_number_of_units_is_refused():
    cell = cell_of(lambda h, n: F.layer_norm(n, (8,)) + h)
    carousel.Recurrent(cell, 3, 8)
    for make in (carousel.Recurrent, carousel.RecurrentCell):
        with pytest.raises(ValueError, match=r"normalizes rows of 8 units, but this layer has 5: write v.shape\[-1:\]"):
            make(cell, 3, 5)
    with pytest.raises(ProgramError, match="a row of 4 units, where it has another number"):
        trace(cell_of(lambda h, n: F.layer_norm(n, (8,)) + F.layer_norm(h, (4,))))


# --- what is refused says what to write, and where


REFUSED = {
    "fmod": (
        lambda h, n: torch.fmod(n, 2) + h,
        r"torch.fmod is outside.*Write torch.floor\(a / b\) or torch.remainder",
    ),
    "//": (lambda h, n: n // 2 + h, r"operator.floordiv is outside.*Write torch.floor\(a / b\) or torch.remainder"),
    "rounding": (lambda h, n: torch.div(h, n, rounding_mode="floor"), "a division that rounds"),
    "a wrong keyword": (lambda h, n: torch.add(h, n, beta=2), "unexpected keyword argument 'beta'"),  # type: ignore[call-overload]
    "too many": (lambda h, n: torch.tanh(h, n), "takes 1 positional argument but 2 were given"),  # type: ignore[call-arg]
    "too few": (lambda h, n: torch.maximum(h) + n, r"missing a required argument: 'other'"),  # type: ignore[call-arg]
    "a method's wrong keyword": (
        lambda h, n: h.add(n, beta=2),
        r"'beta'; it is Tensor.add\(input, other, \*, alpha=1\)",
    ),
    "out": (lambda h, n: torch.tanh(n, out=h), "unexpected keyword argument 'out'"),
    "a dtype": (lambda h, n: torch.softmax(n, -1, dtype=torch.float32) + h, "torch.softmax with dtype=torch.float32"),
    "a dtype of a sum": (lambda h, n: h + n.sum(-1, True, dtype=torch.float64), "Tensor.sum with dtype"),
    "softmax over rows": (lambda h, n: torch.softmax(n, 0) + h, "a softmax that is not over the units"),
    "max over units": (lambda h, n: n.max(-1, keepdim=True)[0] + h, r"which also gives indices \(write torch.amax"),
    "a product": (lambda h, n: h @ n, r"operator.matmul is outside.*Declare the matrix"),
    "F.linear": (lambda h, n: F.linear(n, torch.ones(4, 4)) + h, "linear is outside.*Declare the matrix"),
    "chunk": (lambda h, n: n.chunk(2)[0] + h, "Tensor.chunk is outside.*declare a gate for each part"),
    "cat": (lambda h, n: torch.cat([h, n], -1), "torch.cat is outside.*declare a gate for each part"),
    "a part": (lambda h, n: h + n[:, :2], "a part of a row is outside.*Declare a gate for each part"),
    "dropout": (lambda h, n: F.dropout(n) + h, "dropout is outside.*A step draws nothing"),
    "randn_like": (lambda h, n: torch.randn_like(n) + h, "torch.randn_like is outside.*A step draws nothing"),
    "item": (lambda h, n: n.sum().item() + h, "a sum or mean that is not over the units"),
    "if": (lambda h, n: n if n > 0 else h, "a decision on the values of a row is outside.*torch.where"),
    "in": (lambda h, n: n if 1.0 in n else h, "a decision on the values of a row is outside.*torch.where"),
    "a loop": (lambda h, n: sum(n) + h, "a loop over the units of a row"),
    "len": (lambda h, n: len(n) + h, "a decision on the shape of a row"),
    "batch": (lambda h, n: n / n.shape[0] + h, "a decision on the shape of a row"),
    "device": (lambda h, n: torch.zeros(3, device=n.device) + h, "the attribute 'device' of a row"),
    "no such attribute": (lambda h, n: n.tangent() + h, "the attribute 'tangent', which no tensor has"),
    "float": (lambda h, n: float(n) + h, "a Python number made of a row"),
    "np.exp": (lambda h, n: np.exp(n) + h, r"numpy.exp of a row is outside.*Write torch.exp\."),
    "np.asarray": (lambda h, n: np.asarray(n) + h, "a NumPy array of a row"),
    "a NumPy array": (lambda h, n: np.ones(4) * n + h, r"a tensor of shape \(4,\) that is no gate"),
    "a parameter": (lambda h, n: nn.Parameter(torch.ones(4)) * n + h, r"a tensor of shape \(4,\) that is no gate"),
    "nn.LayerNorm": (lambda h, n: nn.LayerNorm(4)(n) + h, r"a tensor of shape \(4,\) that is no gate"),
    "relation with a number": (lambda h, n: torch.where((n > 0) & True, n, h), r"no relation \(write \(a > 0\) & \(b"),
    "a row asked": (lambda h, n: torch.where(n, n, h), r"where, whose first argument is not a relation"),
    "a complex number": (lambda h, n: n * 1j + h, "of something that is no number: 1j"),
    "a word": (lambda h, n: n + "1" + h, "of something that is no number: '1'"),
    "nothing": (lambda h, n: n + None + h, "of something that is no number: None"),
    "too large a number": (lambda h, n: n * 10**400 + h, "of a number that no float holds"),
    "raised by the author": (lambda h, n: h + n + 1 / 0, "what raised ZeroDivisionError"),
}


@pytest.mark.parametrize(("function", "match"), REFUSED.values(), ids=REFUSED)
def test_refusals_say_what_and_where(function, match):
    """And the reference engine runs what torch would run, as plain torch."""
    with pytest.raises(ProgramError) as refused:
        carousel.Recurrent(cell_of(function), 3, 4)
    message = str(refused.value)
    assert re.search(match, message, re.DOTALL), message
    line = function.__code__.co_firstlineno
    assert f"{__file__}:{line}\n" in message
    assert "lambda h, n:" in message.split("\n")[2], "the line itself is shown"
    layer = carousel.Recurrent(cell_of(function), 3, 4, engine="reference")
    assert layer.why_untraced == message


def test_what_is_refused_runs_as_plain_torch():
    torch.manual_seed(0)
    x = torch.randn(3, 2, 3)
    for name in ("fmod", "//", "rounding", "max over units", "nn.LayerNorm", "item", "randn_like"):
        function, _ = REFUSED[name]
        layer = carousel.Recurrent(cell_of(function), 3, 4, engine="reference")
        assert layer(x)[0].shape == (3, 2, 4)


class TestPlaces:
    """A message shows the author's line, wherever it stands."""

    def refuse(self, cell) -> str:
        with pytest.raises(ProgramError) as refused:
            trace(cell)
        assert ":0\n" not in str(refused.value)
        return str(refused.value)

    def place(self, text: str) -> str:
        """Where a line of this file with this text is, as a message shows it."""
        lines = Path(__file__).read_text(encoding="utf-8").splitlines()
        (number,) = (i for i, line in enumerate(lines, start=1) if line.strip().endswith(text))
        return f"{__file__}:{number}\n    {lines[number - 1].strip()}\n"

    def test_a_tensor_of_the_authors_on_the_first_line(self):
        class Clockwork(Cell):
            states = "h", "t"
            gates = "n"

            def __init__(self):
                self.periods = torch.tensor([1.0, 2.0])

            def step(self, h, t, n):
                on = (t * self.periods) < 1  # line a
                return torch.where(on, torch.tanh(n), h), t + 1

        assert self.place("# line a") in self.refuse(Clockwork())

    def test_a_helper_in_another_file_and_the_line_that_called_it(self):
        class Helped(Cell):
            gates = "n"

            def step(self, h, n):
                n = helper_of_cells.scaled(n, 2.0)
                n = n + helper_of_cells.squashed(n)  # line b
                return h + n

        message = self.refuse(Helped())
        lines = Path(helper_of_cells.__file__).read_text(encoding="utf-8").splitlines()
        number = next(i for i, line in enumerate(lines, start=1) if "cumsum" in line)
        assert f"{helper_of_cells.__file__}:{number}\n    {lines[number - 1].strip()}\n" in message
        assert f"called from   {self.place('# line b')}" in message

    def test_a_decorated_step(self):
        def with_wraps(step):
            @functools.wraps(step)
            def wrapped(*args, **kwargs):
                return step(*args, **kwargs)

            return wrapped

        class Decorated(Cell):
            gates = "n"

            @with_wraps
            def step(self, h, n):
                wide = torch.tanh(n)
                return torch.cumsum(wide, -1) + h  # line c

        assert self.place("# line c") in self.refuse(Decorated())

    def test_a_step_of_a_base_class_that_a_subclass_calls(self):
        class Base(Cell):
            gates = "n"

            def step(self, h, n):
                return torch.cumsum(n, -1) + h  # line d

        class Derived(Base):
            def step(self, h, n):
                return super().step(h, n) * 2  # line e

        message = self.refuse(Derived())
        assert self.place("# line d") in message
        assert self.place("# line e") in message

    def test_an_exception_in_a_helper_and_in_a_comprehension(self):
        def helper(value):
            return [value * {}[k] for k in "ab"]  # line f

        message = self.refuse(cell_of(lambda h, n: helper(n)[0] + h))
        assert "what raised KeyError ('a')" in message
        assert self.place("# line f") in message

    def test_what_has_no_line_has_the_first_of_step(self):
        def step(h, n):
            return torch.matmul if h is n else torch.mm

        with pytest.raises(ProgramError, match="must return a row for the state h, but returned"):
            trace(cell_of(step))

    def test_a_relation_that_is_returned(self):
        assert "but returned a relation: choose numbers" in self.refuse(cell_of(lambda h, n: h > n))


# --- values made of learned vectors alone


class Leaky(Cell):
    states = ("h", "a")
    gates = "n"
    vectors = {"leak": Vector(0.5), "start": Vector(0.25)}

    def step(self, h, n, leak, start):
        alpha = torch.sigmoid(leak)
        level = alpha.mean(-1, keepdim=True).expand_as(alpha)
        return alpha * h + (1 - level) * torch.tanh(n), torch.tanh(start) * torch.ones_like(start)


class TestValuesOfVectorsAlone:
    # The native engine calls no Python at its steps.
    @pytest.mark.parametrize(("engine", "hooked"), [*((engine, False) for engine in ENGINES), ("reference", True)])
    def test_are_recorded_and_carried_as_rows(self, engine, hooked):
        layer = carousel.Recurrent(Leaky, 3, 5, engine=engine, dtype=torch.float64)
        if hooked:
            layer.hook(lambda *_: None)
        x = torch.randn(6, 4, 3, dtype=torch.float64, requires_grad=True)
        with layer.record("alpha") as values:
            _, (_, a), states = layer(x, return_states=True)
        assert values["alpha"].shape == states["a"].shape == (1, 6, 4, 5)
        assert a.shape == (1, 4, 5)
        expected = torch.sigmoid(layer.leak_l0).expand(1, 6, 4, 5)  # type: ignore[arg-type]
        torch.testing.assert_close(values["alpha"], expected)
        torch.testing.assert_close(a, torch.tanh(layer.start_l0).expand(1, 4, 5))  # type: ignore[arg-type]
        a.mul_(2)  # what a layer gives may be written into

    @pytest.mark.parametrize("engine", ENGINES)
    def test_have_first_and_second_derivatives(self, engine):
        layer = carousel.Recurrent(Leaky, 3, 5, engine=engine, dtype=torch.float64)
        x = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)

        def everything(leak, start):
            given = {**dict(layer.named_parameters()), "leak_l0": leak, "start_l0": start}
            y, (_, a), states = torch.func.functional_call(layer, given, (x,), {"return_states": True})
            return y, a, states["a"]

        vectors = [p.detach().clone().requires_grad_() for p in (layer.leak_l0, layer.start_l0)]
        assert torch.autograd.gradcheck(everything, vectors)
        assert torch.autograd.gradgradcheck(everything, vectors)

    def test_a_step_at_a_time(self):
        for engine in ENGINES:
            cell = carousel.RecurrentCell(Leaky, 3, 5, engine=engine)
            assert [s.shape for s in cell(torch.randn(4, 3))] == [(4, 5), (4, 5)]


# --- random cells

ONE = ["tanh", "sigmoid", "sin", "cos", "abs", "neg", "square", "relu", "sign", "erf", "detach"]
ACTIVATIONS = [
    F.silu,
    F.gelu,
    F.mish,
    F.elu,
    F.softplus,
    F.logsigmoid,
    F.hardtanh,
    F.softsign,
    F.leaky_relu,
    F.hardswish,
]
TWO = [torch.add, torch.sub, torch.mul, torch.maximum, torch.minimum, torch.logaddexp]
BOUNDED = {
    "divided": lambda a, b: a / (1 + b * b),
    "chosen": lambda a, b: torch.where((a > b) & (a != 0) | (b >= 0.5), a, b),
    "log1p": lambda a, b: torch.log1p(a * a) - torch.sqrt(b * b + 0.5),
    "expm1": lambda a, b: torch.expm1(torch.clamp(a, -2, 2) * b),
    "centred": lambda a, b: a - b.mean(-1, keepdim=True),
    "softmax": lambda a, b: torch.softmax(a, -1) * b,
    "normalized": lambda a, b: F.layer_norm(a, a.shape[-1:], eps=0.1) + b,
    "highest": lambda a, b: a - torch.amax(b, -1, keepdim=True),
    "lerp": lambda a, b: torch.lerp(a, b, torch.sigmoid(a)),
    "product": None,
}


@st.composite
def programs(draw):
    """A list of (function, first place, second place): each adds a value to those before it."""
    count = draw(st.integers(2, 9))
    functions = [*ONE, *ACTIVATIONS, *TWO, *BOUNDED]
    return [
        (draw(st.sampled_from(functions)), draw(st.integers(0, 3 + k)), draw(st.integers(0, 3 + k)))
        for k in range(count)
    ]


def random_cell(lines) -> Cell:
    class Drawn(Cell):
        states = ("h", "c")
        gates = ("f", "g")
        vectors = {"p": Vector(0.5)}

        def step(self, h, c, f, g, p, U_f):
            values = [h, c, f, g]
            for function, i, j in lines:
                a, b = values[i], values[j]
                if function == "product":
                    values.append(U_f(torch.tanh(a)) + b)
                elif isinstance(function, str):
                    values.append(BOUNDED[function](a, b) if function in BOUNDED else getattr(torch, function)(a))  # type: ignore[misc]
                else:
                    values.append(function(a) if function in ACTIVATIONS else function(a, b))
            return torch.tanh(values[-1] + p * c + g), torch.tanh(values[-2] + f)

    return Drawn()


@settings(max_examples=40)
@given(programs())
def test_random_cells_are_the_same_in_every_engine_and_in_plain_torch(lines):
    cell = random_cell(lines)
    torch.manual_seed(1)
    layers = {engine: carousel.Recurrent(cell, 3, 5, engine=engine, dtype=torch.float64) for engine in ENGINES}
    layers["torch"] = carousel.Recurrent(cell, 3, 5, engine="reference", dtype=torch.float64)
    layers["torch"].program = untraced(cell)
    weights = layers["torch"].state_dict()
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    found = {}
    for name, layer in layers.items():
        layer.load_state_dict(weights)
        given = x.clone().requires_grad_()
        y, states = layer(given)
        loss = (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum() + states[1].square().sum()
        found[name] = [y.detach(), *torch.autograd.grad(loss, [given, *layer.parameters()], allow_unused=True)]
    for engine in ENGINES:
        for ours, plain in zip(found[engine], found["torch"], strict=True):
            plain = torch.zeros_like(ours) if plain is None else plain
            torch.testing.assert_close(ours, plain, rtol=1e-6, atol=1e-9)
