"""The page in a browser: values read from it, clicks, keys, small screens, typing. Skips where there is no Chromium."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from test_page import NASTY, TEXT, TRACED, model_of, unpacked

from carousel.insight import input_influence, read_gates, units_following
from carousel.page.document import document
from carousel.page.live import application
from carousel.page.moments import Moments
from carousel.page.packing import _scan_record, quantised
from carousel.page.readers.language import Reader, examine
from carousel.page.readers.language_steps import read_steps
from carousel.page.readers.passage import Passage
from carousel.page.readers.symbols import pieces_of, symbol_text
from carousel.page.scans import scans
from carousel.program import ops

DERIVATIVES = {"sigmoid_grad", "tanh_grad", "relu_grad", "product_transposed"}  # which the page does not show
MEMBERS = {name for name, row in ops.TABLE.items() if row.kind == "members"}  # of trees, which the page does not show
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright, to drive a browser")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"needs a Chromium: none of {', '.join(NAMES)} is on the PATH")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Shown:
    """A page in a browser, and all that it said or asked for on the way."""

    def __init__(self, browser, url, width=1100, height=800, **options):
        self.context = browser.new_context(viewport={"width": width, "height": height}, **options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url)

    def js(self, expression, argument=None):
        return self.page.evaluate(expression, argument)

    def until(self, expression):
        """Waits until it is true, and drawn.

        Not playwright's own way, which evaluates a string in the page: its policy forbids that.
        """
        for _ in range(200):
            if self.js(expression):
                self.js("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never true: {expression}")

    def text(self, selector):
        return self.page.locator(selector).first.inner_text()

    @property
    def status(self):
        return self.text("#cursor [role=status]")


@pytest.fixture(scope="module")
def model():
    return model_of(cell="lstm", layers=2, hidden=6)


@pytest.fixture(scope="module")
def file(model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(document([examine(model, "tiny", Passage(TEXT, "a text"))[0]]), "utf-8")
    return path


@pytest.fixture(scope="module")
def still(browser, file):
    """One page for all tests that only compute with its functions."""
    page = Shown(browser, file.as_uri())
    yield page
    assert page.complaints == []


@pytest.fixture
def shown(browser, file):
    page = Shown(browser, file.as_uri())
    yield page
    assert page.complaints == []
    page.context.close()


@pytest.fixture(scope="module")
def recorded(model):
    """Every value of every step as the layer itself records it: name -> (L, T, H)."""
    ids = pieces_of(model.vocabulary, TEXT)[0]
    layer = model.network.recurrent
    with torch.no_grad(), layer.record("i", "f", "g", "o", "h", "c") as values:
        model.network(torch.from_numpy(ids)[:, None])
    return {name + "'" * (name in "hc"): value[:, :, 0].numpy() for name, value in values.items()}


def number(text: str) -> float:
    return float(text.replace("−", "-"))


# -- the numbers ------------------------------------------------------------------------------------------------


def test_every_op_that_a_forward_program_may_hold_is_known_to_the_page(still):
    given = {"product"}  # computed beforehand
    assert set(still.js("Object.keys({...OPS, ...REDUCTIONS})")) == set(ops.TABLE) - DERIVATIVES - given - MEMBERS


@pytest.mark.parametrize(
    "name", sorted(set(ops.TABLE) - DERIVATIVES - MEMBERS - {"product", "sum", "highest", "where"})
)
def test_an_op_of_the_page_is_the_op_of_the_alphabet(still, name):
    row = ops.TABLE[name]
    numbers = [-40.0, -1.5, -0.0, 0.0, 0.25, 1.0, 3.0, 21.0]
    arguments = list(product(numbers, repeat=row.arity))
    said = still.js("([name, all]) => all.map((args) => String(Number(OPS[name](...args))))", [name, arguments])
    for values, text in zip(arguments, said, strict=True):
        expected = row.meaning(*[torch.tensor(v, dtype=torch.float64) for v in values]).double().item()
        found = float(text.replace("Infinity", "inf"))
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9, nan_ok=True), values


@pytest.mark.parametrize("name", [name for name, row in ops.TABLE.items() if row.kind == "reduction"])
def test_a_reduction_of_the_page_is_the_reduction_of_the_alphabet(still, name):
    for values in ([-1.5, 3.0, 0.25], [-2.0], [1.0, -4.0, 1.0]):
        found = still.js("([name, values]) => values.reduce(REDUCTIONS[name])", [name, values])
        assert found == ops.TABLE[name].meaning(torch.tensor(values)).item()


@pytest.mark.parametrize("row", TRACED, ids=str)
def test_every_value_on_the_page_is_the_layers_own(still, row):
    """For every cell, users' too. What is packed differs by half a step of 16 bits; the cells are smooth."""
    layer = row.layer(4, 5, engine="auto")
    x, hx = torch.randn(7, 4), row.initial(1, 1, 5, torch.float32)
    (scan,), _, _ = scans(layer, x, hx, np.arange(7))
    names = [equation.name for equation in scan.equations]
    found = still.js(
        """record => {
            const layer = new Layer(record);
            return Object.fromEntries(layer.shown.map((e) => [e.name, Array.from(layer.values(e.name).data)]));
        }""",
        json.loads(json.dumps(_scan_record(scan, 16))),
    )
    kept = {f"{state}'": state for state in layer.program.states}
    with torch.no_grad(), layer.record(*kept.values()) as values:
        layer(x.unsqueeze(1), hx[0] if len(hx) == 1 else hx)
    for shown_as, name in kept.items():
        assert shown_as in names
        np.testing.assert_allclose(found[shown_as], values[name].flatten().numpy(), rtol=2e-3, atol=2e-3)


