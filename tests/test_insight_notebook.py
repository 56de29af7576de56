"""In a notebook a figure is a picture, and so is every result that has one; in a real kernel, whatever it imported."""

from __future__ import annotations

import html
import inspect
import io
import textwrap
from functools import partial

import numpy as np
import polars as pl
import pytest
import torch
from matrix import FULL
from torch import tanh

import carousel
from carousel import cells
from carousel.engines.native import plan as native_plan
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
from carousel.tasks.forecasting.answers.backtesting import Backtest
from carousel.tasks.forecasting.scoring.metrics import Scores
from carousel.tasks.sequences import metrics

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
        "draw_cell": figures.draw_cell("gru"),
        "draw_unrolled": figures.draw_unrolled("gru"),
    }
    elsewhere = {"of", "cell_svg", "coloured_tree", "gradient_by_depth", "memory_over_time", "weightings_over_time"}
    assert set(drawn) == set(figures.__all__) - elsewhere  # which have tests of their own
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


NASTY = "</pre><script>alert(1)</script> $\\frac{$"


def preformatted(shown: str) -> str:
    """The text of one <pre> element, which holds no other."""
    assert shown.startswith("<pre>")
    assert shown.endswith("</pre>")
    inside = shown.removeprefix("<pre>").removesuffix("</pre>")
    assert "<" not in inside
    return html.unescape(inside)


class Decaying(carousel.Cell):
    """A cell of one's own, whose step holds what a page would take for markup."""

    gates = ("n",)

    def step(self, h, n):
        return 0.5 * h + tanh(n) if 1 < 2 else h  # </pre>

    def __repr__(self) -> str:
        return f"Decaying({NASTY})"


@pytest.mark.parametrize(
    "cell", [Decaying(), *map(cells.find, ("lstm", "gru", "rnn-relu"))], ids=lambda c: type(c).__name__
)
def test_a_cell_is_its_step_as_it_was_written(cell):
    first, _, step = preformatted(cell._repr_html_()).split("\n", 2)
    assert first == repr(cell)
    assert step == textwrap.dedent(inspect.getsource(type(cell).step))
    assert step.startswith("def step(")


def test_a_cell_that_stands_in_no_file_is_shown_by_its_name():
    names = {"carousel": carousel}
    exec("class Typed(carousel.Cell):\n    gates = ('n',)\n    def step(self, h, n): return n", names)
    assert names["Typed"]()._repr_html_() is None
    assert carousel.Cell()._repr_html_() is None


@pytest.mark.parametrize(
    "make", [carousel.LSTM, carousel.GRU, carousel.LSTMCell, partial(carousel.Recurrent, Decaying())]
)
def test_a_layer_is_what_it_is_and_its_equations(make):
    layer = make(3, 8)
    assert preformatted(layer._repr_html_()) == f"{layer!r}\n\n{layer.program}"
    assert preformatted(layer.program._repr_html_()) == str(layer.program)
    assert "h' = " in str(layer.program)


def test_a_layer_without_equations_says_why():
    class Asking(carousel.Cell):
        gates = ("n",)

        def step(self, h, n):
            return n if (h > 0).any() else -n

    layer = carousel.Recurrent(Asking(), 3, 8, engine="reference")
    assert layer.why_untraced in preformatted(layer._repr_html_())
    assert layer.why_untraced


def test_a_plan_is_its_listing():
    plan = native_plan.Plan(parameters=(NASTY,))
    assert preformatted(plan._repr_html_()) == str(plan)


def test_a_decay_and_a_memory_length_are_shown_in_words():
    flow = gradient_flow(carousel.RNN(3, 8), torch.randn(60, 2, 3))
    for result in (flow.decay(), flow.memory_length()):
        assert result._repr_html_() == f"<p>{html.escape(str(result))}</p>"
    assert flow.decay()._repr_html_().startswith("<p>vanishing: shrinks by ")


def test_an_evaluation_is_the_picture_of_its_confusions():
    answers = np.log([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    result = metrics.evaluate([0, 1, 1], answers, [NASTY, "$x$"], 0)
    assert result._repr_png_().startswith(PNG)
    axes = result.plot().axes[0]
    # As they stand: a name is no mathematics, which might make no sense.
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"{NASTY[:19]}…", r"\$x\$"]
    assert axes.get_title() == "accuracy 66.7% of 3; always the commonest class: 33.3%"


def test_a_backtest_is_the_picture_of_its_forecasts():
    scores = Scores(mase=1.0, rmse=1.0, mae=1.0, wql=1.0, coverage_80=0.8, coverage_95=0.95, width_80=1.0, width_95=2.0)
    levels = np.array([1.0, 2.0])
    one = {"x": [2, 3], "median": levels, "bands": {80: (levels - 1, levels + 1), 95: (levels - 2, levels + 2)}}
    series = {"name": NASTY, "x": [0, 1], "y": [1.0, 1.0], "forecasts": [one]}
    told = Backtest(
        {"carousel": scores},
        {"carousel": [1.0, 2.0]},
        pl.DataFrame(),
        2,
        1,
        1,
        judged_on=NASTY,
        pictures=[series],
    )
    assert told._repr_png_().startswith(PNG)


def test_a_forecast_is_a_table_which_shows_itself():
    waves = 10 + np.sin(2 * np.pi * np.arange(80) / 12)
    table = pl.DataFrame({"step": np.arange(80), NASTY: waves})
    model = carousel.Forecaster(3, hidden=4, epochs=0.1, threads=1, target=NASTY, time="step").fit(table)
    for kind in (table, table.to_pandas()):
        shown = model.predict(3, data=kind)._repr_html_()
        assert "&lt;script&gt;" in shown
        assert "<script>" not in shown
    assert model.plot()._repr_png_().startswith(PNG)


FIRST = {"as documented": "", "after pyplot": "import matplotlib.pyplot as plt\n", "inline": "%matplotlib inline\n"}
SHOWN = {
    "figures.gates_over_time(gates, 'f')": "image/png",
    "gates": "image/png",
    "gradient_flow(layer, x)": "image/png",
    "data_memory(x)": "image/png",
    "diagnose(layer, x, memory=50)": "text/html",
    "layer": "text/html",
    "layer.cell": "text/html",
    "layer.program": "text/html",
}


# A kernel takes five seconds. What "inline" begins with is pyplot too; test_notebooks runs notebooks as documented.
KERNELS = [pytest.param(first, id=name, marks=() if name == "inline" else FULL) for name, first in FIRST.items()]


@pytest.mark.parametrize("first", KERNELS)
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
