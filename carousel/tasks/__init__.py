"""The tasks: a folder each, found by being here. See `carousel.tasks.catalogue` for what such a folder has."""

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from carousel.errors import DataError


def task_names() -> tuple[str, ...]:
    """The names of all tasks, in alphabetical order: the folders of this package that have a `task.py`."""
    return _in_folders(tuple(__path__))


@cache
def _in_folders(folders: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({file.parent.name for folder in folders for file in Path(folder).glob("*/task.py")}))


def settings_of(task: str) -> type:
    """The `Settings` of a task: a dataclass, derived from `TrainingSettings`. Imports neither torch nor polars."""
    settings: type = import_module(f"{__name__}.{_known(task)}.settings").Settings
    return settings


def about(task: str) -> str:
    """What a task is about, in one line: the first line of the docstring of its folder."""
    return (import_module(f"{__name__}.{_known(task)}").__doc__ or "").partition("\n")[0]


def task_named(task: str) -> ModuleType:
    """The module `task` of a task's folder. Raises DataError for a name that no task has."""
    return import_module(f"{__name__}.{_known(task)}.task")


def _known(task: str) -> str:
    if task not in task_names():
        raise DataError(f"There is no task {task!r}. There are: {', '.join(task_names())}.")
    return task
