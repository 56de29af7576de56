"""Each fault on a network built to have it: found, in these words, and gone when the advice is taken.

A healthy network has none.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

import carousel
from carousel.errors import DataError
from carousel.insight import (
    TooShort,
    data_memory,
    diagnose,
    gradient_flow,
    input_influence,
    lyapunov,
    read_gates,
    step_jacobians,
)
from carousel.insight.faults import FAULTS

I, H, B, T = 3, 16, 8, 100


def first_order(keep: float, steps: int = T, batch: int = B, seed: int = 1) -> torch.Tensor:
    """x_t = keep * x_{t-1} + noise, of deviation 1: the memory of each channel falls by `keep` a step."""
    noise = torch.randn(steps, batch, I, generator=torch.Generator().manual_seed(seed))
    x = [noise[0]]
    for step in noise[1:]:
        x.append(keep * x[-1] + math.sqrt(1 - keep**2) * step)
    return torch.stack(x)


def slow() -> torch.Tensor:
    """Data of long memory: a square wave of period 160, with noise, each sequence beginning at its own place."""
    random = torch.Generator().manual_seed(0)
    begin = torch.randint(160, (64, 1), generator=random)
    wave = (((torch.arange(200) + begin) // 80) % 2).t()[:, :, None] * 2.0 - 1.0
    return wave + 0.3 * torch.randn(200, 64, I, generator=random)


def faults(*args, **options) -> dict:
    return {finding.fault: finding for finding in diagnose(*args, **options)}


HEALTHY = {
    "lstm": lambda: carousel.LSTM(I, H),
    "gru": lambda: carousel.GRU(I, H),
    "rnn": lambda: carousel.RNN(I, H),
    "relu": lambda: carousel.RNN(I, H, nonlinearity="relu"),
    "coupled": lambda: carousel.LSTM(I, H, peepholes="all", coupled=True),
    "projected": lambda: carousel.LSTM(I, H, proj_size=4),
    "stack": lambda: carousel.LSTM(I, H, num_layers=2),
    "bidirectional": lambda: carousel.GRU(I, H, bidirectional=True),
    "layer norm": lambda: carousel.LSTM(I, H, layer_norm=True),
}


@pytest.mark.parametrize("build", HEALTHY.values(), ids=HEALTHY)
def test_a_healthy_network_has_none(build):
    norms = torch.linspace(0.1, 1.4, 50).tolist()
    assert diagnose(build(), first_order(0.7), gradient_norms=norms, clip=1.0, window=T) == []


def test_vanishing():
    torch.manual_seed(0)
    x = slow()
    finding = faults(carousel.LSTM(I, H), x)["vanishing"]
    assert 0.5 < finding.numbers["factor"] < 0.8
    assert finding.numbers["low"] < finding.numbers["factor"] < finding.numbers["high"]
    assert finding.numbers["beyond"] < finding.numbers["memory"] <= 100
    assert str(finding).startswith(
        f"gradients vanish (layer 0): gradients by c shrink by {finding.numbers['factor']:.2g} a step: "
        f"beyond {finding.numbers['beyond']:.0f} steps nothing is learned; the data's autocorrelation reaches "
    )
    assert f"initialize('chrono', longest={finding.numbers['memory']})" in finding.advice
    cured = carousel.LSTM(I, H)
    cured.initialize("chrono", longest=finding.numbers["memory"])
    assert "vanishing" not in faults(cured, x)


def test_a_network_without_biases_is_told_to_have_some():
    torch.manual_seed(0)
    finding = faults(carousel.GRU(I, H, bias=False), first_order(0.7), memory=90)["vanishing"]
    assert finding.advice.startswith("bias=True, and initialize('chrono', longest=90)")


def test_vanishing_in_a_network_without_gates():
    torch.manual_seed(0)
    x = slow()
    finding = faults(carousel.RNN(I, H), x, memory=100)["vanishing"]
    assert "the data's memory, as given, is 100 steps" in finding.seen
    assert "an LSTM with forget bias 2 or more" in finding.advice
    cured = carousel.LSTM(I, H)
    with torch.no_grad():  # what the advice says
        cured.bias_ih_l0.chunk(4)[1].fill_(2.0)
        cured.bias_hh_l0.chunk(4)[1].zero_()
    assert "vanishing" not in faults(cured, x, memory=100)


def test_exploding():
    torch.manual_seed(0)
    layer = carousel.RNN(I, H)
    layer.initialize("orthogonal")
    with torch.no_grad():
        layer.weight_hh_l0 *= 3
    finding = faults(layer, first_order(0.7))["exploding"]
    assert finding.numbers["low"] > 1
    assert "grow by 1." in finding.seen
    assert "initialize('orthogonal')" in finding.advice
    layer.initialize("orthogonal")
    assert "exploding" not in faults(layer, first_order(0.7))


def test_gradients_that_rise_before_they_fall_do_not_explode():
    """The lower layer of a stack whose gates are nearly shut: what it adds to the layer above adds up over the lags."""
    layer = carousel.LSTM(I, H, num_layers=2)
    layer.initialize("chrono", longest=1000)
    x = first_order(0.7)[:40]
    decay = gradient_flow(layer, x).decay("c", 0)
    assert decay.kind == "exploding"  # over these lags
    assert decay.factor**200 > 1000
    assert "exploding" not in faults(layer, x, window=200)


def test_states_that_overflow():
    layer = carousel.RNN(I, H, nonlinearity="relu")
    layer.initialize("identity")
    with torch.no_grad():
        layer.weight_hh_l0 *= 10
    found = faults(layer, first_order(0.7).abs())
    assert found["state-drift"].numbers["grown"] == math.inf
    assert "nan" not in found["state-drift"].seen
    # The steps before it overflows show what gradients do: it is found however long the sequences are.
    assert found["exploding"].seen.startswith("it is no longer finite after 39 of 100 steps; before, grad")
    assert found["exploding"].numbers["overflow"] == 39
    assert found["exploding"].numbers["factor"] == pytest.approx(10, rel=0.02)
    layer.initialize("identity")
    with torch.no_grad():
        layer.weight_hh_l0 *= 0.9
    assert "state-drift" not in faults(layer, first_order(0.7).abs())


@pytest.mark.parametrize("options", [{}, {"batch_first": True}, {"bidirectional": True}], ids=str)
@pytest.mark.parametrize("steps", [30, 200])
def test_a_network_that_explodes_is_found_whether_it_overflows_or_not(steps, options):
    torch.manual_seed(0)
    layer = carousel.RNN(I, H, nonlinearity="relu", **options)
    with torch.no_grad():
        for k in range(2 if layer.bidirectional else 1):
            getattr(layer, "weight_hh_l0" + "_reverse" * k).copy_(2.0 * torch.eye(H))
    x = first_order(0.7, steps=steps).abs()
    x = x.transpose(0, 1) if layer.batch_first else x
    found = faults(layer, x)
    assert found["exploding"].numbers["factor"] == pytest.approx(2, rel=0.02)
    resets = torch.zeros(steps, B, dtype=torch.bool)
    resets[15] = True
    resets = resets.t() if layer.batch_first else resets
    assert "exploding" in faults(layer, x, reset=resets, memory=10)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_what_is_not_finite_is_named_and_nothing_else_is_said(number):
    layer, x = carousel.LSTM(I, H, 2), first_order(0.7)
    bad = x.clone()
    bad[5, 2, 1] = number
    word = "NaN" if math.isnan(number) else "infinity"
    (finding,) = diagnose(layer, bad)
    assert (finding.fault, finding.what) == ("not-finite", "the input that the layer receives is not finite")
    assert finding.seen == f"it holds {word} at step 5, row 2, channel 1"
    for measure in (gradient_flow, read_gates, input_influence, step_jacobians, lyapunov):
        with pytest.raises(DataError, match=f"that the layer receives holds {word} at step 5, row 2, channel 1"):
            measure(layer, bad)
    # Padding may hold anything.
    bad = x.clone()
    bad[60:, 2] = number
    lengths = [100, 100, 60, *[100] * (B - 3)]
    assert diagnose(layer, bad, lengths=lengths, memory=5) == diagnose(layer, x, lengths=lengths, memory=5)
    with torch.no_grad():
        layer.weight_hh_l1[3, 2] = number
    (finding,) = diagnose(layer, x)
    assert str(finding).startswith(f"the parameter weight_hh_l1 is not finite: it holds {word} at [3, 2]. Try: take ")
    state = torch.zeros(2, B, H)
    state[1, 3, 4] = number
    (finding,) = diagnose(carousel.GRU(I, H, 2), x, state)
    assert finding.seen == f"it holds {word} at [1, 3, 4]"
    (finding,) = diagnose(carousel.GRU(I, H), x, loss=lambda y: (y[..., 0] * 0).log() * 0)
    assert finding.what == "loss is not finite"


def test_measures_of_an_output_that_overflows_are_refused():
    layer = carousel.RNN(I, H, nonlinearity="relu")
    with torch.no_grad():
        layer.weight_hh_l0.copy_(2.0 * torch.eye(H))
    for measure in (gradient_flow, read_gates, input_influence, step_jacobians, lyapunov):
        with pytest.raises(
            DataError, match=r"output of the RNN holds infinity from step 1\d\d on .*: the state overflows"
        ):
            measure(layer, first_order(0.7, steps=200).abs())


def test_norms_that_are_not_finite_are_no_steps_without_clipping():
    norms = [5.0 + 0.01 * step for step in range(90)] + [math.nan] * 5 + [math.inf] * 5
    found = faults(carousel.GRU(I, H), first_order(0.7), gradient_norms=norms, clip=1.0)
    assert found["not-finite"].seen.startswith(
        "the norm of the gradients is nan at step 90 of the training, and at 10 of 100 in all"
    )
    assert found["always-clipped"].numbers["share"] == 1
    assert found["always-clipped"].numbers["limit"] < 6
    alone = faults(carousel.GRU(I, H), first_order(0.7), gradient_norms=[math.nan] * 9, clip=1.0)
    assert list(alone) == ["not-finite"]


def test_saturated_gates():
    torch.manual_seed(0)
    layer = carousel.LSTM(I, H)
    with torch.no_grad():
        layer.weight_ih_l0 *= 100
    findings = [f for f in diagnose(layer, first_order(0.7)) if f.fault == "saturated-gates"]
    assert any(f.what == "the gate o is saturated" for f in findings)
    assert "lie within 1 % of its bounds (0.0, 1.0), where its slope, and with it the gradient, is next to 0" in str(
        findings[0]
    )
    layer.reset_parameters()
    assert "saturated-gates" not in faults(layer, first_order(0.7))


def test_forget_gates_that_stay_open_are_not_at_fault():
    layer = carousel.LSTM(I, H)
    layer.initialize("chrono", longest=100_000)
    assert "saturated-gates" not in {f.fault for f in diagnose(layer, first_order(0.7)) if "gate f" in f.what}


def test_dead_units():
    layer = carousel.RNN(I, H, nonlinearity="relu")
    with torch.no_grad():
        layer.bias_ih_l0[:4] = -100
    finding = faults(layer, first_order(0.7))["dead-units"]
    assert finding.seen == "4 of 16 units never change, at any of 800 steps; no gradient passes through them"
    layer.initialize("identity")
    assert "dead-units" not in faults(layer, first_order(0.7))


@pytest.mark.parametrize(("cell", "gate", "scheme"), [("lstm", "f", "forget-bias"), ("gru", "z", "chrono")])
def test_gates_that_are_shut_at_the_beginning(cell, gate, scheme):
    layer = carousel.Recurrent(cell, I, H)
    with torch.no_grad():
        place = layer.program.gates.index(gate)
        layer.bias_ih_l0.chunk(len(layer.program.gates))[place].fill_(-4)
    finding = faults(layer, first_order(0.7), memory=20)["forget-gates-shut"]
    assert finding.what.startswith(f"the gate {gate} that keeps ")
    assert finding.numbers["typical"] < 0.4
    assert scheme in finding.advice
    layer.initialize(scheme, longest=20)
    assert "forget-gates-shut" not in faults(layer, first_order(0.7), memory=20)


def test_a_window_shorter_than_the_memory_of_the_data():
    x = slow()
    layer = carousel.LSTM(I, H)
    layer.initialize("chrono", longest=100)
    found = faults(layer, x, window=30)
    assert found["window-too-short"].numbers["memory"] > 70
    assert found["window-too-short"].seen.startswith("a window has 30 steps, and the data's autocorrelation reaches ")
    assert "window-too-short" in faults(layer, first_order(0.7), memory=150)  # the data at hand have 100 steps
    assert "window-too-short" not in faults(layer, first_order(0.7), memory=15, window=50)
    # Windows cut from something slow: dependence has not ended where they do.
    level = torch.randn(1, 64, I) + 0.1 * torch.randn(40, 64, I)
    assert "autocorrelation reaches 20 steps and more" in faults(layer, level)["window-too-short"].seen


def test_inputs_that_are_not_scaled():
    x = first_order(0.7)
    layer = carousel.LSTM(I, H)
    pressures = 1013 + 8 * x
    finding = faults(layer, pressures)["inputs-unscaled"]
    assert "the root mean square of channel " in finding.seen
    assert "(mean 1.01e+03)" in finding.seen
    scaled = (pressures - pressures.mean((0, 1))) / pressures.std((0, 1))
    assert "inputs-unscaled" not in faults(layer, scaled)
    assert "inputs-unscaled" in faults(layer, 1e-4 * x)
    finding = faults(layer, x * torch.tensor([1.0, 5.0, 0.002]))["inputs-unscaled"]
    assert finding.what == "inputs are not of one scale"


def test_a_state_that_grows_for_ever():
    torch.manual_seed(0)
    layer = carousel.LSTM(I, H)
    with torch.no_grad():  # f = 1 and i * g above 0: c counts
        layer.weight_hh_l0.zero_()
        layer.weight_ih_l0.zero_()
        layer.bias_ih_l0.view(4, H)[0], layer.bias_ih_l0.view(4, H)[1], layer.bias_ih_l0.view(4, H)[2] = 2, 20, 2
    finding = faults(layer, first_order(0.7))["state-drift"]
    assert finding.what == "the state c does not stay bounded"
    assert finding.numbers["grown"] == pytest.approx(4, rel=0.01)
    coupled = carousel.LSTM(I, H, coupled=True)
    with torch.no_grad():
        coupled.bias_ih_l0.view(3, H)[0] = 2
    assert "state-drift" not in faults(coupled, first_order(0.7))
    assert "state-drift" not in faults(carousel.RNN(I, H, bidirectional=True), first_order(0.7))


def test_clipping_that_is_always_active():
    layer, norms = carousel.GRU(I, H), [5.0 + 0.01 * step for step in range(100)]
    finding = faults(layer, first_order(0.7), gradient_norms=norms, clip=1.0)["always-clipped"]
    assert finding.seen.startswith("100% of 100 steps had a gradient longer than the limit 1 (median 5.49)")
    higher = finding.numbers["limit"]
    assert "always-clipped" not in faults(layer, first_order(0.7), gradient_norms=norms, clip=higher)


def test_every_fault_has_a_test_here():
    """ "cannot-be-told" is tried over heads and directions, in test_insight_heads."""
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{fault}"' in text for fault in FAULTS)


def test_a_model_of_symbols():
    """A text that says its theme at the beginning of each sequence, in symbols that come back long after."""

    class Reader(nn.Module):
        def __init__(self, cell):
            super().__init__()
            self.embedding = nn.Embedding(6, 8)
            self.recurrent = carousel.Recurrent(cell, 8, H)
            self.head = nn.Linear(H, 6)

        def forward(self, symbols):
            return self.head(self.recurrent(self.embedding(symbols))[0])

    random = torch.Generator().manual_seed(0)
    theme = torch.randint(2, (1, 32), generator=random)
    symbols = theme * 3 + torch.randint(3, (120, 32), generator=random)
    reader = Reader("rnn")
    found = faults(reader, symbols)
    assert found["vanishing"].numbers["memory"] == 60
    assert "60 steps and more" in found["vanishing"].seen
    reader.recurrent.batch_first = True
    assert str(faults(reader, symbols.t())["vanishing"]) == str(found["vanishing"])


# --- the memory of data


def test_the_memory_of_a_first_order_process():
    memory = data_memory(first_order(0.8, steps=2000, batch=32), lags=60)
    expected = 0.8 ** memory.lags[:20].double()
    torch.testing.assert_close(memory.dependence[:20], expected, atol=0.03, rtol=0)
    assert abs(memory.reach - math.log(0.1) / math.log(0.8)) <= 2
    assert not memory.cut_off


def test_noise_has_none_to_speak_of():
    for seed in range(2):
        x = torch.randn(300, 4, I, generator=torch.Generator().manual_seed(seed))
        assert data_memory(x).reach <= 1  # two deviations at the first lag are not rare
        symbols = torch.randint(20, (300, 4), generator=torch.Generator().manual_seed(seed))
        assert data_memory(symbols).reach <= 1


def test_an_echo_is_found_where_it_is():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(400, 4, generator=random)
    memory = data_memory(x, x.roll(30, 0) + 0.5 * torch.randn(400, 4, generator=random), lags=60)
    assert memory.reach == 30
    assert memory.dependence.argmax().item() + 1 == 30
    symbols = torch.randint(5, (2000,), generator=random)
    memory = data_memory(symbols, symbols.roll(7), lags=20)
    assert memory.reach == 7
    # The informational correlation of five equal symbols that are known for sure: I = ln 5.
    assert memory.dependence[6].item() == pytest.approx(math.sqrt(1 - 1 / 25), abs=0.01)
    mixed = data_memory(symbols, symbols.roll(7).double() ** 2, lags=20)
    assert mixed.reach == 7


def test_informational_correlation_is_that_of_normal_numbers():
    """Two values of normal numbers in many narrow classes have nearly the correlation that they had."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(200_000, generator=random)
    y = 0.6 * x.roll(1) + 0.8 * torch.randn(200_000, generator=random)
    classes = torch.linspace(-2.5, 2.5, 31)
    memory = data_memory(torch.bucketize(x, classes), torch.bucketize(y, classes), lags=1)
    assert memory.dependence.item() == pytest.approx(0.6, abs=0.02)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: diagnose(carousel.GRU(I, H), first_order(0.5)[:19]), TooShort, "it needs 20 steps, but there are 19"),
        (
            lambda: diagnose(carousel.GRU(I, H), first_order(0.5), clip=1.0),
            DataError,
            "gradient_norms= and clip= belong",
        ),
        (lambda: diagnose(carousel.GRU(I, H), first_order(0.5), memory=0), DataError, "memory= must be 1 step or more"),
        (
            lambda: diagnose(carousel.GRU(I, H), first_order(0.5), clip=0.0, gradient_norms=[1]),
            DataError,
            "clip= must be above 0",
        ),
        (lambda: data_memory(torch.ones(50)), DataError, "x is the same at every step"),
        (lambda: data_memory(torch.randn(9)), TooShort, "at least 10 steps, but there are 9"),
        (lambda: data_memory(torch.randn(50), torch.randn(49)), DataError, r"\(50, 1\), but has \(49, 1\)"),
        (lambda: data_memory(torch.randn(50), lags=50), DataError, "lags must lie between 1 and 49"),
        (lambda: data_memory(torch.tensor([math.nan] * 20)), DataError, "x must hold finite numbers"),
        (lambda: data_memory(torch.ones(5, 5, 5, 5)), DataError, r"has the shape \(5, 5, 5, 5\)"),
    ],
)
def test_what_is_refused_is_said(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_what_tells_less_than_a_hundredth_is_not_worth_remembering():
    """Symbols of two tempers that last 2,000 steps: at lag 100 they still tell of each other, but next to nothing."""
    chance = torch.Generator().manual_seed(0)
    temper = (torch.arange(30_000) // 2_000 % 2).bool()
    half = torch.rand(30_000, generator=chance) < torch.where(temper, 0.5 + 0.175, 0.5 - 0.175)
    symbols = torch.randint(16, (30_000,), generator=chance) + 16 * half
    memory = data_memory(symbols, lags=100)
    assert memory.dependence[99] > max(0.1, memory.noise[99].item())
    assert memory.reach == 0
