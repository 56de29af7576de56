"""bfloat16 on the native engine: rounded factors, float32 sums and states, against the reference in float64.

A factor or a result is off by at most half an eps of bfloat16, and float32 hides in that. Between the two stand sums of
many such errors of either sign, and gates that do not enlarge them: a few eps of the largest number, however long.
"""

from __future__ import annotations

import os

import pytest
import torch
from matrix import FIRST, TRACED

import carousel
from carousel.cells import Cell
from carousel.engines import native, reference
from carousel.engines.native import binding as native_binding
from carousel.engines.native import prepared
from carousel.program import trace

if isinstance(missing := native_binding.find(), str):
    assert "CAROUSEL_REQUIRE_NATIVE" not in os.environ, missing
    pytest.skip(missing, allow_module_level=True)

from test_native_scan import FEW, ISAS, SHAPES, Scan

CELLS = FIRST | TRACED
EPS = torch.finfo(torch.bfloat16).eps


@pytest.fixture(autouse=True)
def _poisoned_and_two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared.settings, "poison", True)
    torch.set_num_threads(2)  # conftest sets it back


def rounded(scan: Scan) -> Scan:
    """The same with numbers that bfloat16 has, so that what is given is no part of the error."""
    for table in (scan.weights, scan.states, scan.streams):
        for name, t in table.items():
            table[name] = t.bfloat16().double()
    scan.x = scan.x.bfloat16().double()
    scan.gradients = [g.bfloat16().double() for g in scan.gradients]
    return scan


def compare(scan: Scan) -> None:
    """Off by a few roundings; where a cell amplifies them, by no more than half as much again as the reference is."""
    expected, actual = scan.run(reference.scan, torch.float64), scan.run(native.scan, torch.bfloat16)
    plain = scan.run(reference.scan, torch.bfloat16)
    for name, value in expected.items():
        if value is None:
            continue
        assert actual[name].dtype == torch.bfloat16
        off, largest = (actual[name].double() - value).abs().max().item(), value.abs().max().item()
        amplified = 1.5 * (plain[name].double() - value).abs().max().item()
        allowed = max(8 * EPS * max(1, largest), amplified)
        assert off <= allowed, f"{name}, {scan.shape}: off by {off:.3g}, of {largest:.3g}"


@pytest.mark.parametrize("cell", CELLS)
def test_values_and_gradients_are_the_references(cell, monkeypatch):
    for shape in FEW:
        monkeypatch.setattr(prepared.settings, "split", shape.split)
        compare(rounded(Scan(trace(CELLS[cell]), shape)))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("cell", ["lstm", "projected-lstm", "gru-reset-before"])
def test_every_instruction_set_and_odd_sizes(cell, isa):
    with native.use_isa(isa):
        for shape in (SHAPES[0], SHAPES[1], SHAPES[6]):
            compare(rounded(Scan(trace(CELLS[cell]), shape)))


