"""Finds the task that some data or a run belong to.

A task is a folder of `carousel/tasks/`, found by being there, with two modules. `settings.py` has

    Settings                                          its settings: a `TrainingSettings` with the task's own besides.
                                                      Each is an option of `carousel train`, with its line of help

and `task.py` has

    recognize(paths, options) -> str | None           why the data look like this task's, or None; reads little
    prepare(paths, settings, report) -> Preparation   decides and reports everything before a training; writes nothing
    open_run(folder, prepared=None) -> TaskRun        the network, batches and losses of a run that begins or resumes
    portable(folder) -> Portable                      a run as it is exported; see `carousel.tasks.portable`
    conclude(folder, report)                          shows a finished run, and what to type next
    evaluate(folder, paths, *, out, say)              judges a trained model on other data
    predict(folder, paths, **options) -> table, lines only for a task that `carousel predict` serves: the predictions as
                                                      a table, and as lines of text
    PREDICTS = ("strings", ...)                       with it: the options that it takes
    TAKES_ANYTHING = True                             only for a task that takes any data: it is asked last
    recognize_own(paths, options) -> str | None       only for a task with forms of data that other tasks may take for
                                                      theirs, and that mean nothing but this task: why the data are
                                                      of such a form, or None. It is asked before every `recognize`

folder: a `RunFolder`, which also knows how the user vouches for a cell in a file. `carousel.training.task_run` has
`Preparation` and `TaskRun`, and everything that happens between them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from carousel.errors import DataError, RunError, option
from carousel.tasks import settings_of, table, task_named, task_names
from carousel.tasks.files import require_existing
from carousel.tasks.kinds_of_files import data_in, is_companion, named, visible, why_data
from carousel.training.progress import Report
from carousel.training.run_folder import CONFIG, RunFolder

if TYPE_CHECKING:
    import polars as pl


def prepare(
    paths: Sequence[Path], task: str | None, options: Mapping[str, Any], report: Report
) -> tuple[ModuleType, Any]:
    """Decides and reports everything before a training: which task the data are for, and what that task prepares: a
    `Preparation`, with whatever else there is to know about its kind of data. Trains and writes nothing.

        task, prepared = prepare([Path("sales.csv")], None, {"horizon": 28}, Quiet())
        prepared.roles.targets, prepared.frequency, prepared.seasons

    Raises DataError where the data or an option cannot be used."""
    chosen = choose(paths, task, options, report)
    return chosen, chosen.prepare(paths, chosen.Settings(**options), report)


def choose(paths: Sequence[Path], task: str | None, options: Mapping[str, Any], report: Report) -> ModuleType:
    """Returns the task that is named, or the one that the data look like, and reports it.

    Raises DataError for data that do not exist or that no task recognises, and for an option that the task does not
    have.
    """
    require_existing(paths)
    if task is None:
        with table.numbers_written(options.get("decimal"), options.get("thousands")):
            task, why = task_for(paths, options)
        others = ", ".join(name for name in task_names() if name != task)
        report.say(f"taken for {why}, to train {task}" + (f" ({option('task')}: {others})" if others else ""))
    chosen = task_named(task)
    for setting in foreign(task, options):
        takers = " and ".join(tasks_with(setting))
        raise DataError(
            f"{option(setting)} is an option of the task {takers}, and {paths[0]} is taken for {task} data. "
            f"Leave it away, or choose the task ({option('task')})."
        )
    return chosen


def task_for(paths: Sequence[Path], options: Mapping[str, Any]) -> tuple[str, str]:
    """Finds the task that the data look like: its name, and why. The first task that recognises the data and has all
    the options.

    Raises DataError where no task recognises the data. They are read as text only if the user names that task.
    """
    recognised = dict(_recognised(paths, options))
    for name, why in recognised.items():
        if not foreign(name, options):
            return name, why
    if not recognised:
        raise DataError(f"{_unrecognised(paths)} To learn to write such text: {option('task', 'language')}.")
    return next(iter(recognised.items()))


def _unrecognised(paths: Sequence[Path]) -> str:
    """The message about data that no task recognises: what they are, and what is missing to learn from them."""
    for path in paths:
        if path.is_dir():
            return _unrecognised_folder(path)
    if foreign_kind := next((what for path in paths if (what := table.foreign(path))), None):
        return foreign_kind
    first = next(path for path in paths if why_data(path))
    if not table.looks_like_table(first):
        return f"{why_data(first)} What it lacks to learn from it, {option('task', 'classification')} says."
    if other := next((path for path in paths if not table.looks_like_table(path)), None):
        return f"{first} is a table, and {other} is none: a model is trained on data of one kind."
    try:
        frame = table.read(first, rows=1000)
    except DataError as problem:
        return str(problem)
    return (
        f"{first} is a table, and its columns do not say what to learn: {table.listed(list(map(_column, frame)))}. "
        f"Its first row must name them. To forecast, it needs a column of numbers ({option('target')}), and times "
        f"({option('time')}) or rows that are steps. To classify, it needs a column of classes ({option('label')}), "
        f"beside texts ({option('text')}) or beside numbers and the sequence that each row belongs to ({option('id')})."
    )


def _unrecognised_folder(folder: Path) -> str:
    found = data_in(folder)
    texts = [file for file in visible(folder) if not is_companion(file) and file not in set(found)]
    beside = f", and other files ({named(texts)})" if texts else ""
    return (
        f"The folder {folder} holds data ({named(found)}){beside}, and nothing says what to learn of them. "
        f"To classify, sequences lie in folders named by class, or a table lists them with their classes. "
        f"To forecast, name the tables: {folder}/*{found[0].suffix}."
    )


def _column(column: "pl.Series") -> str:
    """The name of a column and what it holds: y (numbers), name (text, like 'Ada'), remark (empty)."""
    values = column.drop_nulls()
    if not len(values):
        return f"{column.name} (empty)"
    return f"{column.name} (numbers)" if column.dtype.is_numeric() else f"{column.name} (text, like {values[0]!r:.40})"


def _recognised(paths: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The tasks that recognise the data, each with why: those first whose own form the data have, and those last that
    take anything."""
    names = sorted(task_names(), key=lambda name: getattr(task_named(name), "TAKES_ANYTHING", False))
    own = [name for name in names if hasattr(task_named(name), "recognize_own")]
    asked = [*((name, "recognize_own") for name in own), *((name, "recognize") for name in names)]
    found = set()
    for name, how in asked:
        if name not in found and (why := getattr(task_named(name), how)(paths, options)):
            found.add(name)
            yield name, why


