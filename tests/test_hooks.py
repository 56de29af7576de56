"""Hooks: a hook that changes nothing is no hook; one that is affine is keep and add; and what the others may do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence

import carousel
from carousel.cells import Cell

I, H = 3, 4


class Ordered(Cell):
    """Outside the alphabet of programs."""

    gates = "z", "n"

    def step(self, h, z, n):
        z = torch.cumsum(torch.softmax(z, -1), -1)
        return z * h + (1 - z) * torch.tanh(n)


CELLS = ["peephole-lstm", "gru-reset-before", "layer-norm-gru", Ordered]


@st.composite
def setups(draw, cells=CELLS):
    """A layer, its input, and what says which steps are real and where sequences start."""
    torch.manual_seed(draw(st.integers(0, 1000)))
    steps, batch = draw(st.integers(0, 5)), draw(st.integers(1, 4))
    batch_first = draw(st.booleans())
    layer = carousel.Recurrent(
        draw(st.sampled_from(cells)), I, H, draw(st.integers(1, 2)), bidirectional=draw(st.booleans()),
        batch_first=batch_first, initial_state=draw(st.sampled_from(["zero", "learned"])), dtype=torch.float64,
        engine="reference",
    )  # fmt: skip
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    leading = (batch, steps) if batch_first else (steps, batch)
    flags = {}
    match draw(st.sampled_from(["nothing", "lengths", "mask"])):
        case "lengths":
            flags["lengths"] = torch.randint(0, steps + 1, (batch,))
        case "mask":
            flags["mask"] = torch.rand(leading) < 0.6
    if draw(st.booleans()):
        flags["reset"] = torch.rand(leading) < 0.4
    x = torch.randn(*leading, I, dtype=torch.float64, requires_grad=True)
    scans = layer.num_layers * (1 + layer.bidirectional)
    hx = tuple(torch.randn(scans, batch, H, dtype=torch.float64, requires_grad=True) for _ in layer.program.states)
    return layer, x, hx, flags


def run(layer, x, hx, **flags):
    """Output and last states, and the gradients of a sum of them that weighs every number differently."""
    output, last = layer(x, hx if len(hx) > 1 else hx[0], **flags)
    values = [output, *(last if isinstance(last, tuple) else (last,))]
    loss = sum((v * torch.linspace(-1, 1, v.numel(), dtype=v.dtype).view_as(v)).sum() for v in values)
    gradients = torch.autograd.grad(loss, [x, *hx, *layer.parameters()], allow_unused=True)
    return [*values, *(torch.zeros(()) if g is None or not g.any() else g for g in gradients)]


def assert_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


@settings(max_examples=40)
@given(setup=setups())
def test_a_hook_that_changes_nothing_is_no_hook(setup):
    layer, x, hx, flags = setup
    expected = run(layer, x, hx, **flags)
    with layer.hook(lambda t, states: None):
        assert_same(run(layer, x, hx, **flags), expected)


@settings(max_examples=40)
@given(setup=setups(["lstm", "gru"]), of=st.sampled_from(["h", "all"]))
def test_an_affine_hook_is_keep_and_add(setup, of):
    layer, x, hx, flags = setup
    keep, add = (torch.randn(*x.shape[:2], H, dtype=torch.float64) for _ in range(2))

    def affine(t, states):
        chosen = list(states) if of == "all" else ["h"]
        a, b = (v[:, t] if layer.batch_first else v[t] for v in (keep, add))
        return {name: a * states[name] + b for name in chosen}

    given = {"keep": keep, "add": add} if of == "all" else {"keep": {"h": keep}, "add": {"h": add}}
    expected = run(layer, x, hx, **flags, **given)
    with layer.hook(affine):
        assert_same(run(layer, x, hx, **flags), expected)


def test_packed_sequences_come_in_the_order_of_the_batch():
    layer = carousel.LSTM(I, H, 2, bidirectional=True, dtype=torch.float64)
    x = torch.randn(5, 3, I, dtype=torch.float64)
    packed = pack_padded_sequence(x, torch.tensor([2, 5, 3]), enforce_sorted=False)
    hx = tuple(torch.randn(4, 3, H, dtype=torch.float64) for _ in range(2))
    add = torch.randn(5, 3, H, dtype=torch.float64)
    with layer.hook(lambda t, states: {"c": states["c"] + add[t]}):
        output, last = layer(packed, hx)
        padded, padded_last = layer(x, hx, lengths=[2, 5, 3])
    again = pack_padded_sequence(padded, torch.tensor([2, 5, 3]), enforce_sorted=False)
    torch.testing.assert_close(output.data, again.data)
    assert torch.equal(output.unsorted_indices, packed.unsorted_indices)  # type: ignore[arg-type]
    assert_same(last, padded_last)


def test_what_a_hook_sees():
    layer = carousel.LSTM(I, H, 2, bidirectional=True)
    seen = []
    x = torch.randn(3, 2, I)
    with layer.hook(lambda t, states: seen.append((t, {n: s.shape for n, s in states.items()})), at="l1_reverse"):
        layer(x)
        layer(x[:, 0])
    assert [t for t, _ in seen] == [2, 1, 0, 2, 1, 0]
    assert seen[0][1] == {"h": (2, H), "c": (2, H)}
    assert seen[3][1] == {"h": (1, H), "c": (1, H)}


def test_hooks_may_write_into_what_they_are_given():
    layer, x = carousel.LSTM(I, H, dtype=torch.float64), torch.randn(4, 2, I, dtype=torch.float64, requires_grad=True)

    def returns(_t, states):
        return {"c": 0.5 * states["c"]}

    def writes(_t, states):
        states["c"].mul_(0.5)

    def puts(_t, states):
        states["c"] = 0.5 * states["c"]

    results = []
    for function in (returns, writes, puts):
        with layer.hook(function):
            results.append(
                run(layer, x, tuple(torch.zeros(1, 2, H, dtype=torch.float64).requires_grad_() for _ in "hc"))
            )
    assert_same(results[0], results[1])
    assert_same(results[0], results[2])
    expected = layer(x, keep={"c": torch.full((4, 2), 0.5, dtype=torch.float64)})[0]
    with torch.no_grad(), layer.hook(writes):  # what was given out before must not change either
        torch.testing.assert_close(layer(x)[0], expected)


def test_order_removal_and_place():
    layer, x = carousel.GRU(I, H, 2), torch.randn(4, 2, I)
    plain = layer(x)[0]
    first = layer.hook(lambda _, states: {"h": states["h"] + 1}, at="l0")
    second = layer.hook(lambda _, states: {"h": 2 * states["h"]}, at="l0")
    both = layer(x)[0]
    first.remove()
    second.remove()
    assert torch.equal(layer(x)[0], plain)
    with layer.hook(lambda _, states: {"h": 2 * (states["h"] + 1)}, at="l0"):
        torch.testing.assert_close(layer(x)[0], both)
    with layer.hook(lambda _, states: {"h": 2 * (states["h"] + 1)}, at="l1"):
        assert not torch.allclose(layer(x)[0], both)
    assert torch.equal(layer(x)[0], plain)


def test_with_regularisers_and_read_outs():
    layer, x = carousel.LSTM(I, H, zoneout=0.3, recurrent_dropout=0.3, input_dropout=0.2), torch.randn(4, 2, I)
    torch.manual_seed(3)
    expected, _, states = layer(x, return_states=True)
    with layer.hook(lambda _, states: None):
        torch.manual_seed(3)
        output, _, read = layer(x, return_states=True)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(read["c"], states["c"])


@pytest.mark.parametrize("options", [{"recurrent_dropout": 0.5}, {"input_dropout": 0.5}], ids=str)
def test_a_sequence_that_begins_draws_its_own_masks(options):
    """The state is 1 before each step and U the identity, or x is 1 and W; so the output shows the mask."""
    layer = carousel.RNN(64, 64, nonlinearity="relu", bias=False, **options)
    layer.initialize("identity")
    layer.weight_ih_l0.data = torch.eye(64) * ("input_dropout" in options)
    layer.weight_hh_l0.data *= "recurrent_dropout" in options  # type: ignore[assignment]
    reset = torch.tensor([[False, False], [False, True], [False, False]])
    for hooked in (True, False):
        with layer.hook(lambda _, states: {"h": torch.ones_like(states["h"])}) as handle:
            if not hooked:
                handle.remove()
            keep, add = torch.zeros(3, 2), torch.ones(3, 2)
            output, _ = layer(torch.ones(3, 2, 64), reset=reset, keep=keep, add=add)
        assert torch.equal(output[0, 0], output[1, 0])
        assert torch.equal(output[1, 0], output[2, 0])
        assert not torch.equal(output[0, 1], output[1, 1])
        assert torch.equal(output[1, 1], output[2, 1])


def test_which_engine_and_why():
    layer, x = carousel.LSTM(I, H), torch.randn(2, 2, I)
    handle = layer.hook(lambda t, states: None)
    text = layer.explain()
    assert "engine: reference" in text
    if "native" in carousel.LSTM(I, H).explain().splitlines()[1]:
        assert "not native: it calls no Python at its steps, and this layer has a hook" in text
        native = carousel.LSTM(I, H, engine="native")
        native.hook(lambda t, states: None)
        with pytest.raises(ValueError, match="engine='native' cannot run LSTM .*: it calls no Python at its steps"):
            native(x)
    handle.remove()
    assert "hook" not in layer.explain()


def returns_a_list(_t, states):
    return list(states)


def gives_another_state(_t, states):
    return {"d": states["h"]}


def gives_another_shape(_t, states):
    return {"h": states["h"][0]}


def gives_a_number(_t, states):
    states["h"] = 0.0


def gives_doubles(_t, states):
    return {"h": states["h"].double()}


@pytest.mark.parametrize(
    ("hook", "error", "match"),
    [
        (
            returns_a_list,
            TypeError,
            "GRU: the hook returns_a_list at step 0 of l0 must give back new states by name, or ",
        ),
        (gives_another_state, ValueError, "gave a state 'd'; the states are h"),
        (gives_another_shape, ValueError, r"must leave h as \(2, 4\) of torch.float32 on cpu, but left \(4,\)"),
        (gives_a_number, TypeError, "must leave a Tensor for the state h, but left a float"),
        (
            gives_doubles,
            ValueError,
            r"must leave h as \(2, 4\) of torch.float32 on cpu, but left \(2, 4\) of torch.float6",
        ),
    ],
)
def test_says_what_a_hook_did_wrong(hook, error, match):
    layer = carousel.GRU(I, H)
    layer.hook(hook)
    with pytest.raises(error, match=match):
        layer(torch.randn(3, 2, I))


def test_says_what_does_not_go_together():
    with pytest.raises(ValueError, match="GRU: there is no scan 'l2' to hook; there is l0, l1"):
        carousel.GRU(I, H, 2).hook(print, at="l2")
    layer = carousel.GRU(I, H, checkpoint=2)
    layer.hook(print)
    with pytest.raises(ValueError, match="checkpoint=2 runs steps twice, which a hook would notice"):
        layer(torch.randn(3, 2, I))
    with pytest.raises(ValueError, match="a stepper calls no hooks"):
        layer.stepper()
