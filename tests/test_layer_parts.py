"""How a layer is made of parts: what joins a scan is one class, no file imports in a circle, and help tells it all."""

from __future__ import annotations

import ast
import inspect
import pydoc
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import torch

import carousel
from carousel.layers import regularizers
from carousel.layers.add_ins import AddIn, AddIns, Rewriting
from carousel.layers.regularizers import Regularizer

LAYERS = Path(carousel.layers.__file__).parent
FACES = [carousel.Recurrent, carousel.RNN, carousel.LSTM, carousel.GRU]
I, H, T, B = 3, 4, 5, 2


def test_no_file_imports_another_in_a_circle_not_even_for_types():
    graph = {}
    for file in LAYERS.glob("*.py"):
        nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
        inside = [node for node in nodes if (node.module or "").startswith("carousel.layers")]
        whole = [a.name for node in inside if node.module == "carousel.layers" for a in node.names]
        graph[file.stem] = {*whole, *(node.module.rpartition(".")[2] for node in inside)} - {"layers"}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(graph)


@pytest.mark.parametrize("face", FACES)
def test_help_tells_constructor_call_shapes_options_and_errors(face):
    text = pydoc.plain(pydoc.render_doc(face))
    options = set(inspect.signature(face).parameters)
    assert {"zoneout", "checkpoint", "engine", "initial_state"} <= options
    described = inspect.getdoc(face)
    assert {name for name in options if f"{name}:" not in described and f"{name}," not in described} == set()
    call = inspect.getdoc(face.forward)
    assert call.splitlines()[0] in text
    for part in ("output: (T, B, D * H)", "hx: the initial state, (L * D, B, H)", "Raises", "return_states:", "reset:"):
        assert part in call


@pytest.mark.parametrize("face", FACES[1:])
def test_help_of_a_face_shows_its_own_equations_and_no_option_that_it_refuses(face):
    described = inspect.getdoc(face)
    assert "h' =" in described
    assert ("proj_size:" in described) == (face is carousel.LSTM)


class Halved(Regularizer):
    """A regulariser that a user adds: the recurrent weights times 1 - p."""

    option = "halved"

    def weights(self, weights):
        return weights | {"weight_hh": weights["weight_hh"] * (1 - self.p)}


def test_a_new_regulariser_is_one_class(monkeypatch):
    monkeypatch.setattr(regularizers, "KINDS", (*regularizers.KINDS, Halved))
    monkeypatch.setattr(regularizers, "OFF", (*regularizers.OFF, 0.0))
    monkeypatch.setattr(carousel.LSTM, "halved", 0.0, raising=False)
    layer, x = carousel.LSTM(I, H, bidirectional=True), torch.randn(T, B, I)
    other = carousel.LSTM(I, H, bidirectional=True)
    other.load_state_dict({n: p / 2 if "weight_hh" in n else p for n, p in layer.state_dict().items()})
    unchanged, _ = layer(x)
    layer.halved = 0.5
    torch.testing.assert_close(layer(x)[0], other(x)[0])
    torch.testing.assert_close(layer.eval()(x)[0], unchanged)
    layer.halved = 2
    with pytest.raises(ValueError, match="halved must be a probability, from 0 to 1, but 2 was given"):
        layer(x)


class Reader(AddIn):
    """Reads the cell state, and moves it by one before each step through keep and add."""

    reads = ("c",)

    def rewritings(self):
        return (Rewriting("modify", ("c",)),)

    def streams(self, streams, of):
        ones = of.rows.new_ones(len(of.rows), of.states["c"])
        return streams | {"keep_c": streams.get("keep_c", ones), "add_c": streams.get("add_c", 0 * ones) + ones}

    def end(self, values):
        self.found = values["c"]


def test_add_ins_share_a_rewriting_and_go_on_from_each_others_streams(monkeypatch):
    layer, x = carousel.LSTM(I, H, dtype=torch.float64), torch.randn(T, B, I, dtype=torch.float64)
    reader, own = Reader(), carousel.LSTM.add_ins
    keep, add = torch.rand(2, T, B, dtype=torch.float64)
    with monkeypatch.context() as patched:
        patched.setattr(carousel.LSTM, "add_ins", lambda self, training, *more: own(self, training, *more, reader))
        output, _ = layer(x, keep=keep, add=add)
    expected, _, states = layer(x, keep={"h": keep, "c": keep}, add={"h": add, "c": add + 1}, return_states=True)
    torch.testing.assert_close(output, expected)
    torch.testing.assert_close(reader.found, states["c"])


def test_without_add_ins_the_program_is_the_cells_own():
    layer = carousel.GRU(I, H)
    assert layer.add_ins(training=True) == AddIns((), layer.program, ())
    assert layer.add_ins(training=True).program is layer.program