def foreign(name: str, options: Iterable[str]) -> list[str]:
    """The options, by the names of their settings, that a task does not have."""
    known = {field.name for field in fields(settings_of(name))}
    return [option for option in options if option not in known]


def tasks_with(option: str) -> list[str]:
    """The tasks that have an option."""
    return [name for name in task_names() if not foreign(name, [option])]


def predict(
    folder: RunFolder, paths: Sequence[Path], options: Mapping[str, Any]
) -> tuple["pl.DataFrame", Iterable[str]]:
    """The predictions of a run's best model for these files: as a table, and as lines of text.

    options: those that were given, by name. Raises RunError for a run of a task that predicts in another way, and
    DataError for an option that the run's task does not have."""
    task = task_of(folder)
    if not hasattr(task_named(task), "PREDICTS"):
        raise RunError(
            f"{folder.path} is a run of the task {task!r}, and this needs one of the task "
            f"{' or '.join(map(repr, _that_predict()))}."
        )
    for name in options:
        if name not in task_named(task).PREDICTS:
            owners = " and ".join(other for other in _that_predict() if name in task_named(other).PREDICTS)
            typed = option({"strings": "string"}.get(name, name))
            raise DataError(
                f"{typed} is for runs of the task {owners}, and {folder.path} is one of {task}: leave it out."
            )
    frame, lines = task_named(task).predict(folder, paths, **options)
    return frame, lines


def _that_predict() -> list[str]:
    return [name for name in task_names() if hasattr(task_named(name), "PREDICTS")]


def task_of(folder: RunFolder) -> str:
    """The task of a run. Raises RunError for one that this Carousel does not have."""
    name = folder.config().get("task")
    if name not in task_names():
        raise RunError(
            f"{folder.path / CONFIG} is of the task {name!r}, which this Carousel does not have "
            f"(it has {', '.join(task_names())}): upgrade with pip install -U carousel-rnn"
        )
    return str(name)
