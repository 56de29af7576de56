"""The drawing of a cell shows what its program does: its gates, its states, and which value reads which."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

import carousel
from carousel.cells import catalogue
from carousel.errors import DataError
from carousel.insight import figures
from carousel.insight.drawing import drawing_of
from carousel.insight.drawing.parts import parts_of
from carousel.program import trace

CELLS = catalogue()
SOME = ("rnn", "gru", "lstm", "peephole-lstm", "mgu", "rhn", "lmu", "sru", "fast-weights", "luong-lstm")
ALL = [pytest.param(name, marks=() if name in SOME else pytest.mark.full) for name in CELLS]


@pytest.mark.parametrize("name", ALL)
def test_every_cell_is_drawn_whole_and_no_line_crosses_a_body(name):
    program = trace(CELLS[name])
    drawing = drawing_of(program)
    assert sorted(drawing.states) == sorted(program.states)
    bodies = {(body.x, body.y): body.half for body in drawing.bodies if body.kind in ("gate", "op")}
    assert len(bodies) == sum(body.kind in ("gate", "op") for body in drawing.bodies), "two bodies in one place"
    for line in drawing.lines:
        inner = list(cells_of(line.corners))[4:-4]
        for x, y in inner:
            inside = [at for at, half in bodies.items() if abs(at[0] - x) < half[0] and abs(at[1] - y) < half[1]]
            assert not inside, f"a line of {name} crosses the body at {inside}"


def cells_of(corners):
    for (ax, ay), (bx, by) in pairwise(corners):
        for k in range(int(abs(bx - ax) + abs(by - ay))):
            yield ax + k * ((bx > ax) - (bx < ax)), ay + k * ((by > ay) - (by < ay))


def readings(program):
    """{(label, name): labels and names that it reads} of gates and ops."""
    parts = parts_of(program).parts
    return {
        (part.label, part.name): sorted((parts[s].label, parts[s].name) for s in part.sources)
        for part in parts
        if part.kind != "port"
    }


def test_a_gru_is_drawn_as_its_equations_say():
    found = readings(trace(CELLS["gru"]))
    assert found["σ", "r"] == found["σ", "z"] == [("h", ""), ("x", "")]
    assert found["1−", ""] == [("σ", "z")]
    assert found["tanh", "n"] == [("+", "")]
    assert ("W", "n") in found["+", ""] or ("×", "") in found["+", ""]


def test_peepholes_are_lines_from_the_memory_to_the_gates_that_have_them():
    program = carousel.LSTM(2, 3, peepholes=("forget", "output")).program
    found = readings(program)
    assert found["σ", "f"] == [("c", ""), ("h", ""), ("x", "")]
    assert found["σ", "i"] == [("h", ""), ("x", "")]
    assert found["σ", "o"] == [("+", ""), ("h", ""), ("x", "")]  # it looks at the new memory


def test_memory_lies_on_a_line_and_what_gates_alone_make_does_not():
    lstm, rnn = parts_of(trace(CELLS["lstm"])), parts_of(trace(CELLS["rnn"]))
    assert {state: [lstm.parts[k].label for k in line] for state, line in lstm.lines.items()} == {"c": ["c", "×", "+"]}
    assert rnn.lines == {}


def test_normalization_is_one_circle():
    labels = [part.label for part in parts_of(trace(CELLS["layer-norm-lstm"])).parts]
    assert labels.count("norm") == 9  # four gates of the input, four of the state, and the memory


def test_a_cell_of_ones_own_is_drawn():
    class Leak(carousel.Cell):
        gates = "n"

        def step(self, h, n):
            return 0.9 * h + n.tanh()

    text = figures.cell_svg(Leak)
    tree = ET.fromstring(text)
    assert tree.attrib["role"] == "img"
    assert "One step of Leak: states h" in text
    assert "0.9×" in text
    figures.draw_cell(carousel.Recurrent(Leak, 2, 3)).savefig(io.BytesIO(), dpi=50)


def test_the_loop_is_drawn_with_as_many_copies_as_asked():
    figure = figures.draw_unrolled(carousel.LSTM(2, 3, num_layers=2), steps=3)
    figure.savefig(io.BytesIO(), dpi=50)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("LSTM") == 2 * (1 + 3)
    assert {"$x_{1}$", "$x_{3}$", "$h_{3}$"} <= set(texts)
    with pytest.raises(DataError, match="A chain of 1 steps shows no loop; draw at least 2"):
        figures.draw_unrolled("gru", steps=1)
    with pytest.raises(DataError, match="draws a layer, a cell or a name of the catalogue, not a float"):
        figures.draw_cell(0.5)


def test_the_command_writes_a_picture(tmp_path, capsys):
    from carousel.cli.cells import cells

    for ending, begin in ((".svg", b"<svg"), (".png", b"\x89PNG")):
        file = tmp_path / f"mgu{ending}"
        cells("mgu", picture=file)
        assert file.read_bytes().startswith(begin)
        assert capsys.readouterr().out.endswith(f"{file}\n")
    with pytest.raises(DataError, match="--picture draws one cell: name it"):
        cells(picture=tmp_path / "all.png")
    with pytest.raises(DataError, match="ends in"):
        cells("mgu", picture=tmp_path / "mgu.jpg")