def test_the_page_reads_the_packed_numbers_as_they_were_packed(still):
    values = np.array([[1.5, np.nan], [-2.0, 4.0], [np.inf, 4.0]])
    for bits in (8, 16):
        packed = quantised(values, bits)
        read = still.js("p => Array.from(table(p).data, (x) => (Number.isNaN(x) ? null : x))", packed)
        expected = unpacked(packed).flatten()
        for ours, theirs in zip(read, expected, strict=True):
            assert (ours is None) == np.isnan(theirs)
            assert ours is None or ours == pytest.approx(theirs, abs=1e-6)


def test_clicking_a_symbol_shows_its_step(shown, recorded):
    shown.page.locator("[data-step='12']").click()
    assert "Step 13 of" in shown.status
    assert f"reads “{TEXT[12]}”" in shown.status
    unit = shown.js("page.runs[0].unit")
    assert number(shown.status.rsplit(" ", 1)[1]) == pytest.approx(recorded["h'"][1, 12, unit], abs=2e-3)
    option = shown.page.locator("[role=option][aria-selected=true]")
    assert option.count() == 1
    assert option.get_attribute("data-step") == "12"
    listbox = shown.page.locator("[role=listbox]")
    assert listbox.get_attribute("aria-activedescendant") == option.get_attribute("id")


def test_predictions_are_the_models(shown, model):
    ids = pieces_of(model.vocabulary, TEXT)[0]
    scores, _ = model.network(torch.from_numpy(ids)[:, None])
    shown.page.locator("[data-step='20']").click()
    probabilities = scores[20, 0].softmax(-1)
    rows = shown.page.locator(".likely tbody tr")
    best = probabilities.topk(8)
    for k, (p, symbol) in enumerate(zip(best.values.tolist(), best.indices.tolist(), strict=True)):
        text = rows.nth(k).inner_text()
        assert number(re.search(r"([\d.]+) %", text)[1]) == pytest.approx(100 * p, abs=0.6)
        name = symbol_text(model.vocabulary, symbol)
        assert {" ": "space", "\n": "⏎", "\t": "⇥"}.get(name, name) in text
    assert f"came “{TEXT[21]}”: probability" in shown.text(".view-expects p").replace("came space", "came “ ”")


