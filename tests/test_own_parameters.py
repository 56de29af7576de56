"""Parameters that are attributes of a cell: one for all layers and directions, learned with exact gradients."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import carousel
from carousel import Cell
from carousel.engines import ENGINES
from carousel.errors import ProgramError
from carousel.insight import gradient_flow, step_jacobians
from carousel.layers import RecurrentCell
from carousel.program import notation, trace

I, H, T, B = 3, 4, 5, 2


class Fast(Cell):
    """FastRNN: h' = sigmoid(alpha) * tanh(...) + sigmoid(beta) * h, two learned numbers.

    Source: Kusupati et al., "FastGRNN" (NeurIPS 2018), equation 2.
    """

    gates = "n"

    def __init__(self, alpha=-3.0, beta=3.0, shape=()):
        self.alpha = nn.Parameter(torch.full(shape, alpha))
        self.beta = nn.Parameter(torch.full(shape, beta))

    def step(self, h, n):
        return torch.sigmoid(self.alpha) * torch.tanh(n) + torch.sigmoid(self.beta) * h


class Row(Cell):
    gates = "n"

    def __init__(self, units=H):
        self.alpha = nn.Parameter(torch.linspace(0.1, 0.9, units))

    def step(self, h, n):
        return (1 - self.alpha) * h + self.mixed(torch.tanh(n))

    def mixed(self, n):
        return self.alpha * n


class AsModule(Cell, nn.Module):  # type: ignore[misc]
    gates = "n"

    def __init__(self):
        nn.Module.__init__(self)
        self.alpha = nn.Parameter(torch.tensor(0.3))

    def step(self, h, n):
        return (1 - self.alpha) * h + self.alpha * torch.tanh(n)

    __repr__ = Cell.__repr__


def fast(n, h, cell):
    return torch.sigmoid(cell.alpha) * torch.tanh(n) + torch.sigmoid(cell.beta) * h


def leaky(n, h, cell):
    return (1 - cell.alpha) * h + cell.alpha * torch.tanh(n)


CELLS = {
    "numbers": (Fast, fast),
    "numbers of one dimension": (lambda: Fast(shape=(1,)), fast),
    "a row": (Row, leaky),
    "a module": (AsModule, leaky),
}


def by_hand(layer, step, x):
    """The stack as a plain loop."""
    for k in range(layer.num_layers):
        outputs = []
        for direction in ("", "_reverse") if layer.bidirectional else ("",):
            w, u, b, c = (
                getattr(layer, f"{p}_l{k}{direction}") for p in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            h, found = x.new_zeros(x.shape[1], H), [None] * len(x)
            for t in range(len(x))[:: -1 if direction else 1]:
                h = step(F.linear(x[t], w, b) + F.linear(h, u, c), h, layer.cell)
                found[t] = h
            outputs.append(torch.stack(found))  # type: ignore[arg-type]
        x = torch.cat(outputs, -1)
    return x


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stack", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_those_of_a_loop(name, stack, engine):
    make, step = CELLS[name]
    layer = carousel.Recurrent(make(), I, H, dtype=torch.float64, engine=engine, **stack)
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    leaves = [x, *layer.parameters()]
    assert any(p is layer.cell.alpha for p in layer.parameters())
    ours, theirs = layer(x)[0], by_hand(layer, step, x)
    torch.testing.assert_close(ours, theirs)
    weight = torch.randn_like(ours)
    found = (torch.autograd.grad(output, leaves, weight) for output in (ours, theirs))
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("name", CELLS)
def test_second_derivatives(name):
    layer = carousel.Recurrent(CELLS[name][0](), I, H, dtype=torch.float64)
    x = torch.randn(T, B, I, dtype=torch.float64)
    (g,) = torch.autograd.grad(layer(x)[0].square().sum(), layer.cell.alpha, create_graph=True)
    (second,) = torch.autograd.grad(g.sum(), layer.cell.alpha)
    assert second.abs().sum() > 0


@pytest.mark.parametrize("engine", [*ENGINES])
def test_it_is_learned(engine):
    torch.manual_seed(0)
    layer = carousel.Recurrent(Fast(), I, H, engine=engine)
    x = torch.randn(T, B, I)
    before, optimizer = layer.cell.alpha.item(), torch.optim.Adam(layer.parameters(), 0.1)
    for _ in range(5):
        optimizer.zero_grad()
        (layer(x)[0] - 1).square().sum().backward()
        optimizer.step()
    assert abs(layer.cell.alpha.item() - before) > 0.2
    program = layer.program
    layer(x)
    assert layer.program is program, "learning changes numbers, and no equations"


def test_it_is_in_the_state_moved_and_copied():
    layer = carousel.Recurrent(Fast(), I, H, 2)
    assert list(layer.state_dict())[-2:] == ["alpha", "beta"]
    other = carousel.Recurrent(Fast(0.0, 0.0), I, H, 2)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(T, B, I)
    assert torch.equal(other(x)[0], layer(x)[0])
    assert other.cell.alpha.item() == -3.0
    assert layer.double().cell.alpha.dtype == torch.float64
    assert layer(x.double())[0].dtype == torch.float64
    file = io.BytesIO()
    torch.save(other, file)
    with torch.serialization.safe_globals([carousel.Recurrent, Fast]):
        loaded = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    for twin in (copy.deepcopy(other), pickle.loads(pickle.dumps(other)), loaded):
        assert twin.cell.alpha is twin.alpha
        assert twin.alpha is not other.alpha
        assert torch.equal(twin(x)[0], other(x)[0])
        with torch.no_grad():
            twin.alpha.fill_(1.0)
        assert not torch.equal(twin(x)[0], other(x)[0])


def test_it_has_the_dtype_that_the_layer_is_built_with():
    layer = carousel.Recurrent(Fast(), I, H, dtype=torch.bfloat16)
    assert layer.alpha.dtype == torch.bfloat16
    assert layer(torch.randn(T, B, I, dtype=torch.bfloat16))[0].dtype == torch.bfloat16
    meta = carousel.Recurrent(Row(), I, H, device="meta")
    assert meta.alpha.is_meta


def test_one_object_for_two_layers_is_one_parameter():
    cell = Fast()
    both = nn.Sequential(carousel.Recurrent(cell, I, H), carousel.Recurrent(cell, I, H))
    assert both[0].alpha is both[1].alpha
    assert sum(p is cell.alpha for p in both.parameters()) == 1
    exact = carousel.Recurrent(cell, I, H, dtype=torch.float64)
    for layer in (*both, exact):
        dtype = layer.weight_ih_l0.dtype
        assert layer(torch.randn(T, B, I, dtype=dtype))[0].dtype == dtype
    assert carousel.Recurrent(Fast, I, H).alpha is not carousel.Recurrent(Fast, I, H).alpha


@pytest.mark.parametrize("engine", ENGINES)
def test_single_steps_steppers_functional_calls_and_measures(engine):
    layer = carousel.Recurrent(Fast(), I, H, engine=engine)
    x = torch.randn(T, B, I)
    expected = layer(x)[0]
    stepper = layer.stepper(B)
    torch.testing.assert_close(torch.stack([stepper(row) for row in x]), expected)
    one = RecurrentCell(layer.cell, I, H, engine=engine)
    state = {name.removesuffix("_l0"): value for name, value in layer.state_dict().items()}
    one.load_state_dict(state)
    torch.testing.assert_close(one(x[0]), expected[0])
    swapped = torch.func.functional_call(layer, {"alpha": torch.tensor(2.0)}, (x,))[0]
    assert not torch.allclose(swapped, expected)
    assert torch.equal(layer(x)[0], expected)
    jacobian = step_jacobians(layer, x).matrices
    assert jacobian.isfinite().all()
    assert gradient_flow(layer, torch.randn(30, B, I)).decay().factor > 0


def test_plain_python_reads_it_too():
    class Sorted(Fast):
        def step(self, h, n):
            return torch.cumsum(super().step(h, n), -1)

    layer = carousel.Recurrent(Sorted(), I, H, engine="reference")
    assert layer.why_untraced
    layer(torch.randn(T, B, I))[0].sum().backward()
    assert layer.cell.alpha.grad.abs() > 0
    swapped = torch.func.functional_call(layer, {"alpha": torch.tensor(2.0)}, (torch.ones(T, B, I),))[0]
    assert not torch.allclose(swapped, layer(torch.ones(T, B, I))[0])


def test_a_number_that_is_not_to_be_learned_may_change_at_no_cost():
    cell = Fast()
    cell.alpha.requires_grad_(False)
    layer, x = carousel.Recurrent(cell, I, H), torch.randn(T, B, I)
    before, program = layer(x)[0], layer.program
    cell.alpha.fill_(2.0)
    assert not torch.equal(layer(x)[0], before)
    assert layer.program is program


def test_a_program_with_one_is_written_and_read():
    program = trace(Fast())
    assert notation.read(notation.write(program)).own == {"alpha": "number", "beta": "number"}
    assert trace(Row()).own == {"alpha": "row"}


class TestRefusals:
    def refuse(self, match, kind=ProgramError, **attributes):
        cell = Row()
        for name, value in attributes.items():
            setattr(cell, name, value)
        with pytest.raises(kind, match=match):
            carousel.Recurrent(cell, I, H)

    def test_other_shapes(self):
        named = r"vectors = \{name: carousel.Vector\(\)\}, matrices = "
        self.refuse(r"parameter 'alpha' of shape \(4, 4\).*" + named, alpha=nn.Parameter(torch.ones(4, 4)))
        self.refuse(named, alpha=nn.Parameter(torch.ones(4, dtype=torch.long), requires_grad=False))
        self.refuse(
            "has 3 numbers, where one or hidden_size=4 would fit", ValueError, alpha=nn.Parameter(torch.ones(3))
        )

    def test_names_of_something_else(self):
        for name in ("training", "dropout", "weight_ih_l0"):
            self.refuse_name(name, f"parameter '{name}' would stand in the place of Recurrent.{name}")
        self.refuse_name("weight_hh", "'weight_hh' would be the parameter 'weight_hh', which stands for the U of all")
        self.refuse_name(
            "p", "the attribute 'p' and the vector 'p' would both be|'p' is declared twice", vectors=("p",)
        )

    def refuse_name(self, name, match, **declared):
        class Named(Cell):
            gates = "n"

            def __init__(self):
                setattr(self, name, nn.Parameter(torch.tensor(0.3)))

            def step(self, h, n, p=0.0):
                return getattr(self, name) * h + n + p

        for key, value in declared.items():
            setattr(Named, key, value)
        with pytest.raises(ProgramError, match=match):
            carousel.Recurrent(Named, I, H)

    def test_one_that_step_never_reads(self):
        self.refuse("declares 'other', but step never uses it", other=nn.Parameter(torch.tensor(1.0)))

    @pytest.mark.parametrize("how", ["global", "derived", "list"])
    def test_learned_tensors_that_are_no_attributes_are_not_frozen(self, how):
        alpha = nn.Parameter(torch.tensor(0.3))
        derived = torch.sigmoid(alpha)

        class Hidden(Cell):
            gates = "n"

            def __init__(self):
                self.several = [alpha]

            def step(self, h, n):
                number = {"global": alpha, "derived": derived, "list": self.several[0]}[how]
                return number * h + n

        with (
            torch.no_grad(),
            pytest.raises(ProgramError, match=r"is to be learned \(write a learned number as an attr"),
        ):
            carousel.Recurrent(Hidden, I, H)
        with torch.inference_mode(), pytest.raises(ProgramError, match="self.alpha = nn.Parameter"):
            carousel.Recurrent(Hidden, I, H)

    def test_a_parameter_that_was_replaced(self):
        layer = carousel.Recurrent(Fast(), I, H)
        layer.cell.alpha = nn.Parameter(torch.tensor(1.0))
        with pytest.raises(ValueError, match=r"'alpha' of its cell Fast is another than .* layer.alpha.fill_\("):
            layer(torch.randn(T, B, I))
        layer.cell.alpha = layer.alpha
        layer(torch.randn(T, B, I))
