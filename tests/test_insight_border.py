"""What a measure is asked in other ways than its author thought of: options, modes, layouts, names, odd arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import carousel
from carousel.errors import DataError
from carousel.insight import (
    TooShort,
    diagnose,
    figures,
    gradient_flow,
    input_influence,
    lyapunov,
    read_gates,
    step_jacobians,
)

I, H, B, T = 3, 8, 2, 60


@pytest.fixture(scope="module")
def layer():
    torch.manual_seed(0)
    return carousel.LSTM(I, H)


@pytest.fixture(scope="module")
def x():
    return torch.randn(T, B, I, generator=torch.Generator().manual_seed(1))


# -- what joins a step ---------------------------------------------------------------------------------------------


def held(f: float, batch_first: bool = False, **options):
    """An LSTM that keeps the share f of c at every step and adds nothing."""
    layer = carousel.LSTM(I, H, batch_first=batch_first, dtype=torch.float64, **options)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.zero_()
        layer.bias_ih_l0.chunk(4)[1].fill_(math.log(f / (1 - f)))
    return layer.eval()


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(("options", "keep"), [({}, None), ({"zoneout": 0.5}, None), ({"zoneout": {"c": 0.25}}, 0.9)])
def test_time_constants_are_of_all_that_a_step_keeps(options, keep, batch_first):
    """Against what is left of a state after some steps of the layer itself."""
    layer = held(0.5, batch_first, **options)
    x = torch.zeros(B, 10, I, dtype=torch.float64) if batch_first else torch.zeros(10, B, I, dtype=torch.float64)
    hx = torch.zeros(1, B, H, dtype=torch.float64), torch.ones(1, B, H, dtype=torch.float64)
    call: dict[str, Any] = {} if keep is None else {"keep": {"c": torch.full(x.shape[:2], keep, dtype=torch.float64)}}
    _, (_, c) = layer(x, hx, **call)
    gates = read_gates(layer, x, hx, **call)
    torch.testing.assert_close(torch.exp(-10 / gates.time_constants("c")), c[0, 0].detach())


def test_a_hook_is_named_where_time_constants_are_asked_for(layer, x):
    def noisy(t, states):
        states["c"] *= 0.5 if t else 1.0

    with layer.hook(noisy):
        gates = read_gates(layer, x)
        found = diagnose(layer, x)
        with pytest.raises(DataError, match=r"since the hook noisy may change it .* autocorrelation_times\(\)"):
            gates.time_constants()
        assert torch.equal(gates.timescales(), gates.autocorrelation_times())
        figures.units_by_timescale(gates).canvas.draw()
    assert "cannot-be-told" in [finding.fault for finding in found]
    assert read_gates(layer, x).time_constants().isfinite().all()


# -- modes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.set_grad_enabled(False)])
@pytest.mark.parametrize("measure", [gradient_flow, input_influence, diagnose, step_jacobians, lyapunov, read_gates])
def test_every_measure_runs_whatever_is_switched_off(measure, mode, layer, x):
    expected = measure(layer, x)
    with mode():
        found = measure(layer, x.clone())  # in inference_mode a tensor of that mode
        assert not torch.is_grad_enabled()
    if measure in (gradient_flow, step_jacobians):
        name = "arriving" if measure is gradient_flow else "matrices"
        torch.testing.assert_close(getattr(found, name), getattr(expected, name))
    assert type(found) is type(expected)


# -- layouts --------------------------------------------------------------------------------------------------------


class TimeFirst(nn.Module):
    """Turns what its layer gives the other way round."""

    def __init__(self):
        super().__init__()
        self.rnn = carousel.LSTM(I, H, batch_first=True)

    def forward(self, x):
        return self.rnn(x)[0].transpose(0, 1)


def test_messages_speak_of_the_callers_layout():
    model, x = TimeFirst(), torch.randn(6, 80, I)
    with pytest.raises(DataError, match=r"loss must give \(6, 80\) numbers, .* but gave \(80, 6\)"):
        gradient_flow(model.rnn, x, loss=lambda y: y[..., 0].t())
    with pytest.raises(DataError, match=r"of= must give \(6, 80\) numbers, .* but gave \(80, 6\)"):
        input_influence(model, x, of=lambda y: y[..., 0])


@pytest.mark.parametrize("measure", [lambda m, x: input_influence(m, x, of=lambda y: y[..., 0]), gradient_flow])
def test_as_many_steps_as_sequences_do_not_hide_the_wrong_layout(measure):
    model, x = TimeFirst(), torch.randn(8, 8, I)
    with pytest.raises(DataError, match="but it gave them the other way round: number .* depends on another sequence"):
        measure(model, x)
    measure(model.rnn, x)


# -- features -------------------------------------------------------------------------------------------------------


def test_influence_by_feature_is_the_jacobian(layer, x):
    layer = carousel.LSTM(I, H, dtype=torch.float64)
    x = x[:6].double()
    found = input_influence(layer, x, at=[3, 5], features=True)
    whole = torch.autograd.functional.jacobian(lambda v: layer(v)[0], x)  # (T, B, H, T, B, I)
    for place, t in enumerate((3, 5)):
        for b in range(B):
            torch.testing.assert_close(found.by_feature[place, :, b], whole[t, b][:, :, b].square().sum(0).sqrt())
    torch.testing.assert_close(found.by_feature.square().sum(-1).sqrt(), found.norms)
    assert input_influence(layer, x).by_feature is None
    figure = figures.influence_by_feature(found, at=0, row=1, features=["a", "b", "c"])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b", "c"]
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), found.by_feature[0, :, 1].T)  # type: ignore[arg-type]


# -- names ----------------------------------------------------------------------------------------------------------


def test_a_gate_goes_by_its_letter_and_by_its_word_everywhere(layer, x):
    gates = read_gates(layer, x)
    for word, letter in (("forget", "f"), ("input", "i"), ("output", "o"), ("candidate", "g")):
        assert torch.equal(gates.values[word], gates.values[letter])
        assert torch.equal(gates.saturation(word).open, gates.saturation(letter).open)
        with layer.record(word) as by_word, layer.record(letter) as by_letter:
            layer(x)
        assert torch.equal(by_word[letter], by_letter[word])
        figures.gates_over_time(gates, word)
    with pytest.raises(KeyError, match="there is no 'update': there is f, i, g, o, h, c"):
        gates.values["update"]


# -- odd arguments --------------------------------------------------------------------------------------------------

REFUSED = {
    "at=5": (
        lambda layer, x, gates: gradient_flow(layer, x, at=5),  # type: ignore[arg-type]
        r"at= must be a list of steps, such as \[59\], not 5",
    ),
    "at=[0.5]": (lambda layer, x, gates: input_influence(layer, x, at=[0.5]), "at= must name steps by whole numbers"),  # type: ignore[list-item]
    "steps=5": (lambda layer, x, gates: step_jacobians(layer, x, steps=5), "steps= must be a list of steps"),  # type: ignore[arg-type]
    "row=7": (
        lambda layer, x, gates: figures.gates_over_time(gates, "f", row=7),
        "There is no row 7: there are 2, from",
    ),
    "units=[99]": (lambda layer, x, gates: figures.gates_over_time(gates, "f", units=[99]), "There is no unit 99"),
    "units=3": (lambda layer, x, gates: figures.gates_over_time(gates, "f", units=3), "units= must be a list of units"),  # type: ignore[arg-type]
    "place": (
        lambda layer, x, gates: figures.gates_over_time(gates, "f", place="layer 0"),  # type: ignore[arg-type]
        r"There is no 'f' at place layer 0: there is f, i, g, o, h, c at 0 \(layer 0\)",
    ),
    "list": (
        lambda layer, x, gates: figures.gradient_by_lag([gradient_flow(layer, x)]),  # type: ignore[arg-type]
        "Give one gradient flow, or several by name, as in .*, not a list",
    ),
    "row of influence": (
        lambda layer, x, gates: figures.influence(input_influence(layer, x, at=[3], of="top"), row=2),
        "There is no row 2",
    ),
    "features": (
        lambda layer, x, gates: figures.influence_by_feature(input_influence(layer, x, at=[3], of="top")),
        "measure it with input_influence",
    ),
    "cell": (
        lambda layer, x, gates: gradient_flow(carousel.LSTMCell(I, H), x),
        "A LSTMCell runs one step, and its steps",
    ),
    "module of a cell": (
        lambda layer, x, gates: read_gates(nn.Sequential(carousel.GRUCell(I, H)), x),
        r"A GRUCell runs one step, .* layer = Recurrent\(cell.cell, 3, 8, bias=True\)",
    ),
    "layer=3": (
        lambda layer, x, gates: gradient_flow(nn.Sequential(layer), x, layer=3),  # type: ignore[arg-type]
        "layer= must be a recurrent layer",
    ),
}


@pytest.mark.parametrize(("call", "words"), REFUSED.values(), ids=REFUSED)
def test_odd_arguments_are_refused_in_words(call, words, layer, x):
    with pytest.raises(DataError, match=words):
        call(layer, x, read_gates(layer, x))


@pytest.mark.parametrize("measure", [gradient_flow, input_influence, read_gates, lyapunov, diagnose])
def test_an_array_is_no_tensor(measure, layer, x):
    with pytest.raises(TypeError, match="LSTM: input must be a Tensor or a PackedSequence, got ndarray"):
        measure(layer, x.numpy())


def test_labels_may_be_numbers(layer, x):
    figure = figures.gates_over_time(read_gates(layer, x), "f", labels=range(T))  # type: ignore[arg-type]
    assert figure.axes[0].get_xticklabels()[7].get_text() == "7"
    figures.influence(input_influence(layer, x, of="top"), labels=range(T)).canvas.draw()


def test_a_cells_weights_can_be_measured_as_the_message_says(x):
    cell = carousel.GRUCell(I, H)
    layer = carousel.Recurrent(cell.cell, 3, 8, bias=True)
    layer.load_state_dict({f"{name}_l0": weight for name, weight in cell.state_dict().items()})
    state = torch.zeros(B, H)
    for step in x:
        state = cell(step, state)
    torch.testing.assert_close(layer(x)[0][-1], state)


def test_a_stepper_inside_record_is_named(layer, x):
    stepper = layer.stepper(B)
    with layer.record("forget") as recorded:
        stepper(x[0])
    with pytest.raises(KeyError, match="the steps of a stepper are not recorded"):
        recorded["forget"]


def test_an_identity_network_is_not_told_to_take_longer_sequences():
    class Linear(carousel.Cell):
        gates = ("n",)

        def step(self, n):
            return n

    layer = carousel.Recurrent(Linear, 1, H, bias=False)
    layer.initialize("identity")
    with pytest.raises(TooShort, match="any sequence can tell, since nothing is lost on the way") as refused:
        gradient_flow(layer, torch.randn(T, B, 1)).memory_length()
    assert "Give many times longer" not in str(refused.value)
    assert refused.value.needed == math.inf


def test_recorded_states_and_taps_as_the_documents_say(layer, x):
    output, _, states = layer(x, return_states=True)
    (by_weight,) = torch.autograd.grad(states["c"].sum(), layer.weight_hh_l0)
    assert by_weight.any()  # a loss may be made of them
    with layer.tap() as tap:
        output, _ = layer(x)
    gradient = tap.gradients(output[-1].sum())["c"]
    assert gradient.shape == (1, T, B, H)
    assert gradient[0, -5:].any()
