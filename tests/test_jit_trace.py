"""torch.jit.trace: what was traced on one example gives on other sizes and lengths what the layer gives, or refuses."""

from __future__ import annotations

import io

import pytest
import torch
from matrix import engine_dtypes
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import carousel

pytestmark = [
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:.*`torch.jit.*deprecated:DeprecationWarning"),
]
I, H = 4, 5
ENGINES = [engine for engine, dtype in engine_dtypes() if dtype is torch.float32]
NATIVE = pytest.mark.skipif("native" not in ENGINES, reason="the native engine is not there")
EXAMPLE = (torch.randn(5, 3, I), torch.tensor([5, 3, 2]))
# Others of as many steps and rows; of as many real steps; of other steps, rows and both; of one step.
OTHERS = [(5, 3, [4, 3, 1]), (5, 3, [4, 4, 2]), (7, 3, [7, 6, 1]), (5, 4, [5, 5, 2, 1]), (3, 5, [3, 2, 2, 1, 1])]
OTHERS += [(1, 3, [1, 1, 1]), (1, 15, [1] * 15), (15, 1, [4])]


class Whole(nn.Module):
    def __init__(self, rnn):
        super().__init__()
        self.rnn = rnn

    def forward(self, x, lengths):
        del lengths
        output, hx = self.rnn(x)
        return output, hx


class Packing(Whole):
    in_order = False

    def forward(self, x, lengths):
        packed, hx = self.rnn(pack_padded_sequence(x, lengths, enforce_sorted=self.in_order))
        return pad_packed_sequence(packed, total_length=x.shape[0])[0], hx


class PackingInOrder(Packing):
    in_order = True


class WithLengths(Whole):
    def forward(self, x, lengths):
        return self.rnn(x, lengths=lengths)


class WithResets(Whole):
    def forward(self, x, lengths):
        return self.rnn(x, reset=x[:, :, 0] > lengths.max() / 9)


MODELS = [Whole, Packing, PackingInOrder, WithLengths, WithResets]
OPTIONS = [{}, {"num_layers": 2, "bidirectional": True}, {"checkpoint": 2}]


def traced(model):
    """The model traced on the example, and the same out of a file."""
    there = torch.jit.trace(model, EXAMPLE)
    file = io.BytesIO()
    torch.jit.save(there, file)
    file.seek(0)
    return there, torch.jit.load(file)


@NATIVE
@pytest.mark.parametrize("options", OPTIONS, ids=repr)
@pytest.mark.parametrize("model", MODELS)
def test_a_trace_is_good_for_all_sizes_and_lengths(model, options):
    layer = carousel.GRU(I, H, engine="native", **options).eval()
    model = model(layer)
    graphs = traced(model)
    for steps, batch, lengths in OTHERS:
        given = torch.randn(steps, batch, I), torch.tensor(lengths)
        wanted = model(*given)
        by = torch.autograd.grad(wanted[0].sum() + wanted[1].sum(), list(layer.parameters()))
        for graph in graphs:
            found = graph(*given)
            torch.testing.assert_close(found, wanted)
            gradients = torch.autograd.grad(found[0].sum() + found[1].sum(), list(graph.parameters()))
            for ours, theirs in zip(gradients, by, strict=True):
                torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("model", [Whole, WithLengths, WithResets])
def test_a_trace_of_the_reference_engine_is_right_or_refuses(model):
    """It has one step after another: as many as the example had."""
    model = model(carousel.GRU(I, H, engine="reference").eval())
    for graph in traced(model):
        for steps, batch, lengths in OTHERS:
            given = torch.randn(steps, batch, I), torch.tensor(lengths)
            if (steps, batch) == EXAMPLE[0].shape[:2]:
                torch.testing.assert_close(graph(*given), model(*given))
            else:
                with pytest.raises(RuntimeError, match="expanded size|is invalid for input of size"):
                    graph(*given)


def test_a_trace_that_would_keep_the_lengths_of_its_example_is_refused():
    for layer in (carousel.GRU(I, H, engine="reference"), carousel.GRU(I, H)):
        layer.hook(lambda t, states: None)
        with pytest.raises(RuntimeError, match="GRU: torch.jit.trace would keep the lengths of this PackedSequence"):
            torch.jit.trace(Packing(layer), EXAMPLE)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_a_trace_of_a_cell_is_good_for_any_number_of_rows(kind, engine):
    cell = getattr(carousel, kind)(I, H, engine=engine).eval()
    graph = torch.jit.trace(cell, (torch.randn(3, I),))
    for batch in (3, 5, 2, 1):
        x = torch.randn(batch, I)
        torch.testing.assert_close(graph(x), cell(x))


@NATIVE
def test_an_exported_cell_takes_any_number_of_rows():
    cell = carousel.LSTMCell(I, H, engine="native")
    graph = torch.export.export(cell, (torch.randn(3, I),), dynamic_shapes=({0: torch.export.Dim("B")},)).module()
    for batch in (3, 5):
        x = torch.randn(batch, I)
        torch.testing.assert_close(graph(x), cell(x))
