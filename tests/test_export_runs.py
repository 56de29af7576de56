"""`carousel export`: runs of every task become files that answer as the run does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_runs
import torch
from matrix import assert_close

import carousel
from carousel import Forecaster, LanguageModel, SequenceClassifier
from carousel.cli import app
from carousel.errors import DataError, ProgramError
from carousel.export.onnx.checking import answer_in_runtime
from carousel.tasks.portable import export_run
from carousel.training.run_folder import RunFolder

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

DATA = {"language": "text.txt", "classification": "texts.csv", "forecasting": "series.csv"}
MODELS = {"language": LanguageModel, "classification": SequenceClassifier, "forecasting": Forecaster}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """A run of each task beside its data, and what was printed of its export in int8."""
    found = {}
    for name in DATA:
        task = tiny_runs.TASKS[name]
        folder = tmp_path_factory.mktemp(name)
        # Longer texts would only cost time; a cell that becomes a Scan is rounded too.
        task.train(folder, folder / "run", **({"cell": "gru"} if name == "language" else {}))
        found[name] = folder / "run"
    return found


def test_a_tagger_has_no_form_yet_and_its_layer_has(tmp_path):
    tiny_runs.TASKS["tagging"].train(tmp_path, tmp_path / "run")
    with pytest.raises(
        ProgramError, match=r"a tagger has no ONNX or C form\. Its recurrent layer has one: carousel\."
    ) as e:
        exported(tmp_path / "run", tmp_path / "out", "onnx")
    advice = str(e.value).partition("Its recurrent layer has one: ")[2].removesuffix(".")
    exec(advice.replace("'layer.onnx'", repr(str(tmp_path / "layer.onnx"))), {"carousel": carousel})
    assert (tmp_path / "layer.onnx").stat().st_size > 500


def exported(run: Path, out: Path, form: str, **options) -> tuple[dict, list[str]]:
    lines: list[str] = []
    export_run(RunFolder.open(run), form, out=out, say=lines.append, **options)
    return json.loads((out / "model.json").read_text()), lines


def test_a_language_model_answers_as_its_run(runs, tmp_path):
    about, _ = exported(runs["language"], tmp_path, "onnx")
    model = LanguageModel.load(runs["language"])
    assert about["preprocessing"]["vocabulary"] == model.vocabulary.to_json()
    assert [one["name"] for one in about["inputs"]] == ["symbols", "h"]
    assert [one["axes"] for one in about["outputs"]] == [["steps", "batch", model.vocabulary.size], [1, "batch", 4]]
    symbols = model.vocabulary.encode("The sea is").ids[:, None]
    probabilities, _ = answer_in_runtime((tmp_path / "model.onnx").read_bytes())({"symbols": symbols})
    with torch.no_grad():
        wanted = torch.softmax(model.network(torch.from_numpy(symbols))[0], -1)
    assert_close(torch.from_numpy(probabilities), wanted, terms=1000)


def test_a_classifier_answers_as_its_run(runs, tmp_path):
    about, _ = exported(runs["classification"], tmp_path, "onnx")
    model = SequenceClassifier.load(runs["classification"])
    texts = ["a good day", "a bad one"]
    words = about["preprocessing"]["front_end"]
    assert words["kind"] == "text"
    assert about["preprocessing"]["classes"] == list(model.classes_)
    steps = [model.trained.front_end.steps(text) for text in texts]
    lengths = np.array([len(s) for s in steps])
    x = np.zeros((lengths.max(), 2), np.int64)
    for k, s in enumerate(steps):
        x[: len(s), k] = s
    found = answer_in_runtime((tmp_path / "model.onnx").read_bytes())({"symbols": x, "lengths": lengths})[0]
    np.testing.assert_allclose(found, model.predict_proba(texts), atol=1e-5)


@pytest.mark.parametrize("task", DATA)
def test_what_int8_costs_is_measured_and_reported(task, runs, tmp_path):
    run = runs[task]
    data = [] if task == "forecasting" else [run.parent / DATA[task]]
    about, lines = exported(run, tmp_path, "onnx", int8=True, data=data)
    before, after = about["figures"]["before"], about["figures"]["int8"]
    for figure, value in before.items():
        assert 0 < abs(after[figure] - value) < 0.2 * value or figure == "accuracy", figure
        assert f"{figure}: {value:.4f} before, {after[figure]:.4f} with int8" in lines
    # The figures of the network itself are those of `evaluate`.
    if task == "language":
        assert before["bits per character"] == pytest.approx(
            LanguageModel.load(run).evaluate(data).bits_per_character, rel=1e-5
        )
    if task == "classification":
        assert before["accuracy"] == SequenceClassifier.load(run).evaluate(data).accuracy


def test_c_of_a_run_and_what_int8_costs_there(runs, tmp_path):
    about, lines = exported(
        runs["language"], tmp_path, "c", int8=True, data=[runs["language"].parent / DATA["language"]]
    )
    assert about["figures"]["before"] != about["figures"]["int8"]
    assert "model_step" in (tmp_path / "model.h").read_text()
    assert any(line.endswith(f"{(tmp_path / 'model.c').stat().st_size:,} bytes") for line in lines)


def test_refusals(runs, tmp_path):
    with pytest.raises(ProgramError, match="decodes all steps ahead at once"):
        exported(runs["forecasting"], tmp_path / "c", "c")
    with pytest.raises(DataError, match="the form must be onnx or c"):
        exported(runs["language"], tmp_path, "tflite")
    with pytest.raises(DataError, match="is measured on data, and this run keeps none"):
        exported(runs["language"], tmp_path, "onnx", int8=True)
    assert not (tmp_path / "model.json").exists()


def test_the_command(runs, capsys):
    app(["export", str(runs["forecasting"]), "--to", "onnx"], result_action="return_value")
    written = runs["forecasting"] / "onnx" / "model.onnx"
    assert f"{written}: {written.stat().st_size:,} bytes" in capsys.readouterr().out
    about = json.loads(written.with_suffix(".json").read_text())
    assert [one["name"] for one in about["inputs"]] == ["history", "lengths", "origin", "ahead", "h"]
    assert about["preprocessing"]["horizon"] == 2
