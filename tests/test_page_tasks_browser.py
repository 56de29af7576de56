"""The pages of classifiers and forecasters in a browser: values read from them, clicks, keys, small screens."""

from __future__ import annotations

import datetime
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from test_page_browser import Shown, browser, number, serving  # noqa: F401 (browser is a fixture)
from test_page_tasks import classifier_of, examined, sales, table_of, walk

from carousel.page.document import document
from carousel.page.live import application
from carousel.page.moments import Signals
from carousel.page.readers import label_measures, reader_for
from carousel.tasks.classification import SequenceClassifier
from carousel.tasks.forecasting import Forecaster

KINDS = ("series", "audio", "words", "forecast")
NASTY = "</script><img src=x onerror=alert(1)><b>"


@pytest.fixture(scope="module")
def seen():
    """For each kind of page its model, what it read, and the moments."""
    found: dict[str, tuple] = {}
    for kind in ("series", "audio", "words"):
        model, x = classifier_of(kind)
        reader = reader_for(model)
        chosen = reader.choose([x[1]], item=None, steps=500)
        if kind == "series":  # as of data that say the class
            chosen = replace(chosen, example=replace(chosen.example, labels=["down"]))
        found[kind] = model, x[1], reader.examine("tiny", chosen, print)[0]
    forecaster = Forecaster(3, known="price", hidden=4, epochs=0.3, threads=1, time="date", id="shop", target="sales")
    model = forecaster.fit(sales())
    with torch.no_grad():
        torch.nn.init.normal_(model.trained.network.head.weight, std=0.4)
    found["forecast"] = model, table_of("encoder-decoder"), examined(model, None, item="south")
    return found


