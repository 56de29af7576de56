"""Options are written once: in the `Settings` of each task, from which the command line and its help are made."""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Literal, get_args

import pytest
from cyclopts import CycloptsError
from rich.console import Console

import carousel
from carousel import tasks
from carousel.cli import app
from carousel.cli.help import AppWithTasks
from carousel.cli.options import all_options, flag, joined, kind_of, with_options
from carousel.cli.train import train
from carousel.errors import DataError
from carousel.models.pooling import HEADS
from carousel.tasks import catalogue, settings_of, task_names
from carousel.tasks.classification.settings import Head
from carousel.training.progress import Quiet
from carousel.training.settings import TrainingSettings

OF_THE_COMMAND = {"--task", "--out", "--resume", "--dry-run", "--trust-cell", "--quiet"}


def flags_of(command: AppWithTasks) -> set[str]:
    return {name for argument in command.assemble_argument_collection() for name in argument.names}


def help_of(*words: str, command_line: AppWithTasks = app) -> str:
    """What help prints, without its frames and line breaks."""
    printed = io.StringIO()
    command_line.help_print(list(words), console=Console(file=printed, width=400))
    return " ".join(printed.getvalue().replace("│", " ").split())


TOYS_SETTINGS = """
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from carousel.training.settings import DATA, MODEL, TrainingSettings, setting


@dataclass(frozen=True)
class Settings(TrainingSettings):
    hidden: int = setting(7, "Units of the toy.", group=MODEL)
    level: Literal["bit"] = setting("bit", "What a toy reads.", group=DATA)
    wheels: int = setting(4, "How many wheels it has.", group=MODEL)
    colours: tuple[str, ...] = setting((), "The colours of it.", group=DATA)
    squeaks: bool = setting(False, "Make a noise.", group=MODEL)
"""
TOYS_TASK = """
from dataclasses import dataclass

import torch

from carousel import LSTM
from carousel.tasks.toy.settings import Settings
from carousel.training.batches import ShuffledBatches
from carousel.training.measure import Measure
from carousel.training.task_run import Judgement, TaskRun

LEARNT = []


@dataclass
class Prepared:
    settings: Settings
    TASK, DATA, steps_per_epoch = "toy", "wheels.txt", 2

    def network(self):
        torch.manual_seed(self.settings.seed)
        return LSTM(1, self.settings.hidden)

    def write(self, folder):
        (folder / self.DATA).write_text(str(self.settings.wheels))
        return {"model": {"cell": "lstm"}}


class ToyRun(TaskRun):
    measure = validation_measure = Measure("turn")
    unneeded = ("wheels.txt",)
    baseline = ("never", 9.0)

    def __init__(self, folder, prepared):
        self.settings = Settings(**folder.config()["settings"])
        self.recurrent = self.network = Prepared(self.settings).network()
        count = int((folder.path / Prepared.DATA).read_text())
        self.batches = ShuffledBatches(count, 2, lambda model, _: model(torch.ones(2, 1, 1))[0].square().mean(), seed=0)

    def validate(self):
        return 1.0

    def judge(self):
        return Judgement({"final": 1.0}, ("best model: it turns",))

    def draw(self, folder):
        pass


def recognize(paths, options):
    return "a toy" if all(path.suffix == ".toy" for path in paths) else None


def prepare(paths, settings, report):
    LEARNT.append(settings)
    return Prepared(settings)


def open_run(folder, prepared=None):
    return ToyRun(folder, prepared)


def conclude(folder, report):
    report.say(f"It rolls in {folder.path.name}.")
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppWithTasks]:
    """The command line where there is one more task: a folder with two files."""
    folder = tmp_path / "more" / "toy"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('"""Toys: what they do next."""\n')
    (folder / "settings.py").write_text(TOYS_SETTINGS)
    (folder / "task.py").write_text(TOYS_TASK)
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(folder.parent)])
    command_line = AppWithTasks(name="carousel")
    command_line.command(with_options(train, all_options()), name="train")
    yield command_line
    for name in [name for name in sys.modules if name.startswith("carousel.tasks.toy")]:
        del sys.modules[name]
    if hasattr(tasks, "toy"):
        delattr(tasks, "toy")


def test_a_task_is_a_folder_and_nothing_else(toy, tmp_path, capsys):
    assert "toy" in task_names()
    short = help_of("train", command_line=toy)
    assert "toy: --level, --wheels, --colours, --squeaks" in short
    assert "7 for toy" in short
    whole = help_of("train", "toy", command_line=toy)
    assert "Toys: what they do next." in whole
    for words in (
        "--wheels INT How many wheels it has. Default: 4.",
        "--colours STR... The colours of it.",
        "--hidden",
    ):
        assert words in whole
    assert "--target" not in whole
    assert "--no-squeaks" not in whole
    (tmp_path / "bear.toy").write_text("")
    run = tmp_path / "run"
    typed = ["train", tmp_path / "bear.toy", "--out", run, "--epochs", 2, "--wheels", 3, "--squeaks"]
    typed += ["--colours", "red", "--colours", "blue"]
    toy([str(word) for word in typed], result_action="return_value")
    (settings,) = sys.modules["carousel.tasks.toy.task"].LEARNT
    assert (settings.wheels, list(settings.colours), settings.squeaks, settings.hidden) == (3, ["red", "blue"], True, 7)
    said = capsys.readouterr().out
    assert (
        "taken for a toy, to train toy (--task: classification, forecasting, language, pairs, tagging, trees)" in said
    )
    for line in ("a naive baseline to beat: never, 9.000", "4 steps, 2.0 times over", "it turns", "It rolls in run."):
        assert line in said
    assert {file.name for file in run.iterdir()} == {"config.json", "model.safetensors", "train_state.pt", "log.jsonl"}
    toy(["train", "--resume", str(run)], result_action="return_value")
    assert "has finished" in capsys.readouterr().out
    with pytest.raises(
        DataError, match="--target is an option of the task forecasting and pairs, and .* is taken for toy data"
    ):
        toy(["train", str(tmp_path / "bear.toy"), "--target", "x"], result_action="return_value")


def test_every_setting_is_an_option_and_every_option_a_setting():
    settings = {flag(one.name) for task in task_names() for one in fields(settings_of(task))}
    typed = {name for name in flags_of(app["train"]) if not name.startswith("--no-")} - {"DATA"}  # type: ignore[arg-type]
    assert typed == settings | OF_THE_COMMAND


def test_an_option_that_is_not_given_leaves_the_default_of_the_task():
    for option in all_options():
        assert option.default is None, option.name


@pytest.mark.parametrize("task", task_names())
def test_the_help_of_a_task_has_all_its_options_with_their_defaults(task):
    said = help_of("train", task)
    assert help_of("train", "--task", task) == said
    for one in fields(settings_of(task)):
        assert flag(one.name) in said
        assert " ".join(one.metadata["help"].replace("`", "").split()) in said
        assert one.metadata["help"].endswith("."), one.name
    others = {flag(one.name) for other in task_names() for one in fields(settings_of(other))}
    for foreign in others - {flag(one.name) for one in fields(settings_of(task))}:
        assert f"{foreign} " not in said


def test_the_short_help_has_the_shared_options_and_names_the_others():
    said = help_of("train")
    for one in fields(TrainingSettings):
        assert flag(one.name) in said
    for task in task_names():
        assert f"{task}: --" in said
    assert "Default: 64 for classification and forecasting, 256 for language, 128 for tagging, 100 for trees." in said
    assert "Covariates" not in said, "the options of one task are explained in its own help"
    assert help_of("train", "notes.txt") == said


def test_help_is_asked_for_as_users_would(capsys):
    for typed in (
        "train --help language",
        "train language --help",
        "train --task language --help",
        "train -h language",
    ):
        app(typed.split(), result_action="return_value")
        said = capsys.readouterr().out
        assert "--lanes" in said
        assert "--target" not in said


def test_kinds_of_what_is_typed():
    assert kind_of("forecasting", "horizon") is int
    assert kind_of("forecasting", "target") == list[str]
    assert kind_of("forecasting", "season") == list[int]
    assert kind_of("classification", "time") is str
    assert joined("time", [str, list[str]]) == list[str]
    assert get_args(joined("level", [Literal["a", "b"], Literal["b", "c"]])) == ("a", "b", "c")
    with pytest.raises(TypeError, match="Tasks give the setting 'size' different types: <class 'int'>, <class 'str'>"):
        joined("size", [int, str])


def test_a_choice_that_no_task_has_is_refused():
    with pytest.raises(CycloptsError, match="level"):
        app.parse_args(["train", "a.txt", "--level", "line"], exit_on_error=False, print_error=False)


def test_several_columns_are_separated_by_commas_or_named_one_by_one():
    for value in ("year,month", ["year", "month"], ["year,month"]):
        assert settings_of("classification")(time=value).time == "year,month"
        assert settings_of("forecasting")(time=value).time == ("year", "month")


def test_the_choices_of_a_head_are_the_heads_that_there_are():
    assert get_args(Head) == tuple(HEADS)


def test_an_unknown_task_is_refused_with_the_tasks_that_there_are(tmp_path):
    (tmp_path / "a.txt").write_text("some text")
    with pytest.raises(
        DataError,
        match="There is no task 'singing'. There are: classification, forecasting, language, pairs, tagging, trees",
    ):
        catalogue.choose([tmp_path / "a.txt"], "singing", {}, Quiet())


MORE = {
    carousel.SequenceClassifier: {"rate", "verbose"},
    carousel.Forecaster: {"verbose"},
    carousel.Tagger: {"verbose"},
    carousel.TreeClassifier: {"verbose"},
    carousel.Transcriber: {"verbose"},
    carousel.Translator: {"verbose"},
}


@pytest.mark.parametrize(
    ("estimator", "task"),
    [
        (carousel.SequenceClassifier, "classification"),
        (carousel.Forecaster, "forecasting"),
        (carousel.Tagger, "tagging"),
        (carousel.TreeClassifier, "trees"),
        (carousel.Transcriber, "pairs"),
        (carousel.Translator, "pairs"),
    ],
)
def test_the_arguments_of_an_estimator_are_the_settings_of_its_task(estimator, task):
    arguments = {name: one.default for name, one in inspect.signature(estimator).parameters.items()}
    for one in fields(settings_of(task)):
        given = arguments.pop(one.name)
        assert given == one.default or (given is None and one.default == ()), one.name
    assert set(arguments) == MORE[estimator]
