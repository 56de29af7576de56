"""What a page needs to know of each task: how its runs read a sequence, and what they expect after each step.

A task's reader is a module here that has

    Model       what a Python user holds of such a run: a class with `load(run, *, cell, trust_cell)`
    Reader      see below, made of a Model

and is named in `READERS`. It fills in `carousel.page.moments`, from which all that the page shows is drawn.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from carousel.errors import DataError, RunError
from carousel.layers import Recurrent
from carousel.page.moments import Moments
from carousel.page.readers.typed import Typing
from carousel.program import Program
from carousel.tasks.catalogue import task_of
from carousel.tasks.table import listed
from carousel.training.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READERS = ("language", "classification", "forecasting")  # by the names of their tasks

Report = Callable[[str], None]
Drawings = dict[str, Callable[[], "Figure"]]  # pictures by the names of their files


class Chosen(Protocol):
    """What is read, the same for every run on a page."""

    @property
    def said(self) -> str:
        """Where it is from, in a few words."""


class Reader(Protocol):
    """A trained model that reads for the page."""

    task: str
    run: Path | None

    def choose(self, data: Any, *, item: str | int | None, steps: int) -> Any:
        """A `Chosen`: what of the data, or of what the run held out, is read, its first or last `steps` steps.

        Raises DataError where there is nothing that it can read.
        """

    def examine(self, name: str, chosen: Any, report: Report) -> tuple[Moments, Drawings]:
        """All that the page shows, and the pictures beside it. Raises DataError where it cannot read what is chosen."""

    def typing(self) -> Typing:
        """The model as a reader of what is typed. Raises DataError where that means nothing."""


def reader_for(run: Any, *, cell: Any = None, trust_cell: bool = False) -> Reader:
    """The reader of a run's folder, or of a model. cell, trust_cell: as a model's `load` takes them, for a folder.

    Raises RunError where the folder is none, DataError for others."""
    if isinstance(run, str | Path):
        folder = RunFolder.open(run)
        task = task_of(folder)
        if task not in READERS:
            raise RunError(f"{folder.path} is a run of the task {task!r}, which has no page.")
        module = _module(task)
        reader: Reader = module.Reader(module.Model.load(run, cell=cell, trust_cell=trust_cell))
        return reader
    for task in READERS:
        module = _module(task)
        if isinstance(run, module.Model):
            reader = module.Reader(run)
            return reader
    names = ", ".join(_module(task).Model.__name__ for task in READERS)
    raise DataError(f"A page is of a run's folder or of a trained model ({names}), not of {type(run).__name__}.")


def _module(task: str) -> ModuleType:
    return importlib.import_module(f"carousel.page.readers.{task}")


def number_of(item: str | int | None, names: Sequence[str], what: str) -> int:
    """Which of several is meant: by its name, else by its number, from 0. Default: the first.

    Raises DataError where there is none.
    """
    if item is None:
        return 0
    if str(item) in names:
        return list(names).index(str(item))
    if str(item).isdecimal() and int(item) < len(names):
        return int(item)
    raise DataError(
        f"There is no {what} {str(item)!r} (--item) among the {len(names):,}: {listed(names, 6)}. Give a name, or a "
        f"number from 0 to {len(names) - 1}."
    )


def require_equations(layer: Recurrent) -> None:
    """Raises DataError for a cell that has none: the page shows what a program computes."""
    if not isinstance(layer.program, Program):
        raise DataError(
            f"The page shows a cell's equations with their numbers, and the step of {layer.program.cell} runs as plain "
            f"Python: {layer.why_untraced}"
        )
