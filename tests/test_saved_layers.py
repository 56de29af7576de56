"""A saved layer: its class, its arguments, its weights, and a fingerprint of its equations; the rest is made anew."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle
import warnings
from typing import Any

import pytest
import torch
from torch import nn

import carousel
from carousel import Cell
from carousel.layers import saved_cells
from carousel.layers.equations import fingerprint

I, H = 3, 4


class Leaky(Cell):
    gates = "n"
    function = staticmethod(torch.tanh)

    def __init__(self, dt=0.1):
        self.dt = dt

    def step(self, h, n):
        return (1 - self.dt) * h + self.dt * self.function(n)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = carousel.GRU(I, H, 2)
        self.head = nn.Linear(H, 1)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


LAYERS: dict[str, Any] = {
    "LSTM": lambda: carousel.LSTM(I, H, 2, bidirectional=True),
    "GRU": lambda: carousel.GRU(I, H, reset="before", batch_first=True),
    "RNN": lambda: carousel.RNN(I, H, nonlinearity="sigmoid"),
    "LSTMCell": lambda: carousel.LSTMCell(I, H, layer_norm=True),
    "GRUCell": lambda: carousel.GRUCell(I, H),
    "RNNCell": lambda: carousel.RNNCell(I, H, nonlinearity="relu"),
    "peepholes, zoneout by state": lambda: carousel.LSTM(I, H, peepholes=("forget", "input"), zoneout={"c": 0.2}),
    "coupled, projected": lambda: carousel.LSTM(I, H, coupled=True, proj_size=2, recurrent_dropout=0.3),
    "learned start": lambda: carousel.GRU(I, H, initial_state="learned", candidate_dropout=0.1, engine="reference"),
    "layer norm": lambda: carousel.GRU(I, H, layer_norm=True, checkpoint="auto", weight_drop=0.2, input_dropout=0.2),
    "by name": lambda: carousel.Recurrent("peephole-lstm", I, H, dropout=0.5, num_layers=2),
    "model": Model,
}
OWN: dict[str, Any] = {"a cell of one's own": lambda: carousel.Recurrent(Leaky(0.3), I, H)}


def file_of(module):
    file = io.BytesIO()
    torch.save(module, file)
    return file.getvalue()


def said(module, x):
    module = module.eval()
    found = module(x)
    return (
        [found]
        if isinstance(found, torch.Tensor)
        else [found[0], *(found[1] if isinstance(found[1], tuple) else found[1:])]
    )


def example(name):
    return torch.randn(2, I) if "Cell" in name else torch.randn(5, 2, I)


def by_torch(module):
    return torch.load(io.BytesIO(file_of(module)), weights_only=False)


@pytest.mark.parametrize("again", [copy.deepcopy, copy.copy, lambda m: pickle.loads(pickle.dumps(m)), by_torch])
@pytest.mark.parametrize("name", {**LAYERS, **OWN})  # type: ignore[dict-item]
def test_a_layer_comes_back_with_its_options(name, again):
    layer, x = (LAYERS | OWN)[name](), example(name)
    twin = again(layer)
    assert repr(twin) == repr(layer)
    assert type(twin) is type(layer)
    for mine, theirs in zip(said(layer, x), said(twin, x), strict=True):
        assert torch.equal(mine, theirs)
    if isinstance(layer, carousel.Recurrent):
        assert twin.program is layer.program
        assert (type(twin.cell), vars(twin.cell)) == (type(layer.cell), vars(layer.cell))
        with twin.record(*twin.program.states) as values:
            twin(x)
        assert set(values) == set(twin.program.states)


@pytest.mark.parametrize("name", LAYERS)
def test_loading_weights_alone_needs_the_layers_class_alone(name):
    layer, x = LAYERS[name](), example(name)
    file = file_of(layer)
    needed = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(file))
    allowed = [Model, nn.Linear, carousel.GRU] if name == "model" else [type(layer)]
    assert set(needed) <= {f"{kind.__module__}.{kind.__qualname__}" for kind in allowed}
    with torch.serialization.safe_globals(allowed):  # type: ignore[arg-type]
        twin = torch.load(io.BytesIO(file), weights_only=True)
    for mine, theirs in zip(said(layer, x), said(twin, x), strict=True):
        assert torch.equal(mine, theirs)


def test_a_cell_of_ones_own_needs_its_class_too():
    layer = OWN["a cell of one's own"]()
    with torch.serialization.safe_globals([carousel.Recurrent, Leaky]):
        twin = torch.load(io.BytesIO(file_of(layer)), weights_only=True)
    assert twin.program is layer.program


def test_programs_are_not_in_the_file():
    for home in ("LSTM", "GRU"):
        ours, theirs = (len(pickle.dumps(getattr(kind, home)(I, H))) for kind in (carousel, nn))
        assert ours < theirs + 1000


def other_process(layer, x, found):
    found.put([t.detach().numpy() for t in said(layer, x)])


def test_another_process_has_the_same_layer():
    context = multiprocessing.get_context("spawn")
    layer, x, found = carousel.LSTM(I, H, peepholes="all"), torch.randn(5, 2, I), context.Queue()
    process = context.Process(target=other_process, args=(layer, x, found))
    process.start()
    theirs = found.get(timeout=120)
    process.join(60)
    for mine, other in zip(said(layer, x), theirs, strict=True):
        assert torch.equal(mine, torch.from_numpy(other))


class TestEquationsThatChanged:
    def test_the_new_ones_run_and_a_warning_says_so(self, monkeypatch):
        layer = carousel.Recurrent(Leaky(0.3), I, H)
        file = pickle.dumps(layer)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pickle.loads(file)
        monkeypatch.setattr(Leaky, "function", staticmethod(torch.relu))
        with pytest.warns(
            UserWarning, match="the equations of its cell Leaky are not those that the layer was saved"
        ) as w:
            twin = pickle.loads(file)
        assert "train it again and save it" in str(w[0].message)
        assert "relu" in str(twin.program)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = pickle.loads(pickle.dumps(twin))
        assert again.program is twin.program

    def test_names_and_lines_do_not_count(self, monkeypatch):
        layer = carousel.Recurrent(Leaky(0.3), I, H)
        file = pickle.dumps(layer)

        def step(self, h, n):
            kept = (1 - self.dt) * h
            added = self.dt * self.function(n)
            return kept + added

        monkeypatch.setattr(Leaky, "step", step)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pickle.loads(file)

    def test_other_parameters_are_refused(self, monkeypatch):
        file = pickle.dumps(carousel.Recurrent(Leaky(0.3), I, H))
        monkeypatch.setattr(Leaky, "vectors", ("p",), raising=False)
        monkeypatch.setattr(Leaky, "step", lambda self, h, n, p: h + self.dt * p * n)
        with pytest.raises(ValueError, match=r"need other parameters: p_l0 was not there and would be \(4,\); load it"):
            pickle.loads(file)

    def test_a_step_in_plain_python(self):
        class_ = type("Plain", (Leaky,), {"step": lambda self, h, n: torch.cumsum(h + n, -1), "__module__": __name__})
        globals()["Plain"] = class_
        layer = carousel.Recurrent(class_(), I, H, engine="reference")
        twin = pickle.loads(pickle.dumps(layer))
        x = torch.randn(5, 2, I)
        assert torch.equal(twin(x)[0], layer(x)[0])
        assert twin.why_untraced == layer.why_untraced


def test_a_fingerprint_is_of_the_equations_alone():
    assert fingerprint(carousel.LSTM(I, H).program) == fingerprint(carousel.LSTM(5, 7, 3).program)
    assert fingerprint(carousel.LSTM(I, H).program) != fingerprint(carousel.LSTM(I, H, coupled=True).program)
    assert fingerprint(carousel.LSTM(I, H).program) != fingerprint(carousel.LSTM(I, H, bias=False).program)


@pytest.mark.parametrize("file", ["lstm", "layer_norm_lstm", "where it stood once"])
def test_a_cell_is_found_by_its_name_wherever_its_file_stood(file):
    assert type(saved_cells.loaded((file, "LayerNormLSTM", {}))) is carousel.cells.lstm.LayerNormLSTM


@pytest.mark.parametrize(
    "found",
    [
        ("os", "system", {"command": "true"}),
        ("cell", "names", {}),
        ("lstm", "LSTM", {"peepholes": "no such"}),
        ("lstm", "LSTM", {"unknown": 1}),
        ("lstm", "Cell", {}),
        ("lstm", "NoSuch", {}),
        "lstm",
        None,
    ],
)
def test_what_is_no_cell_is_refused_and_runs_nothing(found):
    with pytest.raises(ValueError, match="is no cell of this Carousel"):
        saved_cells.loaded(found)
