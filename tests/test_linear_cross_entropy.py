"""The cross-entropy that takes a few rows at a time is that of torch, with its gradients."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from carousel.models import EncoderDecoder
from carousel.models.linear_cross_entropy import linear_cross_entropy
from carousel.models.source_readers import SymbolReader

module = importlib.import_module("carousel.models.linear_cross_entropy")
N, SIZE, V = 11, 5, 7


def given(dtype: torch.dtype = torch.float64) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """x, W, b; and targets, two of which are ignored."""
    torch.manual_seed(0)
    sizes = ((N, SIZE), (V, SIZE), (V,))
    x, weight, bias = ((3 * torch.randn(*size, dtype=dtype)).requires_grad_() for size in sizes)
    targets = torch.randint(V, (N,))
    targets[[0, 6]] = -100
    return (x, weight, bias), targets


def torchs(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    return functional.cross_entropy(functional.linear(x, weight, bias), targets, label_smoothing=label_smoothing)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("rows", [1, 4, 9, 100])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_loss_and_gradients_are_those_of_torch(monkeypatch, rows, label_smoothing, dtype):
    monkeypatch.setitem(module.ROWS, "cpu", rows)
    arguments, targets = given(dtype)
    mine = linear_cross_entropy(*arguments, targets, label_smoothing=label_smoothing)
    other = torchs(*arguments, targets, label_smoothing)
    tolerance = 200 * torch.finfo(dtype).eps
    assert mine.dtype == dtype
    torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)
    for one, expected in zip(
        torch.autograd.grad(3 * mine, arguments), torch.autograd.grad(3 * other, arguments), strict=True
    ):
        torch.testing.assert_close(one, expected, rtol=tolerance, atol=tolerance)
    with torch.no_grad():
        assert linear_cross_entropy(*arguments, targets, label_smoothing=label_smoothing) == mine


def test_scores_of_any_size_give_a_finite_loss():
    (x, weight, bias), targets = given()
    loss = linear_cross_entropy(1e6 * x, weight, bias, targets)
    assert loss.isfinite()
    torch.testing.assert_close(loss, torchs(1e6 * x, weight, bias, targets, 0.0))


def test_without_a_target_the_loss_is_that_of_torch():
    arguments, targets = given()
    assert linear_cross_entropy(*arguments, torch.full_like(targets, -100)).isnan()


def test_under_autocast_it_is_torchs_own():
    arguments, targets = given(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert linear_cross_entropy(*arguments, targets) == torchs(*arguments, targets, 0.0)


def test_the_loss_of_pairs_is_the_cross_entropy_of_its_scores():
    torch.manual_seed(0)
    network = EncoderDecoder(SymbolReader(6, 4), V, hidden=5, embedding=4).double()
    x, lengths, y = torch.randint(1, 6, (3, 2)), torch.tensor([3, 2]), torch.tensor([[3, 4], [5, 0], [0, -100]])
    before = torch.tensor([[0, 0], [3, 4], [5, 0]])
    expected = functional.cross_entropy(network(x, lengths, before).flatten(0, 1), y.flatten(), label_smoothing=0.1)
    torch.testing.assert_close(network.loss(x, lengths, y, label_smoothing=0.1), expected)
