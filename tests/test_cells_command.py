"""`carousel cells`: the catalogue as a list, and a cell with its equations, facts, cost, source and an example."""

from __future__ import annotations

import re
from functools import cache

import pytest
import torch
from matplotlib.mathtext import MathTextParser

import carousel
from carousel.cells import catalogue
from carousel.cli.cells import cells
from carousel.errors import DataError
from carousel.program import trace
from carousel.program.cost import multiply_adds, parameters
from carousel.program.latex import in_latex, latex


@pytest.fixture
def said(capsys):
    def run(*args, **options):
        cells(*args, **options)
        return capsys.readouterr().out

    return run


def test_it_lists_every_cell_once_with_its_year_states_cost_engines_and_source(said):
    text = said()
    for name, cell in catalogue().items():
        (line,) = re.findall(rf"^  {re.escape(name)} +(\d{{4}}) .*$", text, re.MULTILINE)
        assert 1980 < int(line) < 2030, name
        assert f" {cell.states[0]}" in text
    (mgu,) = re.findall(r"^  mgu .*$", text, re.MULTILINE)
    assert "2 I + 2 H + 4" in mgu
    assert mgu.endswith("Zhou et al.")
    assert "GRU and its relatives" in text
    assert "carousel cells NAME" in text


@pytest.mark.parametrize("name", catalogue())
def test_it_shows_each_with_an_example_that_runs(said, name):
    text = said(name)
    for word in ("Use:", "Fidelity:", "Source:", "Cost:", "Engines:", "Family:"):
        assert f"\n{word}" in text
    assert "h' " in text
    for fact in catalogue()[name].facts:
        assert f"  {fact}\n" in text
    example = text.partition("For example:\n")[2].replace("\n  ", "\n").strip()
    example = "\n".join(line for line in example.splitlines() if not line.startswith("$"))
    exec(example, {"carousel": carousel, "torch": torch})


@cache  # cells share lines
def parse(line: str) -> None:
    MathTextParser("path").parse(f"${line}$")


@pytest.mark.parametrize("name", catalogue())
def test_its_latex_is_mathematics(said, name):
    """What amsmath aligns, line by line, in matplotlib's own parser of mathematics."""
    text = said(name, latex=True)
    assert text == f"{latex(trace(catalogue()[name]))}\n"
    body = text.removeprefix("\\begin{aligned}\n").removesuffix("\n\\end{aligned}\n")
    for line in body.split(" \\\\\n"):
        parse(line.replace("&", ""))
    assert not re.search(r"[^\x00-\x7f]", text), "signs that LaTeX reads only with packages"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("σ(W_f x + b_f) ⊙ c", r"\sigma(W_{f} x + b_{f}) \odot c"),
        ("W_hr tanh(c')", r"W_{hr} \tanh(c')"),
        ("alpha ⊙ h3", r"\alpha \odot h_{3}"),
        ("relu(old)", r"\mathrm{relu}(\mathrm{old})"),
        ("b_n2 ≤ 0.5", r"b_{n2} \leq 0.5"),
        ("U_nᵀ h", r"U_{n}^{\top} h"),
    ],
)
def test_signs_and_names_in_latex(text, wanted):
    assert in_latex(text) == wanted


def test_it_refuses_what_it_cannot_show():
    with pytest.raises(DataError, match="there is no cell 'lsmt'. Did you mean 'lstm'"):
        cells("lsmt")
    with pytest.raises(DataError, match="--latex prints the equations of one cell: name it"):
        cells(latex=True)


def test_it_shows_a_cell_of_ones_own_that_says_nothing(said, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\nfrom carousel import Cell\n\n\nclass Mine(Cell):\n    gates = 'n'\n\n"
        "    def step(self, h, n):\n        return 0.5 * h + torch.tanh(n)\n",
        encoding="utf-8",
    )
    assert "I + H + 2 parameters and I + H multiply-adds" in said(f"{file}:Mine")


@pytest.mark.parametrize("name", ["lstm", "gru", "projected-lstm", "rhn", "peephole-lstm", "layer-norm-lstm", "atr"])
def test_costs_are_those_of_a_layer(name):
    program, sizes = trace(catalogue()[name]), {"I": 7, "H": 11, "P": 5}
    layer = carousel.Recurrent(name, 7, 11, proj_size=5 if "proj" in name else 0)

    def number(text):
        return eval(re.sub(r"(\d+) ([IHP])", r"\1 * \2", str(text)), sizes)

    assert number(parameters(program)) * 11 == sum(p.numel() for p in layer.parameters())
    of_products = sum(p.numel() for n, p in layer.named_parameters() if n.startswith("weight_"))
    assert number(multiply_adds(program)) * 11 == of_products
