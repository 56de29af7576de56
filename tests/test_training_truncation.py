"""Truncated backpropagation as a tool: the state goes on, gradients reach exactly as far back as asked."""

from __future__ import annotations

import collections
import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import carousel
from carousel.training.truncation import Carry, truncated

I, H, B = 3, 4, 2


def layer_of(face=carousel.LSTM, **options):
    torch.manual_seed(0)
    return face(I, H, dtype=torch.float64, **options)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(steps=st.integers(1, 12), every=st.integers(1, 5), more=st.integers(0, 8))
def test_outputs_are_the_whole_runs_and_gradients_reach_back_k2_steps(steps, every, more):
    layer, over = layer_of(), every + more
    x = torch.randn(steps, B, I, dtype=torch.float64, requires_grad=True)
    whole, _ = layer(x)
    pieces = []
    for n, (output, index) in enumerate(truncated(layer, x, torch.arange(steps), every=every, over=over)):
        assert index.tolist() == list(range(n * every, min((n + 1) * every, steps)))
        (gradient,) = torch.autograd.grad(output[-1].sum(), x, retain_graph=True)
        reached = gradient.abs().sum((1, 2)).nonzero().flatten().tolist()
        last = index[-1].item()
        begin = max(0, (n + 1) * every - over)
        assert reached == list(range(begin, last + 1))
        pieces.append(output.detach())
    torch.testing.assert_close(torch.cat(pieces), whole.detach())


def test_a_window_as_long_as_the_sequence_is_full_backpropagation():
    layer = layer_of(carousel.GRU)
    x = torch.randn(7, B, I, dtype=torch.float64)
    layer(x)[0].square().sum().backward()
    expected = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    for (output,) in truncated(layer, x, every=2, over=100):
        output.square().sum().backward()
    for parameter, gradient in zip(layer.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_weights_may_change_between_pieces():
    layer = layer_of()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    x, y = torch.randn(20, B, I, dtype=torch.float64), torch.randn(20, B, H, dtype=torch.float64)
    losses = []
    for _ in range(8):
        total = 0.0
        for output, target in truncated(layer, x, y, every=3, over=7):
            loss = (output - target).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total += loss.item()
        losses.append(total)
    assert losses[-1] < losses[0]


def test_resets_inside_a_window_and_batch_first():
    layer = layer_of(batch_first=True)
    x = torch.randn(B, 9, I, dtype=torch.float64)
    reset = torch.zeros(B, 9, dtype=torch.bool)
    reset[0, 4] = reset[1, 7] = True
    whole, _ = layer(x, reset=reset)
    pieces = [output for (output,) in truncated(layer, x, every=2, over=5, reset=reset)]
    torch.testing.assert_close(torch.cat(pieces, 1), whole)


def test_refuses_layers_that_look_ahead():
    with pytest.raises(ValueError, match="goes forward in time, and this layer is bidirectional"):
        next(truncated(layer_of(bidirectional=True), torch.zeros(5, B, I), every=2))


def test_works_with_torchs_own_layers():
    theirs = nn.GRU(I, H)
    x = torch.randn(6, B, I)
    pieces = [output for (output,) in truncated(theirs, x, every=4)]
    torch.testing.assert_close(torch.cat(pieces), theirs(x)[0])


def test_carry_detaches():
    layer, carry = layer_of(), Carry()
    for x in torch.randn(3, 4, B, I, dtype=torch.float64):
        output, carry.state = layer(x, carry.state)
        output.sum().backward()
        assert all(not s.requires_grad for s in carry.state)


@pytest.mark.parametrize(("every", "over"), [(0, 4), (5, 4)])
def test_refuses(every, over):
    with pytest.raises(ValueError, match=f"needs 1 <= every <= over, but got every={every}, over={over}"):
        next(truncated(layer_of(), torch.zeros(5, B, I), every=every, over=over))


def test_memory_does_not_grow_with_the_stream():
    """What autograd holds at once, in bytes, over streams of two lengths."""
    most = {}
    for steps in (64, 512):
        layer = layer_of()
        held = most_held = 0

        class Kept:
            def __init__(self, t):
                nonlocal held, most_held
                self.t, self.size = t, t.numel() * t.element_size()
                held += self.size
                most_held = max(most_held, held)

            def __del__(self):
                nonlocal held
                held -= self.size

        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.t):
            for (output,) in truncated(layer, torch.randn(steps, B, I, dtype=torch.float64), every=8, over=16):
                output.sum().backward()
        most[steps] = most_held
    assert most[512] <= 1.01 * most[64]


