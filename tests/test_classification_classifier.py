"""Classifying sequences from the outside: in Python, in scikit-learn's manners, on the command line, and resumed."""

import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from interrupting import CtrlC
from test_classification_readers import write_wav
from test_language_model import assert_a_moved_cell_is_said_to_be_gone

import carousel
from carousel.cli import main
from carousel.errors import DataError, RunError, option, speaking
from carousel.insight.confusion import draw_confusion
from carousel.tasks.catalogue import task_for
from carousel.tasks.classification.arrays import from_python
from carousel.tasks.classification.preparation import prepare
from carousel.tasks.classification.settings import Settings
from carousel.tasks.classification.training import class_weights, open_run
from carousel.tasks.sequences.steps import StoredSteps
from carousel.training.progress import Lines, Quiet
from carousel.training.run_folder import RunFolder
from carousel.training.task_run import resume, train

TINY: dict[str, Any] = {"hidden": 4, "epochs": 2, "folds": 2, "batch": 8, "threads": 1}


def waves(count: int = 24, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Slow and fast ones of unequal length, in one channel: nothing but their changes tells them apart."""
    chance = np.random.default_rng(seed)
    x, y = [], []
    for k in range(count):
        speed, length = (0.3, 1.2)[k % 2], int(chance.integers(12, 20))
        x.append(np.sin(speed * np.arange(length) + chance.uniform(0, 6))[:, None].astype(np.float32))
        y.append(("slow", "fast")[k % 2])
    return x, y


def sounds(count: int, seed: int = 0) -> list[np.ndarray]:
    """Rumbles and hisses, 0.15 s at 8 kHz: noise summed up, and noise as it is."""
    chance = np.random.default_rng(seed)
    noise = [chance.normal(size=1200) for _ in range(count)]
    return [0.1 * (np.cumsum(one) / 10 if k % 2 == 0 else one) for k, one in enumerate(noise)]


@pytest.fixture(scope="module")
def learnt() -> carousel.SequenceClassifier:
    return carousel.SequenceClassifier(
        hidden=8, epochs=12, folds=2, batch=8, threads=1, bidirectional=False, learning_rate=0.02
    ).fit(*waves())


def test_it_learns_and_answers_with_probabilities(learnt: carousel.SequenceClassifier) -> None:
    x, y = waves(40, seed=1)
    assert learnt.classes_.tolist() == ["fast", "slow"]
    chances = learnt.predict_proba(x)
    assert chances.shape == (40, 2)
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-6)
    assert (learnt.predict(x) == learnt.classes_[chances.argmax(1)]).all()
    assert learnt.score(x, y) >= 0.95
    result = learnt.evaluate(x, y)
    assert result.accuracy == learnt.score(x, y)
    assert result.baseline == 0.5


def test_an_answer_does_not_depend_on_who_is_asked_about_beside(learnt: carousel.SequenceClassifier) -> None:
    x, _ = waves(9, seed=2)
    alone = np.concatenate([learnt.predict_proba([one]) for one in x])
    np.testing.assert_allclose(learnt.predict_proba(x), alone, atol=1e-6)


def test_a_stream_says_at_every_step_what_the_model_says_of_the_beginning(learnt: carousel.SequenceClassifier) -> None:
    x = waves(2, seed=3)[0][0]
    stream = learnt.stream()
    empty = stream.probabilities
    for t in range(len(x)):
        stream.push(x[t])
        np.testing.assert_allclose(stream.probabilities, learnt.predict_proba([x[: t + 1]])[0], atol=1e-6)
    assert stream.steps == len(x)
    assert stream.finish().label == learnt.predict([x])[0]
    np.testing.assert_allclose(empty, learnt.predict_proba([x[:0]])[0], atol=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_early_answers_are_those_of_the_beginnings(bidirectional: bool) -> None:
    x, y = waves(8)
    model = carousel.SequenceClassifier(bidirectional=bidirectional, **TINY).fit(x, y)
    frame = model.answers(x[:2], every=5)
    assert frame["sequence"].to_list() == ["0"] * -(-len(x[0]) // 5) + ["1"] * -(-len(x[1]) // 5)
    for name, steps, chance in frame.select("sequence", "steps", "P(fast)").iter_rows():
        assert chance == pytest.approx(model.predict_proba([x[int(name)][:steps]])[0, 0], abs=1e-6)
    if bidirectional:
        with pytest.raises(DataError, match=r"This model is bidirectional.*bidirectional=False"):
            model.stream()


def test_saved_and_loaded_and_pickled_it_answers_the_same(learnt: carousel.SequenceClassifier, tmp_path: Path) -> None:
    x, _ = waves(5, seed=4)
    expected = learnt.predict_proba(x)
    again = carousel.SequenceClassifier.load(learnt.save(tmp_path / "run"))
    assert (again.predict_proba(x) == expected).all()
    assert again.hidden == 8
    assert not again.bidirectional
    assert (pickle.loads(pickle.dumps(learnt)).predict_proba(x) == expected).all()
    with pytest.raises(RunError, match="already holds a run"):
        learnt.save(tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text('{"format": 1, "task": "language"}')
    with pytest.raises(RunError, match="run of the task 'language', and this needs one of the task 'classification'"):
        carousel.SequenceClassifier.load(tmp_path / "run")


def test_the_same_seed_gives_the_same_bits_and_another_another() -> None:
    x, y = waves(8)
    first, second = (carousel.SequenceClassifier(seed=3, **TINY).fit(x, y).predict_proba(x) for _ in range(2))
    assert (first == second).all()
    assert (first != carousel.SequenceClassifier(seed=4, **TINY).fit(x, y).predict_proba(x)).any()


def test_scikit_learn_clones_searches_and_cross_validates() -> None:
    pytest.importorskip("sklearn")
    from sklearn.base import clone, is_classifier
    from sklearn.model_selection import GridSearchCV, cross_val_score

    x, y = waves(12)
    padded = np.full((12, 20, 1), np.nan, np.float32)
    for k, one in enumerate(x):
        padded[k, : len(one)] = one
    model = carousel.SequenceClassifier(**TINY)
    assert is_classifier(model)
    assert clone(model).get_params() == model.get_params()
    assert cross_val_score(model, padded, y, cv=2).shape == (2,)
    assert cross_val_score(model, x, y, cv=2).shape == (2,), "a list of unequal lengths"
    search = GridSearchCV(model, {"hidden": [3, 5]}, cv=2).fit(padded, np.array(y))
    assert search.best_estimator_.hidden in (3, 5)
    assert set(search.predict(padded)) <= {"slow", "fast"}


def test_parameters_are_get_set_and_shown() -> None:
    model = carousel.SequenceClassifier(hidden=7)
    assert repr(model) == "SequenceClassifier(hidden=7)"
    assert model.set_params(head="max") is model
    assert model.get_params()["head"] == "max"
    with pytest.raises(ValueError, match="has no parameter 'depth'; it has cell, hidden"):
        model.set_params(depth=3)
    with pytest.raises(RunError, match="must have learnt before it can be asked: call fit first"):
        model.predict([[1.0]])


@pytest.mark.parametrize("kind", ["polars", "pandas", "arrow"])
def test_tables_come_back_in_the_kind_they_came_in(kind: str) -> None:
    x, y = waves(8)
    rows = [
        {"id": f"s{k}", "step": t, "height": float(value), "label": y[k]}
        for k, one in enumerate(x)
        for t, value in enumerate(one[:, 0])
    ]
    frame = pl.DataFrame(rows)
    if kind == "pandas":
        pd = pytest.importorskip("pandas")
        table = pd.DataFrame(rows)
    else:
        table = frame if kind == "polars" else pytest.importorskip("pyarrow").Table.from_pylist(rows)
    model = carousel.SequenceClassifier(**TINY).fit(table)
    np.testing.assert_allclose(
        model.predict_proba(table), carousel.SequenceClassifier(**TINY).fit(x, y).predict_proba(x)
    )
    answers = model.answers(table)
    assert type(answers) is type(table)
    assert pl.DataFrame({"it": np.array(answers["sequence"])})["it"].to_list() == [f"s{k}" for k in range(8)]
    assert 0 <= model.score(table) <= 1


def test_sounds_and_texts(tmp_path: Path) -> None:
    heard_first = sounds(12)
    labels = [k % 2 for k in range(12)]
    options = TINY | {"epochs": 30, "hidden": 8, "learning_rate": 0.02, "augment": False}
    heard = carousel.SequenceClassifier(**options, rate=8000).fit(heard_first, labels)
    assert heard.score(sounds(12, seed=1), labels) == 1.0
    assert heard.classes_.tolist() == [0, 1]
    again = carousel.SequenceClassifier.load(heard.save(tmp_path / "run"))
    assert again.predict(sounds(2)).tolist() == heard.predict(sounds(2)).tolist()
    texts = ["a good film", "good and funny", "a bad film", "bad and dull"] * 6
    feelings = ["pos", "pos", "neg", "neg"] * 6
    read = carousel.SequenceClassifier(**options).fit(texts, feelings)
    assert read.predict(["good", "bad"]).tolist() == ["pos", "neg"]
    with pytest.raises(DataError, match="trained on text, and these data are series"):
        read.predict([[1.0, 2.0]])


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        ([[1.0]] * 4, None, {}, r"Training needs the class of every sequence.*\(label=\).*\(names='\{label\}_\*'\)"),
        ([[1.0]] * 4, ["a"] * 4, {}, "all 4 sequences are of the class 'a'. Give sequences of two classes"),
        ([[1.0]] * 3, ["a", "b", "c"], {}, "Every one of the 3 sequences is of a class of its own"),
        ([[1.0]] * 4, list("aabb"), {"groups": ["x"] * 4}, "belong to the group 'x', so none can be held out"),
        ([[], [1.0], []], list("aab"), {}, "all 1 sequences are of the class 'a'"),
    ],
)
def test_data_that_nothing_can_be_learnt_from(x, y, options: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        carousel.SequenceClassifier(**TINY).fit(x, y, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "median"}, "There is no head 'median'. There are: last, mean, max, attention."),
        ({"class_weights": "equal"}, "weighted by none or balanced, not 'equal'"),
        ({"folds": 0}, "folds must be 1 or more"),
        ({"label_smoothing": 1.0}, "label_smoothing is a share"),
        ({"cell": "gruu"}, "no cell 'gruu'. Did you mean 'gru'"),
        ({"level": "byte"}, "classified by word or by char"),
    ],
)
def test_settings_that_mean_nothing(options: dict, message: str) -> None:
    x, y = waves(8)
    with pytest.raises(DataError, match=message):
        carousel.SequenceClassifier(**TINY | options).fit(x, y)


def test_few_examples_are_said_to_be_few() -> None:
    said: list[str] = []
    x, y = waves(8)
    carousel.SequenceClassifier(**TINY).fit([*x, [1.0], []], [*y, "odd", "slow"], report=Lines(write=said.append))
    text = "\n".join(said)
    assert "only one sequence is of odd: nothing can tell how well such a class is learnt" in text
    assert "left out, as they have no step: 9" in text
    assert re.search(
        r"best model: accuracy [\d.]+%, macro-F1 [\d.]+% on 9 sequences held out; always the commonest", text
    )


def test_balanced_weights_make_every_class_weigh_the_same() -> None:
    x, y = waves(8)
    rare = [*x, *x[::2], *x[::2], *x[::2]], [*y, *(["slow"] * 12)]
    options = TINY | {
        "epochs": 20,
        "augment": False,
        "label_smoothing": 0.0,
        "convolutions": 0,
        "fixed_convolutions": 0,
    }
    plain, balanced = (
        carousel.SequenceClassifier(**options | {"class_weights": weights}).fit(*rare)
        for weights in ("none", "balanced")
    )
    weights = class_weights(balanced._trained, Settings(class_weights="balanced"))  # type: ignore[arg-type]
    np.testing.assert_allclose(weights, [20 / (2 * 4), 20 / (2 * 16)])  # type: ignore[arg-type]
    assert class_weights(plain._trained, Settings()) is None  # type: ignore[arg-type]
    assert balanced.predict_proba(x)[:, 0].mean() > plain.predict_proba(x)[:, 0].mean() + 0.05


def test_one_network_with_a_part_held_out() -> None:
    x, y = waves(20)
    model = carousel.SequenceClassifier(**TINY | {"folds": 1}).fit(x, y)
    assert len(model._trained.network.members) == 1


# -- runs -----------------------------------------------------------------------------------------------------------


class Interrupted(Exception):
    pass


class BreaksOff(Quiet):
    """Falls over at the third validation, as a machine may."""

    def __init__(self) -> None:
        self.validations = 0

    def validated(self, status, sample) -> None:  # noqa: ARG002
        self.validations += 1
        if self.validations == 3:
            raise Interrupted


def test_a_run_that_broke_off_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    x, y = waves(16)
    settings = Settings(**TINY | {"epochs": 6}, dropout=0.3)
    train(prepare(from_python(x, y), settings, Quiet()), open_run, out=tmp_path / "whole", report=Quiet())
    with pytest.raises(Interrupted):
        train(prepare(from_python(x, y), settings, Quiet()), open_run, out=tmp_path / "broken", report=BreaksOff())
    assert (tmp_path / "broken" / "examples.safetensors").exists()
    model = carousel.SequenceClassifier.resume(tmp_path / "broken", report=Quiet())
    assert set(model.predict(x)) <= {"slow", "fast"}
    for read in (lambda run: run.read_state()["loop"]["model"], lambda run: run.read_model()):
        ours, theirs = (read(RunFolder.open(tmp_path / name)) for name in ("whole", "broken"))
        for name in ours:
            assert torch.equal(ours[name], theirs[name]), name
    assert not (tmp_path / "broken" / "examples.safetensors").exists(), "a finished run keeps no copy of the data"
    for picture in ("curve.png", "confusion.png"):
        assert (tmp_path / "whole" / picture).stat().st_size > 5000


@pytest.mark.parametrize("order", ["C", "F"])
def test_examples_come_back_from_the_run_folder_as_they_were(tmp_path: Path, order: str) -> None:
    """Whatever the order of an array's axes in memory."""
    sequences = [np.asfortranarray(np.arange(6.0).reshape(3, 2)), np.asfortranarray(np.ones((1, 2)))]
    steps = StoredSteps(np.asarray(np.concatenate(sequences), order=order), np.array([3, 1]))  # type: ignore[call-overload]
    steps.save(tmp_path, labels=np.array([1, 0]))
    again, others = StoredSteps.load(tmp_path)
    for k, one in enumerate(sequences):
        np.testing.assert_array_equal(again[k], one)
    assert others["labels"].tolist() == [1, 0]
    x, lengths = again.batch(np.array([1, 0]))
    assert x.tolist() == [[[1, 1], [0, 1]], [[0, 0], [2, 3]], [[0, 0], [4, 5]]]
    assert lengths.tolist() == [1, 3]


def test_what_is_not_kept_is_not_said_to_be(tmp_path: Path) -> None:
    """Without a folder for the run there is nothing to go on with, and no folder is named."""
    said = []
    for out in (None, tmp_path / "run"):
        report = CtrlC()
        with pytest.raises(KeyboardInterrupt):
            carousel.SequenceClassifier(**TINY).fit(*waves(16), out=out, report=report)
        said.append(report.said)
    assert said[0][-1] == "stopped at step 3. Nothing is kept, as no folder was named for the run (out)."
    assert not re.search("writing to|resume", "\n".join(said[0]))
    assert said[1][-1] == f"stopped at step 3, and saved. Go on with: carousel train --resume {tmp_path / 'run'}"
    assert f"writing to {tmp_path / 'run'}" in said[1]
    assert carousel.SequenceClassifier.resume(tmp_path / "run", report=Quiet()).classes_.tolist() == ["fast", "slow"]


def test_a_cell_file_that_was_moved_is_missed_and_not_the_config_blamed(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from carousel.cells import Cell\n\n"
        "class Own(Cell):\n"
        "    gates = ('n',)\n\n"
        "    def step(self, h, n):\n"
        "        return n.tanh()\n"
    )
    x, y = waves(16)
    carousel.SequenceClassifier(**TINY, cell=f"{own}:Own").fit(x, y, out=tmp_path / "run")
    assert_a_moved_cell_is_said_to_be_gone(own, tmp_path / "run", carousel.SequenceClassifier)


def test_a_config_that_holds_something_else_is_damaged(tmp_path: Path) -> None:
    carousel.SequenceClassifier(**TINY).fit(*waves(16), out=tmp_path / "run")
    folder = RunFolder.open(tmp_path / "run")
    for key, value in (("members", "two"), ("classes", None), ("front_end", {"kind": "smell"}), ("columns", {"k": 1})):
        folder.write_config(folder.config() | {key: value})
        with pytest.raises(RunError, match=r"config\.json is damaged"):
            carousel.SequenceClassifier.load(tmp_path / "run")


def test_a_run_without_its_examples_cannot_go_on(tmp_path: Path) -> None:
    prepared = prepare(from_python(*waves(16)), Settings(**TINY), Quiet())
    with pytest.raises(Interrupted):
        train(prepared, open_run, out=tmp_path / "run", report=BreaksOff())
    (tmp_path / "run" / "examples.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match=r"examples.safetensors should hold the examples.*train again"):
        resume(RunFolder.open(tmp_path / "run"), open_run, report=Quiet())


# -- the command line -----------------------------------------------------------------------------------------------


def run_command(monkeypatch, capsys, arguments: str, code: int = 0) -> str:
    monkeypatch.setattr(sys, "argv", ["carousel", *arguments.split("|")])
    try:
        main()
        found = 0
    except SystemExit as exit:
        found = int(exit.code or 0)
    said = capsys.readouterr()
    assert found == code, said.out + said.err
    return said.out + said.err


@pytest.fixture
def words(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for k, sound in enumerate(sounds(12)):
        write_wav(tmp_path / "words" / ("low", "high")[k % 2] / f"{k}.wav", sound)
    return tmp_path


OPTIONS = "--hidden|8|--epochs|30|--folds|2|--lr|0.02|--no-bidirectional|--no-augment|--threads|1"


def test_from_a_folder_of_sounds_to_answers(words: Path, monkeypatch, capsys) -> None:
    said = run_command(monkeypatch, capsys, f"train|words|{OPTIONS}")
    assert "taken for 2 folders, named by class, of sound files, to train classification (--task: " in said
    assert "12 sequences of 2 classes (high: 6, low: 6)" in said
    assert "each step: a frame of 40 log-mel energies, 0.025 s long, one every 0.01 s, at 8,000 Hz" in said
    assert "2 networks vote; each is judged on the 50% that it does not learn from (as many of each class)" in said
    assert "carousel predict runs/words DATA --out answers.csv" in said

    said = run_command(monkeypatch, capsys, "predict|runs/words|words/high/1.wav|words/low/0.wav")
    assert re.search(r"^1\.wav +high [\d.]+%   low [\d.]+%  right$", said, re.MULTILINE)
    said = run_command(monkeypatch, capsys, "predict|runs/words|words/high/1.wav|--every|5")
    assert re.findall(r"1\.wav +(\d+) ", said) == ["5", "10", "13"]
    said = run_command(monkeypatch, capsys, "predict|runs/words|words|--out|answers.csv")
    assert "12 answers: answers.csv" in said
    answers = pl.read_csv("answers.csv")
    assert answers.columns == ["sequence", "class", "prediction", "P(high)", "P(low)"]

    said = run_command(monkeypatch, capsys, "evaluate|runs/words|words")
    assert "12 sequences\naccuracy 100.0%, always the commonest class of training 50.0%" in said
    assert re.search(r"^high +100.0% +100.0% +100.0% +6$", said, re.MULTILINE)
    assert Path("runs/words/evaluation.png").exists()
    (words / "words" / "low").rename(words / "words" / "hum")
    said = run_command(monkeypatch, capsys, "evaluate|runs/words|words|--out|judged")
    assert "never met in training, so never the answer: hum" in said
    assert {file.name for file in Path("judged").iterdir()} == {"confusion.png", "answers.csv"}
    said = run_command(monkeypatch, capsys, "train|--resume|runs/words")
    assert "has finished: there is nothing left to do" in said


def test_texts_are_asked_about_as_they_stand(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ["label,text", *["pos,a good film", "neg,a bad film"] * 10]
    Path("reviews.csv").write_text("\n".join(rows))
    said = run_command(monkeypatch, capsys, f"train|reviews.csv|{OPTIONS}|--quiet")
    assert said == "" or "The learning curve" in said
    said = run_command(monkeypatch, capsys, "predict|runs/reviews|--string|good|--string|a bad one")
    assert re.search(r"^0 +pos [\d.]+%   neg [\d.]+%$", said, re.MULTILINE)
    said = run_command(monkeypatch, capsys, "predict|runs/reviews|--string|good|reviews.csv", code=2)
    assert "not both at a time" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("predict|gone|words", "gone is not a run.*there is no such folder"),
        ("train|words|--head|last|--task|language", "--head is an option of the task classification"),
        ("train|words|--label|x|--names|*", r"must say once where the class stands, as \{label\}"),
    ],
)
def test_what_the_user_can_put_right_is_said(words: Path, monkeypatch, capsys, arguments: str, message: str) -> None:  # noqa: ARG001
    assert re.search(message, run_command(monkeypatch, capsys, arguments, code=2))


def test_predict_without_data_or_with_strange_steps(words: Path, monkeypatch, capsys) -> None:  # noqa: ARG001
    run_command(monkeypatch, capsys, f"train|words|{OPTIONS}|--quiet")
    for arguments, message in (
        ("predict|runs/words", "carousel predict runs/words DATA"),
        ("predict|runs/words|words|--every|0", r"1 or more \(--every\), not 0"),
        ("predict|runs/words|words|--out|answers.xyz", r"answers.xyz ends in none of .csv, .tsv, .parquet"),
        ("predict|runs/words|--string|hello", "trained on audio, and these data are text"),
    ):
        assert re.search(message, run_command(monkeypatch, capsys, arguments, code=2)), message


def test_who_takes_the_data_follows_the_options_too(words: Path) -> None:
    assert task_for([words / "words"], {})[0] == "classification"


def test_the_confusion_picture_holds_many_classes(tmp_path: Path) -> None:
    for count in (2, 45, 80):
        draw_confusion(tmp_path / "c.png", np.eye(count, dtype=int), [f"a long class name {k}" for k in range(count)])
        assert (tmp_path / "c.png").stat().st_size > 5000


def test_tensors_are_taken_as_arrays_are() -> None:
    x, y = np.stack([one[:12] for one in waves()[0]]), np.arange(24) % 2
    ours = carousel.SequenceClassifier(**TINY).fit(x, y)
    for given in (torch.tensor(x, requires_grad=True), [torch.tensor(one) for one in x]):
        theirs = carousel.SequenceClassifier(**TINY).fit(given, torch.tensor(y), groups=None)
        assert theirs.classes_.tolist() == [0, 1]
        np.testing.assert_array_equal(theirs.predict_proba(given), ours.predict_proba(x))
        assert theirs.score(given, list(torch.tensor(y))) == ours.score(x, y)
    examples = from_python(torch.ones(1, 2, 1, dtype=torch.bfloat16), groups=torch.ones(1, dtype=torch.int32))
    assert examples.groups == [1]
    assert examples.items[0].dtype == np.float32


def test_sequences_without_any_value_are_refused() -> None:
    with pytest.raises(DataError, match="None of the 24 sequences has a step to learn from.*NaN"):
        carousel.SequenceClassifier(**TINY).fit(np.full((24, 5, 2), np.nan), np.arange(24) % 2)


@pytest.mark.usefixtures("words")
def test_a_picture_that_cannot_be_written_is_refused_before_work(monkeypatch, capsys) -> None:
    run_command(monkeypatch, capsys, f"train|words|{OPTIONS}")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    said = run_command(monkeypatch, capsys, "evaluate|runs/words|words", code=2)
    assert re.search("No files can be written in runs/words.*--out", said)
    assert "accuracy" not in said


def test_pictures_are_whole_and_take_any_letters(tmp_path: Path) -> None:
    draw_confusion(tmp_path / "c.svg", np.eye(2, dtype=int), ["鳥", "犬"], title="日本")  # warnings are errors here
    assert [file.name for file in tmp_path.iterdir()] == ["c.svg"]
    with pytest.raises(DataError, match="c.bmp ends in none of .png, .svg, .pdf"):
        draw_confusion(tmp_path / "c.bmp", np.eye(2, dtype=int), ["a", "b"])
    with pytest.raises(DataError, match="c.png could not be written: No such file or directory"):
        draw_confusion(tmp_path / "gone" / "c.png", np.eye(2, dtype=int), ["a", "b"])


def test_messages_name_options_as_the_caller_gives_them() -> None:
    """A Python call is told label=, the command line --label; what one calls of the other speaks as it does."""
    assert (option("label"), option("bidirectional", False)) == ("--label", "--no-bidirectional")
    assert option("names", "{label}_*") == "--names '{label}_*'"
    with speaking(python=True):
        assert (option("label"), option("bidirectional", False)) == ("label=", "bidirectional=False")
    with speaking(python=False), pytest.raises(DataError, match=r"\(--label\)"):
        carousel.SequenceClassifier(**TINY).fit([[1.0]] * 4)
    with pytest.raises(DataError, match=r"the right column of classes \(label=\)\?"):
        carousel.SequenceClassifier(**TINY).fit([[1.0]] * 3, ["a", "b", "c"])
    assert option("label") == "--label"
