"""Streaming: a stepper fed one step at a time is the scan."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

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


@pytest.mark.parametrize("rows", [[1], [-1], torch.tensor(1), [False, True], torch.tensor([False, True])], ids=str)
def test_rows_to_reset_by_number_or_by_mask(rows):
    layer = layer_of("lstm")
    x = torch.randn(2, B, I, dtype=torch.float64)
    stepper = layer.stepper(B)
    stepper(x[0])
    stepper.reset(rows)
    reset = torch.tensor([[False, False], [False, True]])
    torch.testing.assert_close(stepper(x[1]), layer(x, reset=reset)[0][1])


@pytest.mark.parametrize("rows", [[2], [-3], [True], [0.0, 1.0]], ids=str)
def test_rows_that_there_are_not(rows):
    with pytest.raises(ValueError, match="the rows to reset must be numbers from 0 to 1, or 2 bools, but got"):
        layer_of("lstm").stepper(B).reset(rows)


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


@pytest.mark.parametrize("engine", ENGINES)
def test_out_receives_the_output_and_is_all_that_changes(engine):
    layer = layer_of("lstm", engine)
    x = torch.randn(T, B, I, dtype=torch.float64)
    plain, into = layer.stepper(B), layer.stepper(B)
    y = torch.full((B, H), torch.nan, dtype=torch.float64)
    for step in x:
        expected = plain(step)
        assert into(step, out=y) is y
        torch.testing.assert_close(y, expected, rtol=0, atol=0)
        y.fill_(torch.nan)  # the caller's own, as soon as the call is over
    for ours, theirs in zip(into.state, plain.state, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_step_may_write_over_its_input():
    layer = carousel.GRU(H, H)
    x = torch.randn(B, H)
    expected = layer.stepper(B)(x)
    torch.testing.assert_close(layer.stepper(B)(x, out=x), expected, rtol=0, atol=0)


class NoOps(TorchDispatchMode):
    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        raise AssertionError(f"{op} ran")


def test_a_native_step_with_out_runs_no_op_of_torch():
    layer = layer_of("lstm", "native")
    stepper = layer.stepper(B)
    x, y = torch.randn(B, I, dtype=torch.float64), torch.empty(B, H, dtype=torch.float64)
    with NoOps():
        stepper(x, out=y)
        with pytest.raises(AssertionError, match=r"aten\.empty_like"):
            stepper(x)
    torch.testing.assert_close(y, layer(x.unsqueeze(0))[0][0])


@pytest.mark.parametrize("engine", ENGINES)
def test_one_made_in_inference_mode_goes_on_outside_and_the_other_way_round(engine):
    layer = layer_of("lstm", engine)
    x = torch.randn(3, B, I, dtype=torch.float64)
    expected, _ = layer(x)
    with torch.inference_mode():
        stepper = layer.stepper(B)
        first = stepper(x[0])
        stepper.state = stepper.state
    torch.testing.assert_close(first, expected[0])
    stepper.reset([])
    torch.testing.assert_close(stepper(x[1]), expected[1])
    with torch.inference_mode():
        torch.testing.assert_close(stepper(x[2]), expected[2])


@pytest.mark.parametrize(
    ("out", "match"),
    [
        (
            torch.zeros(B, H),
            r"out must be \(2, 5\) of torch.float64 on cpu, contiguous, but is \(2, 5\) of torch.float32",
        ),
        (torch.zeros(B, I, dtype=torch.float64), r"but is \(2, 3\) of torch.float64"),
        (torch.zeros(H, B, dtype=torch.float64).T, "on cpu, not contiguous"),
        (torch.zeros(B, H, dtype=torch.float64, requires_grad=True), "keeps nothing for gradients, but out requires"),
    ],
    ids=["dtype", "shape", "strides", "gradient"],
)
def test_an_out_that_cannot_be_written_is_refused(out, match):
    with pytest.raises(ValueError, match=match):
        layer_of("lstm").stepper(B)(torch.zeros(B, I, dtype=torch.float64), out=out)


def test_an_input_elsewhere_or_of_a_class_of_its_own_is_seen():
    stepper = layer_of("lstm").stepper(B)
    with pytest.raises(RuntimeError, match="found input tensor at meta and parameter tensor at cpu"):
        stepper(torch.zeros(B, I, dtype=torch.float64, device="meta"))
    mine = torch.zeros(B, I, dtype=torch.float64, requires_grad=True)
    assert type(stepper(torch.nn.Parameter(mine))) is torch.Tensor
    assert not stepper(mine).requires_grad


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda stepper: pickle.loads(pickle.dumps(stepper))])
def test_a_copy_goes_on_by_itself(engine, copied):
    layer = layer_of("lstm", engine, zoneout=0.1)
    x = torch.randn(3, B, I, dtype=torch.float64)
    expected, _ = layer(x)
    stepper = layer.stepper(B)
    stepper(x[0])
    other = copied(stepper)
    torch.testing.assert_close(stepper(x[1]), expected[1])
    torch.testing.assert_close(other(x[1]), expected[1])
    torch.testing.assert_close(other(x[2]), expected[2])
