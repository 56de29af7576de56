"""What the page shows of classifiers and forecasters, against what they say and against finite differences."""

from __future__ import annotations

import base64
import datetime
import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_page import computed_again, model_of

import carousel
from carousel.cli.inspect import inspect as command
from carousel.errors import DataError
from carousel.page import inspect, pictures, progress_lines
from carousel.page.document import document
from carousel.page.moments import Classes, Quantiles, Signals, Symbols
from carousel.page.packing import page_json
from carousel.page.readers import (
    READERS,
    classification,
    forecast_measures,
    forecasting,
    label_measures,
    language,
    reader_for,
    trees,
)
from carousel.page.scans import scans
from carousel.tasks import task_names
from carousel.tasks.classification import SequenceClassifier
from carousel.tasks.forecasting import Forecaster
from carousel.tasks.sequences.recordings import Sound
from carousel.training.progress import Quiet

GOOD, BAD = (
    ("a gripping, funny film", "the best acting of the year"),
    ("a dull, empty film", "the worst film of the year"),
)


def livelier(network: torch.nn.Module) -> None:
    """Larger weights, so that steps and units differ as they do after a long training."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2.5)


def classifier_of(kind: str) -> tuple[SequenceClassifier, list]:
    """A small classifier, hardly trained, and sequences that it can read."""
    rng = np.random.default_rng(0)
    small: dict[str, Any] = {"hidden": 5, "epochs": 0.5, "threads": 1, "batch": 8, "fixed_convolutions": 0}
    labels = ["up", "down"] * 6
    if kind == "series":  # as by default: both ways, attention, several networks
        x: list = [np.cumsum(rng.normal(size=(12 + k, 2)), 0).astype(np.float32) for k in range(12)]
        x[1][3, 0] = np.nan
        model = SequenceClassifier(folds=2, **small).fit(x, labels)
    elif kind == "forward":
        x = [np.cumsum(rng.normal(size=(12 + k, 1)), 0).astype(np.float32) for k in range(12)]
        model = SequenceClassifier(
            folds=1, cell="lstm", layers=2, head="last", bidirectional=False, differences=False, **small
        ).fit(x, labels)
    elif kind == "both-last":
        x = [rng.normal(size=(14, 2)).astype(np.float32) for _ in range(12)]
        model = SequenceClassifier(folds=1, head="last", **small).fit(x, labels)
    elif kind == "audio":
        x = [Sound((0.3 * rng.normal(size=2400)).astype(np.float32), 8000) for _ in range(12)]
        model = SequenceClassifier(folds=2, head="mean", **small).fit(x, labels)
    else:
        x = [*GOOD, *BAD] * 3
        level, shape = ("char", {"bidirectional": False}) if kind == "letters" else ("word", {"layers": 2})
        model = SequenceClassifier(folds=2, level=level, embedding=4, **shape, **small).fit(
            x, ["good", "good", "bad", "bad"] * 3
        )
    livelier(model.trained.network)
    return model, x


@pytest.fixture(scope="module")
def classifiers():
    return {kind: classifier_of(kind) for kind in ("series", "forward", "both-last", "audio", "words", "letters")}


def examined(model, data, **options):
    reader = reader_for(model)
    return reader.examine(
        "tiny", reader.choose(data, item=options.get("item"), steps=options.get("steps", 500)), print
    )[0]


# -- every task -------------------------------------------------------------------------------------------------


def test_every_task_has_a_page():
    assert set(READERS) == set(task_names())
    for reader in (language, classification, forecasting, trees):
        assert reader.Reader.task in READERS


@pytest.mark.parametrize("cell", ["rnn-relu", "lstm", "gru"])
def test_a_scan_from_the_end_is_computed_again_too(cell):
    layer = carousel.Recurrent(cell, 3, 4, 2, bidirectional=True, dtype=torch.float64)
    x = torch.randn(7, 3, dtype=torch.float64)
    found, output, after = scans(layer, x, layer.fresh_states(1), np.arange(7))
    names = [*layer.program.states]
    with layer.record(*names) as recorded:
        expected, _ = layer(x.unsqueeze(1))
    torch.testing.assert_close(output, expected[:, 0])
    assert [(scan.place, scan.reverse) for scan in found] == [
        ("0", False),
        ("0 reverse", True),
        ("1", False),
        ("1 reverse", True),
    ]
    for state, values in zip(names, after, strict=True):
        torch.testing.assert_close(values.transpose(0, 1).unsqueeze(2), recorded[state])
    for k, scan in enumerate(found):
        for t in range(7):
            values = computed_again(layer.program, scan, t)
            for state in names:
                ours, theirs = values[scan.outputs[state]], recorded[state][k, t, 0]
                torch.testing.assert_close(ours.float(), theirs.float(), rtol=1e-5, atol=1e-5)


# -- classification ---------------------------------------------------------------------------------------------


def beginning(kind: str, item, steps: int):
    """The first so many steps of a sequence, as the sequence that they are."""
    if kind == "words":
        words = item.replace(",", " ,").split()
        return " ".join(words[:steps])
    if kind == "audio":
        return Sound(item.samples[: 200 + 80 * (steps - 1)], item.rate)  # 25 ms, and 10 ms for each further frame
    return item[:steps]


@pytest.mark.parametrize("kind", ["series", "forward", "audio", "words", "letters"])
def test_after_each_step_the_classes_are_those_of_the_sequence_so_far(classifiers, kind):
    model, x = classifiers[kind]
    moments = examined(model, [x[1]])
    shown = moments.steps.expects
    assert isinstance(shown, Classes)
    assert shown.names == [str(label) for label in model.classes_]
    count = len(shown.probability)
    assert count >= 5
    for t in (0, 2, count - 1):
        expected = model.predict_proba([beginning(kind, x[1], t + 1)])[0]
        np.testing.assert_allclose(shown.probability[t], expected, atol=1e-5)
    early = model.answers([x[1]], every=1)
    np.testing.assert_allclose(shown.probability, early.select("^P\\(.*\\)$").to_numpy(), atol=1e-6)
    assert np.ptp(shown.probability[:, 0]) > 0.01
    assert (shown.alone is None) == (kind == "forward")


def test_how_far_a_step_moved_the_probabilities():
    chances = np.array([[0.5, 0.5], [1.0, 0.0], [1.0, 0.0], [0.5, 0.5]])
    moved = label_measures.moved(chances)
    assert moved[:2].tolist() == [1.0, 0.0]  # one bit says which of two it is
    assert moved[2] > 40  # what was held impossible
    before, after = np.array([0.2, 0.3, 0.5]), np.array([0.6, 0.3, 0.1])
    expected = sum(q * np.log2(q / p) for p, q in zip(before, after, strict=True))
    assert label_measures.moved(np.stack([before, after])).tolist() == [pytest.approx(expected)]


@pytest.mark.parametrize("kind", ["series", "forward", "both-last", "words"])
def test_influence_is_the_slope_of_the_answers_log_odds(classifiers, kind):
    model, x = classifiers[kind]
    member = model.trained.network.members[0]
    (steps,) = model.trained.steps_of(model.examples([x[2]]))
    answer = np.arange(len(steps)) % 2
    norms = label_measures.influence(member, steps, answer)
    member = member.double()
    try:
        with torch.no_grad():
            e = label_measures.received(member, steps if member.embedding is not None else steps.astype(np.float64))
            for t in (1, len(steps) - 1):
                for lag in {0, 1, t}:
                    slopes = [
                        (log_odds(member, pushed(e, t - lag, unit, 1e-5), t, answer[t])
                         - log_odds(member, pushed(e, t - lag, unit, -1e-5), t, answer[t])) / 2e-5
                        for unit in range(e.shape[2])
                    ]  # fmt: skip
                    assert norms[t, lag] == pytest.approx(np.linalg.norm(slopes), rel=1e-3, abs=1e-6)
    finally:
        member.float()
    assert not np.triu(norms, 1).any()


def test_what_takes_long_tells_how_far_it_is(classifiers, monkeypatch):
    monkeypatch.setattr(progress_lines, "EVERY", 0.0)
    monkeypatch.setattr(label_measures, "BATCH_STEPS", 40)
    model, x = classifiers["forward"]
    (steps,) = model.trained.steps_of(model.examples([x[3]]))
    said: list[str] = []
    answer = np.zeros(len(steps), np.int64)
    norms = label_measures.influence(model.trained.network.members[0], steps, answer, said.append)
    assert said[0] == "2 of 15 steps"
    assert said[-1] == "15 of 15 steps"
    monkeypatch.undo()
    whole = label_measures.influence(model.trained.network.members[0], steps, answer)
    np.testing.assert_allclose(norms, whole, rtol=1e-4, atol=1e-7)


@given(st.integers(1, 100_000), st.integers(1, 1 << 20))
def test_beginnings_that_are_read_anew_grow_no_faster_than_the_sequence(steps, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_measures, "MOST_TOGETHER", most)
        ends = label_measures.ends_of_prefixes(steps)
    assert ends[0] == 0
    assert ends[-1] == steps - 1
    assert (np.diff(ends) > 0).all()
    if steps * steps <= most:
        assert len(ends) == steps
    fewest = label_measures.FEWEST_PREFIXES + label_measures.LAST
    assert len(ends) * steps <= most + fewest * steps


def walk(steps: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(steps).normal(size=(steps, 2)), 0).astype(np.float32)


@pytest.mark.parametrize("kind", ["series", "both-last"])
def test_of_a_long_sequence_some_answers_are_followed_and_they_are_the_right_ones(classifiers, kind, monkeypatch):
    model, _ = classifiers[kind]
    whole = examined(model, [walk(60)])
    assert whole.influence.at is None
    assert whole.steps.expects.at is None
    monkeypatch.setattr(label_measures, "MOST_TOGETHER", 1200)
    thinned = examined(model, [walk(60)])
    at = thinned.influence.at
    assert len(at) == 20 + 8 - 3  # evenly apart, and the last 8, of which 3 are among them
    np.testing.assert_allclose(thinned.influence.shares, whole.influence.shares[at], rtol=1e-4, atol=1e-6)
    shown, asked = thinned.steps.expects, whole.steps.expects
    np.testing.assert_array_equal(shown.at, at)
    said = [at[at <= t].max() for t in range(60)]
    np.testing.assert_allclose(shown.probability, asked.probability[said], atol=1e-6)
    if shown.alone is not None:
        np.testing.assert_allclose(shown.alone, asked.alone[said], atol=1e-6)
    assert np.isnan(np.delete(shown.moved, at)).all()
    before = asked.probability[[0, *at[:-1]]]
    np.testing.assert_allclose(
        shown.moved[at][1:], label_measures.moved(np.concatenate([before[:1], asked.probability[at]]))[1:], atol=1e-4
    )
    assert "after 25 of the 60 steps" in " ".join(thinned.notes["influence"])
    assert "25 prefixes were read of the 60" in " ".join(thinned.notes["expects"])
    assert "prefixes were read of" not in " ".join(whole.notes["expects"])


@pytest.mark.parametrize("kind", ["series", "both-last", "forward", "letters"])
def test_twice_the_steps_cost_twice_as_much_at_most(classifiers, kind, monkeypatch):
    """The page's bytes, and the steps of all that its networks read: counted, not timed."""
    model, _ = classifiers[kind]
    monkeypatch.setattr(label_measures, "MOST_TOGETHER", 4000)
    read = []
    for count in (200, 400):
        data = "ab c" * (count // 4) if kind == "letters" else [walk(count)[:, : 1 if kind == "forward" else 2]]
        with SteppedThrough(model.trained.network.members) as seen:
            moments = examined(model, data)
        read.append((len(page_json([moments])), seen.count))
    (short, few), (long, many) = read
    assert long < 2.05 * short
    assert many < 2.05 * few


class SteppedThrough:
    """Counts the steps that the layers of networks read when they are called, of all rows together."""

    count = 0

    def __init__(self, members) -> None:
        self.layers = [member.recurrent for member in members]

    def __enter__(self):
        self.hooks = [layer.register_forward_pre_hook(self._seen) for layer in self.layers]
        return self

    def _seen(self, _, inputs) -> None:
        self.count += inputs[0].shape[0] * inputs[0].shape[1]

    def __exit__(self, *_) -> None:
        for hook in self.hooks:
            hook.remove()


def pushed(e, step, unit, by):
    e = e.clone()
    e[step, 0, unit] += by
    return e


def log_odds(member, e, t, answer):
    """ln(P / (1 - P)), from the scores: a probability that rounds to 1 has no odds."""
    scores = member.score(e[: t + 1], torch.tensor([t + 1]))[0].detach().numpy()
    return scores[answer] - np.logaddexp.reduce(np.delete(scores, answer))


def test_log_odds_do_not_go_flat_where_the_answer_is_sure():
    scores = torch.tensor([[60.0, 0.0, -5.0]], dtype=torch.float32, requires_grad=True)
    odds = label_measures.log_odds(scores, torch.tensor([0]))
    odds.backward()
    assert odds.item() == pytest.approx(60 - np.log(1 + np.exp(-5)), rel=1e-5)
    assert scores.grad[0, 0] == 1


def test_the_loss_is_followed_back_through_the_recurrence(classifiers):
    model, x = classifiers["forward"]
    member = model.trained.network.members[0]
    (steps,) = model.trained.steps_of(model.examples([x[5]]))
    flow = label_measures.flow_of(member, steps, 1)
    # Of the whole sequence: by the states that the last k steps go on from.
    last = len(steps) - 1
    origin = (flow.at[:, -1] == last).nonzero().item()
    e = label_measures.received(member, steps).detach()
    beside = member.convolutions(e, torch.tensor([len(e)])).detach()
    for k in (1, 2, 5):
        with torch.no_grad():
            _, hx = member.recurrent(e[: last + 1 - k])
        hx = tuple(state.clone().requires_grad_() for state in hx)
        output, _ = member.recurrent(e[last + 1 - k :], hx)
        no, yes = member.head(torch.cat([output[-1], beside], 1))[0]
        gradients = torch.autograd.grad(yes - no, hx)  # of the log-odds of one class of two
        for state, gradient in zip(flow.states, gradients, strict=True):
            found = flow.samples(state, 1, relative=False)[origin, -1, k - 1].item()
            assert found == pytest.approx(gradient[1, 0].norm().item(), rel=1e-3)


@pytest.mark.parametrize("kind", ["series", "both-last", "audio"])
def test_gradients_are_told_of_both_directions(classifiers, kind):
    model, x = classifiers[kind]
    moments = examined(model, [x[3]])
    assert [curve.name for curve in moments.flow] == ["h of layer 0", "h of layer 0 reverse"]
    for curve in moments.flow:
        assert np.isfinite(curve.norms).all()
        assert (curve.norms > 0).any()


def test_what_was_read_is_what_the_data_hold(classifiers):
    model, x = classifiers["series"]
    reads = examined(model, [x[1]]).steps.reads
    assert isinstance(reads, Signals)
    np.testing.assert_array_equal(reads.values, x[1])
    assert np.isnan(reads.values[3, 0])
    model, x = classifiers["audio"]
    reads = examined(model, [x[0]]).steps.reads
    assert reads.times[:3] == ["0.00 s", "0.01 s", "0.02 s"]
    assert reads.values.shape == (28, 40)
    assert reads.names[0].endswith(" Hz")
    for kind, text in (("words", "  A dull,\n\tfilm!  İt is "), ("letters", "A dull\n")):
        reads = examined(classifiers[kind][0], text).steps.reads
        assert isinstance(reads, Symbols)
        shown = "".join(reads.names[k] for k in reads.read)
        assert shown.lower() == text.lower()
        assert [reads.names[k].strip().lower() for k in reads.read][:3] == {
            "words": ["a", "dull", ","],
            "letters": ["a", "", "d"],
        }[kind]


def test_the_true_class_is_told_where_it_is_known(classifiers, tmp_path):
    model, x = classifiers["series"]
    for label, truth, said in (
        ("down", 0, None),
        ("sideways", None, "it is 'sideways', a class that was never met in training"),
        (None, None, "do not say which class it is"),
    ):
        arrays = {"X": x[0], "lengths": [len(x[0])]} | ({} if label is None else {"y": [label]})
        np.savez(tmp_path / "one.npz", **arrays)
        moments = examined(model, tmp_path / "one.npz")
        assert moments.steps.expects.truth == truth
        notes = " ".join(moments.notes["expects"])
        assert said in notes if said else "class it is" not in notes
        assert "read in both directions" in notes


def test_a_long_sequence_is_shown_from_its_beginning(classifiers):
    model, x = classifiers["forward"]
    moments = examined(model, [x[4]], steps=6)
    assert len(moments.steps.reads.times) == 6
    assert f"{len(x[4])} steps, of which the first 6" in dict(moments.about)["series"]
    np.testing.assert_allclose(moments.steps.expects.probability[5], model.predict_proba([x[4][:6]])[0], atol=1e-5)


def trained_on_files(folder: Path, **settings) -> Path:
    rows = [
        {"text": text, "label": label} for k in range(5) for text, label in ((GOOD[k % 2], "good"), (BAD[k % 2], "bad"))
    ]
    pl.DataFrame(rows).write_csv(folder / "reviews.csv")
    small: dict[str, Any] = {"hidden": 4, "embedding": 3, "epochs": 0.5, "threads": 1, "folds": 2} | settings
    model = SequenceClassifier.train(folder / "reviews.csv", out=folder / "run", report=Quiet(), **small)
    assert model.run is not None
    return model.run


def test_without_data_a_sequence_is_read_that_was_held_out_and_by_the_network_that_has_not_seen_it(tmp_path, capsys):
    run = trained_on_files(tmp_path)
    config = json.loads((run / "config.json").read_text())
    assert config["sources"] == [str(tmp_path / "reviews.csv")]
    assert len(config["held_out"]) == 10, "with several networks each sequence is held out from one"
    command(run)
    assert "it reads 1, which the run held out" in capsys.readouterr().out
    pictures = {path.name for path in (run / "inspect").glob("*.png")}
    assert {"classes.png", "h-over-time.png"} <= pictures
    reader = reader_for(run)
    for one in config["held_out"][:3]:
        chosen = reader.choose(None, item=one["name"], steps=500)
        assert reader._network_for(chosen) == one["network"]
        assert f"number {one['network'] + 1} of 2" in dict(reader.examine("x", chosen, print)[0].about)["network"]
    pl.DataFrame({"text": ["short"], "label": ["good"]}).write_csv(tmp_path / "reviews.csv")
    with pytest.raises(DataError, match="are no longer those that this run learnt from: name data.*inspect RUN DATA"):
        inspect(run)
    (tmp_path / "reviews.csv").unlink()
    with pytest.raises(DataError, match=r"The data of this run are no longer at .*reviews\.csv: name data"):
        inspect(run)
    assert inspect(run, "a funny film", out=tmp_path / "page").exists()


def test_what_a_classifier_cannot_read_is_refused_in_plain_words(classifiers, tmp_path):
    model, x = classifiers["series"]
    with pytest.raises(DataError, match="does not say which files it learnt from: name data for it to read"):
        inspect(model, out=tmp_path)
    with pytest.raises(DataError, match="was trained on series, and these data are text"):
        inspect(model, ["a text"], out=tmp_path)
    with pytest.raises(DataError, match=r"at least two steps, and 0 has 1 step\."):
        inspect(model, [x[0][:1]], out=tmp_path)
    with pytest.raises(DataError, match=r"no sequence 'x' \(--item\) among the 12: 0, 1, .*from 0 to 11"):
        inspect(model, x, item="x", out=tmp_path)
    with pytest.raises(DataError, match="has no folder for its page"):
        inspect(model, x)
    words, texts = classifiers["words"]
    with pytest.raises(DataError, match=r"at least two steps, and 0 has 1 word\."):
        inspect(words, "film", out=tmp_path)
    with pytest.raises(
        DataError, match="Nothing can be typed for a classifier of series: --live is for runs that read"
    ):
        reader_for(model).typing()
    with pytest.raises(DataError, match="the same with the same data: .* are runs of classification and language"):
        inspect(words, texts[0], against=model_of(), out=tmp_path)
    assert not list(tmp_path.iterdir()), "nothing is written before the data are known to do"


def test_of_several_sequences_one_is_chosen_by_name_or_number(classifiers):
    model, x = classifiers["series"]
    reader = reader_for(model)
    for item in (3, "3"):
        np.testing.assert_array_equal(reader.choose(x, item=item, steps=9).example.items[0], x[3])
    np.testing.assert_array_equal(reader.choose(x, item=None, steps=9).example.items[0], x[0])


def test_a_cell_without_equations_is_refused(classifiers, monkeypatch):
    model, _ = classifiers["forward"]

    class Plain:
        cell = "Odd"

    layer = model.trained.network.members[0].recurrent
    monkeypatch.setattr(layer, "program", Plain(), raising=False)
    monkeypatch.setattr(layer, "_why_untraced", "it asks for the time of day")
    with pytest.raises(DataError, match="the step of Odd runs as plain Python: it asks for the time of day"):
        reader_for(model)


def test_two_classifiers_of_one_sequence_stand_beside_each_other(classifiers, tmp_path):
    model, x = classifiers["words"]
    page = inspect(model, x[0], against=classifiers["letters"][0], out=tmp_path)
    assert "Inside the model 1 and the model 2" in page.read_text("utf-8")
    assert (tmp_path / "the model 2-classes.png").exists()


@pytest.mark.parametrize("kind", ["words", "letters"])
def test_what_is_typed_is_classified_as_it_stands(classifiers, kind):
    model, _ = classifiers[kind]
    typing = reader_for(model).typing()
    answer = typing.read("page", "a dull film", "")
    assert answer["kept"] == 0
    chances = np.frombuffer(base64.b64decode(answer["steps"]["expects"]["probability"]), "<f4")
    np.testing.assert_allclose(chances.reshape(-1, 2)[-1], model.predict_proba(["a dull film"])[0], atol=1e-5)
    shares = np.frombuffer(base64.b64decode(typing.influence("page", "a dull film", 1)["shares"]), "<f4")
    assert len(shares) == 2
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    with pytest.raises(DataError, match="Type something"):
        typing.read("page", " \n" if kind == "words" else "", "")
    with pytest.raises(DataError, match="300 symbols at most, and this text has 301"):
        typing.read("page", "a " * 301 if kind == "words" else "a" * 301, "")
    with pytest.raises(DataError, match="no step 5"):
        typing.influence("page", "a dull", 5 if kind == "words" else 50)


def test_sound_files_are_read_from_disk(classifiers, tmp_path):
    model, x = classifiers["audio"]
    with wave.open(str(tmp_path / "clip.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((x[0].samples * 32767).astype("<i2").tobytes())
    page = inspect(model, tmp_path / "clip.wav", out=tmp_path / "page")
    assert {"signals.png", "classes.png", "influence.png"} <= {path.name for path in page.parent.glob("*.png")}


# -- forecasting ------------------------------------------------------------------------------------------------


def sales(days: int = 70, future: int = 4) -> pl.DataFrame:
    """Two shops, a price known in advance, a value that is missing, and rows for the days to come."""
    rng = np.random.default_rng(1)
    rows = []
    for shop, level in (("north", 50.0), ("south", 90.0)):
        for day in range(days + future):
            price = 1.0 + (day % 5 == 0)
            value = level + 5 * np.sin(2 * np.pi * day / 7) - 3 * price + rng.normal()
            date = datetime.date(2024, 1, 1) + datetime.timedelta(days=day)
            rows.append((date, shop, None if day >= days or day == 60 else value, price))
    return pl.DataFrame(rows, schema=["date", "shop", "sales", "price"], orient="row")


@pytest.fixture(scope="module")
def forecasters():
    small: dict[str, Any] = {"hidden": 4, "epochs": 0.3, "threads": 1, "time": "date", "id": "shop", "target": "sales"}
    found = {
        "encoder-decoder": Forecaster(3, known="price", **small).fit(sales()),
        "autoregressive": Forecaster(
            3, form="autoregressive", cell="lstm", layers=2, **small
        ).fit(sales(future=0).drop("price")),
    }  # fmt: skip
    for model in found.values():
        livelier(model.trained.network.encoder)
        with torch.no_grad():
            torch.nn.init.normal_(model.trained.network.head.weight, std=0.4)
    return found


def table_of(form: str) -> pl.DataFrame:
    return sales() if form == "encoder-decoder" else sales(future=0).drop("price")


def until(frame: pl.DataFrame, date: str, known: bool) -> pl.DataFrame:
    """The table as it stood after this day: nothing of what came then, but the prices, which were known."""
    day = datetime.date.fromisoformat(date)
    if not known:
        return frame.filter(pl.col("date") <= day)
    return frame.with_columns(pl.when(pl.col("date") <= day).then(pl.col("sales")).alias("sales"))


@pytest.mark.parametrize("form", ["encoder-decoder", "autoregressive"])
def test_from_each_step_the_forecast_is_that_of_the_history_so_far(forecasters, form):
    model, frame = forecasters[form], table_of(form)
    moments = examined(model, frame, item="south", steps=30)
    reads, expects = moments.steps.reads, moments.steps.expects
    assert isinstance(expects, Quantiles)
    assert expects.levels == (0.025, 0.1, 0.5, 0.9, 0.975)
    assert expects.quantiles.shape == (30, 3, 5)
    columns = ["sales_lo_95", "sales_lo_80", "sales", "sales_hi_80", "sales_hi_95"]
    for t in (0, 17, 29):
        predicted = model.predict(3, data=until(frame, reads.times[t], form == "encoder-decoder"))
        expected = predicted.filter(pl.col("shop") == "south").select(columns).to_numpy()
        np.testing.assert_allclose(expects.quantiles[t], expected, rtol=1e-5)
    seen = frame.filter((pl.col("shop") == "south") & (pl.col("date") <= datetime.date(2024, 3, 10)))
    np.testing.assert_array_equal(reads.values[:, 0], seen["sales"].tail(30).fill_null(np.nan).to_numpy())
    assert reads.times[-1] == "2024-03-10"
    assert expects.times == ["2024-03-11", "2024-03-12", "2024-03-13"]
    if form == "encoder-decoder":
        assert reads.names == ["south", "price"]
        np.testing.assert_allclose(reads.values[:, 1], seen["price"].tail(30).to_numpy(), atol=1e-6)


def test_the_last_steps_are_shown_as_they_follow_from_all_before(forecasters):
    model = forecasters["encoder-decoder"]
    whole, end = (examined(model, None, item=0, steps=steps) for steps in (500, 25))
    assert len(whole.steps.reads.times) == 70
    np.testing.assert_allclose(end.steps.expects.quantiles, whole.steps.expects.quantiles[-25:], rtol=1e-6)
    for ours, theirs in zip(end.steps.scans, whole.steps.scans, strict=True):
        for node, values in ours.products.items():
            np.testing.assert_allclose(values, theirs.products[node][-25:], atol=1e-5)
    learnt = end.steps.reads.learnt
    assert 0 < learnt < 25
    assert whole.steps.reads.learnt - learnt == 45


@pytest.mark.parametrize(
    ("every", "first", "last"),
    [
        ("1d", "2024-01-01", "2024-01-03"),
        ("1h", "2024-01-01 00:00", "2024-01-01 02:00"),
        ("1mo", "2024-01-01", "2024-03-01"),
    ],
)
def test_steps_are_called_by_their_time_without_what_never_changes(every, first, last):
    times = pl.datetime_range(datetime.datetime(2024, 1, 1), datetime.datetime(2026, 1, 1), every, eager=True).head(24)
    frame = pl.DataFrame({"time": times, "y": np.sin(np.arange(24))})
    trained = Forecaster(2, season=(), hidden=3, epochs=0.1, threads=1).fit(frame).trained
    called = forecasting.times_of(trained, trained.inputs(frame), np.arange(3), 0)
    assert (called[0], called[-1]) == (first, last)


def test_surprise_is_how_far_out_in_the_forecast_it_lay(forecasters):
    told = np.array([[0.0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]] * 6)
    came = np.array([5.0, 1.0, 0.5, -7.0, np.nan, 10.0])
    level = forecast_measures.level_of(came, told)
    assert level.tolist() == pytest.approx([0.5, 0.1, 0.0625, 0.025, np.nan, 0.975], nan_ok=True)
    bits = forecast_measures.surprise_of(level)
    expected = [0, np.log2(5), 3, np.log2(20), np.nan, np.log2(20)]
    assert bits.tolist() == pytest.approx(expected, nan_ok=True)
    assert np.isnan(forecast_measures.level_of(np.array([1.0]), np.full((1, 11), 2.0))).all()
    # On a page, of what was told the step before.
    moments = examined(forecasters["encoder-decoder"], None, item="north")
    expects, values = moments.steps.expects, moments.steps.reads.values[:, 0]
    assert np.isnan(expects.surprise[0])
    assert np.isnan(expects.surprise[60])
    for t in (10, 50, 65):
        low, high = expects.quantiles[t - 1, 0, [1, 3]]
        assert (low <= values[t] <= high) == (0.1 <= expects.level[t] <= 0.9)


@pytest.mark.parametrize("form", ["encoder-decoder", "autoregressive"])
def test_influence_is_the_slope_of_the_median(forecasters, form):
    model = forecasters[form]
    trained, network = model.trained, model.trained.network
    reader = reader_for(model)
    stretch = forecasting.stretch_of(trained, reader.choose(table_of(form), item=1, steps=12))
    moments = examined(model, table_of(form), item=1, steps=12)
    inputs, rows = stretch.inputs, stretch.rows
    x = torch.from_numpy(forecasting.network_inputs(network, inputs, rows[:, None], stretch.columns[:, None]))

    @torch.no_grad()
    def median(x, t):
        """Of the forecast after step t, the mean over the steps told at once."""
        states = network.encode(x, None, stretch.hx)
        last = tuple(s[:, t] for s in states)
        at = rows[[t]], stretch.columns[[t]]
        ahead = torch.from_numpy(inputs.ahead(*at, network.at_once))
        told = network.decode(last, torch.from_numpy(inputs.at_origins(*at)), ahead)
        return told[:, 0, network.median].double().mean().item()

    for t in (4, 11):
        slopes = np.zeros(t + 1)
        for s in range(t + 1):
            for unit in range(x.shape[2]):
                change = median(pushed(x, s, unit, 0.02), t) - median(pushed(x, s, unit, -0.02), t)
                slopes[s] += (change / 0.04) ** 2
        slopes = np.sqrt(slopes)[::-1]
        np.testing.assert_allclose(moments.influence.shares[t, : t + 1], slopes / slopes.sum(), atol=0.01)


def test_where_nothing_is_known_ahead_no_forecast_is_shown(forecasters):
    model = forecasters["encoder-decoder"]
    moments = examined(model, sales(future=1), item="north")
    told = moments.steps.expects.quantiles
    assert np.isfinite(told[:, 0]).all()
    # The last steps: their second or third step ahead has no price.
    assert np.isnan(told[-1, 1:]).all()
    assert np.isnan(told[-2, 2:]).all()
    assert np.isfinite(told[:-2]).all()
    assert any(
        "Forecasts end where the table has no price, known in advance" in note for note in moments.notes["expects"]
    )
    assert json.loads(page_json([moments]))["runs"][0]["steps"]["expects"]["kind"] == "Quantiles"


def test_a_network_that_adds_nothing_to_the_linear_forecast_is_shown_as_that(tmp_path):
    model = Forecaster(3, hidden=4, epochs=0.1, threads=1, time="date", id="shop", target="sales", known="price")
    model.fit(sales())
    with torch.no_grad():
        model.trained.network.head.weight.zero_()
    moments = examined(model, None, item="north")
    assert "No step of training improved on the linear forecast" in " ".join(moments.notes["expects"])
    assert not moments.influence.shares.any()
    assert any("gradients are above 0" in note for note in moments.notes["flow"])
    np.testing.assert_allclose(moments.steps.expects.quantiles[:, :, 2], moments.steps.expects.linear, rtol=0.05)
    assert inspect(model, out=tmp_path / "page").exists()


def test_what_a_forecaster_cannot_read_is_refused_in_plain_words(forecasters, tmp_path):
    model = forecasters["encoder-decoder"]
    with pytest.raises(DataError, match="has no folder for its page"):
        inspect(model)
    (tmp_path / "text.txt").write_text("a text")
    with pytest.raises(DataError, match=r"reads a table of series \(.csv, .*\), and text.txt is none"):
        inspect(model, tmp_path / "text.txt", out=tmp_path / "page")
    with pytest.raises(DataError, match=r"no series 'east' \(--item\) among the 2: north, south.*from 0 to 1"):
        inspect(model, item="east", out=tmp_path / "page")
    with pytest.raises(DataError, match="price"):
        inspect(model, sales().drop("price"), out=tmp_path / "page")
    short = pl.concat([sales(30).filter(pl.col("shop") == "north"), sales(1, 5).filter(pl.col("shop") == "south")])
    with pytest.raises(DataError, match="at least two steps, and the series south has 1. Choose another with --item"):
        inspect(model, short, item="south", out=tmp_path / "page")
    assert not (tmp_path / "page").exists(), "nothing is made before the data are known to do"
    with pytest.raises(DataError, match="Nothing can be typed for a forecaster: --live is for runs that read text"):
        reader_for(model).typing()


def test_a_forecasting_run_has_a_page_and_pictures(tmp_path, capsys):
    sales().write_csv(tmp_path / "sales.csv")
    Forecaster(3, hidden=4, epochs=0.2, threads=1, known="price", target="sales", id="shop").fit(
        tmp_path / "sales.csv", out=tmp_path / "run"
    )
    command(tmp_path / "run", item="south", steps=40)
    said = capsys.readouterr().out
    assert "it reads the end of the data that run was trained on" in said
    assert "40 steps of south" in said
    pictures = {path.name for path in (tmp_path / "run" / "inspect").glob("*.png")}
    assert {"forecast.png", "signals.png", "influence.png", "gradient-by-lag.png", "timescales.png"} <= pictures
    command(tmp_path / "run", tmp_path / "sales.csv", against=tmp_path / "run", out=tmp_path / "two", steps=20)
    assert "Inside run 1 and run 2" in (tmp_path / "two" / "index.html").read_text("utf-8")


@pytest.mark.parametrize("alike", [True, False])
def test_dollar_signs_in_names_are_no_mathematics_in_the_pictures(alike):
    name = "$\\frac{$"
    chances = np.array([[0.4, 0.6], [0.7, 0.3]])
    for figure in (
        pictures.classes_over_time([name, "b"], chances, 0, [name, "x"]),
        pictures.signals_over_time(Signals([name], np.ones((2, 1)), [name, "x"], np.arange(2), alike=alike)),
    ):
        assert figure._repr_png_()


def test_names_of_columns_and_classes_cannot_leave_the_data():
    nasty = "</script><script>alert(1)</script>"
    x = [np.random.default_rng(k).normal(size=(8, 1)).astype(np.float32) for k in range(8)]
    model = SequenceClassifier(hidden=3, epochs=0.2, folds=1, threads=1).fit(x, [nasty, "b"] * 4)
    page = document([examined(model, [x[0]])])
    assert page.count("<script") == 2
    assert nasty not in page
