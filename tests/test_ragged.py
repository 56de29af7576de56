"""Laws 4 and 5 of padded batches: a reset is a new sequence, padding is nothing, and no row notices another's.

Each batch is judged against its sequences run one by one, with autograd through both.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import carousel
from carousel.cells import Cell


class Multiplicative(Cell):
    """A user's cell with two products in sequence."""

    gates = "m", "n"

    def step(self, h, x_m, U_m, x_n, U_n):
        return torch.tanh(x_n + U_n(x_m * U_m(h)))


CELLS = ["peephole-lstm", "gru-reset-before", "layer-norm-gru", Multiplicative]
I, H = 3, 4


def layer_of(cell, layers, both_ways, learned=True, **options):
    layer = carousel.Recurrent(
        cell, I, H, layers, bidirectional=both_ways, dtype=torch.float64,
        initial_state="learned" if learned else "zero", **options,
    )  # fmt: skip
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("initial"):
                parameter.normal_()
    return layer


def as_tuple(hx):
    return hx if isinstance(hx, tuple) else (hx,)


def one_by_one(layer, x, hx, mask, reset):
    """The meaning: every row cut at its resets, padding left out, each piece run by itself."""
    given = lambda states: states if len(states) > 1 else states[0]  # noqa: E731
    rows, ends = [], []
    for b in range(x.shape[1]):
        output = [x.new_zeros(layer.hidden_size * (2 if layer.bidirectional else 1))] * x.shape[0]
        start = tuple(s[:, b] for s in hx)
        piece: list[int] = []

        def finish(piece, start, output=output, b=b):
            if not piece:
                return start
            y, last = layer(x[piece, b], given(start))
            for place, t in enumerate(piece):
                output[t] = y[place]
            return as_tuple(last)

        for t in range(x.shape[0]):
            if reset[t, b]:
                finish(piece, start)
                _, fresh = layer(x.new_zeros(0, I))  # the initial state, as a layer gives it back for no steps
                piece, start = [], as_tuple(fresh)
            if mask[t, b]:
                piece.append(t)
        ends.append(finish(piece, start))
        rows.append(torch.stack(output) if output else x.new_zeros(0, 1))
    return torch.stack(rows, 1), tuple(torch.stack(states, 1) for states in zip(*ends, strict=True))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    cell=st.sampled_from(CELLS),
    shape=st.tuples(st.integers(1, 6), st.integers(1, 4)),
    layers=st.integers(1, 2),
    both_ways=st.booleans(),
    real=st.floats(0.2, 1),
    starts=st.floats(0, 0.6),
    seed=st.integers(0, 10**6),
)
def test_a_batch_is_its_sequences(cell, shape, layers, both_ways, real, starts, seed):
    torch.manual_seed(seed)
    layer = layer_of(cell, layers, both_ways)
    x = torch.randn(*shape, I, dtype=torch.float64)
    mask, reset = torch.rand(shape) < real, torch.rand(shape) < starts
    x[~mask] = float("nan")  # what stands in the padding must not matter
    hx = tuple(torch.randn_like(s) for s in as_tuple(layer(x[:0])[1]))
    hx = tuple(s.requires_grad_() for s in hx)
    x.requires_grad_()
    output, last = layer(x, hx if len(hx) > 1 else hx[0], mask=mask, reset=reset)
    expected, expected_last = one_by_one(layer, x, hx, mask, reset)
    torch.testing.assert_close(output, expected)
    for ours, theirs in zip(as_tuple(last), expected_last, strict=True):
        torch.testing.assert_close(ours, theirs)

    direction = [torch.randn_like(t) for t in (output, *as_tuple(last))]
    leaves = [x, *hx, *layer.parameters()]
    gradients = [
        torch.autograd.grad(
            sum((a * d).sum() for a, d in zip(values, direction, strict=True)), leaves, allow_unused=True
        )
        for values in ((output, *as_tuple(last)), (expected, *expected_last))
    ]
    for ours, theirs in zip(*gradients, strict=True):
        if ours is None or theirs is None:  # nothing of it was used, in one of the two ways
            assert all(g is None or not g.any() for g in (ours, theirs))
            continue
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", ["tensor", "list", "int32"])
def test_lengths_are_a_packed_sequence_without_the_packing(batch_first, kind):
    torch.manual_seed(0)
    layer = carousel.LSTM(I, H, 2, bidirectional=True, batch_first=batch_first)
    x = torch.randn(4, 6, I) if batch_first else torch.randn(6, 4, I)
    lengths = torch.tensor([2, 6, 1, 4])
    given = {"tensor": lengths, "list": lengths.tolist(), "int32": lengths.int()}[kind]
    output, (h, c) = layer(x, lengths=given)
    packed = pack_padded_sequence(x, lengths, batch_first=batch_first, enforce_sorted=False)
    expected, (h_packed, c_packed) = layer(packed)
    expected, _ = pad_packed_sequence(expected, batch_first=batch_first)
    for ours, theirs in ((output, expected), (h, h_packed), (c, c_packed)):
        assert torch.equal(ours, theirs)


