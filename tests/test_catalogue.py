"""Every cell of the catalogue meets each law once: its equations, its gradients, the engines, its facts, what it says.

The laws are tried on few cells in every shape, option and engine elsewhere (`matrix.ROWS`); here on all cells, in small
shapes. A cell is here by being in the catalogue; its second statement stands in `textbook_catalogue.py`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from matrix import CATALOGUE, Row, assert_close, roundings, why_not
from test_equations import by_the_book
from test_gradients import arguments, as_function, in_one
from torch.autograd import grad, gradcheck, gradgradcheck

import carousel
from carousel.cells import catalogue, find
from carousel.cells.description import describe
from carousel.cells.facts import Bounded, Keeps, SameAs
from carousel.program import evaluate, ops, trace
from carousel.program.program import Node

T, B, I, H = 5, 3, 2, 4
float64 = torch.float64
EACH = pytest.mark.parametrize("row", CATALOGUE, ids=repr)
BY_NAME = {row.name: row for row in CATALOGUE}


# --- equations


def test_every_cell_is_stated_a_second_time():
    missing = [row.name for row in CATALOGUE if row.equations is None]
    assert not missing, f"write the equations of {missing} in textbook_catalogue.py"


@EACH
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
def test_it_computes_what_its_publication_says(row, bias):
    """Within 1e-12, from any state, forward and backward in time."""
    layer = row.layer(I, H, bias=bias, bidirectional=True, dtype=float64)
    x, initial = torch.randn(T, B, layer.input_size, dtype=float64), row.initial(2, B, H, float64)
    wanted, wanted_last = by_the_book(row, layer, x, initial, bias)
    output, last = layer(x, initial if len(initial) > 1 else initial[0])
    last = last if isinstance(last, tuple) else (last,)
    for found, right in zip((output, *last), (wanted, *wanted_last), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-12, atol=1e-12)


@EACH
def test_it_starts_from_nothing(row):
    """From states of zero, where some cells have a case of their own."""
    layer = row.layer(I, H, dtype=float64)
    x = torch.randn(T, B, layer.input_size, dtype=float64)
    zeros = tuple(torch.zeros(1, B, size, dtype=float64) for size in row.state_sizes(H))
    zeros = layer.fresh_states(B) if row.cell.initial else zeros
    torch.testing.assert_close(layer(x)[0], by_the_book(row, layer, x, zeros, True)[0], rtol=1e-12, atol=1e-12)


# --- gradients


@EACH
def test_first_and_second_derivatives(row):
    layer = row.layer(2, 3, dtype=float64)
    function, vector = in_one(as_function(layer, row), arguments(layer, row, steps=2, batch=2))
    assert gradcheck(function, vector, fast_mode=True)
    assert gradgradcheck(function, vector, fast_mode=True)


@EACH
@pytest.mark.parametrize("dtype", [torch.float32, float64], ids=["float32", "float64"])
def test_the_native_engine_has_the_references_values_and_gradients(row, dtype):
    """In both directions, over rows of differing lengths, an empty one among them, with sequences that begin within."""
    assert why_not(row, "native", dtype) is None
    lengths = torch.tensor([T, 0, 2])
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[[0, 2, 1], [0, 0, 2]] = True
    options = {"bidirectional": True}
    exact, layer = row.layer(I, H, **options).double(), row.layer(I, H, "native", dtype=dtype, **options)
    for name, constant in layer.named_buffers():
        exact.get_buffer(name).copy_(constant)  # rounded to dtype, as weights are below
    rounded = [a.detach().to(dtype).requires_grad_() for a in arguments(exact, row, T, B)]
    given = [a.detach().double().requires_grad_() for a in rounded]
    states = len(row.cell.states)

    def run(layer, given):
        parameters = dict(zip((name for name, _ in layer.named_parameters()), given[1 + states :], strict=True))
        hx = tuple(given[1 : 1 + states])
        call = given[0], hx if states > 1 else hx[0]
        how = {"lengths": lengths, "reset": reset}
        output, last = torch.func.functional_call(layer, parameters, call, how)
        return output, *(last if states > 1 else (last,))

    wanted, found = run(exact, given), run(layer, rounded)
    upstream = [torch.randn_like(value) for value in found]
    gradients = grad(found, rounded, upstream, allow_unused=True)
    wanted_gradients = grad(wanted, given, [g.double() for g in upstream], allow_unused=True)
    terms = roundings(T, I, H)
    for index, pair in enumerate(zip(found, wanted, strict=True)):
        assert_close(*pair, terms=terms, dtype=dtype, what=f"result {index}")
    names = ["input", *row.cell.states, *(name for name, _ in layer.named_parameters())]
    for name, mine, right in zip(names, gradients, wanted_gradients, strict=True):
        assert (mine is None) == (right is None), name
        if mine is not None:
            assert_close(mine, right, terms=2 * terms + T * B, dtype=dtype, what=f"the gradient of {name}")


# --- what a layer does with it


@EACH
def test_the_options_of_a_layer_work_for_it(row):
    """Recording, zoneout, dropouts, a step at a time, and the reasons of the engines."""
    torch.manual_seed(0)
    options = {"proj_size": row.proj_size, "zoneout": 0.3, "input_dropout": 0.2, "units": row.units}
    if trace(row.cell).recurrents:  # else there is no U to drop from
        options |= {"recurrent_dropout": 0.3, "weight_drop": 0.2}
    layer = carousel.Recurrent(row.cell, row.input_size(I, H), H, **options)
    x = torch.randn(T, B, layer.input_size)
    with layer.record(*row.cell.states) as values:
        output, _ = layer(x)
    assert torch.equal(values[row.cell.states[0]][0], output)
    output.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in layer.parameters())

    layer.eval()
    whole, _ = layer(x)
    stepper = layer.stepper(B)
    stepped = torch.stack([stepper(step).clone() for step in x])
    assert_close(stepped, whole, terms=roundings(T, I, H))
    assert type(row.cell).__name__ in layer.explain() or "reference" in layer.explain()
    gates = carousel.insight.read_gates(layer, x)
    assert set(gates.values) >= set(row.cell.states)


# --- its facts

FACTS = [pytest.param(row, fact, id=f"{row}-{fact}") for row in CATALOGUE for fact in row.cell.facts]


def of_kind(kind):
    return pytest.mark.parametrize(("row", "fact"), [p for p in FACTS if isinstance(p.values[1], kind)])


class Numbers:
    """A program's leaves and matrices, drawn once by name, so that two programs can be given the same."""

    def __init__(self, sizes: dict[str, int], seed: int = 0):
        self.sizes, self.random = sizes, torch.Generator().manual_seed(seed)
        self.drawn: dict = {}

    def of(self, key, *shape: int) -> torch.Tensor:
        if key not in self.drawn:
            self.drawn[key] = torch.randn(*shape, generator=self.random, dtype=float64)
        return self.drawn[key]

    def step(self, program, letters=None, where=None) -> dict[str, torch.Tensor]:
        """New states by name. letters: what a name of this program is called in `drawn`. where: values held fixed."""
        letters, where = letters or {}, where or {}
        known = {node.name for node in program.nodes} | {node.attr for node in program.nodes} | set(program.weights)
        assert set(where) <= known, f"{program.cell} has no value called {set(where) - known}"
        held = {i for i, node in enumerate(program.nodes) if _called(node) in where}
        nodes = [
            Node("constant", attr=float(where[_called(node)])) if i in held else node
            for i, node in enumerate(program.nodes)
        ]
        program = replace(program, nodes=tuple(nodes))
        leaves = [self._leaf(node, letters) for node in program.nodes]

        def multiply(index, row):
            name = program.nodes[index].attr
            weight = program.weights[name]
            rows, columns = self.sizes[weight.rows], self.sizes[weight.columns]
            if where.get(name) == 0:
                return torch.zeros(row.shape[0], rows, dtype=float64)
            prefix, _, gate = name.partition("_")
            name = f"{prefix}_{letters.get(gate, gate)}"
            bias = self.of(("bias", name), rows) if weight.bias else 0.0
            return row.expand(-1, columns) @ self.of(("weight", name), rows, columns).T + bias

        values = evaluate(program, leaves, multiply)
        size = {state: self.sizes[size] for state, size in program.states.items()}
        return {
            state: values[program.outputs[state]] + torch.zeros(3, size[state], dtype=float64)
            for state in program.states
        }

    def _leaf(self, node, letters):
        if node.op not in ops.LEAVES:
            return None
        if node.op == "constant":
            return torch.tensor(node.attr, dtype=float64)
        if node.op == "per_unit":
            return torch.tensor(1 / self.sizes[node.attr], dtype=float64)
        attr = tuple(letters.get(a, a) for a in node.attr) if isinstance(node.attr, tuple) else node.attr
        rows = 1 if node.op == "vector" else 3
        return self.of((node.op, letters.get(attr, attr)), rows, self.sizes[node.size])


