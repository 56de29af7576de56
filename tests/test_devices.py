"""A layer on one device while torch makes new tensors on another."""

from __future__ import annotations

import pytest
import torch

import carousel
from carousel.layers.penalties import temporal_penalty

T, B, I, H = 4, 3, 2, 5


def used(layer: carousel.LSTM, x: torch.Tensor) -> list[torch.Tensor]:
    """Everything of a layer that makes tensors of its own."""
    lengths = torch.tensor([4, 2, 3], device="cpu")
    reset = torch.arange(T * B, device="cpu").view(T, B) % 5 == 0
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    stepper = layer.stepper(B)
    first = stepper(x[0])
    stepper.reset([1])
    layer.explain(steps=3, batch=2)
    return [
        layer(x)[0],
        layer(x, lengths=lengths)[0],
        layer(x, lengths=[4, 2, 3], reset=reset)[0],
        layer(x, mask=reset)[0],
        layer(packed)[0].data,
        temporal_penalty(layer(packed)[0]),
        temporal_penalty(layer(x)[0], lengths=lengths, reset=reset),
        first,
        stepper(x[1]),
    ]


def test_torchs_default_device_is_for_new_tensors_alone():
    torch.manual_seed(0)
    layer = carousel.LSTM(I, H).train()
    x = torch.randn(T, B, I)
    expected = used(layer, x)
    with torch.device("meta"):
        found = used(layer, x)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("layer", [carousel.GRU(I, H, device="meta"), carousel.GRUCell(I, H, device="meta")])
def test_an_input_on_another_device_is_named(layer):
    with pytest.raises(RuntimeError, match="found input tensor at cpu and parameter tensor at meta"):
        layer(torch.zeros(B, I))
