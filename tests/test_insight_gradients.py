"""Gradient flow and the influence of inputs, against networks where both are known exactly, and finite differences."""

from __future__ import annotations

import math

import matrix
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence, pad_sequence

import carousel
from carousel.cells import Cell
from carousel.errors import DataError
from carousel.insight import TooShort, gradient_flow, input_influence
from carousel.insight.decay import fit_decay
from carousel.insight.timeline import Timeline

T, B, I, H = 12, 3, 2, 4


class Linear(Cell):
    """h' = U h + W x: the gradient by an earlier state is a power of U."""

    gates = "n"

    def step(self, n):
        return n


def linear(factor: float, units: int = H) -> carousel.Recurrent:
    """h' = factor * R h + W x, with R a rotation: every direction shrinks by the same factor."""
    layer = carousel.Recurrent(Linear, I, units, dtype=torch.float64)
    layer.initialize("orthogonal")
    with torch.no_grad():
        layer.weight_hh_l0 *= factor
    return layer


def example(steps: int = T, batch: int = B) -> torch.Tensor:
    return torch.randn(steps, batch, I, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_of_a_linear_network_it_is_a_power():
    flow = gradient_flow(linear(0.8), example(40))
    assert flow.norms["h"].shape == (1, 16, B, 20)
    expected = 0.8 ** flow.lags.double()
    torch.testing.assert_close(flow.norms["h"], expected.expand_as(flow.norms["h"]))
    torch.testing.assert_close(flow.arriving, torch.ones_like(flow.arriving))
    decay, length = flow.decay(), flow.memory_length()
    assert decay.factor == pytest.approx(0.8, rel=1e-9)
    assert decay.low == pytest.approx(0.8, rel=1e-9)
    assert decay.kind == "vanishing"
    assert decay.misfit < 1e-9
    assert decay.start == pytest.approx(1.0, rel=1e-9)  # at lag 0, where it arrives
    assert length.steps == pytest.approx(-1 / math.log(0.8), rel=1e-9)
    assert decay.beyond(1e-6) == pytest.approx(math.log(1e-6) / math.log(0.8), rel=1e-9)
    assert str(decay).startswith("vanishing: shrinks by 0.8 a step (0.8 to 0.8); a millionth is left after 62 steps")


def test_the_former_names_of_the_memory_length_still_work_and_warn():
    flow = gradient_flow(linear(0.8), example(40))
    with pytest.warns(DeprecationWarning, match=r"horizon is now called GradientFlow.memory_length"):
        assert flow.horizon(seed=3) == flow.memory_length(seed=3)
    with pytest.warns(DeprecationWarning, match="Horizon is now called carousel.insight.MemoryLength"):
        assert carousel.insight.Horizon is carousel.insight.MemoryLength


def test_growth_is_called_exploding_and_no_change_steady():
    assert gradient_flow(linear(1.1), example(40)).decay().kind == "exploding"
    assert gradient_flow(linear(1.1), example(40)).memory_length().steps == math.inf
    steady = gradient_flow(linear(1.0), example(40))
    assert steady.decay().factor == pytest.approx(1.0, rel=1e-12)
    assert steady.decay().kind == "steady"
    with pytest.raises(
        TooShort, match=r"by a factor of 1 a step, which may be 1 \(1 to 1\): its memory length is greater than"
    ):
        steady.memory_length()


@pytest.mark.parametrize("row", matrix.KINDS, ids=str)
def test_finite_differences_agree_for_every_cell(row):
    if not row.traced:
        with pytest.raises(DataError, match="the step of Ordered runs as plain Python: "):
            gradient_flow(row.layer(I, H), example())
        return
    layer, x = row.layer(I, H, engine="auto", dtype=torch.float64), example()
    first = row.initial(1, B, H, torch.float64)
    direction = torch.randn(H if row.cell.size_of(row.cell.states[0]) == "hidden" else 2, dtype=torch.float64)
    flow = gradient_flow(layer, x, first if len(first) > 1 else first[0], loss=lambda y: y @ direction, at=[8], lags=5)

    # The state is handed from step 4 to step 5 by hand, so that it can be moved there: lag 4 from step 8.
    _, before = layer(x[:5], first if len(first) > 1 else first[0])
    states = before if isinstance(before, tuple) else (before,)
    for index, state in enumerate(row.cell.states):
        gradient = torch.zeros_like(states[index])
        for unit in range(states[index].shape[-1]):
            values = []
            for step in (1e-6, -1e-6):
                moved = [s.detach().clone() for s in states]
                moved[index][..., unit] += step
                y, _ = layer(x[5:9], tuple(moved) if len(moved) > 1 else moved[0])
                values.append(y[-1] @ direction)
            gradient[0, :, unit] = ((values[0] - values[1]) / 2e-6).detach()
        expected = torch.linalg.vector_norm(gradient[0], dim=-1)
        torch.testing.assert_close(flow.norms[state][0, 0, :, 3], expected, rtol=1e-4, atol=1e-7)


def test_without_looking_back_an_lstm_carries_the_product_of_its_forget_gates():
    layer = carousel.LSTM(I, H, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
    x = example()
    with layer.record("forget", "output", "c") as values:
        layer(x)
    flow = gradient_flow(layer, x, loss=lambda y: y[..., 0], at=[T - 1], lags=6)
    for lag in range(1, 7):
        # dc_t / dc_{t-k} = f_t f_{t-1} ... f_{t-k+1}, and h_t sees c_t through its output gate.
        carried = values["forget"][0, T - lag :, :, 0].prod(0)
        shown = values["output"][0, -1, :, 0] * (1 - torch.tanh(values["c"][0, -1, :, 0]) ** 2)
        torch.testing.assert_close(flow.norms["c"][0, 0, :, lag - 1], (carried * shown).detach())
        assert (flow.norms["h"][0, 0, :, lag - 1] == 0).all()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(
    "options", [{}, {"zoneout": 0.3}, {"checkpoint": 3}, {"initial_state": "learned"}, {"engine": "reference"}], ids=str
)
def test_each_layer_of_a_stack_by_itself(cell, options):
    """Against a loop over steps that hands the state of all layers on as leaves."""
    layer, x = carousel.Recurrent(cell, I, H, 2, dtype=torch.float64, **options).eval(), example()
    flow = gradient_flow(layer, x, loss=lambda y: y.sum(-1), at=[9], lags=6)
    hx, leaves = None, []
    for t in range(10):
        y, hx = layer(x[t : t + 1], hx)
        states = hx if isinstance(hx, tuple) else (hx,)
        for s in states:
            s.retain_grad()
        leaves.append(states)
    y.sum().backward()
    for lag in range(1, 7):
        for index, state in enumerate(flow.states):
            expected = torch.linalg.vector_norm(leaves[9 - lag][index].grad, dim=-1)
            torch.testing.assert_close(flow.norms[state][:, 0, :, lag - 1], expected)


def test_ragged_packed_and_padded_are_one():
    layer = carousel.GRU(I, H, bidirectional=True, num_layers=2, dtype=torch.float64)
    lengths = [5, T, 9]
    sequences = [example(T, B)[:n, b] for b, n in enumerate(lengths)]
    padded = gradient_flow(layer, pad_sequence(sequences), lengths=lengths, at=[4], lags=6)
    packed = gradient_flow(
        layer, pack_sequence(sequences, enforce_sorted=False), at=[4], lags=6, loss=lambda y: y.sum(-1)
    )
    same = gradient_flow(layer, pad_sequence(sequences), lengths=lengths, at=[4], lags=6, loss=lambda y: y.sum(-1))
    torch.testing.assert_close(packed.norms["h"], same.norms["h"], equal_nan=True)
    assert padded.places == ("layer 0", "layer 0 reverse", "layer 1", "layer 1 reverse")
    # Step 4 of five: five states stand before it, the initial one among them, and one after it, where it began.
    there = ~padded.norms["h"].isnan()
    assert there[0, 0].sum(-1).tolist() == [5, 5, 5]
    assert there[1, 0].sum(-1).tolist() == [1, 6, 5]
    for b, sequence in enumerate(sequences):
        alone = gradient_flow(layer, sequence, at=[4], lags=6, loss=lambda y: y.sum(-1))
        torch.testing.assert_close(alone.norms["h"][:, :, 0], same.norms["h"][:, :, b], equal_nan=True)


def test_a_reset_is_where_a_sequence_begins():
    layer, x = linear(0.5), example()
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[6, 1] = True
    flow = gradient_flow(layer, x, reset=reset, at=[8], lags=8)
    assert (~flow.norms["h"][0, 0].isnan()).sum(-1).tolist() == [8, 3, 8]


def test_a_loss_for_each_sequence_is_followed_from_where_it_reads_the_layer():
    layer, lengths = linear(0.7), torch.tensor([4, T, 8])
    last = lengths - 1, torch.arange(B)
    flow = gradient_flow(layer, example(), lengths=lengths, lags=6, loss=lambda y: y[last].square().sum(-1))
    assert flow.at.tolist() == [[3, T - 1, 7]]
    assert (~flow.norms["h"][0, 0].isnan()).sum(-1).tolist() == [4, 6, 6]


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, I)
        self.dropout = nn.Dropout(0.5)
        self.recurrent = carousel.LSTM(I, H, batch_first=True)
        self.head = nn.Linear(H, 7)

    def forward(self, symbols, state=None):
        output, state = self.recurrent(self.dropout(self.embedding(symbols)), state)
        return self.head(self.dropout(output)), state


def test_a_module_is_measured_where_its_layer_stands_and_left_as_it_was():
    model = Reader().train()
    model.embedding.eval()
    symbols = torch.randint(7, (B, T))

    def loss(scores):
        return nn.functional.cross_entropy(scores.mT, symbols, reduction="none")

    flow = gradient_flow(model, symbols, loss=loss)
    again = gradient_flow(model, symbols, loss=loss)
    assert torch.equal(flow.norms["c"], again.norms["c"])  # no dropout
    assert flow.norms["c"].shape == (1, T // 2 + 1, B, T // 2)
    assert model.dropout.training
    assert not model.embedding.training
    assert all(p.grad is None for p in model.parameters())
    assert not model.recurrent._taps
    assert not model.recurrent._forward_hooks


def test_a_loss_that_reads_nothing_takes_no_part():
    layer, x = linear(0.8), example(40)
    weights = torch.ones(40, B, dtype=torch.float64)
    weights[-1] = 0  # no target after the last step
    flow = gradient_flow(layer, x, loss=lambda y: weights * y.sum(-1))
    assert (flow.arriving[-1] == 0).all()
    assert flow.samples()[-1].isnan().all()
    assert flow.decay().factor == pytest.approx(0.8)


def test_any_callable_will_do_where_the_layer_is_named():
    layer, x = linear(0.8), example()
    whole = gradient_flow(layer, x, loss=lambda y: y.sum(-1))
    part = gradient_flow(lambda given: layer(2 * given / 2)[0], x, loss=lambda y: y.sum(-1), layer=layer)
    torch.testing.assert_close(part.norms, whole.norms)


def test_influence_is_the_jacobian_and_never_sees_the_future():
    layer, x = carousel.LSTM(I, H, num_layers=2, dtype=torch.float64), example(6, 2)
    found = input_influence(layer, x, at=[3, -1])
    whole = torch.autograd.functional.jacobian(lambda v: layer(v)[0], x)  # (T, B, H, T, B, I)
    for place, t in enumerate((3, 5)):
        for b in range(2):
            expected = whole[t, b][:, :, b].square().sum((0, 2)).sqrt()  # (T)
            torch.testing.assert_close(found.norms[place, :, b], expected)
    assert found.at.tolist() == [3, 5]
    assert (found.norms[0, 4:] == 0).all()
    assert found.norms[1].gt(0).all()
    torch.testing.assert_close(found.share(1).sum(1), torch.ones(2, dtype=torch.float64))


def test_influence_of_the_likeliest_symbol_or_of_anything():
    model, symbols = Reader().eval(), torch.randint(7, (B, T))
    top = input_influence(model, symbols, at=[5], of="top")
    same = input_influence(model, symbols, at=[5], of=lambda scores: scores.max(-1).values)
    torch.testing.assert_close(top.norms, same.norms)
    assert top.norms.shape == (1, T, B)
    lengths = [5, T, 9]
    ragged = input_influence(linear(0.9), example(), at=[6], lengths=lengths)
    assert ragged.norms[0, :, 0].isnan().all()
    assert (~ragged.norms[0, :, 2].isnan()).sum() == 9


def test_too_short_says_by_how_much():
    flow = gradient_flow(linear(0.99), example(40))
    with pytest.raises(
        TooShort,
        match=r"gradient flow of h, layer 0: the gradient falls by 18% over the 20 lags measured, and a "
        r"memory length of about 99 steps cannot be measured from that; it takes at least 199 lags: "
        r"give longer sequences, or more lags\.",
    ) as refused:
        flow.memory_length()
    assert refused.value.needed == 199
    assert refused.value.estimate.factor == pytest.approx(0.99)
    with pytest.raises(TooShort, match=r"needs at least 4 lags at which gradients are above 0, but there are 3\. Give"):
        gradient_flow(linear(0.5), example(), lags=3).decay()
    with pytest.raises(TooShort, match=r"at least 4 pairs of a step and a sequence to start from, but there are 3\."):
        gradient_flow(linear(0.5), example(), at=[T - 1]).decay()


def test_the_interval_covers_what_is_true():
    """Samples of 0.9^k with a noise that goes on along each sequence and each step, as gradients' does."""
    random = torch.Generator().manual_seed(3)
    lags = torch.arange(1, 31).double()
    covered = 0
    for _ in range(40):
        slopes = (
            math.log(0.9)
            + 0.05 * torch.randn(6, 1, 1, generator=random)
            + 0.05 * torch.randn(1, 8, 1, generator=random)
        )
        decay = fit_decay(torch.exp(slopes * lags), what="test")
        covered += decay.low < 0.9 < decay.high
        assert decay.high - decay.low < 0.2
    assert covered >= 33  # of 40; 38 on average at 95 %, less the little that few samples cost the bootstrap


def test_dead_samples_are_left_out_and_underflow_ends_the_fit():
    samples = 0.5 ** torch.arange(1, 21).double().expand(3, 4, 20).clone()
    samples[0, 0, 5:] = 0
    samples[:, :, 15:] = 0
    decay = fit_decay(samples, what="test")
    assert decay.factor == pytest.approx(0.5)
    assert decay.lags == 15


def test_neighbours_are_steps_of_the_same_sequence():
    real = torch.tensor([[1, 1], [1, 0], [0, 1], [1, 1], [1, 0]], dtype=torch.bool)
    starts = torch.zeros(5, 2, dtype=torch.bool)
    starts[2, 0] = True  # on padding: it counts for the next real step
    line = Timeline(real, starts)
    at = torch.tensor([[4, 3], [1, 4]])
    assert line.neighbours(at, 3).tolist() == [[[4, 3, -1], [3, 2, 0]], [[1, 0, -1], [-1, -1, -1]]]
    assert line.neighbours(torch.tensor([[3, 0]]), 3, later=True).tolist() == [[[3, 4, -1], [0, 2, 3]]]
    assert line.last().tolist() == [4, 3]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gradient_flow(nn.Linear(2, 2), example()), "Linear has no recurrent layer of Carousel's"),
        (
            lambda: gradient_flow(nn.ModuleList([linear(1), linear(1)]), example()),
            "ModuleList has '0' and '1': say which",
        ),
        (lambda: gradient_flow(lambda x: x, example()), "Give layer=, the recurrent layer to look at: function is no"),
        (
            lambda: gradient_flow(Reader(), example(), layer="lstm"),
            "Reader has no recurrent layer 'lstm'; it has 'recurr",
        ),
        (lambda: gradient_flow(linear(1), example(), at=[12]), r"at= must name steps from 0 to 11 .* but is \[12\]"),
        (lambda: gradient_flow(linear(1), example(), lags=0), "lags must be 1 or more, not 0"),
        (lambda: gradient_flow(linear(1), example(), lengths=[2, 2, 0], at=[5]), "none of the steps chosen with at="),
        (
            lambda: gradient_flow(linear(1), example(), loss=lambda y: y.sum()),
            r"loss must give \(12, 3\) numbers, .* or \(3,\), laid out as the layer's input, but gave \(\)",
        ),
        (
            lambda: gradient_flow(linear(1), example()).decay("c"),
            "There is no state 'c' at place -1: there are the states h",
        ),
        (lambda: input_influence(linear(1), example(), of="most"), "of= must be 'all', 'top' or a function"),
        (lambda: input_influence(linear(1), example(), at=[]), "at= must name steps from 0 to 11"),
        (lambda: gradient_flow(linear(1), example(0)), r"There must be a step to look at, .* shape \(0, 3, 2\)"),
    ],
)
def test_what_is_refused_is_said(call, words):
    with pytest.raises(DataError, match=words):
        call()


def test_a_layer_called_twice_is_refused():
    layer = linear(1.0)

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(torch.cat([self.layer(x)[0][..., :I], x]))

    with pytest.raises(DataError, match="must be called once in a forward pass .* but was called 2 times"):
        gradient_flow(Twice(), example())


def test_a_tap_needs_a_call_and_gives_each_call_its_own():
    layer, x = linear(0.5), example()
    with layer.tap() as tap:
        with pytest.raises(RuntimeError, match="no gradients yet; call the layer inside"):
            tap.gradients(x.sum())
        y, _ = layer(x, keep=torch.full((T, B), 0.5, dtype=torch.float64))
    gradient = tap.gradients(y[-1, 0, 0])["h"]
    assert gradient.shape == (1, T, B, H)
    # keep comes before the tap: what a step reads is what is left of the state.
    torch.testing.assert_close(torch.linalg.vector_norm(gradient[0, -3, 0]).item(), 0.5**3 * 0.5**2)
    assert (gradient[0, :, 1:] == 0).all()