def _called(node) -> str:
    return node.name if node.op in ops.TABLE else node.attr if node.op == "vector" else ""


def numbers_for(row: Row, seed: int = 0) -> Numbers:
    return Numbers(
        {"hidden": H, "projection": row.proj_size, "one": 1, "input": I, **row.cell.units, **row.units}, seed
    )


@of_kind(Bounded)
def test_a_state_stays_within_its_bounds(row, fact):
    """With weights large enough to saturate every gate, from states at the bounds."""
    bounds = {f.state: f for f in row.cell.facts if isinstance(f, Bounded)}
    layer = row.layer(I, H, dtype=float64, seed=1)
    with torch.no_grad():
        for p in layer.parameters():
            p.mul_(8.0)
    states = list(row.initial(1, 64, H, float64))
    for k, state in enumerate(row.cell.states):
        if state in bounds:
            middle = torch.rand_like(states[k]).round() if k == 0 else torch.rand_like(states[k])
            states[k] = bounds[state].low + (bounds[state].high - bounds[state].low) * middle
    x = 3 * torch.randn(12, 64, layer.input_size, dtype=float64)
    _, _, found = layer(x, tuple(states) if len(states) > 1 else states[0], return_states=True)
    found = found[fact.state]
    assert found.min() >= fact.low - 1e-12
    assert found.max() <= fact.high + 1e-12
    reach = max(abs(fact.low), abs(fact.high))
    assert found.abs().max() > 0.5 * reach, "a bound that is never approached says nothing"


