"""The tasks, and which of them some data or a run belongs to.

A task is a folder here with a module `task.py`, which has

    Settings                                          its choices: a `TrainingSettings` with its own besides
    recognize(paths, options) -> str | None           why these look like its data, or None; quick, reads little
    train(paths, settings, *, out, report) -> Path    a new run
    go_on(folder, report, *, resuming)                from where a run stands to its end
    farewell(run, report)                             what it shows at the end, and what to type next
    evaluate(run, paths, *, out, say)                 a trained model judged on other data

and is named in `TASKS`.
"""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

from carousel.errors import DataError, RunError
from carousel.training.run_folder import CONFIG, RunFolder

# In the order in which they are asked; anything may be text, so language comes last.
TASKS = ("classification", "forecasting", "language")


def task_named(name: str) -> ModuleType:
    """Raises DataError for a name that is none of `TASKS`."""
    if name not in TASKS:
        raise DataError(f"There is no task {name!r}. There are: {', '.join(TASKS)}.")
    return importlib.import_module(f"carousel.tasks.{name}.task")


def task_for(paths: Sequence[Path], options: Mapping[str, Any]) -> tuple[str, str]:
    """The task that some data are for, and why: the first that recognises them and takes the options given."""
    recognised = {name: why for name in TASKS if (why := task_named(name).recognize(paths, options))}
    for name, why in recognised.items():
        if not foreign(name, options):
            return name, why
    return next(iter(recognised.items()))


def foreign(name: str, options: Iterable[str]) -> list[str]:
    """Those of the options, by the names of their settings, that a task does not have."""
    known = {field.name for field in fields(task_named(name).Settings)}
    return [option for option in options if option not in known]


def tasks_with(option: str) -> list[str]:
    return [name for name in TASKS if not foreign(name, [option])]


def task_of(folder: RunFolder) -> str:
    """The task of a run. Raises RunError for one that this Carousel does not have."""
    name = folder.config().get("task")
    if name not in TASKS:
        raise RunError(
            f"{folder.path / CONFIG} is of the task {name!r}, which this Carousel does not have "
            f"(it has {', '.join(TASKS)}): upgrade with pip install -U carousel-rnn"
        )
    return str(name)
