"""Streaming: a stepper fed one step at a time is the scan."""

from __future__ import annotations

import pytest
import torch

import carousel
from carousel.engines import ENGINES

I, H, T, B = 3, 5, 7, 2
CELLS = ["lstm", "gru", "gru-reset-before", "layer-norm-lstm", "coupled-peephole-lstm", "rnn", "projected-lstm"]


def layer_of(cell, engine="auto", **options):
    torch.manual_seed(0)
    proj = 2 if cell == "projected-lstm" else 0
    return carousel.Recurrent(cell, I, H, 2, proj_size=proj, dtype=torch.float64, engine=engine, **options).eval()


def as_tuple(hx):
    return hx if isinstance(hx, tuple) else (hx,)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("options", [{}, {"zoneout": 0.2}, {"initial_state": "learned"}], ids=str)
def test_stepping_is_the_scan(cell, engine, options):
    layer = layer_of(cell, engine, **options)
    x = torch.randn(T, B, I, dtype=torch.float64)
    expected, last = layer(x)
    stepper = layer.stepper(B)
    torch.testing.assert_close(torch.stack([stepper(step) for step in x]), expected)
    for ours, theirs in zip(as_tuple(stepper.state), as_tuple(last), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_rows_begin_anew_alone():
    layer = layer_of("lstm", initial_state="learned")
    x = torch.randn(T, B, I, dtype=torch.float64)
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[4, 1] = True
    stepper, outputs = layer.stepper(B), []
    for t in range(T):
        if reset[t].any():
            stepper.reset(reset[t].nonzero().flatten().tolist())
        outputs.append(stepper(x[t]))
    torch.testing.assert_close(torch.stack(outputs), layer(x, reset=reset)[0])
    stepper.reset()
    torch.testing.assert_close(stepper(x[0]), outputs[0])


def test_goes_on_from_a_scan_and_back():
    layer = layer_of("gru")
    x = torch.randn(T, B, I, dtype=torch.float64)
    expected, _ = layer(x)
    stepper = layer.stepper(B)
    stepper.state = layer(x[:3])[1]
    torch.testing.assert_close(stepper(x[3]), expected[3])
    torch.testing.assert_close(layer(x[4:], stepper.state)[0], expected[4:])


def test_holds_the_weights_it_was_made_with_and_no_graph():
    layer = layer_of("rnn")
    x = torch.randn(B, I, dtype=torch.float64)
    stepper = layer.stepper(B)
    first = stepper(x)
    assert not first.requires_grad
    state = stepper.state
    state.add_(1)  # a copy: the stepper does not notice
    assert not torch.equal(state, stepper.state)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: carousel.GRU(I, H, bidirectional=True).stepper(), "needs the end of a sequence before its first step"),
        (lambda: carousel.GRU(I, H).stepper(0), "needs a batch of at least 1 row, got 0"),
        (lambda: carousel.GRU(I, H).stepper(2)(torch.zeros(3, I)), "this stepper has 2 rows, but the input has 3"),
        (lambda: carousel.GRU(I, H).stepper(2)(torch.zeros(2, 9)), "Expected 3, got 9"),
        (lambda: setattr(carousel.GRU(I, H).stepper(2), "state", torch.zeros(1, 3, H)), "has the shapes"),
    ],
)
def test_refusals(make, match):
    with pytest.raises((ValueError, RuntimeError), match=match):
        make()


@pytest.mark.parametrize("engine", ENGINES)
def test_what_happens_outside_does_not_reach_it(engine):
    layer = layer_of("lstm", engine)
    x = torch.randn(3, B, I, dtype=torch.float64)
    expected, _ = layer(x)
    stepper = layer.stepper(B)
    stepper(x[0])
    with torch.inference_mode():
        stepper.reset([])
        stepper(x[1]).zero_()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    torch.testing.assert_close(stepper(x[2]), expected[2])
    stepper.state = list(stepper.state)
