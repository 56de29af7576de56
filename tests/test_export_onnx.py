"""Layers as ONNX models: every cell, in both directions, ragged, for any number of steps and rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from matrix import OF_ROWS, USERS, assert_close, moved

import carousel
from carousel.errors import CarouselError, ProgramError
from carousel.export import onnx as exporting
from carousel.export import to_c, to_onnx
from carousel.export.onnx.operations import OPERATIONS
from carousel.models import Ensemble, LabelModel, QuantileForecaster, TokenModel
from carousel.program import ops

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def run(path, given):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(value) for value in session.run(None, given)]


def operators(path):
    return {node.op_type for node in onnx.load(path).graph.node}


def states_of(layer, batch):
    draw = tuple(
        0.5 + 0.1 * torch.rand(shape, dtype=layer.weight_ih_l0.dtype) for shape in layer.expected_states(batch)
    )
    return draw[0] if len(draw) == 1 else draw, dict(zip(layer.program.states, (s.numpy() for s in draw), strict=True))


def test_every_op_has_an_onnx_form():
    # Products are written in their own way. Members are of trees, and layers have none.
    products = {name for name, row in ops.TABLE.items() if row.kind in ("product", "members")}
    assert set(ops.TABLE) <= set(OPERATIONS) | products


BOTH_WAYS_TWICE: dict[str, Any] = {"bidirectional": True, "num_layers": 2}
# What stacks of cells cannot have whose layers above read no outputs of another width, or no outputs at all.
STACKS: dict[str, dict[str, Any]] = {"gru-d": {"num_layers": 1}, "intersection-rnn": {"bidirectional": False}}


@pytest.mark.parametrize("row", [row for row in (*OF_ROWS, *USERS) if row.traced], ids=str)
def test_a_layer_in_onnx_gives_what_the_layer_gives(row, tmp_path):
    layer = row.layer(3, 5, engine="auto", **(BOTH_WAYS_TWICE | STACKS.get(row.name, {})))
    path = to_onnx(layer, tmp_path / "layer.onnx", lengths=True)
    for steps, batch in ((1, 1), (7, 8), (40, 3)):
        x = torch.randn(steps, batch, layer.input_size)
        lengths = torch.randint(0, steps + 1, (batch,))
        lengths[0] = steps
        hx, given = states_of(layer, batch)
        with torch.no_grad():
            output, last = layer(x, hx, lengths=lengths)
        found = run(path, {"input": x.numpy(), "lengths": lengths.numpy(), **given})
        for there, here in zip(found, (output, *((last,) if isinstance(last, torch.Tensor) else last)), strict=True):
            assert_close(there, here, terms=4000)


@pytest.mark.parametrize(
    ("layer", "operator"),
    [
        (lambda: carousel.LSTM(3, 4), "LSTM"),
        (lambda: carousel.LSTM(3, 4, peepholes="all", bias=False), "LSTM"),
        (lambda: carousel.LSTM(3, 4, peepholes="forget", coupled=True), "LSTM"),
        (lambda: carousel.GRU(3, 4, reset="before"), "GRU"),
        (lambda: carousel.RNN(3, 4, nonlinearity="relu"), "RNN"),
        (lambda: carousel.LSTM(3, 4, proj_size=2), "Scan"),
        (lambda: carousel.GRU(3, 4, zoneout=0.2), "Scan"),
        (lambda: carousel.GRU(3, 4, dtype=torch.float64), "Scan"),
    ],
)
@pytest.mark.parametrize("batch_first", [False, True])
def test_what_onnx_has_becomes_its_own_operator(layer, operator, batch_first, tmp_path):
    layer = moved(layer())
    layer.batch_first = batch_first
    path = to_onnx(layer, tmp_path / "layer.onnx", states=False)
    assert operator in operators(path)
    x = torch.randn(5, 6, 3, dtype=layer.weight_ih_l0.dtype)
    with torch.no_grad():
        layer.eval()
        assert_close(run(path, {"input": x.numpy()})[0], layer(x)[0], terms=1000)


def test_without_states_a_sequence_begins_with_the_learned_ones(tmp_path):
    layer = moved(carousel.GRU(3, 4, 2, initial_state="learned", bidirectional=True))
    path = to_onnx(layer, tmp_path / "layer.onnx", states=False, lengths=True)
    x, lengths = torch.randn(5, 2, 3), torch.tensor([5, 0])
    output, h = run(path, {"input": x.numpy(), "lengths": lengths.numpy()})
    with torch.no_grad():
        wanted, last = layer(x, lengths=lengths)
    assert_close(output, wanted, terms=1000)
    assert_close(h, last, terms=1000)


def test_a_language_model_goes_on_from_its_states(tmp_path):
    model = moved(TokenModel(11, hidden=8, layers=2, embedding=5, dropout=0.3)).eval()
    path, symbols = to_onnx(model, tmp_path / "model.onnx"), torch.randint(11, (9, 4))
    with torch.no_grad():
        scores, (h, c) = model(symbols)
    state = {name: torch.zeros(2, 4, 8).numpy() for name in "hc"}
    first, *last = run(path, {"symbols": symbols[:5].numpy(), **state})
    state = {name: values.numpy() for name, values in zip("hc", last, strict=True)}
    second, *last = run(path, {"symbols": symbols[5:].numpy(), **state})
    assert_close(torch.cat([first, second]), torch.softmax(scores, -1), terms=2000)
    for there, here in zip(last, (h, c), strict=True):
        assert_close(there, here, terms=2000)


# Each head, with steps of numbers and of symbols, in one direction and both, with every form of the convolutions.
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "last": {"head": "last", "inputs": 3, "cell": "lstm"},
    "last-both": {"head": "last", "inputs": 3, "bidirectional": True, "convolutions": 4, "points": 12},
    "mean": {"head": "mean", "symbols": 7, "embedding": 4, "convolutions": 4, "stride": 2},
    "max": {"head": "max", "symbols": 7, "embedding": 4, "layers": 2},
    "attention": {"head": "attention", "inputs": 3, "convolutions": 4, "cell": "layer-norm-gru"},
    "attention-both": {"head": "attention", "inputs": 3, "bidirectional": True, "convolutions": 4, "stride": 3},
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_in_onnx_gives_its_probabilities(name, tmp_path):
    options = CLASSIFIERS[name]
    members = [moved(LabelModel(4, hidden=6, **options), seed) for seed in range(2)]
    if "inputs" in options:
        for member in members:
            member.standardize_on([1e6 + torch.randn(20, 3, dtype=torch.float64).numpy()])
    model = Ensemble(members).eval()
    path = to_onnx(model, tmp_path / "model.onnx")
    for steps, lengths in ((1, [1]), (9, [9, 0, 4, 1])):
        lengths = torch.tensor(lengths)
        shape = (steps, len(lengths))
        x = torch.randint(7, shape) if "symbols" in options else 1e6 + torch.randn(*shape, 3, dtype=torch.float64)
        given = {"symbols" if "symbols" in options else "input": x.numpy(), "lengths": lengths.numpy()}
        with torch.no_grad():
            assert_close(run(path, given)[0], model(x, lengths).exp(), terms=4000)


@pytest.mark.parametrize(("form", "cell"), [("encoder-decoder", "lstm"), ("autoregressive", "gru-reset-before")])
def test_a_forecaster_in_onnx_gives_its_quantiles(form, cell, tmp_path):
    levels = [0.1, 0.3, 0.5, 0.8, 0.9]
    model = QuantileForecaster(
        step=4, origin=3, ahead=2, horizon=5, levels=levels, form=form, cell=cell, hidden=6, layers=2
    )
    moved(model).eval().anchor.normal_()
    path, steps = to_onnx(model, tmp_path / "model.onnx"), 4 + 2 * model.autoregressive
    history, lengths, origin = torch.randn(12, 3, steps), torch.tensor([12, 1, 7]), torch.randn(3, 3)
    ahead = torch.randn(model.at_once, 3, 2)
    zero = {name: torch.zeros(2, 3, 6).numpy() for name in model.encoder.program.states}
    given = {"history": history, "lengths": lengths, "origin": origin, "ahead": ahead}
    found = run(path, {name: values.numpy() for name, values in given.items()} | zero)
    with torch.no_grad():
        states = model.encode(history)
        at = tuple(state[:, lengths - 1, torch.arange(3)] for state in states)
        wanted = model.decode(at, origin, ahead)
    assert (wanted.diff(dim=-1) >= 0).all()
    for there, here in zip(found, (wanted, *at), strict=True):
        assert_close(there, here, terms=4000)


class Ordered(carousel.Cell):
    gates = "n"

    def step(self, n):
        return torch.cumsum(torch.tanh(n), -1)


def test_refusals(tmp_path, monkeypatch):
    path = tmp_path / "layer.onnx"
    with pytest.raises(ProgramError, match="exporting to ONNX: the step of Ordered is not a program"):
        to_onnx(carousel.Recurrent(Ordered(), 2, 3, engine="reference"), path)
    for export in (to_onnx, to_c):
        with pytest.raises(TypeError, match="carousel"):
            export(carousel.Recursive("child-sum-tree-lstm", 2, 3), path)
    with pytest.raises(TypeError, match=r"give a carousel\.Recurrent"):
        to_onnx(torch.nn.LSTM(2, 3), path)
    ours, other = (exporting.of_module(carousel.GRU(2, 3)) for _ in range(2))
    monkeypatch.setattr(exporting, "of_module", lambda *_, **__: dataclasses.replace(ours, model=other.model))
    with pytest.raises(CarouselError, match="differs by"):
        to_onnx(carousel.GRU(2, 3), path)
    assert not path.exists()


def test_the_models_doc_string_is_the_equations(tmp_path):
    path = to_onnx(carousel.GRU(2, 3), tmp_path / "gru.onnx")
    assert "n  = tanh" in onnx.load(path).doc_string