def test_a_gate_opened_shows_its_equation_with_its_numbers(shown, recorded):
    shown.page.locator("[data-step='30']").click()
    gate = shown.page.locator("[data-equation=f]")
    assert gate.locator("summary").inner_text().replace("\n", "").startswith("f = σ(Wf x + bf + Uf h + cf) = ")
    gate.locator("summary").click()
    gate.locator(".numbers b").wait_for()  # an opened <details> is told of it a little later
    line = gate.locator(".numbers").inner_text().replace("−", "-")
    a, b, value = (
        float(x) for x in re.fullmatch(r"f = σ\(\(?(-?[\d.e-]+)\)? \+ \(?(-?[\d.e-]+)\)?\) = (.*)", line).groups()
    )
    assert value == pytest.approx(1 / (1 + np.exp(-(a + b))), abs=0.01)
    assert value == pytest.approx(recorded["f"][1, 30, shown.js("page.runs[0].unit")], abs=2e-3)
    # It stays open, and follows.
    shown.page.keyboard.press("ArrowRight")
    value = number(gate.locator(".result").inner_text())
    assert value == pytest.approx(recorded["f"][1, 31, shown.js("page.runs[0].unit")], abs=2e-3)
    # c' and h' use the numbers of the lines above.
    shown.page.locator('[data-equation="c\'"] summary').click()
    shown.page.locator('[data-equation="c\'"] .numbers b').wait_for()
    text = shown.page.locator('[data-equation="c\'"] .numbers').inner_text().replace("−", "-")
    f, c, i, g, new = map(float, re.findall(r"-?\d[\d.e-]*", text.split("=", 1)[1]))
    assert new == pytest.approx(f * c + i * g, abs=0.02 * max(1, abs(c)))


def test_the_unrolled_network_leads_to_other_steps_and_layers(shown, recorded):
    shown.page.locator("[data-step='30']").click()
    boxes = shown.page.locator(".unrolled .cell")
    assert boxes.count() == 4 * 2
    lower = boxes.get_by_text("LSTM 0").first  # of the step two before
    lower.click()
    assert "Step 29 of" in shown.status
    assert shown.text(".view-unrolled h3").startswith("Layer 0, step 29")
    assert number(shown.text("[data-equation=f] .result")) == pytest.approx(
        recorded["f"][0, 28, shown.js("page.runs[0].unit")], abs=2e-3
    )


def test_influence_colours_the_symbols_that_moved_the_prediction(shown, model):
    ids = pieces_of(model.vocabulary, TEXT)[0]
    norms = input_influence(model.network, torch.from_numpy(ids)[:, None], at=[40], of="top").norms[0, :41, 0].numpy()
    shown.page.get_by_label("colour by").select_option("influence")
    shown.page.locator("[data-step='40']").click()
    shares = np.array(shown.js("Array.from(page.influenceOn(page.runs[0], 40)).slice(0, 41)"))[::-1]
    np.testing.assert_allclose(shares, norms / norms.sum(), atol=0.5 / 254)
    order = np.argsort(norms)[::-1]
    assert f"{40 - order[0]} back" in shown.text(".view-expects p:last-child") or order[0] == 40
    darkness = shown.js(
        """() => Array.from(document.querySelectorAll("[data-step]"), (e) =>
            -(e.style.backgroundColor.match(/\\d+/g) ?? [255, 255, 255]).reduce((a, b) => a + Number(b), 0))"""
    )
    assert int(np.argmax(darkness)) == order[0]
    assert shown.js("document.querySelector(\"[data-step='41']\").style.backgroundColor") == "transparent"


# -- units ------------------------------------------------------------------------------------------------------


def test_units_are_sorted_by_how_long_they_remember(shown, model):
    ids = pieces_of(model.vocabulary, TEXT)[0]
    expected = read_gates(model.network, torch.from_numpy(ids)[:, None]).by_timescale(1).tolist()
    listed = shown.page.locator(".units tbody button").all_inner_texts()
    assert listed == [f"unit {unit}" for unit in expected]
    assert shown.js("page.units[0].order") == expected
    shown.page.get_by_role("button", name=f"unit {expected[3]}", exact=True).click()
    assert f"unit {expected[3]} of layer 1" in shown.status


@pytest.mark.parametrize("pattern", ["[a-z]+", '"[^"]*"', "the"])
def test_a_typed_pattern_is_scored_as_insight_scores_it(shown, recorded, pattern):
    marks = np.zeros(len(TEXT), bool)
    for match in re.finditer(pattern, TEXT):
        marks[match.start() : match.end()] = True
    shown.page.get_by_label("units that follow").select_option("typed")
    shown.page.get_by_label("regular expression").fill(pattern)
    shown.page.get_by_role("button", name="Search").click()
    scores = shown.js("page.units[0].scores.of")
    values = recorded["h'"][1]
    if (np.diff(marks.astype(int)) != 0).sum() >= 10:
        np.testing.assert_allclose(scores, units_following(values, marks).scores.numpy(), atol=0.01)
    best = int(np.argmax(np.abs(np.array(scores) - 0.5)))
    assert shown.js("page.runs[0].unit") == best
    assert f"{marks.sum()} of {len(TEXT)} symbols match" in shown.text(".view-units [role=status]")


