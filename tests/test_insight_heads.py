"""Gradients followed back from every head, direction, depth and length, against a loop over steps written out by hand.

The loop is numpy-like torch in float64: it knows an LSTM's equations, keeps each state that a step reads as a leaf, and
takes the gradient of the whole loss, so that it shares nothing with the split of losses that is measured.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

import carousel
from carousel.errors import DataError
from carousel.insight import TooShort, diagnose, figures, gradient_flow

I, H, B, T = 2, 4, 3, 11
HEADS = ("last", "final state", "mean", "attention", "first layer's state")
LENGTHS = {"whole": None, "ragged": [11, 4, 8]}


class Classifier(nn.Module):
    """One score for each sequence, by each of the ways in which people read a recurrent layer."""

    def __init__(self, head: str, layers: int, both: bool, **options):
        super().__init__()
        torch.manual_seed(0)
        self.head, self.both = head, both
        self.rnn = carousel.LSTM(I, H, layers, bidirectional=both, dtype=torch.float64, **options)
        width = H * (2 if both else 1)
        self.score = nn.Linear(width, 1, dtype=torch.float64)
        self.attention = nn.Linear(width, 1, dtype=torch.float64)

    def forward(self, x, lengths=None):
        y, (h, _) = self.rnn(x, lengths=lengths)
        return self.read(y, h, torch.as_tensor(lengths or [len(x)] * x.shape[1]))

    def read(self, y, h, lengths):
        there = torch.arange(len(y))[:, None] < lengths
        match self.head:
            case "last":
                pooled = y[lengths - 1, torch.arange(y.shape[1])]
            case "final state":
                pooled = torch.cat([h[-2], h[-1]], -1) if self.both else h[-1]
            case "first layer's state":
                pooled = torch.cat([h[0], h[1]], -1) if self.both else h[0]
            case "mean":
                pooled = (y * there[..., None]).sum(0) / lengths[:, None]
            case "attention":
                weights = self.attention(y)[..., 0].masked_fill(~there, -torch.inf).softmax(0)
                pooled = (weights[..., None] * y).sum(0)
        return torch.tanh(self.score(pooled))[:, 0]


def by_hand(model: Classifier, x: torch.Tensor, lengths: torch.Tensor, zoneout: float = 0.0):
    """The score, the outputs and last states that the head reads, and every state that a step reads, by scan.

    The states are leaves that are added to what the step before left, so that a gradient by them is one by the state.
    """
    rnn, read = model.rnn, {}
    layer_input = x
    finals = []
    for k in range(rnn.num_layers):
        outputs = []
        for suffix in ("", "_reverse")[: 1 + model.both]:
            w, u = getattr(rnn, f"weight_ih_l{k}{suffix}"), getattr(rnn, f"weight_hh_l{k}{suffix}")
            b = getattr(rnn, f"bias_ih_l{k}{suffix}") + getattr(rnn, f"bias_hh_l{k}{suffix}")
            h, c = torch.zeros(B, H, dtype=torch.float64), torch.zeros(B, H, dtype=torch.float64)
            out = [torch.zeros(B, H, dtype=torch.float64)] * T
            leaves = {}
            for t in range(T - 1, -1, -1) if suffix else range(T):
                leaves[t] = torch.zeros(2, B, H, dtype=torch.float64, requires_grad=True)
                before_h, before_c = h + leaves[t][0], c + leaves[t][1]
                i, f, g, o = (layer_input[t] @ w.T + before_h @ u.T + b).chunk(4, -1)
                new_c = f.sigmoid() * before_c + i.sigmoid() * g.tanh()
                new_h = o.sigmoid() * new_c.tanh()
                new_h, new_c = (
                    zoneout * old + (1 - zoneout) * new for old, new in ((before_h, new_h), (before_c, new_c))
                )
                real = (t < lengths)[:, None]
                h, c = torch.where(real, new_h, h), torch.where(real, new_c, c)
                out[t] = torch.where(real, h, 0.0)
            read[f"layer {k}{suffix.replace('_', ' ')}"] = leaves
            outputs.append(torch.stack(out))
            finals.append(h)
        layer_input = torch.cat(outputs, -1)
    y, h = layer_input, torch.stack(finals)
    return model.read(y, h, lengths), y, h, read


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("head", HEADS)
def test_what_arrives_at_each_step_and_where_it_goes(head, layers, both, lengths):
    """Of every step t: the part of the loss that comes by way of step t, followed back by the loop."""
    model, x = Classifier(head, layers, both), torch.randn(T, B, I, dtype=torch.float64)
    ends = torch.as_tensor(lengths or [T] * B)
    flow = gradient_flow(model, x, lengths, at=range(T), lags=T)
    score, y, h, read = by_hand(model, x, ends)
    by_y, by_h = torch.autograd.grad(score.sum(), (y, h), allow_unused=True, materialize_grads=True, retain_graph=True)
    for t in range(T):
        # The loss to first order in what step t gave: its output, and the last states where it made them.
        part, arriving = (by_y[t] * y[t]).sum(), by_y[t].square().sum(-1)
        for place, name in enumerate(flow.places):
            made = (ends - 1 if not name.endswith("reverse") else torch.zeros_like(ends)) == t
            part = part + (by_h[place] * h[place])[made].sum()
            arriving = arriving + torch.where(made, by_h[place].square().sum(-1), 0.0)
        there = t < ends
        torch.testing.assert_close(flow.arriving[t][there], arriving.sqrt()[there])
        assert flow.arriving[t][~there].isnan().all()
        leaves = [read[name][step] for name in flow.places for step in range(T)]
        found = torch.autograd.grad(part, leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
        for place, name in enumerate(flow.places):
            for lag in range(1, T + 1):
                step = t - lag + 1 if not name.endswith("reverse") else t + lag - 1
                if not 0 <= step < T:
                    assert flow.norms["h"][place, t, :, lag - 1].isnan().all()
                    continue
                real = there & (step < ends)
                for state, expected in zip("hc", found[place * T + step].norm(dim=-1), strict=True):
                    torch.testing.assert_close(
                        flow.norms[state][place, t, real, lag - 1], expected[real], rtol=1e-9, atol=1e-14
                    )


@pytest.mark.parametrize("options", [{"zoneout": 0.3}, {"checkpoint": 3}, {"engine": "reference"}], ids=str)
def test_options_of_the_layer_take_part(options):
    model, x = Classifier("mean", 1, False, **options), torch.randn(T, B, I, dtype=torch.float64)
    flow = gradient_flow(model, x, at=[T - 1], lags=T)
    _, y, _, read = by_hand(model, x, torch.full((B,), T), options.get("zoneout", 0.0))
    model.eval()
    (by_y,) = torch.autograd.grad(model.read(y, None, torch.full((B,), T)).sum(), y, retain_graph=True)
    for lag in range(1, T + 1):
        (found,) = torch.autograd.grad((by_y[-1] * y[-1]).sum(), read["layer 0"][T - lag], retain_graph=True)
        torch.testing.assert_close(flow.norms["c"][0, 0, :, lag - 1], found[1].norm(dim=-1), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("head", HEADS)
def test_the_same_network_vanishes_under_every_head(head, both):
    """Its gradients fall by about 0.6 a step, whatever reads it: found, measured alike, and drawn."""
    torch.manual_seed(1)
    model, x = Classifier(head, 1, both), torch.randn(80, 6, I, dtype=torch.float64)
    flow = gradient_flow(model, x)
    decay = flow.decay("c")
    assert 0.45 < decay.factor < 0.75
    assert decay.kind == "vanishing"
    (finding,) = (f for f in diagnose(model, x, memory=50) if f.fault == "vanishing")
    assert finding.numbers["beyond"] < 50
    figures.gradient_by_lag(flow).canvas.draw()


def test_a_direction_that_is_read_at_its_beginning_alone_cannot_be_told():
    model, x = Classifier("last", 1, True), torch.randn(80, 6, I, dtype=torch.float64)
    flow = gradient_flow(model, x)
    assert flow.default_place == -2
    with pytest.raises(
        TooShort, match=r"layer 0 reverse: the loss reads this scan at its first steps alone, which have 1"
    ):
        flow.decay("c", 1)


def test_what_cannot_be_told_is_a_finding():
    """A reverse direction that is read at the step where it begins: nobody knows how far back it would learn."""

    class Reverse(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = carousel.GRU(I, H, bidirectional=True)

        def forward(self, x):
            return self.rnn(x)[0][-1, :, H:]

    found = diagnose(Reverse(), torch.randn(80, 6, I), memory=50)
    assert [f.fault for f in found] == ["cannot-be-told"]
    assert found[0].what == "how far back gradients reach cannot be measured"
    ragged = diagnose(carousel.GRU(I, H), torch.randn(80, 6, I), lengths=[80, 70, 60, 50, 40, 30])
    assert "cannot-be-told" in [f.fault for f in ragged]
    assert "memory=, as many steps as you know" in str(ragged[0])


def test_a_loss_that_does_not_read_the_layer_is_refused():
    model, x = Classifier("last", 1, False), torch.randn(T, B, I, dtype=torch.float64)
    with pytest.raises(DataError, match="no gradient leads back from what it gave"):
        gradient_flow(model, x, loss=lambda score: score.detach())
    with pytest.raises(TooShort, match="nothing of the loss arrives at this scan. The loss of a step is followed from"):
        gradient_flow(model.rnn, x, loss=lambda y: 0 * y.sum(-1)).decay()
    with torch.no_grad():
        model.score.weight.zero_()
    x = torch.randn(40, B, I, dtype=torch.float64)
    assert "cannot-be-told" in [finding.fault for finding in diagnose(model, x)]
