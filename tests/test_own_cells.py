"""No file of a run says which code is run: a cell in a file is loaded only where the user vouches for it."""

import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from carousel import Forecaster, LanguageModel, SequenceClassifier
from carousel.cells import find
from carousel.cli import main
from carousel.errors import DataError, RunError
from carousel.page import inspect
from carousel.training.progress import Quiet
from carousel.training.run_folder import RunFolder

CELL = """\
import os
from pathlib import Path

from carousel.cells import Cell

Path(os.environ["RAN"]).touch()


class Own(Cell):
    gates = ("n",)

    def step(self, h, n):
        return n.tanh()
"""


def vouched(folder: Path) -> str:
    return f"{folder / 'own.py'}:Own"


def language(folder: Path) -> None:
    (folder / "text.txt").write_text("The sea is in the sky. " * 40)
    LanguageModel.train(
        folder / "text.txt", out=folder / "run", cell=vouched(folder), hidden=4, window=8, lanes=2, epochs=0.5,
        threads=1, report=Quiet(),
    )  # fmt: skip


def classification(folder: Path) -> None:
    rows = [{"text": f"a {word} day", "label": word} for _ in range(6) for word in ("good", "bad")]
    pl.DataFrame(rows).write_csv(folder / "texts.csv")
    SequenceClassifier.train(
        folder / "texts.csv", out=folder / "run", cell=vouched(folder), hidden=4, epochs=1, folds=2, threads=1,
        report=Quiet(),
    )  # fmt: skip


def forecasting(folder: Path) -> None:
    values = np.sin(np.arange(60)) + np.arange(60) / 30
    pl.DataFrame({"step": np.arange(60), "y": values}).write_csv(folder / "series.csv")
    model = Forecaster(cell=vouched(folder), hidden=4, epochs=1, horizon=2, context=8, season=0, threads=1)
    model.fit(folder / "series.csv", out=folder / "run")


TASKS = {"language": language, "classification": classification, "forecasting": forecasting}
CLASSES = {"language": LanguageModel, "classification": SequenceClassifier, "forecasting": Forecaster}


@pytest.fixture(scope="module", params=TASKS)
def trained(request, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A task and a folder, with the data, the file of the cell and the run in it."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "own.py").write_text(CELL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAN", str(folder / "ran"))
        TASKS[request.param](folder)
    (folder / "ran").unlink()
    return request.param, folder