def test_a_property_leads_to_the_unit_that_follows_it(shown):
    names = shown.page.get_by_label("units that follow").locator("option").all_inner_texts()
    assert "position in word" in names
    shown.page.get_by_label("units that follow").select_option(label="position in word")
    best = shown.js("page.runs[0].properties.find((p) => p.name === 'position in word').followers[0]")
    assert shown.js("[page.runs[0].layer, page.runs[0].value, page.runs[0].unit]") == [
        best["layer"],
        best["value"],
        best["unit"],
    ]
    # The score computed in the page is the one that was measured beforehand.
    assert shown.js("page.units[0].scores.of[page.runs[0].unit]") == pytest.approx(best["score"], abs=0.01)


def test_values_that_are_equal_count_half(still):
    # Of the four pairs of a marked and an unmarked step, 2 > 1 in two, and 1 = 1 in two.
    assert still.js("areaUnderCurve([1, 1, 1, 2], [1, 0, 0, 1])") == 0.75
    assert still.js("areaUnderCurve([7, 7, 7], [1, 0, 1])") == 0.5
    assert np.isnan(still.js("areaUnderCurve([1, 2], [1, 1])"))


@pytest.mark.parametrize("pattern", ["(", "zzz", "[^]"])
def test_a_pattern_that_says_nothing_is_answered_in_words(shown, pattern):
    shown.page.get_by_label("units that follow").select_option("typed")
    shown.page.get_by_label("regular expression").fill(pattern)
    shown.page.get_by_role("button", name="Search").click()
    words = {"(": "no regular expression", "zzz": "nowhere", "[^]": "everywhere"}
    assert words[pattern] in shown.text(".view-units [role=status]")


def test_similar_moments_are_the_nearest_by_cosine(shown, recorded):
    shown.page.locator("[data-step='25']").click()
    shown.page.get_by_role("button", name="Find similar moments").click()
    states = recorded["h'"][1].astype(float)
    unit = states / np.linalg.norm(states, axis=1, keepdims=True)
    cosines = unit @ unit[25]
    cosines[22:29] = -2
    steps = [int(text) for text in re.findall(r"step (\d+),", shown.text(".similar"))]
    shares = [number(text) for text in re.findall(r"cosine (\S+)", shown.text(".similar"))]
    np.testing.assert_allclose(shares, np.sort(cosines)[::-1][:8], atol=2e-3)
    np.testing.assert_allclose(cosines[np.array(steps) - 1], shares, atol=2e-3)
    shown.page.locator(".similar button").first.click()
    assert f"Step {steps[0]} of" in shown.status


def test_the_heat_map_has_the_colour_of_its_values_and_can_be_picked(shown, recorded):
    frame = shown.page.locator(".heatmap")
    box = frame.bounding_box()
    step, place = 10, 3
    frame.click(position={"x": (step + 0.5) / len(TEXT) * box["width"], "y": (place + 0.5) / 6 * box["height"]})
    assert shown.js("[page.runs[0].step, page.runs[0].unit]") == [step, shown.js("page.units[0].order[3]")]
    pixels = np.array(
        shown.js(
            """() => { const c = document.querySelector(".heatmap canvas");
            return Array.from(c.getContext("2d").getImageData(0, 0, c.width, c.height).data) }"""
        )
    ).reshape(6, len(TEXT), 4)
    colours = np.array(shown.js("palette(true)"))
    values = recorded["h'"][1].T[shown.js("page.units[0].order")]
    sizes = np.sort(np.abs(recorded["h'"][1]).flatten())
    most = sizes[int(0.99 * (len(sizes) - 1))]  # h' has no bounds in its equation: as far as 99 in 100 go
    expected = colours[np.clip(np.rint((values / most + 1) / 2 * 255), 0, 255).astype(int)]
    assert np.abs(pixels[..., :3] - expected).max() <= 12  # a place of the palette, where rounding falls otherwise
    shown.page.get_by_text("This step as a table").click()
    shown.page.locator(".view-units details th").first.wait_for()
    header = shown.page.locator(".view-units details th").all_inner_texts()[:7]
    assert header[0] == "unit"
    assert sorted(header[1:]) == ["c'", "f", "g", "h'", "i", "o"]
    first = shown.page.locator(".view-units details tbody tr").first.locator("td").all_inner_texts()
    unit = shown.js("page.units[0].order[0]")
    for name, text in zip(header[1:], first, strict=True):
        assert number(text) == pytest.approx(recorded[name][1, step, unit], abs=6e-3)


