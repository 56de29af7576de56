"""The data of the page: what is kept of a network's steps, how it is packed, which text is read, what typing does."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import matrix
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import carousel
from carousel.cli.inspect import inspect as command
from carousel.errors import CarouselError, DataError, RunError
from carousel.insight import input_influence
from carousel.models import TokenModel
from carousel.page import analysis, inspect, progress_lines
from carousel.page.document import SCRIPTS, TREE_SCRIPTS, document
from carousel.page.equations import Quantity, equations
from carousel.page.live import application, serve
from carousel.page.moments import Influence, Moments
from carousel.page.packing import page_json, quantised
from carousel.page.readers.language import Reader, examine
from carousel.page.readers.language_steps import measure_of, read_steps
from carousel.page.readers.passage import Passage, passage_for
from carousel.page.readers.symbols import pieces_of
from carousel.page.readers.typed_language import TypedLanguage
from carousel.page.scans import scans
from carousel.program import evaluate, ops, trace
from carousel.tasks.language import LanguageModel
from carousel.tasks.vocabulary import ByteVocabulary, CharVocabulary, WordVocabulary
from carousel.training.run_folder import RunFolder

TEXT = 'The clouds are in the sky.\nHe said "the fish (in the sea) are \t here".\n'
STATIC = Path(carousel.__file__).parent / "page" / "static"


# The page shows sequences, whose rows have no members.
FORWARD = [
    name for name, op in ops.TABLE.items() if op.kind not in ("product", "members") and not name.endswith("_grad")
]


@pytest.mark.parametrize("name", FORWARD)
def test_an_op_has_its_place_in_the_page(name):
    """That it computes the same there, a browser is asked (`test_page_browser.py`)."""
    script = (STATIC / "program.js").read_text(encoding="utf-8")
    tables = "".join(re.findall(r"const (?:OPS|REDUCTIONS) = \{(.*?)\n\};", script, re.DOTALL))
    assert name in re.findall(r"^  (\w+)[:,]", tables, re.MULTILINE), f"page/static/program.js lacks {name}"


TRACED = [row for row in matrix.KINDS if row.traced]


def model_of(cell="lstm", vocabulary=None, hidden=5, layers=1, text=TEXT, seed=0) -> LanguageModel:
    torch.manual_seed(seed)
    vocabulary = vocabulary or CharVocabulary("".join(sorted(set(text))))
    network = TokenModel(vocabulary.size, cell=cell, hidden=hidden, layers=layers, embedding=4)
    with torch.no_grad():  # large enough for units to differ
        for parameter in network.parameters():
            parameter.mul_(3)
    return LanguageModel(network, vocabulary)


def unpacked(packed) -> np.ndarray:
    """What unpack.js reads, written a second time."""
    codes = np.frombuffer(base64.b64decode(packed["codes"]), "<u2" if packed["bits"] == 16 else "u1")
    low, step = (np.frombuffer(base64.b64decode(packed[k]), "<f4").astype(float) for k in ("low", "step"))
    values = codes.reshape(packed["shape"]) * step + low
    return np.where(codes.reshape(packed["shape"]) == 2 ** packed["bits"] - 1, np.nan, values)


# -- what is kept of the steps ----------------------------------------------------------------------------------


@pytest.mark.parametrize("row", TRACED, ids=str)
def test_the_program_computes_every_value_again_from_what_is_kept(row):
    layer = row.layer(4, 5, engine="auto", num_layers=2, dtype=torch.float64)
    x = torch.randn(9, 4, dtype=torch.float64)
    x[5] = x[2]
    hx = row.initial(2, 1, 5, torch.float64)
    found, output, after = scans(layer, x, hx, np.array([0, 1, 2, 3, 4, 2, 6, 7, 8]))
    names = [*layer.program.states]
    with layer.record(*names) as recorded:
        expected, last = layer(x.unsqueeze(1), hx[0] if len(hx) == 1 else hx)
    torch.testing.assert_close(output, expected[:, 0])
    for state, values, end in zip(names, after, last if len(hx) > 1 else (last,), strict=True):
        torch.testing.assert_close(values.transpose(0, 1).unsqueeze(2), recorded[state])
        torch.testing.assert_close(values[-1].unsqueeze(1), end)
    for k, scan in enumerate(found):
        for t in range(9):
            values = computed_again(layer.program, scan, t)
            for state in names:
                ours, theirs = values[scan.outputs[state]], recorded[state][k, t, 0]
                # What is kept is in single precision.
                torch.testing.assert_close(ours.float(), theirs.float(), rtol=1e-5, atol=1e-5)
    assert len(found[0].inputs) == 8, "equal symbols are kept once"


def computed_again(program, scan, t):
    leaves = []
    for index, node in enumerate(program.nodes):
        match node.op:
            case "input":
                parts = np.split(scan.inputs[scan.input_rows[t]], len(program.inputs))
                leaves.append(torch.from_numpy(parts[program.inputs.index(node.attr)]))
            case "state":
                row = scan.before.get(node.attr)
                leaves.append(None if row is None else torch.from_numpy(row[t]))  # type: ignore[arg-type]
            case "vector":
                leaves.append(torch.from_numpy(scan.vectors[index]))
            case "constant":
                leaves.append(torch.tensor(node.attr))
            case "per_unit":
                leaves.append(torch.tensor(1 / scan.sizes[node.attr]))
            case _:
                leaves.append(None)  # type: ignore[arg-type]
    return evaluate(program, leaves, lambda index, _row: torch.from_numpy(scan.products[index][t]))


@pytest.mark.parametrize("row", TRACED, ids=str)
def test_equations_with_marks_are_the_equations_as_printed(row):
    program = trace(row.cell)
    printed = str(program).splitlines()[1:]
    for equation, line in zip(equations(program), printed, strict=True):
        text = "".join(part.text if isinstance(part, Quantity) else part for part in equation.parts)
        assert " ".join(f"{equation.name} = {text}".split()) == " ".join(line.split())


def test_the_quantities_of_an_equation_are_its_leaves_products_and_named_values():
    program = trace(carousel.cells.find("lstm"))
    found = {e.name: [p.text for p in e.parts if isinstance(p, Quantity)] for e in equations(program)}
    assert found["f"] == ["W_f x + b_f", "U_f h + c_f"]
    assert found["c'"] == ["f", "c", "i", "g"]
    assert found["h'"] == ["o", "c'"]
    spans = {e.name: e.span for e in equations(program)}
    assert spans == {"i": (0, 1), "f": (0, 1), "o": (0, 1), "g": (-1, 1), "c'": None, "h'": None}


@pytest.mark.parametrize("level", ["char", "byte", "word"])
def test_predictions_and_surprise_are_the_models_own(level):
    vocabularies = {
        "char": CharVocabulary("".join(sorted(set(TEXT)))),
        "byte": ByteVocabulary(),
        "word": WordVocabulary([" the", "The", " in", " are", "."], 20),
    }
    model = model_of(vocabulary=vocabularies[level])
    ids, pieces, starts = pieces_of(model.vocabulary, TEXT)
    steps, _ = read_steps(model.reading_on, model.vocabulary, ids, pieces, starts)
    scores, _ = model.network(torch.from_numpy(ids)[:, None])
    probabilities = scores[:, 0].softmax(-1).detach()
    for t in range(len(ids)):
        best = probabilities[t].argmax().item()
        name = steps.expects.names[steps.expects.likely[t, 0]]
        assert steps.expects.probability[t, 0] == pytest.approx(probabilities[t, best].item(), rel=1e-4)
        assert name == ("⟨unknown⟩" if best == model.vocabulary.unknown else name)
        if t + 1 < len(ids):
            assert np.exp(-steps.expects.surprise[t]) == pytest.approx(probabilities[t, ids[t + 1]].item(), rel=1e-4)
            assert steps.expects.rank[t] == 1 + (probabilities[t] > probabilities[t, ids[t + 1]]).sum().item()
    assert np.isnan(steps.expects.surprise[-1])
    assert steps.expects.rank[-1] == 0
    read = "".join(steps.reads.names[r] for r in steps.reads.read)
    assert level == "byte" or read == TEXT


def test_bytes_that_make_no_text_have_names_and_places():
    text = 'é\x00"\udcff'  # as corpus.read gives a byte that is no UTF-8
    ids, pieces, starts = pieces_of(ByteVocabulary(), text)
    assert ids.tolist() == [0xC3, 0xA9, 0, 0x22, 0xFF]
    assert pieces == ["⟨c3⟩", "⟨a9⟩", "\x00", '"', "⟨ff⟩"]
    assert starts.tolist() == [0, 0, 1, 2, 3]


def test_a_long_measure_says_how_far_it_is(monkeypatch):
    monkeypatch.setattr(progress_lines, "EVERY", 0.0)
    model, said = model_of(), list[str]()
    examine(model, "tiny", Passage((TEXT * 3)[:150], "a text"), said.append)
    counts = [int(line.split()[1]) for line in said if line.endswith(" of 150 steps")]
    assert counts == [8, 16, 24, 32, 40, 48, 56, 63, 127, 150]


@pytest.mark.parametrize("back", [4, 200])
def test_influence_in_windows_is_influence_over_the_whole_text(back):
    model = model_of(layers=2)
    ids, pieces, starts = pieces_of(model.vocabulary, TEXT)
    _, after = read_steps(model.reading_on, model.vocabulary, ids, pieces, starts)
    states = analysis.states_of(model.network.recurrent.fresh_states(1), after)
    shares = analysis.influence(measure_of(model.reading_on, ids), len(ids), states, back)
    whole = input_influence(model.network, torch.from_numpy(ids)[:, None], at=range(len(ids)), of="top").norms[..., 0]
    for t in range(len(ids)):
        norms = whole[t, max(0, t + 1 - back) : t + 1].flip(0).numpy()
        np.testing.assert_allclose(shares[t, : len(norms)], norms / norms.sum(), rtol=1e-3, atol=1e-6)
        assert not shares[t, len(norms) :].any()
    end = analysis.influence_at_end(measure_of(model.reading_on, ids), 31, states, back=back).share()[0].flip(0)
    np.testing.assert_allclose(end, shares[30, : len(end)], rtol=1e-3, atol=1e-6)


# -- packing ----------------------------------------------------------------------------------------------------


@given(st.data(), st.sampled_from([8, 16]), st.booleans())
def test_packed_numbers_differ_by_half_a_step_at_most(data, bits, of_all):
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 4)))
    numbers = st.one_of(st.floats(-1e3, 1e3, width=32), st.sampled_from([np.nan, np.inf, -np.inf]))
    values = np.array(data.draw(st.lists(numbers, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])))
    values = values.reshape(shape)
    found = unpacked(quantised(values, bits, of_all=of_all))
    finite = np.isfinite(values)
    assert (np.isnan(found) == ~finite).all()
    held = np.where(finite, values, np.nan)
    for column in range(shape[1]):
        part = held if of_all else held[:, column]
        width = np.ptp(part[np.isfinite(part)]) if np.isfinite(part).any() else 0.0
        size = np.abs(part[np.isfinite(part)]).max(initial=0.0)
        wrong = np.abs(found[:, column] - held[:, column])[finite[:, column]]
        # Half a step, and the rounding of the scale to single precision.
        assert (wrong <= 0.5 * width / (2**bits - 2) + 4e-7 * (size + width)).all()


def test_a_thousand_steps_of_512_units_fit_in_5_megabytes():
    model = model_of(hidden=512)
    text = (TEXT * 20)[:1000]
    ids, pieces, starts = pieces_of(model.vocabulary, text)
    steps, _ = read_steps(model.reading_on, model.vocabulary, ids, pieces, starts)
    influence = np.random.default_rng(0).random((1000, analysis.BACK))
    page = Moments(
        "large", "text", "char", "", [], steps, influence=Influence(influence, "it"), timescales=[np.ones(512)]
    )
    assert 2e6 < len(document([page]).encode()) < 5e6
    assert json.loads(page_json([page]))["runs"][0]["bits"] == 8


# -- one file, whatever the text holds --------------------------------------------------------------------------

NASTY = '</script><script>alert(1)</script><!--<script> & "quotes" \u2028 \u202e $title ]]> \\u003c'


def test_no_text_and_no_name_can_leave_the_data():
    model = model_of(text=NASTY)
    moments, _ = examine(model, NASTY, Passage(NASTY, NASTY))
    page = document([moments])
    assert page.count("<script") == 2
    assert page.count("</script") == 2
    assert "alert(1)</script>" not in page
    (data,) = re.findall(r'<script type="application/json" id="moments">(.*?)</script>', page, re.DOTALL)
    read = json.loads(data)["runs"][0]
    assert "".join(read["steps"]["reads"]["names"][r] for r in read["steps"]["reads"]["read"]) == NASTY
    assert read["name"] == NASTY
    assert "<title>Inside &lt;/script&gt;" in page


def test_the_page_loads_nothing_and_lets_only_its_own_script_run():
    moments, _ = examine(model_of(), "tiny", Passage(TEXT, "a text"))
    page = document([moments])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "connect-src 'self'" in document([moments], live="")


def test_scripts_write_text_only_as_text():
    assert {path.name for path in STATIC.glob("*.js")} == {*SCRIPTS, *TREE_SCRIPTS}
    for path in STATIC.glob("*.js"):
        script = path.read_text("utf-8")
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "http"):
            assert way not in script.replace("http://www.w3.org/2000/svg", ""), f"{path.name} uses {way}"
        assert "</script" not in script.lower()


# -- which text, and what cannot be done ------------------------------------------------------------------------


def test_inspect_writes_a_page_and_pictures(tmp_path):
    said: list = []
    page = inspect(model_of(), TEXT, out=tmp_path / "new" / "folder", report=said.append)
    assert page == tmp_path / "new" / "folder" / "index.html"
    pictures = {path.name for path in page.parent.glob("*.png")}
    assert pictures >= {"gradient-by-lag.png", "influence.png", "timescales.png", "text.png", "f-over-time.png"}
    assert not list(page.parent.glob("*.tmp"))
    assert any("MB" in line for line in said)


def test_a_text_longer_than_the_steps_is_cut_and_it_is_said(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    passage = passage_for(model_of(), tmp_path / "text.txt", steps=10)
    assert passage == Passage(TEXT[:10], "text.txt", more=True)
    assert passage_for(model_of(), TEXT, steps=1000) == Passage(TEXT, "the text that was given")
    word = model_of(vocabulary=WordVocabulary([" the", "The"], 20))
    assert passage_for(word, TEXT, steps=3).text == "The clouds are"


def trained(folder: Path, **settings) -> Path:
    from carousel.training.progress import Quiet

    (folder / "text.txt").write_text(TEXT * 30)
    small: dict[str, Any] = {"hidden": 4, "window": 8, "lanes": 2, "epochs": 0.05, "threads": 1} | settings
    model = LanguageModel.train(folder / "text.txt", out=folder / "run", report=Quiet(), **small)
    assert model.run is not None
    return model.run


def test_without_a_text_it_reads_what_the_run_did_not_learn_from(tmp_path):
    run = trained(tmp_path)
    passage = passage_for(LanguageModel.load(run), None, steps=50)
    assert passage == Passage((TEXT * 30)[-50:], "the end of text.txt, which the run did not learn from")
    # All of the part held out, and no more: 10 % of the text.
    longest = passage_for(LanguageModel.load(run), None, steps=10**6).text
    assert len(TEXT) * 3 - 1 <= len(longest) <= len(TEXT) * 3
    page = inspect(run, steps=12)
    assert page == run / "inspect" / "index.html"


def test_a_text_that_is_no_longer_what_the_run_learnt_from_is_not_read_and_it_is_said(tmp_path):
    run = trained(tmp_path)
    file, by_itself = tmp_path / "text.txt", "what the model writes by itself, as no text was given, and text.txt"
    swapped = (TEXT * 30).swapcase()
    assert file.stat().st_size == len(swapped)
    for change, why in {
        lambda: file.write_text(swapped): " has changed since the run learnt from it",
        lambda: file.write_text("another text"): " has changed since the run learnt from it",
        file.unlink: ", which the run learnt from, is missing",
        file.mkdir: ", which the run learnt from, cannot be read (Is a directory)",
    }.items():
        change()
        passage = passage_for(LanguageModel.load(run), None, steps=20)
        assert passage.source == by_itself + why
        assert len(passage.text) == 20
    assert passage_for(model_of(), None, steps=5).source == "what the model writes by itself, as no text was given"


def test_of_a_run_that_kept_no_checksum_the_page_promises_less(tmp_path):
    run = trained(tmp_path)
    config = RunFolder.open(run).config()
    del config["sources"][0]["sha256"]
    RunFolder.open(run).write_config(config)
    said = "the end of text.txt, which the run did not learn from, if the file is as it was then"
    assert passage_for(LanguageModel.load(run), None, steps=20) == Passage((TEXT * 30)[-20:], said)


def test_bad_input_is_refused_before_work_in_plain_words(tmp_path):
    model = model_of()
    with pytest.raises(DataError, match="has no folder for its page: name one with out="):
        inspect(model, TEXT)
    with pytest.raises(DataError, match="at least two symbols.*has 1"):
        inspect(model, "T", out=tmp_path)
    with pytest.raises(DataError, match="2 steps or more, not 1"):
        inspect(model, TEXT, out=tmp_path, steps=1)
    with pytest.raises(RunError, match="is not a run"):
        inspect(tmp_path, TEXT)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be made.*Choose another --out"):
        inspect(model, TEXT, out=tmp_path / "file")
    other = RunFolder.create(tmp_path / "other")
    other.write_config({"task": "translation"})
    with pytest.raises(RunError, match="is of the task 'translation', which this Carousel does not have"):
        inspect(other.path, TEXT)
    with pytest.raises(DataError, match="of a trained model \\(LanguageModel.*\\), not of int"):
        inspect(3, TEXT)
    with pytest.raises(DataError, match="there is no item to choose"):
        inspect(model, TEXT, item=1, out=tmp_path)


# -- typing -----------------------------------------------------------------------------------------------------


EDIT = st.tuples(st.integers(0, 9), st.text("The clouds", min_size=1, max_size=5))


@given(st.lists(st.tuples(EDIT, st.sampled_from(["taken", "lost", "influence"])), min_size=2, max_size=8))
def test_whatever_is_typed_and_taken_back_the_steps_are_those_of_the_text(edits):
    """Also where an answer never came, or an earlier text was asked about meanwhile."""
    model = model_of()
    reader = TypedLanguage(model)
    shown: list[tuple] = []
    text = held = ""
    for (back, typed), way in [*edits, ((0, "T"), "taken")]:
        text = text[: max(0, len(text) - back)] + typed
        if way == "influence" and held:
            reader.influence("page", held, len(held) - 1)
            continue
        answer = reader.read("page", text, held)
        if way != "lost":
            assert answer["kept"] <= len(shown)
            shown[answer["kept"] :] = list(shown_steps(answer["steps"]))
            held = text
    fresh = list(shown_steps(TypedLanguage(model).read("page", text, "")["steps"]))
    assert len(shown) == len(fresh) == len(text)
    for ours, theirs in zip(shown, fresh, strict=True):
        assert ours[0] == theirs[0]
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-3, atol=1e-3)


def shown_steps(record):
    """Of each step: what was read, and its probabilities and products (equal to 16 bits of their range)."""
    reads, expects = record["reads"], record["expects"]
    probability = np.frombuffer(base64.b64decode(expects["probability"]), "<f4").reshape(len(reads["read"]), -1)
    products = [unpacked(p) for scan in record["scans"] for p in scan["products"].values()]
    for t, read in enumerate(reads["read"]):
        surprise = expects["surprise"][t]
        numbers = [*probability[t], *np.concatenate([p[t] for p in products]), -1 if surprise is None else surprise]
        yield reads["names"][read], np.array(numbers)


def test_a_further_character_costs_one_step_and_sessions_do_not_mix():
    reader = TypedLanguage(model_of())
    assert reader.read("a", "The clouds", "")["kept"] == 0
    assert reader.read("b", "sky", "")["kept"] == 0
    longer = reader.read("a", "The clouds ", "The clouds")
    assert (longer["kept"], len(longer["steps"]["reads"]["read"])) == (
        9,
        2,
    )  # the last one again: what follows it is new
    reader.influence("a", "sky", 2)
    shorter = reader.read("a", "The cl", "The clouds ")
    assert (shorter["kept"], len(shorter["steps"]["reads"]["read"])) == (5, 1)
    with pytest.raises(DataError, match="no step 6 in the 6 that were read"):
        reader.influence("a", "The cl", 6)
    shares = np.frombuffer(base64.b64decode(reader.influence("c", "The cl", 5)["shares"]), "<f4")
    assert len(shares) == 6
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    with pytest.raises(DataError, match="Type something"):
        reader.read("a", "", "The cl")
    with pytest.raises(DataError, match="4,000 symbols at most, and this text has 4,001"):
        reader.read("a", "T" * (TypedLanguage.longest + 1), "The cl")


def test_without_starlette_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "starlette", None)
    with pytest.raises(CarouselError, match=r"pip install 'carousel-rnn\[page\]'"):
        serve(model_of(), TEXT)


def test_an_address_that_is_taken_is_said_before_anything_is_served():
    pytest.importorskip("uvicorn", reason="needs the extra `page`")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(DataError, match="Try another --port"):
        serve(model_of(), TEXT, port=taken.getsockname()[1])


def test_the_application_is_made_of_a_model_and_a_text():
    pytest.importorskip("starlette", reason="needs the extra `page`")
    app = application(Reader(model_of()), TEXT, hosts=["localhost"])
    assert {route.path for route in app.routes} == {"/", "/read", "/influence"}


@pytest.mark.parametrize("row", [row for row in TRACED if not row.proj_size], ids=str)
def test_every_cell_has_a_page(row):
    """Measures, words and data for any cell: with gates that keep a state or without, one state or four, NaN or not."""
    moments, drawings = examine(model_of(cell=row.cell), str(row), Passage(TEXT[:40], "a text"))
    read = json.loads(page_json([moments]))["runs"][0]
    assert {f"{state}'" for state in row.cell.states} <= {e["name"] for e in read["steps"]["scans"][0]["equations"]}
    assert read["flow"] or read["notes"]["flow"]
    assert {"text", "influence", "gradient-by-lag"} <= set(drawings)


# -- the command ------------------------------------------------------------------------------------------------


def test_the_command_says_where_the_page_is(tmp_path, capsys):
    run = trained(tmp_path)
    command(run, steps=12)
    said = capsys.readouterr().out
    assert "it reads the end of text.txt" in said
    assert f"Open it in a browser: {(run / 'inspect' / 'index.html').as_uri()}" in said
    command(run, tmp_path / "text.txt", against=run, out=tmp_path / "two", steps=12)
    assert (tmp_path / "two" / "run 2-gradient-by-lag.png").exists()
    assert "Inside run 1 and run 2" in (tmp_path / "two" / "index.html").read_text("utf-8")


@pytest.mark.parametrize("option", ["against", "out"])
def test_live_refuses_what_it_would_ignore(tmp_path, option):
    with pytest.raises(DataError, match=f"--live serves the page of one run and writes nothing: leave --{option} out"):
        command(tmp_path, live=True, **{option: tmp_path})