@of_kind(Keeps)
def test_a_state_is_carried_where_a_fact_says_so(row, fact):
    program, numbers = trace(row.cell), numbers_for(row)
    assert torch.equal(numbers.step(program, where=fact.where)[fact.state], numbers.drawn["state", fact.state])
    for name in fact.where:  # each condition is needed
        fewer = {other: number for other, number in fact.where.items() if other != name}
        assert not torch.allclose(numbers.step(program, where=fewer)[fact.state], numbers.drawn["state", fact.state])


@of_kind(SameAs)
def test_it_is_another_cell_where_a_fact_says_so(row, fact):
    numbers = numbers_for(row)
    other = trace(find(fact.cell))
    theirs = numbers.step(other, {theirs: ours for ours, theirs in fact.letters.items()}, fact.there)
    mine = numbers.step(trace(row.cell), where=fact.where)
    for state, value in mine.items():
        torch.testing.assert_close(value, theirs[fact.letters.get(state, state)], rtol=1e-12, atol=1e-12)


def test_the_facts_of_the_first_cells_are_there():
    told = {name: {str(fact) for fact in cell.facts} for name, cell in catalogue().items()}
    assert "h' = h where z = 1" in told["gru"]
    assert "c' = c where f = 1, i = 0" in told["lstm"]
    assert "-1 <= h <= 1 stays true" in told["rnn"]
    assert "is lstm, where p_i = 0, p_f = 0, p_o = 0" in told["peephole-lstm"]


# --- what it says of itself

FIDELITIES = ("as in ", "simplified: ", "as described by ", "with reset=", "from memory: ")


@pytest.mark.parametrize("name", catalogue())
def test_it_says_what_it_is_and_where_it_comes_from(name):
    found = describe(name, catalogue()[name])
    assert found.title
    assert found.family
    assert found.use, "what it is for"
    assert "'" in found.equations, "its equations, one of them of a new state"
    for state in found.cell.states:
        assert f"{state}'" in found.equations, f"the equations have no {state}'"
    assert found.fidelity.startswith(FIDELITIES), f"{found.fidelity!r} begins with none of {FIDELITIES}"
    assert found.source
    assert found.year is not None
    assert 1980 < found.year < 2030


def test_class_names_are_unique():
    """A saved layer knows its cell's class by name."""
    kinds = {type(cell) for cell in catalogue().values()}
    assert len({kind.__name__ for kind in kinds}) == len(kinds)