def test_gradients_by_lag_are_drawn_said_and_listed(shown):
    shown.page.locator(".chart").wait_for()
    assert shown.page.locator(".chart polyline").count() == 4  # h and c of two layers
    assert "h of layer 0" in shown.page.locator(".chart").get_attribute("aria-label")
    shown.page.get_by_text("These numbers as a table").click()
    cells = shown.page.locator(".view-flow tbody tr").first.locator("td").all_inner_texts()
    expected = [curve["norms"][0] for curve in shown.js("page.runs[0].flow")]
    assert [number(text) for text in cells] == pytest.approx(expected, rel=0.01)


def test_the_coloured_text_is_a_table_too(shown, recorded):
    shown.page.get_by_text("This text as a table").click()
    shown.page.locator(".view-reads tbody tr").first.wait_for()
    rows = [row.split("\t") for row in shown.page.locator(".view-reads tbody tr").all_inner_texts()]
    unit = shown.js("page.runs[0].unit")
    assert [int(step) for step, _, _ in rows] == [*range(1, len(TEXT) + 1)]
    assert [symbol for _, symbol, _ in rows][:4] == ["“T”", "“h”", "“e”", "space"]
    np.testing.assert_allclose([number(value) for _, _, value in rows], recorded["h'"][1, :, unit], atol=2e-3)


# -- by everybody -----------------------------------------------------------------------------------------------


def test_by_keyboard_alone(shown):
    shown.page.keyboard.press("ArrowRight")
    start = shown.js("page.runs[0].step")
    for key, by in (("ArrowRight", 1), ("ArrowLeft", 0)):
        shown.page.keyboard.press(key)
        assert shown.js("page.runs[0].step") == start + by
    text = shown.page.locator("[role=listbox]")
    text.focus()
    for key, step in (("End", len(TEXT) - 1), ("Home", 0), ("PageDown", 10), ("ArrowDown", None)):
        shown.page.keyboard.press(key)
        assert step is None or shown.js("page.runs[0].step") == step
    assert shown.js("page.runs[0].step") >= TEXT.index("\n"), "one line down"
    # In a field, arrows are the field's.
    shown.page.get_by_label("unit", exact=True).focus()
    before = shown.js("page.runs[0].step")
    shown.page.keyboard.press("ArrowLeft")
    assert shown.js("page.runs[0].step") == before
    shown.page.locator(".marks").focus()
    shown.page.keyboard.press("ArrowDown")
    assert shown.js("page.units[0].order.indexOf(page.runs[0].unit)") in (0, 1)


def test_tab_reaches_every_control_and_each_has_a_name(shown):
    unnamed = shown.js(
        """() => Array.from(document.querySelectorAll("button, select, input, summary, [tabindex], [role=img]"))
            .filter((e) => !(e.getAttribute("aria-label") || e.labels?.length || e.innerText?.trim()))
            .filter((e) => !e.closest("details"))
            .map((e) => e.outerHTML.slice(0, 200))"""
    )
    assert unnamed == []
    clickable = shown.js(
        "() => [document.querySelectorAll('[tabindex=\"-1\"]').length, document.querySelectorAll('[onclick]').length]"
    )
    assert clickable == [0, 0]
    focused = set()
    for _ in range(80):
        shown.page.keyboard.press("Tab")
        focused.add(shown.js("[document.activeElement.tagName, document.activeElement.className].join(' ')"))
    assert {"SELECT ", "DIV text", "CANVAS marks", "SUMMARY ", "BUTTON cell"} <= focused


