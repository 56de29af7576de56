"""Every training ends with a verdict: wins, level or loses, why, and what to type; and what it names can be typed."""

from __future__ import annotations

import re
import shlex

import numpy as np
import pytest
import tiny_runs

from carousel.cli import app
from carousel.errors import DataError, speaking
from carousel.tasks import catalogue
from carousel.tasks.verdict import by_figure, by_loss, by_right, longer
from carousel.training.progress import Lines
from carousel.training.run_folder import RunFolder
from carousel.training.settings import TrainingSettings

SENTENCE = re.compile(r"the model (is better than|is level with|loses to) [^:]+: [^;]+(; (?P<advice>.+))?")


@pytest.mark.parametrize("task", tiny_runs.TASKS)
def test_every_training_ends_with_a_verdict(task, tmp_path):
    said: list[str] = []
    tiny_runs.TASKS[task].train(tmp_path, tmp_path / "run", report=Lines(write=said.append))
    if task == "forecasting":  # its verdict is that of the backtest, which follows the training
        said.append(tiny_runs.TASKS[task].model.load(tmp_path / "run").backtest().verdict())
    verdict = SENTENCE.fullmatch(said[-1])
    assert verdict, said[-1]
    assert verdict[1] == "is better than" or re.search(r"epochs=|minutes|train", verdict["advice"])
    check_what_to_type_next(RunFolder.open(tmp_path / "run"))


def check_what_to_type_next(run: RunFolder) -> None:
    """The commands that a training names at its end are commands, with options that they have, about this very run.
    What a task evaluates on must be named, and the message says so."""
    task = catalogue.task_named(catalogue.task_of(run))
    said: list[str] = []
    task.conclude(run, Lines(write=said.append))
    proposed = "\n".join(said).partition("What to type next:")[2].splitlines()
    commands = []
    for line in (line.strip() for line in proposed if line.strip().startswith("carousel ")):
        command, bound, unknown, _ = app.parse_known_args(shlex.split(line)[1:])
        assert not unknown, line
        assert str(run.path) in map(str, bound.arguments.values()), line
        commands.append(command.__name__)
    assert "inspect" in commands
    if "evaluate" in commands and task.__name__ != "carousel.tasks.language.task":  # which has data of its own
        with pytest.raises(DataError, match=re.escape(f"carousel evaluate {run.path}")):
            task.evaluate(run, [], out=None, say=said.append)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (1.5, "is better than counts: its loss is 25% lower"),
        (2.01, "is level with counts: their losses are as high, to 1%; train a new run for longer (--minutes 4)"),
        (2.6, "loses to counts: its loss is 30% higher; train a new run for longer (--minutes 4)"),
    ],
)
def test_a_loss_decides_by_the_part_that_counts(loss, said):
    with speaking(python=False):
        advice = longer(TrainingSettings(minutes=1.0))
        assert str(by_loss("counts", loss, 2.0, least=0.01, advice=advice)) == f"the model {said}"
        assert longer(TrainingSettings(epochs=2.0)).endswith("(--epochs 8)")
        assert longer(TrainingSettings()).endswith("(--minutes 12)")


def test_a_figure_decides_by_what_counts():
    standings = [by_figure("x", ahead, "why", least=0.5, advice="").standing for ahead in (0.6, 0.5, -0.5, -0.6)]
    assert standings == ["wins", "level", "level", "loses"]


def test_chance_decides_nothing():
    right = np.arange(40) < 30
    for more, standing in ((0, "level"), (2, "level"), (9, "loses")):
        other = np.arange(40) < 30 + more
        lost = by_right("x", right, other, "trees", advice="more trees", instead="that")
        assert lost.standing == standing
        assert ("use that instead (that)" in str(lost)) == (standing == "loses")
        won = by_right("x", other, right, "trees", advice="more trees")
        assert won.standing == {"loses": "wins"}.get(standing, standing)
        assert str(won).endswith("more trees") == (standing == "level")
