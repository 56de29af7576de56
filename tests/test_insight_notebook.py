"""In a notebook a figure is a picture, and so is every result that has one; in a real kernel, whatever it imported."""

from __future__ import annotations

import io

import pytest
import torch

import carousel
from carousel.insight import (
    data_memory,
    diagnose,
    figures,
    gradient_flow,
    input_influence,
    lyapunov,
    read_gates,
    step_jacobians,
)

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def results():
    torch.manual_seed(0)
    layer, x = carousel.LSTM(3, 8), torch.randn(60, 2, 3)
    measures = (gradient_flow, lambda *a: input_influence(*a, features=True), read_gates, step_jacobians, lyapunov)
    return [*(measure(layer, x) for measure in measures), data_memory(x)]


def test_a_result_is_its_picture(results):
    for result in results:
        assert result._repr_png_().startswith(PNG)
        assert result.picture()._repr_png_().startswith(PNG)


def test_every_figure_is_a_picture(results):
    flow, influence, gates, jacobians, exponents, memory = results
    drawn = {
        "gradient_by_lag": figures.gradient_by_lag(flow),
        "influence": figures.influence(influence),
        "influence_by_feature": figures.influence_by_feature(influence),
        "gates_over_time": figures.gates_over_time(gates, "f"),
        "units_by_timescale": figures.units_by_timescale(gates),
        "coloured_text": figures.coloured_text("ab c", [0.1, 0.2, 0.3, 0.4]),
        "jacobian_spectrum": figures.jacobian_spectrum(jacobians),
        "lyapunov_spectrum": figures.lyapunov_spectrum(exponents),
        "memory_by_lag": figures.memory_by_lag(memory),
    }
    assert set(drawn) == set(figures.__all__) - {"of"}
    for figure in drawn.values():
        assert figure._repr_png_().startswith(PNG)
        figure.savefig(io.BytesIO())


def test_a_result_without_anything_to_draw_is_shown_as_text():
    flow = gradient_flow(carousel.LSTM(3, 8), torch.randn(60, 2, 3), loss=lambda y: 0 * y.sum(-1))
    assert flow._repr_png_() is None


def test_a_diagnosis_is_text_that_can_be_read():
    found = diagnose(carousel.GRU(3, 8), torch.randn(60, 2, 3), memory=50)
    assert found == list(found)
    assert found._repr_html_().startswith("<p><b>gradients vanish (layer 0)</b><br>gradients by h shrink by ")
    assert "&lt;" in type(found[0])("a", "<script>", "b", "c")._repr_html_()
    assert (
        diagnose(carousel.GRU(3, 8), torch.randn(60, 2, 3))._repr_html_()
        == "<p>Nothing was found, and all was judged.</p>"
    )


FIRST = {"as documented": "", "after pyplot": "import matplotlib.pyplot as plt\n", "inline": "%matplotlib inline\n"}
SHOWN = {
    "figures.gates_over_time(gates, 'f')": "image/png",
    "gates": "image/png",
    "gradient_flow(layer, x)": "image/png",
    "data_memory(x)": "image/png",
    "diagnose(layer, x, memory=50)": "text/html",
}


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST)
def test_a_real_kernel_shows_them(first):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    base = (
        "import torch, carousel\n"
        "from carousel.insight import data_memory, diagnose, figures, gradient_flow, read_gates\n"
        "layer, x = carousel.LSTM(3, 8), torch.randn(60, 2, 3)\n"
        "gates = read_gates(layer, x)\n"
    )
    cells = [nbformat.v4.new_code_cell(source) for source in (first + base, *SHOWN)]
    book = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(book, timeout=200, kernel_name="python3").execute()
    for cell, kind in zip(book.cells[1:], SHOWN.values(), strict=True):
        (output,) = (o for o in cell.outputs if "data" in o)
        assert kind in output.data, cell.source