def test_it_says_what_changes_to_those_who_do_not_see(shown):
    status = shown.page.locator("#cursor [role=status]")
    assert status.get_attribute("aria-live") == "polite"
    shown.page.get_by_role("button", name="play").click()
    assert status.get_attribute("aria-live") == "off"
    shown.page.get_by_role("button", name="play").click()
    assert status.get_attribute("aria-live") == "polite"
    headings = shown.page.locator("h1, h2").all_inner_texts()
    assert headings[0] == "Inside tiny"
    assert {"The text", "What comes next", "How far gradients reach"} <= set(headings)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_carries_readable_ink_and_lightness_tells_them_apart(browser, file, scheme):
    shown = Shown(browser, file.as_uri(), color_scheme=scheme)
    for signed in (True, False):
        colours = np.array(shown.js("signed => palette(signed)", signed)) / 255
        inks = np.array([ink == "#fff" for ink in shown.js("signed => palette(signed).map(inkOn)", signed)], float)
        linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        contrast = (np.maximum(luminance, inks) + 0.05) / (np.minimum(luminance, inks) + 0.05)
        assert contrast.min() >= 4.5  # WCAG 2.2, 1.4.3
        halves = (luminance[:128][::-1], luminance[128:]) if signed else (luminance,)
        for half in halves:
            assert (np.diff(half) * np.sign(half[-1] - half[0]) > -1e-3).all()
    ground, ink = shown.js("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(28, 28, 30)"}[scheme]
    assert ground != ink
    shown.context.close()


def test_on_a_phone_nothing_sticks_out_and_fingers_find_the_buttons(browser, file):
    shown = Shown(browser, file.as_uri(), width=320, height=640, has_touch=True)
    shown.page.locator("[data-equation=f] summary").click()
    shown.page.get_by_role("button", name="Find similar moments").click()
    assert shown.js("document.documentElement.scrollWidth") == 320
    small = shown.js(
        """() => Array.from(document.querySelectorAll("button, select, input"), (e) => e.getBoundingClientRect())
            .filter((b) => b.width && (b.height < 24 || b.width < 24)).length"""
    )
    assert small == 0  # WCAG 2.2, 2.5.8
    assert shown.page.locator("#cursor").bounding_box()["height"] < 160
    shown.page.locator("[data-step='5']").tap()
    assert "Step 6 of" in shown.status
    assert shown.complaints == []
    shown.context.close()


def test_a_link_comes_back_to_what_was_looked_at(browser, file):
    shown = Shown(browser, f"{file.as_uri()}#7,0,f,2")
    assert "Step 8 of" in shown.status
    assert "f of unit 2 of layer 0" in shown.status
    for nonsense in ("#", "#9999999,77,nothing,55", "#a,b,c,d", "#1", "#%E0%A4%A,1,h,1"):
        other = Shown(browser, f"{file.as_uri()}{nonsense}")
        assert "Step" in other.status
        assert other.complaints == []
        other.context.close()
    shown.context.close()


# -- whatever it is given ---------------------------------------------------------------------------------------


def test_text_and_names_are_shown_and_never_run(browser, tmp_path):
    text = NASTY + "<img src=x onerror=alert(2)> \x00\x1b[31m \u202e"
    model = model_of(text=text)
    moments, _ = examine(model, "<b>bold</b><script>alert(3)</script>", Passage(text, "<i>source</i>"))
    (tmp_path / "page.html").write_text(document([moments]), "utf-8")
    shown = Shown(browser, (tmp_path / "page.html").as_uri())
    read = shown.page.locator("[role=listbox]").inner_text()
    for part in ("</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>", "\\u003c", "$title"):
        assert part in read
    assert "␀␛[31m" in read
    assert "⟨202e⟩" in read
    assert shown.text("h1") == "Inside <b>bold</b><script>alert(3)</script>"
    assert shown.js("document.querySelectorAll('img:not([src^=data]), b > *, main script, i').length") == 0
    assert shown.complaints == []
    assert [url for url in shown.asked if not url.startswith(("file:", "data:"))] == []
    shown.context.close()


def test_a_step_alone_and_a_network_that_ran_away_are_shown(browser, tmp_path):
    model = model_of(cell="rnn-relu")
    with torch.no_grad():
        model.network.recurrent.weight_hh_l0.fill_(1e30)
    ids, pieces, starts = pieces_of(model.vocabulary, TEXT)
    steps, _ = read_steps(model.reading_on, model.vocabulary, ids, pieces, starts)
    alone, _ = read_steps(model.reading_on, model.vocabulary, ids[:1], pieces[:1], starts[:1])
    for which in (steps, alone):
        (tmp_path / "page.html").write_text(document([Moments("wild", "text", "char", "", [], which)]), "utf-8")
        shown = Shown(browser, (tmp_path / "page.html").as_uri())
        assert "Step" in shown.status
        assert shown.complaints == []
        shown.context.close()


