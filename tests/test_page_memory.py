"""The page of a network with a memory: what it keeps, what it shows, and that it is the layer's own."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from test_page import TEXT, model_of
from test_page_browser import Shown, browser

import carousel
from carousel.errors import DataError
from carousel.page import scans as page_scans
from carousel.page.document import document
from carousel.page.packing import _scan_record
from carousel.page.readers import require_equations
from carousel.page.readers.language import examine
from carousel.page.readers.passage import Passage
from carousel.page.readers.symbols import pieces_of
from carousel.page.scans import scans

__all__ = ["browser"]

CELLS = {
    "ntm": {"slots": 4, "width": 3},
    "dnc": {"slots": 4, "width": 3},
    "mlstm": {},
    "delta-net": {},
    "fast-weights": {},
    "linear-attention": {},
}


def layer_of(cell) -> carousel.Recurrent:
    torch.manual_seed(0)
    return carousel.Recurrent(cell, 4, 5, units=CELLS[cell] or None)


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    path = tmp_path_factory.mktemp("memory") / "index.html"
    path.write_text(document([examine(model_of("ntm"), "tiny", Passage(TEXT, "a text"))[0]]), "utf-8")
    shown = Shown(browser, path.as_uri())
    yield shown
    assert shown.complaints == []


@pytest.mark.parametrize("cell", CELLS)
def test_a_page_keeps_what_stands_in_a_memory_after_each_step(cell):
    layer, x = layer_of(cell), torch.randn(7, 4)
    (scan,), output, after = scans(layer, x, layer.fresh_states(1), np.arange(7))
    with torch.no_grad():
        expected, _, states = layer(x[:, None], return_states=True)
    torch.testing.assert_close(output, expected[:, 0])
    assert set(scan.memories) == {name for name, values in states.items() if values.dim() > 4}
    for (name, values), ours in zip(states.items(), after, strict=True):
        torch.testing.assert_close(ours[:, 0], values[0, :, 0].flatten(1))
        if name in scan.memories:
            kept = scan.memories[name].values
            assert kept is not None
            np.testing.assert_allclose(kept, values[0, :, 0], rtol=1e-5, atol=1e-6)


def test_of_a_large_memory_a_page_has_the_lengths_alone(monkeypatch):
    layer, x = layer_of("ntm"), torch.randn(7, 4)
    (whole,), _, _ = scans(layer, x, layer.fresh_states(1), np.arange(7))
    monkeypatch.setattr(page_scans, "MOST", 7 * 4 * 3 - 1)
    (short,), _, _ = scans(layer, x, layer.fresh_states(1), np.arange(7))
    assert short.memories["M"].values is None
    assert short.memories["a0"].values is not None
    values = whole.memories["M"].values
    assert values is not None
    np.testing.assert_allclose(short.memories["M"].lengths, np.sqrt((values**2).sum(-1)), rtol=1e-6)
    assert _scan_record(short, 16)["memories"]["M"]["numbers"]["shape"] == [7, 4]


@pytest.mark.parametrize("cell", CELLS)
def test_every_row_and_every_length_on_the_page_is_the_layers_own(page, cell):
    layer, x = layer_of(cell), torch.randn(7, 4)
    (scan,), _, _ = scans(layer, x, layer.fresh_states(1), np.arange(7))
    found, lengths = page.js(
        """record => {
            const layer = new Layer(record);
            const numbers = (table) => Array.from(table.data);
            return [
                Object.fromEntries(layer.shown.map((e) => [e.name, numbers(layer.values(e.name))])),
                Object.fromEntries(Object.entries(layer.memories).map(([name, m]) => [name, numbers(m.lengths)])),
            ];
        }""",
        json.loads(json.dumps(_scan_record(scan, 16))),
    )
    with torch.no_grad():
        _, _, states = layer(x[:, None], return_states=True)
    for name, values in states.items():
        if name in lengths:
            own = values[0, :, 0]
            expected = own[..., 0] if own.shape[-1] == 1 else own.norm(dim=-1)
            np.testing.assert_allclose(lengths[name], expected.flatten(), atol=1e-3)
        elif values.shape[-1] > 1:
            np.testing.assert_allclose(found[f"{name}'"], values.flatten(), rtol=2e-3, atol=2e-3)


def test_the_page_says_where_a_head_is_and_draws_every_number_of_a_step(page):
    page.js("page.go(page.runs[0], 8)")
    model = model_of("ntm")
    ids = torch.from_numpy(pieces_of(model.vocabulary, TEXT)[0])
    with torch.no_grad():
        _, _, states = model.network.recurrent(model.network.embedding(ids)[:, None], return_states=True)
    weighting = states["b0"][0, 8, 0, :, 0]
    words = page.text(".view-memory p:not(.legend)")
    assert words.startswith(f"After step 9, b0 of layer 0 is greatest in slot {weighting.argmax()} of 32: ")
    assert page.page.locator("figure.memory").is_hidden()
    page.page.locator(".view-memory select").select_option("M")
    assert page.js("page.memory[0].inside.width") == 16
    assert page.js("page.memory[0].inside.height") == 32
    assert "a line for each of 32 slots, its 16 units" in page.text("figure.memory")
    page.page.locator(".view-memory summary").click()
    assert page.page.locator(".view-memory tbody tr").count() == 32
    page.page.locator(".view-memory canvas").first.click(position={"x": 1, "y": 5})
    assert page.js("page.runs[0].step") == 0
    assert page.page.get_by_text("The cell as a drawing").is_hidden()
    equation = page.page.locator('[data-equation="M\'"] summary')
    assert equation.inner_text().endswith("= [32 × 16]")
    equation.click()
    assert "Members, each with units of its own" in page.text('[data-equation="M\'"]')


def test_a_cell_that_divides_its_input_is_refused():
    layer = carousel.Recurrent("gru-d", 6, 3)
    with pytest.raises(DataError, match="reads one row at a step, and GRUD divides its input into the parts"):
        require_equations(layer)
