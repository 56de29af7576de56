"""Pictures show what was measured: the numbers in their axes are the measures', and every one can be drawn."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

import carousel
from carousel.errors import DataError
from carousel.insight import (
    data_memory,
    figures,
    gradient_flow,
    input_influence,
    lyapunov,
    read_gates,
    step_jacobians,
)

T, B, I, H = 40, 3, 2, 6
TEXT = 'He said: "It\'s $5"\n\tthen left.\n'


@pytest.fixture(scope="module")
def layer():
    torch.manual_seed(0)
    return carousel.LSTM(I, H, num_layers=2)


@pytest.fixture(scope="module")
def x():
    return torch.randn(T, B, I, generator=torch.Generator().manual_seed(1))


def drawn(figure: Figure) -> Figure:
    """The figure, once it has been drawn: warnings are errors, those of fonts and of layout too."""
    figure.savefig(io.BytesIO(), dpi=50)
    return figure


def test_gradients_by_lag(layer, x):
    flow = gradient_flow(layer, x)
    axes = drawn(figures.gradient_by_lag(flow)).axes[0]
    assert axes.get_yscale() == "log"
    for line, state in zip(axes.lines, ("h", "c"), strict=True):
        torch.testing.assert_close(torch.as_tensor(line.get_ydata()), flow.by_lag(state))
    decay, length = flow.decay("c"), flow.memory_length("c")
    words = axes.get_legend().get_texts()[1].get_text()
    assert words == (
        f"c: ×{decay.factor:.3g} a step, vanishing; "
        f"memory length {length.steps:.3g} ({length.low:.3g} to {length.high:.3g})"
    )
    other = carousel.LSTM(I, H, num_layers=2)
    other.initialize("chrono", longest=1000)
    axes = drawn(figures.gradient_by_lag({"before": flow, "after": gradient_flow(other, x)}, "c")).axes[0]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts[0].startswith("before: ×")
    assert texts[1].startswith("after: ×")
    assert texts[1].endswith("memory length beyond the window")
    assert axes.lines[0].get_linestyle() != axes.lines[1].get_linestyle()  # not by colour alone
    assert axes.get_title().endswith("layer 1")


def test_gradients_of_rectified_units_that_are_often_nothing(x):
    layer = carousel.RNN(I, 2, nonlinearity="relu")
    flow = gradient_flow(layer, x)
    assert (flow.norms["h"] == 0).any()
    axes = drawn(figures.gradient_by_lag(flow)).axes[0]
    typical = flow.by_lag()
    assert axes.get_ylim()[0] == pytest.approx(0.1 * typical[typical > 0].min().item())


def test_influence(layer, x):
    found = input_influence(layer, x, at=[5, 30])
    figure = drawn(figures.influence(found, row=1, labels=list(TEXT + "x" * (T - len(TEXT)))))
    shown = torch.as_tensor(figure.axes[0].images[0].get_array().data)
    torch.testing.assert_close(shown, found.share(1))
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert names[:3] == ["H", "e", "␣"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [f"5 {names[5]}", f"30 {names[30]}"]


def test_gates_over_time(layer, x):
    gates = read_gates(layer, x, lengths=[40, 20, 3])
    figure = drawn(figures.gates_over_time(gates, "f", row=1))
    image = figure.axes[0].images[0]
    order = gates.by_timescale()
    shown = torch.as_tensor(image.get_array().filled(torch.nan))
    torch.testing.assert_close(shown, gates.values["f"][-1, :, 1, order].t(), equal_nan=True)
    assert image.get_clim() == (0, 1)
    low, high = drawn(figures.gates_over_time(gates, "c", units=[3, 1])).axes[0].images[0].get_clim()
    assert low == -high
    projected = carousel.LSTM(I, H, proj_size=2)
    drawn(figures.gates_over_time(read_gates(projected, x), "h"))


def test_units_by_timescale(layer, x):
    gates = read_gates(layer, x)
    axes = drawn(figures.units_by_timescale(gates)).axes[0]
    slowest_first = gates.time_constants().sort(descending=True).values
    torch.testing.assert_close(torch.as_tensor(axes.lines[0].get_ydata()), slowest_first)
    assert axes.get_ylabel() == "time constant of c, steps"
    dead = carousel.RNN(I, H, nonlinearity="relu")
    with torch.no_grad():
        dead.bias_ih_l0[0] = -100
    axes = drawn(figures.units_by_timescale(read_gates(dead, x))).axes[0]
    assert axes.get_ylabel() == "autocorrelation time, steps"
    assert "(1 of 0 or infinite time not drawn)" in axes.get_xlabel()


def test_coloured_text():
    values = torch.linspace(-1, 1, len(TEXT))
    axes = drawn(figures.coloured_text(TEXT, values, "a unit")).axes[0]
    shown = axes.images[0].get_array()
    assert shown.shape == (2, TEXT.index("\n") + 1)
    torch.testing.assert_close(torch.as_tensor(shown.compressed()).float(), values)
    assert "".join(text.get_text() for text in axes.texts) == TEXT.replace("\n", "↵").replace("\t", "→").replace(
        "$", r"\$"
    )
    assert axes.images[0].get_clim() == (-1, 1)
    assert len({text.get_color() for text in axes.texts}) == 2  # dark on light, light on dark
    long = drawn(figures.coloured_text("x" * 200, torch.rand(200), bounds=(0, 1)))
    assert long.axes[0].images[0].get_array().shape == (3, 80)
    with pytest.raises(DataError, match=r"a value for each of the 3 characters, not \(2,\)"):
        figures.coloured_text("abc", [1.0, 2.0])


def test_a_text_of_twice_the_length_takes_twice_the_artists_and_no_more_measuring(monkeypatch):
    """What is drawn and what is measured for the layout, counted: it is the measuring that would take the time."""
    measured: list[Text] = []
    original = Text.get_window_extent

    def counting(self, *args, **options):
        measured.append(self)
        return original(self, *args, **options)

    monkeypatch.setattr(Text, "get_window_extent", counting)
    counts = []
    for length in (160, 320):
        axes = drawn(figures.coloured_text("x" * length, torch.rand(length))).axes[0]
        assert len(axes.texts) == length
        assert not set(axes.texts) & set(measured)
        counts.append(len(measured))
        measured.clear()
    assert counts[0] > 0
    assert counts[1] < counts[0] + 160


def test_spectra(layer, x):
    jacobians = step_jacobians(layer, x, lengths=[40, 20, 3], steps=[0, 30])
    axes = drawn(figures.jacobian_spectrum(jacobians)).axes[0]
    points = torch.as_tensor(axes.collections[0].get_offsets().data)
    there = jacobians.eigenvalues()
    there = there[there.real.isfinite()]
    assert len(points) == 4 * 2 * H  # step 30 is in one of three sequences
    torch.testing.assert_close(points, torch.stack([there.real, there.imag], 1))
    drawn(figures.jacobian_spectrum(jacobians, "c"))
    found = lyapunov(layer, x)
    left, right = drawn(figures.lyapunov_spectrum(found)).axes
    torch.testing.assert_close(torch.as_tensor(left.lines[0].get_ydata()), found.exponents)
    torch.testing.assert_close(torch.as_tensor(right.lines[0].get_ydata()), found.running[:, 0])
    dead = carousel.RNN(I, H, nonlinearity="relu")
    with torch.no_grad():
        dead.bias_ih_l0.fill_(-100)
    assert drawn(figures.lyapunov_spectrum(lyapunov(dead, x))).axes[0].get_xlabel() == "exponent (6 of -∞ not drawn)"
    drawn(figures.jacobian_spectrum(step_jacobians(dead, x)))


def test_memory_of_data():
    memory = data_memory(torch.sin(torch.arange(300) / 20).unsqueeze(1) + 0.1 * torch.randn(300, 40))
    axes = drawn(figures.memory_by_lag(memory)).axes[0]
    torch.testing.assert_close(torch.as_tensor(axes.lines[0].get_ydata()), memory.dependence)
    assert axes.get_legend().get_texts()[-1].get_text() == f"reaches {memory.reach} steps and more"
    assert memory.reach > 140


def test_labels_are_one_for_each_step(layer, x):
    with pytest.raises(DataError, match="labels must hold one label for each of the 40 steps, but it holds 3"):
        figures.influence(input_influence(layer, x), labels=list("abc"))


def test_drawing_loads_no_pyplot_and_measuring_no_matplotlib():
    script = """
import sys, torch, carousel
from carousel.insight import figures, gradient_flow
flow = gradient_flow(carousel.GRU(2, 3), torch.randn(30, 4, 2))
assert "matplotlib" not in sys.modules
figures.gradient_by_lag(flow)
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
