"""What `read_memory` reads of memories, heads and attention, and its pictures."""

from __future__ import annotations

import pytest
import torch

import carousel
from carousel.errors import DataError
from carousel.insight import figures, read_memory

T, B = 6, 3
LENGTHS = [T, 2, 4]


@pytest.fixture(scope="module")
def use():
    torch.manual_seed(0)
    layer = carousel.Recurrent("ntm", 2, 4, 2, units={"slots": 5, "width": 3})
    x = torch.randn(T, B, 2)
    with layer.record("M", "a0") as values:
        layer(x, lengths=LENGTHS)
    return read_memory(layer, x, lengths=LENGTHS), {name: value.detach() for name, value in values.items()}


def test_it_reads_what_the_layer_records_without_the_padding(use):
    found, recorded = use
    assert found.heads == ("a0", "b0")
    assert found.memories[0] == "M"
    assert torch.equal(found.of("M", row=1), recorded["M"][-1, :2, 1])
    assert torch.equal(found.of("a0", row=2, place=0), recorded["a0"][0, :4, 2])
    assert found.values["M"].shape == (2, T, B, 5, 3)
    assert found.values["M"][:, 2:, 1].isnan().all()


def test_attention_is_read_of_a_module_around_the_decoder():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.decoder = carousel.Recurrent("luong-lstm", 2, 4, units={"source": 3})

        def forward(self, x, m):
            return self.decoder(x, context=m, context_lengths=[4, 1])[0]

    found = read_memory(Model(), torch.randn(T, 2, 2), torch.randn(4, 2, 3))
    assert found.heads == ("attention",)
    assert found.of("attention", row=1)[:, 0, 0].tolist() == [1.0] * T
    figure = figures.weightings_over_time(found, member_labels="ab c", labels="abcdef")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b", "␣", "c"]


def test_pictures_show_the_values(use):
    found, _ = use
    figure = found.picture()
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == ["a0 over time: layer 1", "b0 over time: layer 1"]
    assert (figure.axes[0].images[0].get_array() == found.of("a0")[..., 0].t().numpy()).all()
    memory = figures.memory_over_time(found, steps=[0, 3])
    assert [axis.get_title() for axis in memory.axes[:2]] == ["after step 0", "after step 3"]
    assert (memory.axes[1].images[0].get_array() == found.of("M")[3].numpy()).all()
    matrix = read_memory(carousel.Recurrent("linear-attention", 2, 4), torch.randn(T, 1, 2))
    assert matrix.picture() is not None


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda u: u.of("r0"), "There is no 'r0' with members here: there is"),
        (lambda u: u.of("M", row=3), "row"),
        (lambda u: u.of("M", place=2), "place"),
        (lambda u: figures.memory_over_time(u, steps=[9]), "steps= must name steps from 0 to 5"),
        (lambda u: figures.weightings_over_time(u, member_labels="ab"), "member_labels must hold 5 labels"),
        (lambda _: read_memory(carousel.LSTM(2, 3), torch.zeros(2, 1, 2)), "LSTM has neither a memory nor a context"),
    ],
)
def test_what_is_not_there_is_refused(use, call, says):
    with pytest.raises(DataError, match=says):
        call(use[0])
