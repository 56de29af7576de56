"""Penalties on outputs: against a loop over the sequences of a batch, one pair of steps at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence

import carousel
from carousel.layers.penalties import activation_penalty, temporal_penalty


def by_hand(output, mask, reset):
    """The two penalties of (T, B, U), walking along each row."""
    squares, changes = [], []
    for b in range(output.shape[1]):
        before = None
        for t in range(output.shape[0]):
            before = None if reset[t, b] else before
            if mask[t, b]:
                squares += [v * v for v in output[t, b].tolist()]
                if before is not None:
                    changes += [(u - v) ** 2 for u, v in zip(before, output[t, b].tolist(), strict=True)]
                before = output[t, b].tolist()
    return (sum(values) / max(1, len(values)) for values in (squares, changes))


@given(
    shape=st.tuples(st.integers(0, 6), st.integers(1, 4), st.integers(1, 3)),
    seed=st.integers(0, 1000),
    batch_first=st.booleans(),
    often=st.sampled_from([0.1, 0.5, 0.9]),
)
def test_any_mask_and_resets(shape, seed, batch_first, often):
    random = torch.Generator().manual_seed(seed)
    output = torch.randn(shape, generator=random, dtype=torch.float64)
    mask = torch.rand(shape[:2], generator=random) < often
    reset = torch.rand(shape[:2], generator=random) < 0.3
    expected = by_hand(output, mask, reset)
    output[~mask] = torch.nan  # nobody reads what stands in padding
    output.requires_grad_()
    given = [v.transpose(0, 1) if batch_first else v for v in (output, mask, reset)]
    activation = activation_penalty(given[0], mask=given[1], batch_first=batch_first)
    temporal = temporal_penalty(given[0], mask=given[1], reset=given[2], batch_first=batch_first)
    for ours, theirs in zip((activation, temporal), expected, strict=True):
        torch.testing.assert_close(ours.item(), theirs)
    (gradient,) = torch.autograd.grad(activation + temporal, output)
    assert not gradient[~mask].any()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("lengths", [[5, 5], [2, 5], [1, 1], [4, 3]])
def test_padded_packed_and_plain_agree(lengths):
    output = torch.randn(5, 2, 3, dtype=torch.float64)
    packed = pack_padded_sequence(output, torch.tensor(lengths), enforce_sorted=False)
    for penalty in (activation_penalty, temporal_penalty):
        torch.testing.assert_close(penalty(packed), penalty(output, lengths=lengths))
        if lengths == [5, 5]:
            torch.testing.assert_close(penalty(packed), penalty(output))
        torch.testing.assert_close(penalty(output[:, 0], lengths=[3]), penalty(output[:3, :1]))


def test_gradients():
    output = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    reset = torch.tensor([[0, 0], [0, 1], [0, 0], [1, 0]], dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda o: activation_penalty(o, lengths=[4, 2]), output)
    assert torch.autograd.gradcheck(lambda o: temporal_penalty(o, lengths=[4, 2], reset=reset), output)


def test_of_a_layer():
    """The two formulas of the authors' code (awd-lstm-lm, main.py), on what a layer gives out."""
    layer = carousel.LSTM(3, 4, bidirectional=True)
    output, _ = layer(torch.randn(6, 2, 3))
    torch.testing.assert_close(activation_penalty(output), output.pow(2).mean())
    torch.testing.assert_close(temporal_penalty(output), (output[1:] - output[:-1]).pow(2).mean())
    (activation_penalty(output) + temporal_penalty(output)).backward()
    assert all(p.grad.any() for p in layer.parameters())


def test_halves_are_summed_in_float32():
    output = torch.full((100, 10, 100), 2.0, dtype=torch.float16)
    found = activation_penalty(output, lengths=[100] * 10)
    assert found.dtype == torch.float32
    assert found.item() == 4.0
    assert activation_penalty(output).item() == 4.0


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda: activation_penalty(torch.zeros(3)),
            "output must be a Tensor of 2 or 3 dimensions or a PackedSequence",
        ),
        (lambda: temporal_penalty((torch.zeros(3, 2, 1), None)), "or a PackedSequence, got tuple"),  # type: ignore[arg-type]
        (lambda: temporal_penalty(torch.zeros(3, 2, 1), lengths=[4, 1]), "temporal_penalty: lengths must lie between"),
        (
            lambda: temporal_penalty(torch.zeros(3, 2, 1), reset=torch.zeros(2, 3, dtype=torch.bool)),
            "temporal_penalty: reset must be bool of shape",
        ),
    ],
)
def test_refusals(call, match):
    with pytest.raises(ValueError, match=match):
        call()