@pytest.fixture
def place(trained: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """A copy of it, in which the cell that was trained is known by its old place."""
    task, folder = trained
    shutil.copytree(folder, tmp_path / "here")
    monkeypatch.setenv("RAN", str(tmp_path / "here" / "ran"))
    monkeypatch.chdir(tmp_path)
    return task, tmp_path / "here"


def command(*arguments: object) -> int:
    """Returns its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["carousel", *map(str, arguments)])
        try:
            main()
        except SystemExit as exit:
            return int(exit.code or 0)
    return 0


def commands(task: str, folder: Path) -> list[list[object]]:
    run = folder / "run"
    return {
        "language": [
            ["generate", run, "--length", 3],
            ["complete", run, "The"],
            ["evaluate", run, folder / "text.txt"],
            ["inspect", run, "--steps", 3, "--out", folder / "page"],
        ],
        "classification": [
            ["predict", run, "--string", "a good day"],
            ["evaluate", run, folder / "texts.csv"],
            ["inspect", run, "--out", folder / "page"],
        ],
        "forecasting": [
            ["forecast", run],
            ["backtest", run],
            ["evaluate", run],
            ["inspect", run, "--steps", 5, "--out", folder / "page"],
        ],
    }[task]


def stopped(folder: Path) -> None:
    """As if training had not come to its end."""
    log = folder / "run" / "log.jsonl"
    log.write_text("".join(line for line in log.read_text().splitlines(keepends=True) if '"final"' not in line))


NOT_RUN = r"own\.py:Own: not run, as a run does not say.*--cell path/to/own\.py:Own.*--trust-cell.*trust_cell=True"


def test_no_command_runs_a_cell_that_only_the_run_names(place: tuple[str, Path], capsys) -> None:
    task, folder = place
    for arguments in commands(task, folder):
        assert command(*arguments) == 2
        said = capsys.readouterr().err
        assert "not run, as a run does not say which code is run" in said, arguments
        assert "--cell path/to/own.py:Own" in said
        assert "--trust-cell" in said
    stopped(folder)
    assert command("train", "--resume", folder / "run") == 2
    assert "--cell path/to/own.py:Own" in capsys.readouterr().err
    assert not (folder / "ran").exists()


def test_every_command_takes_the_cell_again(place: tuple[str, Path], capsys) -> None:
    task, folder = place
    for arguments in commands(task, folder):
        for named in (["--cell", f"{folder / 'own.py'}:Own"], ["--trust-cell"]):
            assert command(*arguments, *named) == 0
            assert "answers may be others" not in capsys.readouterr().err
            (folder / "ran").unlink()


def test_python_too_loads_only_what_is_vouched_for(place: tuple[str, Path]) -> None:
    task, folder = place
    model = CLASSES[task]
    for call in (model.load, model.resume, inspect):
        with pytest.raises(RunError, match=NOT_RUN):
            call(folder / "run")
    assert not (folder / "ran").exists()
    model.load(folder / "run", trust_cell=True)
    model.load(folder / "run", cell=f"{folder / 'own.py'}:Own")
    cell = find(f"{folder / 'own.py'}:Own")
    model.load(folder / "run", cell=cell)
    model.load(folder / "run", cell=type(cell))


@pytest.mark.parametrize("trained", ["forecasting"], indirect=True)  # which keeps its data once it has finished
def test_a_training_that_was_stopped_goes_on_with_the_cell_that_is_vouched_for(place: tuple[str, Path]) -> None:
    _, folder = place
    stopped(folder)
    Forecaster.resume(folder / "run", cell=f"{folder / 'own.py'}:Own")
    stopped(folder)
    assert command("train", "--resume", folder / "run", "--trust-cell", "--quiet") == 0


CHANGES: dict[str, tuple[Callable[[str], str], str, str]] = {
    "edited": (lambda text: text + "# later\n", "Own", "own.py is not what it was when the run was trained with it"),
    "renamed": (lambda text: text.replace("class Own", "class Other"), "Other", "is called Own, and this one Other"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_not_what_was_trained_is_said_to_be(place: tuple[str, Path], caplog, change: str) -> None:
    task, folder = place
    edit, name, said = CHANGES[change]
    (folder / "own.py").write_text(edit(CELL))
    with caplog.at_level(logging.WARNING, "carousel"):
        CLASSES[task].load(folder / "run", cell=f"{folder / 'own.py'}:{name}")
    assert said in caplog.text
    assert "answers may be others" in caplog.text


HOSTILE = {
    "a link of the system": "/proc/self/cwd/own.py:Own",
    "relative": "own.py:Own",
    "relative, upwards": "../here/own.py:Own",
    "inside the run": "{run}/own.py:Own",
    "a link": "{run}/link.py:Own",
    "through the run": "{run}/../own.py:Own",
}


@pytest.mark.skipif(os.name != "posix", reason="links as POSIX has them")
@pytest.mark.parametrize("name", HOSTILE)
def test_no_way_of_naming_a_file_makes_it_run(place: tuple[str, Path], name: str, monkeypatch) -> None:
    task, folder = place
    run = RunFolder(folder / "run")
    shutil.copy(folder / "own.py", run.path / "own.py")
    (run.path / "link.py").symlink_to(folder / "own.py")
    config = run.config()
    config["model"]["cell"] = HOSTILE[name].format(run=run.path)
    run.write_config(config)
    monkeypatch.chdir(folder)
    for call in (CLASSES[task].load, CLASSES[task].resume, inspect):
        with pytest.raises(RunError, match=r": not run.*--cell path/to/"):
            call(run.path)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    "cell", ["os:system", "own", "own:Own", "carousel.cells.lstm:LSTM", "", "own.py", 3, None, ["lstm"]]
)
def test_no_other_name_makes_anything_run(place: tuple[str, Path], cell: object, monkeypatch) -> None:
    task, folder = place
    run = RunFolder(folder / "run")
    config = run.config()
    config["model"]["cell"] = cell
    run.write_config(config)
    monkeypatch.chdir(folder)
    with pytest.raises((RunError, DataError), match=r"there is no cell|config\.json is damaged"):
        CLASSES[task].load(run.path, trust_cell=True)
    assert not (folder / "ran").exists()


def test_a_config_that_was_changed_is_refused_with_what_its_cell_would_need(place: tuple[str, Path]) -> None:
    task, folder = place
    file = folder / "run" / "config.json"
    file.write_text(file.read_text().replace("own.py:Own", "own2.py:Own"))
    message = r"config\.json is damaged \(its checksum .*remove its field \"sha256\".*--cell FILE:NAME or --trust-cell"
    with pytest.raises(RunError, match=message):
        CLASSES[task].load(folder / "run")


def test_a_cell_for_a_run_that_has_one_of_the_catalogue_is_refused(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "own.py").write_text(CELL)
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    folder = RunFolder.create(tmp_path / "run")
    folder.write_config({"task": "language", "model": {"cell": "gru", "layers": 1}, "vocabulary": {"level": "byte"}})
    with pytest.raises(DataError, match="was trained with the cell 'gru' of the catalogue: leave cell out"):
        LanguageModel.load(folder.path, cell=f"{tmp_path / 'own.py'}:Own")
    assert not (tmp_path / "ran").exists()
