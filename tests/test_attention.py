"""Decoders that attend to a context: their equations, gradients, maps, and what training says of them."""

from __future__ import annotations

import numpy as np
import pytest
import textbook
import torch
from matrix import ATTENTION_CELLS, moved
from textbook_memory import ATTENTION
from torch import Tensor
from torch.nn import functional as F

import carousel
from carousel.cells.attention.luong import LuongLSTM

T, B, I, H, P, C = 4, 3, 2, 3, 4, 5
float64 = torch.float64
CELLS = {**ATTENTION_CELLS, "luong-lstm concat": LuongLSTM("concat")}
EACH = pytest.mark.parametrize("name", CELLS)


def layer_of(name: str, **options) -> carousel.Recurrent:
    torch.manual_seed(0)
    return moved(carousel.Recurrent(CELLS[name], I, H, units={"source": C}, dtype=float64, **options))


def batch() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    return tuple(torch.randn(s, B, w, generator=random, dtype=float64) for s, w in ((T, I), (P, C)))  # type: ignore[return-value]


def test_every_decoder_is_stated_a_second_time():
    assert set(ATTENTION) == set(CELLS)


@EACH
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
def test_it_computes_what_its_publication_says(name, bias):
    layer, (x, m) = layer_of(name, bias=bias), batch()
    places = [P, 1, 3]
    hx = tuple(torch.randn(1, B, H, dtype=float64) for _ in layer.cell.states)
    output, last = layer(x, hx if len(hx) > 1 else hx[0], context=m, context_lengths=places)
    weights = {n.removesuffix("_l0"): p.detach().numpy() for n, p in layer.named_parameters()}
    w = textbook.Weights(ATTENTION[name], weights, bias)
    for b in range(B):
        states = tuple(state[0, b].numpy() for state in hx)
        for t in range(T):
            states = ATTENTION[name].step(x[t, b].numpy(), states, m[: places[b], b].numpy(), w)
            np.testing.assert_allclose(output[t, b].detach().numpy(), states[0], rtol=1e-12, atol=1e-12)
        for mine, right in zip(last if len(hx) > 1 else [last], states, strict=True):
            np.testing.assert_allclose(mine[0, b].detach().numpy(), right, rtol=1e-12, atol=1e-12)


@EACH
def test_first_and_second_derivatives(name):
    layer, (x, m) = layer_of(name), batch()
    names = [n for n, _ in layer.named_parameters()]

    def function(x, m, *weights):
        call = {"context": m, "context_lengths": [2, 1]}
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,), call)[0]

    given = [a.detach().clone().requires_grad_() for a in (x[:2, :2], m[:2, :2], *layer.parameters())]
    assert torch.autograd.gradcheck(function, given, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, given, fast_mode=True)


@EACH
def test_its_map_is_recorded(name):
    layer, (x, m) = layer_of(name, num_layers=2), batch()
    with layer.record("attention") as values:
        layer(x, context=m, context_lengths=[P, 2, 0])
    found = values["attention"][..., 0]
    assert found.shape == (2, T, B, P)
    torch.testing.assert_close(found.sum(-1)[:, :, :2], torch.ones(2, T, 2, dtype=float64))
    assert (found[:, :, 1, 2:] == 0).all()
    assert "not native" in layer.explain()


def test_bahdanau_is_a_plain_loop_of_torch():
    """A decoder as tutorials write it, values and gradients, over a padded context with a mask."""
    layer, (x, m) = layer_of("bahdanau-gru"), batch()
    places = torch.tensor([P, 2, 3])
    x, m = x.requires_grad_(), m.requires_grad_()
    w = {n.removesuffix("_l0"): p for n, p in layer.named_parameters()}
    keys = F.linear(m, w["weight_m"])
    mask = torch.arange(P)[:, None] < places
    h, outputs = torch.zeros(B, H, dtype=float64), []
    for step in x:
        scores = (w["v"] * torch.tanh(keys + F.linear(h, w["weight_a"]))).sum(-1)
        attention = torch.softmax(scores.masked_fill(~mask, -torch.inf), 0)
        summary = (attention[..., None] * m).sum(0)
        xr, xz, xn = F.linear(step, w["weight_ih"], w["bias_ih"]).chunk(3, -1)
        (ur, uz, un), (cr, cz, cn) = w["weight_hh"].chunk(3), w["bias_hh"].chunk(3)
        r = torch.sigmoid(xr + F.linear(h, ur, cr) + F.linear(summary, w["weight_sr"]))
        z = torch.sigmoid(xz + F.linear(h, uz, cz) + F.linear(summary, w["weight_sz"]))
        n = torch.tanh(xn + F.linear(r * h, un, cn) + F.linear(summary, w["weight_sn"]))
        h = (1 - z) * h + z * n
        outputs.append(h)
    wanted = torch.stack(outputs)
    found, _ = layer(x, context=m, context_lengths=places)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    upstream, given = torch.randn_like(found), [x, m, *layer.parameters()]
    for mine, right in zip(*(torch.autograd.grad(y, given, upstream) for y in (found, wanted)), strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-11, atol=1e-11)


def test_an_option_that_there_is_not():
    with pytest.raises(ValueError, match="score must be one of 'general', 'concat', but 'dot' was given"):
        LuongLSTM("dot")