def test_empty_rows_keep_their_state():
    layer = carousel.GRU(I, H)
    hx = torch.randn(1, 3, H)
    output, last = layer(torch.randn(5, 3, I), hx, lengths=torch.tensor([0, 5, 0]))
    assert torch.equal(last[:, [0, 2]], hx[:, [0, 2]])
    assert not output[:, [0, 2]].any()
    output, last = layer(torch.randn(5, 3, I), hx, lengths=torch.zeros(3, dtype=torch.long))
    assert torch.equal(last, hx)
    assert not output.any()


def test_the_gradient_is_cut_exactly_at_the_reset():
    layer = layer_of("lstm", 1, False, learned=False)
    x = torch.randn(6, 2, I, dtype=torch.float64, requires_grad=True)
    reset = torch.zeros(6, 2, dtype=torch.bool)
    reset[3, 0] = True
    output, _ = layer(x, reset=reset)
    (gradient,) = torch.autograd.grad(output[5].sum(), x)
    assert not gradient[:3, 0].any()
    assert gradient[3:, 0].all()
    assert gradient[:, 1].all()


def test_a_single_sequence():
    layer = carousel.GRU(I, H)
    x = torch.randn(6, I)
    torch.testing.assert_close(layer(x, lengths=4)[0][:4], layer(x[:4])[0])
    reset = torch.tensor([False, False, True, False, False, False])
    torch.testing.assert_close(layer(x, reset=reset)[0][2:], layer(x[2:])[0])


def test_a_learned_initial_state_is_learned():
    layer = carousel.LSTM(I, H, 2, bidirectional=True, initial_state="learned")
    assert set(layer.state_dict()) >= {"initial_h_l0", "initial_c_l1_reverse"}
    assert "initial_state=learned" in repr(layer)
    layer(torch.randn(5, 2, I))[0].sum().backward()
    assert all(p.grad is not None and p.grad.any() for n, p in layer.named_parameters() if n.startswith("initial"))
    with pytest.raises(ValueError, match="initial_state must be 'zero' or 'learned', but 'ones' was given"):
        carousel.LSTM(I, H, initial_state="ones")


REFUSED = {
    "lengths must lie between 0 and the 5 steps of the input, but row 1 has 6": {"lengths": [5, 6]},
    "lengths must lie between 0 and the 5 steps of the input, but row 0 has -1": {"lengths": [-1, 6]},
    "lengths must be 2 whole numbers, one for each row of the batch, got torch.float32": {"lengths": [1.0, 2.0]},
    r"lengths must be 2 whole numbers, one for each row of the batch, got torch.int64 of shape \(3,\)": {
        "lengths": [1, 2, 3]
    },
    r"mask must be bool of shape \(5, 2\), one for each step of each row, got torch.bool of shape \(2, 5\)": {
        "mask": torch.ones(2, 5, dtype=torch.bool)
    },
    r"reset must be bool of shape \(5, 2\), one for each step of each row, got torch.float32": {
        "reset": torch.ones(5, 2)
    },
    "lengths and mask both say which steps are real": {"lengths": [1, 2], "mask": torch.ones(5, 2, dtype=torch.bool)},
}


@pytest.mark.parametrize(("match", "options"), REFUSED.items(), ids=range(len(REFUSED)))
def test_refusals(match, options):
    with pytest.raises(ValueError, match=f"GRU: {match}"):
        carousel.GRU(I, H)(torch.zeros(5, 2, I), **options)


@pytest.mark.parametrize("lengths", [[], torch.tensor([]), torch.zeros(0, dtype=torch.long)], ids=repr)
def test_lengths_of_an_empty_batch(lengths):
    layer = carousel.GRU(I, H)
    output, hx = layer(torch.zeros(4, 0, I), lengths=lengths)
    assert output.shape == (4, 0, H)
    assert hx.shape == (1, 0, H)
    with pytest.raises(ValueError, match="lengths must be 2 whole numbers, one for each row of the batch"):
        layer(torch.zeros(4, 2, I), lengths=lengths)


def test_a_packed_sequence_has_its_own_lengths():
    packed = pack_padded_sequence(torch.zeros(5, 2, I), [5, 3])
    with pytest.raises(ValueError, match="a PackedSequence brings its own lengths; pad it to give lengths, mask"):
        carousel.GRU(I, H)(packed, lengths=[5, 3])