def test_the_same_again_is_the_same_bits():
    scan = Scan(trace(CELLS["lstm"]), SHAPES[5])
    first, again = (scan.run(native.scan, torch.bfloat16) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", CELLS)
def test_what_is_kept_is_rounded_for_backward_alone(cell):
    """Whether gradients will be asked for changes no bit of a scan's results."""
    program, shape = trace(CELLS[cell]), SHAPES[5]
    scan = Scan(program, shape)
    x = scan.x.bfloat16()
    states, weights, streams = (
        {name: t.bfloat16() for name, t in of.items()} for of in (scan.states, scan.weights, scan.streams)
    )

    def results(asked: bool) -> list[torch.Tensor]:
        given = x.clone().requires_grad_(asked), list(shape.batch_sizes), tuple(states.values())
        emitted, last = native.scan(program, *given, weights, shape.reverse, streams)
        assert emitted[0].requires_grad == asked
        return [*emitted, *last]

    assert all(map(torch.equal, results(True), results(False)))


def test_pointwise_values_are_kept_in_bfloat16():
    program, sizes = trace(CELLS["lstm"]), {"hidden": 128, "input": 128}
    single, half = (native.kept(program, sizes, dtype) for dtype in (torch.float32, torch.bfloat16))
    panels = 7  # h', c', four gates, tanh(c'); the states are float32
    assert (single, half) == (panels * 128 * 4, 2 * 128 * 4 + (panels - 2) * 128 * 2)


class Sum(Cell):
    """h' = h + W x + U h: with U = 0, what is small beside h is lost if h is rounded at every step."""

    states = "h"
    gates = "n"

    def step(self, h, n):
        return h + n


def test_a_state_is_not_rounded_at_every_step():
    layer = carousel.Recurrent(Sum(), 1, 1, bias=False, dtype=torch.bfloat16, engine="native")
    with torch.no_grad():
        layer.weight_ih_l0.fill_(1)
        layer.weight_hh_l0.fill_(0)
        x = torch.full((1000, 1, 1), 2.0**-10, dtype=torch.bfloat16)
        _, last = layer(x, torch.ones(1, 1, 1, dtype=torch.bfloat16))
        assert abs(last.item() - (1 + 1000 / 1024)) <= EPS
        stepper = layer.stepper()
        stepper.state = torch.ones(1, 1, 1, dtype=torch.bfloat16)
        for step in x:
            y = stepper(step)
        assert y.dtype == stepper.state.dtype == torch.bfloat16
        assert torch.equal(y, last[0])


def test_layers_in_bfloat16_run_natively():
    torch.manual_seed(0)
    layer = carousel.LSTM(20, 30, num_layers=2).to(torch.bfloat16)
    text = layer.explain(steps=10, batch=3)
    assert "engine: native" in text
    assert text.endswith("products in bfloat16, sums and states in float32")
    x = torch.randn(10, 3, 20, dtype=torch.bfloat16, requires_grad=True)
    output, (h, c) = layer(x)
    exact = carousel.LSTM(20, 30, num_layers=2, dtype=torch.float64, engine="reference")
    exact.load_state_dict(layer.state_dict())
    x64 = x.detach().double().requires_grad_()
    expected, _ = exact(x64)
    assert output.dtype == h.dtype == c.dtype == torch.bfloat16
    assert (output - expected).abs().max() <= 8 * EPS
    gradients = torch.autograd.grad(output.square().sum(), [x, *layer.parameters()])
    wanted = torch.autograd.grad(expected.square().sum(), [x64, *exact.parameters()])
    for found, value in zip(gradients, wanted, strict=True):
        assert found.dtype == torch.bfloat16
        assert (found - value).abs().max() <= 8 * EPS * max(1, value.abs().max())
    stepper = layer.stepper(batch=3)
    with torch.no_grad():
        steps = torch.stack([stepper(step) for step in x])
    assert (steps - expected).abs().max() <= 8 * EPS


def test_autocast_rounds_the_factors_where_the_processor_has_the_product():
    torch.manual_seed(0)
    layer = carousel.GRU(20, 30, engine="native")
    x = torch.randn(10, 3, 20)
    plain = layer(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        cast = layer(x)[0]
        gradient = torch.autograd.grad(cast.square().sum(), layer.weight_hh_l0)[0]  # type: ignore[arg-type]
    expected = torch.autograd.grad(plain.square().sum(), layer.weight_hh_l0)[0]  # type: ignore[arg-type]
    assert cast.dtype == gradient.dtype == torch.float32
    assert torch.equal(cast, plain) != prepared.multiplies_bfloat16()
    assert (cast - plain).abs().max() <= 8 * EPS
    assert (gradient - expected).abs().max() <= 8 * EPS * max(1, expected.abs().max())
    with torch.autocast("cpu", torch.float16):
        assert torch.equal(layer(x)[0], plain)