def test_two_runs_stand_beside_each_other_at_the_same_place_of_the_text(browser, tmp_path):
    from carousel.tasks.vocabulary import WordVocabulary

    words = WordVocabulary([" the", "The", " in", " are", "."], 20)
    models = {"chars": model_of(), "words": model_of(cell="gru", vocabulary=words)}
    pages = [examine(model, name, Passage(TEXT, "a text"))[0] for name, model in models.items()]
    (tmp_path / "page.html").write_text(document(pages), "utf-8")
    shown = Shown(browser, (tmp_path / "page.html").as_uri())
    assert shown.text("h1") == "Inside chars and words"
    shown.page.locator("#run0-6").click()  # the third letter of clouds
    assert shown.js("page.runs.map((run) => run.step)") == [6, 1]
    shown.page.locator("#run1-3").click()
    assert shown.js("page.runs.map((run) => run.step)") == [TEXT.index(" in"), 3]
    left, right = (shown.page.locator(".view-reads").nth(k).bounding_box() for k in (0, 1))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    assert shown.page.locator(".view-unrolled h3").all_inner_texts()[1].endswith("the equations of GRU")
    shown.page.set_viewport_size({"width": 320, "height": 640})
    assert shown.js("document.documentElement.scrollWidth") == 320
    assert shown.complaints == []
    shown.context.close()


# -- live -------------------------------------------------------------------------------------------------------


@contextmanager
def serving(make_application):
    """The address at which an application answers."""
    uvicorn = pytest.importorskip("uvicorn", reason="needs the extra `page`")
    pytest.importorskip("starlette", reason="needs the extra `page`")
    server = uvicorn.Server(uvicorn.Config(make_application(), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def server(model):
    with serving(lambda: application(Reader(model), TEXT[:30], hosts=["127.0.0.1"])) as address:
        yield address


def test_what_is_typed_is_read_on_from_the_state(browser, server, model):
    shown = Shown(browser, server)
    field = shown.page.get_by_label("The network goes on")
    assert field.input_value() == TEXT[:30]
    typed = TEXT[:30] + "fish"
    field.press("Control+End")
    field.press_sequentially("fishy")
    field.press("Backspace")
    shown.until(f"page.runs[0].reads.text === {json.dumps(typed)}")
    assert f"Step {len(typed)} of {len(typed)}" in shown.status
    ids = pieces_of(model.vocabulary, typed)[0]
    with torch.no_grad(), model.network.recurrent.record("h", "c") as values:
        scores, _ = model.network(torch.from_numpy(ids)[:, None])
    for name in "hc":
        found = shown.js("name => Array.from(page.runs[0].layers[1].values(name).data)", f"{name}'")
        np.testing.assert_allclose(found, values[name][1, :, 0].flatten().numpy(), atol=2e-3)
    surprise = shown.js("page.runs[0].expects.surprise")
    logs = scores[:, 0].log_softmax(-1)
    expected = [-logs[t, ids[t + 1]].item() for t in range(len(ids) - 1)]
    assert surprise[-1] is None
    assert surprise[:-1] == pytest.approx(expected, rel=1e-3)
    # Influence is measured when it is looked at.
    shown.page.get_by_label("colour by").select_option("influence")
    shown.until("page.influenceOn(page.runs[0], page.runs[0].step) !== null")
    norms = input_influence(model.network, torch.from_numpy(ids)[:, None], at=[len(ids) - 1], of="top").norms[0, :, 0]
    shares = shown.js("Array.from(page.influenceOn(page.runs[0], page.runs[0].step))")
    np.testing.assert_allclose(shares[::-1], norms / norms.sum(), rtol=1e-2, atol=1e-4)
    field.fill("")
    shown.until("document.body.innerText.includes('Type something for the network to read.')")
    # The browser tells of the answer 400 by itself.
    assert [words for words in shown.complaints if "400" not in words] == []
    shown.context.close()


class Counting:
    """Reads nothing, and counts how many read at once."""

    longest = 4000

    def __init__(self):
        self.busy = self.most = 0

    def read(self, *_):
        self.busy += 1
        self.most = max(self.most, self.busy)
        time.sleep(0.02)
        self.busy -= 1
        return {"kept": 0}

    influence = read


def test_another_text_of_the_same_length_is_seen_everywhere(browser, server):
    shown = Shown(browser, server)
    field, heat_map = shown.page.get_by_label("The network goes on"), "page.units[0].heatmap.picture.toDataURL()"

    def type_instead(text):
        field.fill(text)
        shown.until(f"page.runs[0].reads.text === {json.dumps(text)}")

    before = shown.js(heat_map)
    type_instead(TEXT[5:35])
    after = shown.js(heat_map)
    assert after != before
    shown.js("page.units[0].heatmap.drawn = null; page.update()")
    assert shown.js(heat_map) == after
    shown.page.get_by_label("units that follow").select_option("typed")
    shown.page.get_by_label("regular expression").fill("[aeiou]")
    shown.page.get_by_role("button", name="Search", exact=True).click()
    assert shown.js("page.units[0].scores.of.length") == 6
    type_instead(TEXT[10:40])
    assert shown.js("page.units[0].scores") is None, "they were of the text before"
    shown.page.get_by_label("units that follow").select_option("0")
    assert "measured on the text this page began with" in shown.text(".view-units [role=status]")
    assert shown.complaints == []
    shown.context.close()


def test_the_page_holds_no_more_than_the_text_needs_however_often_it_changes(browser, server, model):
    shown = Shown(browser, server)
    field = shown.page.get_by_label("The network goes on")
    for text in [*(TEXT[:length] for length in (12, 30, 14, 28)), *(TEXT[k : k + 20] for k in range(5)), TEXT[:25]]:
        field.fill(text)
        shown.until(f"page.runs[0].reads.text === {json.dumps(text)}")
    rows = shown.js("page.runs[0].layers.map((layer) => layer.inputs.rows)")
    assert all(count <= 25 + 1 for count in rows), rows
    ids = pieces_of(model.vocabulary, TEXT[:25])[0]
    with torch.no_grad(), model.network.recurrent.record("h") as values:
        model.network(torch.from_numpy(ids)[:, None])
    for k in range(2):
        found = shown.js("k => Array.from(page.runs[0].layers[k].values(`h'`).data)", k)
        np.testing.assert_allclose(found, values["h"][k, :, 0].flatten().numpy(), atol=2e-3)
    assert shown.complaints == []
    shown.context.close()


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.0001, "−1.0e−4"), (0.0001, "1.0e−4"), (-2.5, "−2.50"), (-0.0, "0.000"), (150.4, "150"), (12.34, "12.3")],
)
def test_figures_have_one_minus(still, value, text):
    assert still.js("x => figure(x)", value) == text