TWO_PROCESSES = """
import os, sys
import torch, torch.distributed as dist
from torch import nn
import carousel
from carousel.training.truncation import truncated

dist.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=int(sys.argv[2]), world_size=2)
torch.manual_seed(0)
layer = carousel.LSTM(3, 4, dtype=torch.float64)
both = nn.parallel.DistributedDataParallel(layer, broadcast_buffers=False)
optimizer = torch.optim.SGD(both.parameters(), lr=0.1)
x, y = torch.randn(2, 10, 4, 3, dtype=torch.float64), torch.randn(2, 10, 4, 4, dtype=torch.float64)
mine = slice(dist.get_rank(), None, 2)  # every second lane
x, y = x[0][:, mine], y[0][:, mine]
for output, target in truncated(both, x, y, every=3, over=7):
    (output - target).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
if dist.get_rank() == 0:
    torch.save(layer.state_dict(), sys.argv[3])
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_with_half_the_lanes_each_are_one(tmp_path):
    """DistributedDataParallel around a layer: gradients are averaged at each update, as of the whole batch."""
    arguments = [[str(tmp_path / "meeting"), str(rank), str(tmp_path / "weights.pt")] for rank in range(2)]
    command = [sys.executable, "-W", "ignore", "-c", TWO_PROCESSES]
    running = [subprocess.Popen([*command, *given], stderr=subprocess.PIPE, text=True) for given in arguments]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors[-2000:]
    torch.manual_seed(0)
    layer = carousel.LSTM(I, H, dtype=torch.float64)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    x, y = torch.randn(2, 10, 4, I, dtype=torch.float64)[0], torch.randn(2, 10, 4, H, dtype=torch.float64)[0]
    for output, target in truncated(layer, x, y, every=3, over=7):
        (output - target).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    for name, weight in torch.load(tmp_path / "weights.pt").items():
        torch.testing.assert_close(weight, layer.state_dict()[name])


@pytest.mark.parametrize("steps", [19, 40])
@pytest.mark.parametrize("what", ["targets 2", "reset"])
def test_refuses_what_is_not_as_long_as_the_input(what, steps):
    layer, x = carousel.GRU(2, 3), torch.zeros(20, 1, 2)
    short = torch.zeros(steps, 1, dtype=torch.bool)
    given: dict[str, Any] = {"reset": short} if what == "reset" else {}
    with pytest.raises(ValueError, match=f"x has 20 along dimension 0, and {what} has {steps}"):
        next(truncated(layer, x, x, *([] if given else [short]), every=4, **given))


class Model(nn.Module):
    """A model that holds layers; `parts` by name. flip: it turns (B, T) round itself, so its layers are no sign."""

    def __init__(self, flip=False, **parts):
        super().__init__()
        self.parts, self.flip = nn.ModuleDict(parts), flip
        self.head = nn.Linear(H, 2, dtype=torch.float64)

    def forward(self, x, state=None):
        state = state or {}
        new = {}
        x = x.transpose(0, 1) if self.flip else x
        for name, part in self.parts.items():
            x, new[name] = part(x, state.get(name))
        x = self.head(x)
        return x.transpose(0, 1) if self.flip else x, new


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("face", [carousel.LSTM, nn.LSTM])
def test_a_model_is_cut_along_the_time_of_the_layers_that_it_holds(batch_first, face):
    """With its states in a mapping: the pieces are the whole run's, gradients reach back to the cut and no further."""
    torch.manual_seed(0)
    model = Model(
        a=carousel.GRU(I, H, batch_first=batch_first, dtype=torch.float64),
        b=face(H, H, batch_first=batch_first, dtype=torch.float64),
    )
    time = int(batch_first)
    x = torch.randn(*((B, 9) if batch_first else (9, B)), I, dtype=torch.float64, requires_grad=True)
    whole, _ = model(x)
    pieces: list = []
    for (output,) in truncated(model, x, every=3):
        (gradient,) = torch.autograd.grad(output.sum(), x, retain_graph=True)
        reached = gradient.abs().sum((1 - time, 2)).nonzero().flatten().tolist()
        assert reached == list(range(3 * len(pieces), 3 * len(pieces) + 3))
        pieces.append(output.detach())
    torch.testing.assert_close(torch.cat(pieces, time), whole.detach())


def test_where_time_stands_is_asked_for_when_the_layers_do_not_say():
    mixed = Model(a=layer_of(batch_first=True), b=carousel.LSTM(H, H, dtype=torch.float64))
    with pytest.raises(
        ValueError, match=r"'parts\.a' is batch_first and 'parts\.b' is not; say along which .* dim=0 or"
    ):
        next(truncated(mixed, torch.zeros(6, B, I, dtype=torch.float64), every=2))
    turned, x = Model(flip=True, a=layer_of()), torch.randn(B, 9, I, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"the batch was cut in the place of time: for 1 steps of 9 .* dim=1 perhaps"):
        next(truncated(turned, x, every=1))
    pieces = [output for (output,) in truncated(turned, x, every=3, dim=1)]
    torch.testing.assert_close(torch.cat(pieces, 1), turned(x)[0])
    with pytest.raises(ValueError, match=r"there must be as many outputs along it, but the layer gave \(2, 4\)"):
        next(truncated(lambda x, s: (x.mean(0), s), torch.zeros(6, 2, 4), every=3))


def test_a_state_keeps_its_form_and_is_cut_off():
    graph = torch.ones(2, requires_grad=True) * 2
    Pair = collections.namedtuple("Pair", "h c")
    given = {"a": [graph, None], "b": Pair(graph, 3), "c": (graph, {"d": graph})}
    held = Carry(given).state
    assert type(held["a"]) is list
    assert type(held["b"]) is Pair
    assert held["b"].c == 3
    found = [held["a"][0], held["b"].h, held["c"][0], held["c"][1]["d"]]
    assert not any(tensor.requires_grad for tensor in found)
    for wrong in ("h", object(), {"a": object()}):
        with pytest.raises(TypeError, match="A state that is carried on must be None, a Tensor, .* but a .* was given"):
            Carry(wrong)