@pytest.fixture(scope="module")
def files(seen, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for kind, (_, _, moments) in seen.items():
        (folder / f"{kind}.html").write_text(document([moments]), "utf-8")
    return {kind: (folder / f"{kind}.html").as_uri() for kind in seen}


@pytest.fixture
def open_page(browser, files):  # noqa: F811
    """Opens the page of a kind; afterwards none may have complained or asked for anything."""
    opened = []

    def open_one(kind, **options):
        opened.append(Shown(browser, files[kind], **options))
        return opened[-1]

    yield open_one
    for shown in opened:
        assert shown.complaints == []
        assert [url for url in shown.asked if not url.startswith(("file:", "data:"))] == []
        shown.context.close()


def go(shown, step: int) -> None:
    shown.js("step => page.go(page.runs[0], step)", step)


def percent(text: str) -> float:
    return number(re.search(r"([\d.]+) %", text)[1])


# -- classes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["series", "audio", "words"])
def test_the_probabilities_at_a_step_are_what_predict_says_of_the_sequence_so_far(open_page, seen, kind):
    model, x, _ = seen[kind]
    shown = open_page(kind)
    early = model.answers([x], every=1)
    for step in (1, early.height - 1):
        go(shown, step)
        rows = shown.page.locator(".likely tbody tr")
        assert rows.count() == 2
        for k in range(2):
            line = rows.nth(k).inner_text()
            name = re.match(r"\w+", line)[0]
            assert percent(line) == pytest.approx(100 * early[f"P({name})"][step], abs=0.6)
        best = early["prediction"][step]
        assert f"says {best} (" in shown.status
        assert rows.first.inner_text().startswith(best)
    assert "vote" in shown.text(".likely thead")
    # Every step, as a table.
    shown.page.get_by_text("All steps as a table").click()
    shown.page.locator(".view-expects details td").first.wait_for()
    cells = shown.page.locator(".view-expects details tbody tr").nth(2).locator("td").all_inner_texts()
    for name, cell in zip(model.classes_, cells[1:], strict=True):
        assert number(cell) == pytest.approx(early[f"P({name})"][2], abs=6e-3)


def test_the_true_class_stands_out(open_page):
    shown = open_page("series")
    assert "It is down." in shown.text(".view-expects p:not(.note)")
    assert "← it is" in shown.text(".likely tr.actual")
    assert "down, which it is" in shown.text(".view-expects .key")
    options = shown.page.get_by_label("colour by").locator("option").all_inner_texts()
    assert options == [
        "the chosen unit",
        "influence on the answer",
        "how far it moved the answer",
        "the probability of what it is",
    ]
    assert "which it is" not in open_page("words").text(".view-expects")


def test_the_classes_over_time_are_lines_that_lead_to_their_steps(open_page, seen):
    shown = open_page("series")
    shown.page.locator(".chances svg").wait_for()
    lines = shown.page.locator(".chances polyline")
    assert lines.count() == 2
    points = np.array([[float(x) for x in p.split(",")] for p in lines.first.get_attribute("points").split()])
    expects = seen["series"][2].steps.expects
    chances = expects.probability[:, 0]  # of "down", which it is and so comes first
    assert np.corrcoef(points[:, 1], chances)[0, 1] < -0.9999
    box = shown.page.locator(".chances").bounding_box()
    shown.page.locator(".chances").click(position={"x": points[4, 0], "y": box["height"] / 2})
    assert shown.js("page.runs[0].step") == 4
    assert float(shown.page.locator(".chances .cursor").get_attribute("x1")) == pytest.approx(points[4, 0], abs=0.1)


# -- signals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["series", "audio", "forecast"])
def test_the_signals_are_those_that_were_read(open_page, seen, kind):
    shown = open_page(kind)
    reads = seen[kind][2].steps.reads
    values = np.array(shown.js("Array.from(page.runs[0].reads.values.data, (x) => Number.isNaN(x) ? null : x)"), float)
    span = np.nanmax(reads.values, 0) - np.nanmin(reads.values, 0)
    np.testing.assert_allclose(values.reshape(reads.values.shape), reads.values, atol=span.max() / 60000)
    shown.page.get_by_text(re.compile("^This (series|recording) as a table")).click()
    shown.page.locator(".view-reads tbody td").first.wait_for()
    cells = shown.page.locator(".view-reads tbody tr").nth(3).locator("td").all_inner_texts()
    assert cells[0] == reads.times[3]
    if np.isnan(reads.values[3, 0]):
        assert cells[1] == "–"
    else:
        assert number(cells[1]) == pytest.approx(reads.values[3, 0], rel=6e-3)


@pytest.mark.parametrize("kind", ["series", "audio", "forecast"])
def test_the_chart_is_drawn_on_the_colours_of_its_steps_and_leads_to_them(open_page, kind):
    shown = open_page(kind)
    course = shown.page.locator(".course")
    box = course.bounding_box()
    count = shown.js("page.runs[0].steps")
    left, right = shown.js("[COURSE.left, COURSE.right]")
    shown.page.get_by_label("colour by").select_option("influence")
    step = count - 3
    x = left + (step + 0.5) / count * (box["width"] - left - right)
    course.click(position={"x": x, "y": 20})
    assert shown.js("page.runs[0].step") == step
    # The colours, at the foot of the chart, are those of the shares.
    colours = shown.js(
        """([y, steps]) => {
            const c = document.querySelector(".course canvas"), scale = c.width / c.clientWidth, of = palette(false);
            const { values, span } = page.reads[0].colouring.shown();
            const line = c.getContext("2d").getImageData(0, Math.round(y * scale), c.width, 1).data;
            return steps.map((t) => {
                const x = COURSE.left + ((t + 0.5) / page.runs[0].steps) * (c.clientWidth - COURSE.left - COURSE.right);
                const at = 4 * Math.round(x * scale);
                return [Array.from(line.slice(at, at + 3)), of[shade(values[t], span)]];
            });
        }""",
        [box["height"] - 26 - 3, [step - 5, step - 1, step]],
    )
    for found, expected in colours:
        assert found == expected
    course.focus()
    shown.page.keyboard.press("ArrowLeft")
    assert shown.js("page.runs[0].step") == step - 1
    assert course.get_attribute("aria-valuenow") == str(step)
    assert course.get_attribute("aria-valuetext").startswith(f"step {step}, ")
    shown.page.keyboard.press("Home")
    assert shown.js("page.runs[0].step") == 0


@pytest.mark.parametrize(("channels", "alike"), [(12, False), (13, False), (3, True)])
def test_channels_that_are_alike_or_many_are_a_picture(browser, seen, tmp_path, channels, alike):  # noqa: F811
    """Those that are not alike each in a span of their own."""
    moments = seen["series"][2]
    count = len(moments.steps.reads.times)
    ramps = np.linspace(0, 1, count)[:, None] * 10.0 ** np.arange(channels)
    names = [f"channel {k}" for k in range(channels)]
    reads = Signals(names, ramps, moments.steps.reads.times, np.arange(count), alike=alike)
    page = replace(moments, steps=replace(moments.steps, reads=reads))
    (tmp_path / "page.html").write_text(document([page]), "utf-8")
    shown = Shown(browser, (tmp_path / "page.html").as_uri())
    assert shown.js("page.runs[0].reads.asLines") == (channels == 12)
    if channels != 12:
        corners = shown.js(
            """() => {
                const c = document.querySelector(".course canvas"), scale = c.width / c.clientWidth;
                const all = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
                const end = c.clientWidth - COURSE.right - 4;
                return [4, COURSE.picture - 4].map((y) => [COURSE.left + 4, end].map((x) => {
                    const at = 4 * (Math.round(y * scale) * c.width + Math.round(x * scale));
                    return Array.from(all.slice(at, at + 3));
                }));
            }"""
        )
        lightest, darkest = shown.js("[palette(false)[0], palette(false)[255]]")
        above, below = corners
        assert above == [lightest, darkest]
        assert (below == above) != alike, "of channels that are alike, the lowest is small beside the others"
    assert shown.complaints == []
    shown.context.close()


@pytest.mark.parametrize("kind", KINDS)
def test_influence_on_the_page_is_that_which_was_measured(open_page, seen, kind):
    shares = seen[kind][2].influence.shares
    shown = open_page(kind)
    step = len(shares) - 1
    go(shown, step)
    found = np.array(shown.js("step => Array.from(page.influenceOn(page.runs[0], step))", step))
    np.testing.assert_allclose(found, shares[step], atol=0.51 * shares.max() / 254)
    said = shown.text(".view-expects > p:last-child")
    best = int(np.argmax(shares[step]))
    assert (f"{best} back:" in said) if best else ("just read:" in said)
    assert "gradient of the" in " ".join(shown.page.locator(".view-expects .note").all_inner_texts())


def test_between_answers_that_were_followed_the_page_shows_the_last_one(browser, seen, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(label_measures, "MOST_TOGETHER", 1200)
    moments = examined(seen["series"][0], [walk(60)])
    at, chances = moments.influence.at, moments.steps.expects.probability
    (tmp_path / "page.html").write_text(document([moments]), "utf-8")
    shown = Shown(browser, (tmp_path / "page.html").as_uri())
    shown.page.get_by_label("colour by").select_option("influence")
    for step in (int(at[5]), int(at[5]) + 1):
        assert (step in at) == (step == at[5])
        go(shown, step)
        shares = moments.influence.shares[5]
        coloured = np.array(shown.js("Array.from(page.reads[0].colouring.shown().values)"))
        expected = np.full(60, np.nan)
        expected[: at[5] + 1] = shares[: at[5] + 1][::-1]
        np.testing.assert_allclose(coloured, expected, atol=0.51 * moments.influence.shares.max() / 254)
        said = shown.text(".view-expects > p:last-child")
        assert said.startswith(f"The answer after step {at[5] + 1} (") == (step != at[5])
        best = int(np.argmax(shares))
        assert f"step {at[5] + 1 - best}" in said
        words = shown.text(".view-expects > p:not(.note)")
        assert f"After step {at[5] + 1}" in words
        assert percent(words) == pytest.approx(100 * chances[at[5]].max(), abs=0.51)
        assert ("was not read" in words) == (step != at[5])
    assert shown.complaints == []
    shown.context.close()


# -- forecasts --------------------------------------------------------------------------------------------------


def test_the_forecast_shown_is_the_forecasters_from_that_origin(open_page, seen):
    model, frame, moments = seen["forecast"]
    shown = open_page("forecast")
    times = moments.steps.reads.times
    for step in (20, 45, 69):
        go(shown, step)
        day = datetime.date.fromisoformat(times[step])
        before = frame.with_columns(pl.when(pl.col("date") <= day).then(pl.col("sales")).alias("sales"))
        expected = model.predict(3, data=before).filter(pl.col("shop") == "south")
        if step == 20:
            shown.page.get_by_text("This forecast as a table").click()
            shown.page.locator(".view-expects details td").first.wait_for()
        rows = shown.page.locator(".view-expects details tbody tr")
        assert rows.count() == 3
        for k, row in enumerate(expected.iter_rows(named=True)):
            time, came, *told = rows.nth(k).locator("td").all_inner_texts()
            assert time == str(row["date"])
            for cell, name in zip(told, ["", "_lo_80", "_hi_80", "_lo_95", "_hi_95"], strict=False):
                assert number(cell) == pytest.approx(row[f"sales{name}"], rel=6e-3)
            later = step + 1 + k
            if later < len(times):
                actual = moments.steps.reads.values[later, 0]
                assert (came == "–") if np.isnan(actual) else (number(came) == pytest.approx(actual, rel=6e-3))
            else:
                assert came == "–"
        words = shown.text(".view-expects > p")
        assert f"From {times[step]}: " in words
        assert number(re.search(r": ([\d.]+) at", words)[1]) == pytest.approx(expected["sales"][0], rel=6e-3)
        assert f"forecasts {re.search(r': ([0-9.]+) at', words)[1]} next" in shown.status
        came = re.search(r"at \S+ \(80 %: \S+ to [^)]+\); the actual value is ([\d.]*\d)", words)
        assert (came is None) == (step == 69)
        assert came is None or number(came[1]) == pytest.approx(moments.steps.reads.values[step + 1, 0], rel=6e-3)


def test_the_fan_is_drawn_where_its_numbers_are(open_page, seen):
    shown = open_page("forecast")
    go(shown, 40)
    shown.page.locator("svg .band").first.wait_for()
    expects, reads = seen["forecast"][2].steps.expects, seen["forecast"][2].steps.reads
    assert shown.page.locator("polygon.band").count() == 2

    def ordinates(selector):
        points = shown.page.locator(f".view-expects svg {selector}").first.get_attribute("points")
        return np.array([float(p.split(",")[1]) for p in points.split()])

    came, median, widest = ordinates("polyline.actual"), ordinates("polyline.median"), ordinates("polygon.band0")
    values = reads.values[40 - 24 : 44, 0]
    slope, base = np.polyfit(values, came, 1)
    np.testing.assert_allclose(came, slope * values + base, atol=0.1)
    np.testing.assert_allclose(median[1:], slope * expects.quantiles[40, :, 2] + base, atol=0.15)
    np.testing.assert_allclose(widest[1:4], slope * expects.quantiles[40, :, 4] + base, atol=0.15)
    np.testing.assert_allclose(widest[4:], slope * expects.quantiles[40, ::-1, 0] + base, atol=0.15)
    assert "From 2024-02-10" in shown.page.locator(".view-expects svg.chart").get_attribute("aria-label")


def test_surprise_is_told_and_coloured(open_page, seen):
    expects = seen["forecast"][2].steps.expects
    shown = open_page("forecast")
    go(shown, 30)
    said = shown.text(".view-expects > p:nth-of-type(2)")
    assert percent(said) == pytest.approx(100 * expects.level[30], abs=0.6)
    assert number(re.search(r"([\d.]+) bits", said)[1]) == pytest.approx(expects.surprise[30], abs=0.01)
    shown.page.get_by_label("colour by").select_option("surprise")
    values = shown.js("page.reads[0].colouring.shown().values.map((x) => Number.isNaN(x) ? null : x)")
    np.testing.assert_allclose(np.array(values, float), expects.surprise, rtol=1e-4, atol=1e-6)
    go(shown, 60)
    assert "there was no forecast of it" in shown.text(".view-expects > p:nth-of-type(2)")
    go(shown, 0)
    assert "there was no forecast of it" in shown.text(".view-expects > p:nth-of-type(2)")


# -- what all have ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_nothing_sticks_out_and_everything_has_a_name(open_page, kind, width, scheme):
    shown = open_page(kind, width=width, height=700, color_scheme=scheme)
    for view in ("units", "unrolled", "similar", "flow"):
        assert shown.page.locator(f".view-{view}").inner_text().strip()
    shown.page.get_by_role("button", name="Find similar moments").click()
    shown.page.locator("[data-equation] summary").first.click()
    similar = shown.page.locator(".view-similar").inner_text()
    assert ("No other step is four or more away." in similar) == (kind == "words")
    assert (shown.page.locator(".similar li").count() > 0) == (kind != "words")
    for button in shown.page.locator("details > summary").all():
        button.click()
    assert shown.js("document.documentElement.scrollWidth") == width
    unnamed = shown.js(
        """() => Array.from(document.querySelectorAll("button, select, input, summary, [role=img], [role=slider]"))
            .filter((e) => !(e.getAttribute("aria-label") || e.labels?.length || e.innerText?.trim()))
            .map((e) => e.outerHTML.slice(0, 200))"""
    )
    assert unnamed == []
    ground = shown.js("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(28, 28, 30)"}[scheme]


def test_the_units_of_both_directions_are_the_layers_own(open_page, seen):
    model, x, _ = seen["series"]
    shown = open_page("series")
    member = model.trained.network.members[0]
    (steps,) = model.trained.steps_of(model.examples([x]))
    e = member.read(torch.from_numpy(steps).unsqueeze(1))
    with torch.no_grad(), member.recurrent.record("h") as values:
        member.recurrent(e)
    for k in (0, 1):
        found = shown.js('k => Array.from(page.runs[0].layers[k].values("h\'").data)', k)
        np.testing.assert_allclose(found, values["h"][k, :, 0].flatten(), atol=2e-3)
    shown.page.locator(".view-units select").first.select_option("1")
    assert "of layer 0 reverse" in shown.status
    assert shown.text(".view-unrolled h3").startswith("Layer 0 reverse, step")
    # Both read the same, and none feeds the other: one arrow up into the two, one out of them.
    assert shown.page.locator(".step.here .up").count() == 2
    assert shown.page.locator(".step.here .cell").count() == 2
    two_layers = open_page("words")
    assert two_layers.page.locator(".step.here .up").count() == 3
    names = two_layers.page.locator(".step.here .cell b").all_inner_texts()
    assert names == ["GRU 1", "GRU 1 reverse", "GRU 0", "GRU 0 reverse"]
    arrow = "e => getComputedStyle(e, '::after').content"
    assert "←" in shown.page.locator(".step .cell.reverse").first.evaluate(arrow)
    assert "→" in shown.page.locator(".step .cell:not(.reverse)").first.evaluate(arrow)


def test_a_unit_that_follows_a_signal_is_found(open_page):
    shown = open_page("forecast")
    names = shown.page.get_by_label("units that follow").locator("option").all_inner_texts()
    assert names == ["choose a property", "south", "price", "change of south"], "patterns are for text alone"
    shown.page.get_by_label("units that follow").select_option(label="south")
    assert "correlation" in shown.text(".view-units [role=status]")
    assert "a pattern of your own" in open_page("words").text(".view-units")


def test_names_of_classes_and_channels_are_shown_and_never_run(browser, tmp_path):  # noqa: F811
    x = [np.random.default_rng(k).normal(size=(8, 1)).astype(np.float32) for k in range(8)]
    model = SequenceClassifier(hidden=3, epochs=0.2, folds=1, threads=1).fit(x, [NASTY, "b"] * 4)
    moments = examined(model, [x[0]])
    moments.steps.reads.names[0] = moments.steps.reads.times[0] = NASTY
    (tmp_path / "page.html").write_text(document([moments]), "utf-8")
    shown = Shown(browser, (tmp_path / "page.html").as_uri())
    assert NASTY in shown.text(".likely")
    assert NASTY in shown.text(".view-reads")
    assert shown.js("document.querySelectorAll('img:not([src^=data]), main b b, main script').length") == 0
    assert shown.complaints == []
    shown.context.close()


def test_two_classifiers_stand_at_the_same_place(browser, seen, tmp_path):  # noqa: F811
    _, text, moments = seen["words"]
    letters, _ = classifier_of("letters")
    (tmp_path / "page.html").write_text(document([moments, examined(letters, text)]), "utf-8")
    shown = Shown(browser, (tmp_path / "page.html").as_uri())
    words = shown.js("page.runs[0].reads.texts")
    shown.page.locator("#run0-2").click()
    place = shown.js("page.runs[1].step")
    assert words[2].endswith(" "), "what is between words is shown behind them"
    assert text[place:].startswith(words[2].strip())
    assert f"reads “{words[2].strip()}”, says" in shown.status
    assert shown.page.locator(".view-expects .likely").count() == 2
    assert shown.complaints == []
    shown.context.close()


def test_what_is_typed_moves_the_probabilities(browser, seen):  # noqa: F811
    model, _, _ = seen["words"]
    begun = pl.DataFrame({"text": ["a dull"], "label": ["bad"]})
    with serving(lambda: application(reader_for(model), begun, hosts=["127.0.0.1"])) as address:
        shown = Shown(browser, address)
        assert "It is bad." in shown.text(".view-expects p:not(.note)")
        shown.page.get_by_label("colour by").select_option("right")
        field = shown.page.get_by_label("The network goes on")
        field.press("Control+End")
        field.press_sequentially(" and empty film")
        shown.until("page.runs[0].reads.texts.join('') === 'a dull and empty film' && page.runs[0].step === 4")
        expected = model.predict_proba(["a dull and empty film"])[0].max()
        assert percent(shown.text(".likely tbody tr")) == pytest.approx(100 * expected, abs=0.6)
        # Of what is typed nobody knows the class.
        assert "It is" not in shown.text(".view-expects p:not(.note)")
        assert shown.page.get_by_label("colour by").input_value() == "unit"
        line = shown.page.locator(".chances polyline").first
        before = line.get_attribute("points")
        for _ in "film":
            field.press("Backspace")
        field.press_sequentially("best")
        shown.until("page.runs[0].reads.texts.join('') === 'a dull and empty best'")
        assert line.get_attribute("points") != before, "as many steps, and others"
        shown.page.get_by_label("colour by").select_option("influence")
        shown.until("page.influenceOn(page.runs[0], 4) !== null")
        assert shown.js("page.influenceOn(page.runs[0], 4).length") == 5
        assert shown.complaints == []
        shown.context.close()