def test_questions_are_answered_one_at_a_time(model):
    """What measures a network puts hooks on it, and two at once would see each other's."""
    reader, counting = Reader(model), Counting()
    reader.typing = lambda: counting
    with serving(lambda: application(reader, TEXT[:10], hosts=["127.0.0.1"])) as address:

        def ask(what):
            connection = HTTPConnection(address.removeprefix("http://"))
            question = json.dumps({"session": "a", "text": "T", "shown": "", "step": 0})
            connection.request("POST", what, question, {"Content-Type": "application/json"})
            assert connection.getresponse().status == 200
            connection.close()

        asking = [threading.Thread(target=ask, args=[what]) for what in ("/read", "/influence") * 4]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
    assert counting.most == 1


QUESTION = b'{"session":"a","text":"T","shown":""}'


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (
            {"Host": "elsewhere.example", "Content-Type": "application/json"},
            QUESTION,
            400,
        ),
        ({"Content-Type": "text/plain"}, QUESTION, 415),
        ({"Content-Type": "application/json"}, b"nonsense", 400),
        ({"Content-Type": "application/json"}, b"[]", 400),
        ({"Content-Type": "application/json"}, b'{"text":"T","shown":""}', 400),
        ({"Content-Type": "application/json"}, b"[" * 90_000, 400),
        ({"Content-Type": "application/json"}, b'{"session":"a","text":"' + b"T" * 200_000 + b'"}', 400),
    ],
    ids=["another name", "a form", "no JSON", "no object", "no session", "too deep", "too long"],
)
def test_only_the_page_itself_is_answered(server, headers, body, status):
    connection = HTTPConnection(server.removeprefix("http://"))
    connection.request("POST", "/read", body, headers)
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status == status
    assert b"Traceback" not in said
    connection.close()
