"""What a page needs to know of each task: how a model reads a sequence, and what it predicts after each step.

The reader of a task is a module here whose name stands in `READERS`. It has

    Model       the class of a trained model for Python users, with `load(run, *, cell, trust_cell)`
    Reader      see below; its argument is a Model

and fills the classes of `carousel.page.moments`, from which the page is drawn; a task whose steps are nodes of trees,
those of `carousel.page.trees`.
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
from carousel.page.trees import TreeMoments
from carousel.program import Program
from carousel.tasks.catalogue import task_of
from carousel.tasks.table import listed
from carousel.training.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

READERS = ("language", "classification", "forecasting", "pairs", "tagging", "trees")  # the names of the tasks

Report = Callable[[str], None]
Drawings = dict[str, Callable[[], "Figure"]]  # pictures by their file names


class Chosen(Protocol):
    """The data that all runs of a page read."""

    @property
    def said(self) -> str:
        """A phrase that says where the data come from."""


class Reader(Protocol):
    """A trained model that reads data for the page."""

    task: str
    run: Path | None

    def choose(self, data: Any, *, item: str | int | None, steps: int) -> Any:
        """Chooses the first or last `steps` steps of the data, or of data that the run held out, as a `Chosen`.

        Raises DataError if there are no data that the model can read.
        """

    def examine(self, name: str, chosen: Any, report: Report) -> tuple[Moments | TreeMoments, Drawings]:
        """All that the page shows, and its pictures. Raises DataError if the model cannot read the chosen data."""

    def typing(self) -> Typing:
        """The model as a reader of typed text. Raises DataError if the model does not read text."""


def reader_for(run: Any, *, cell: Any = None, trust_cell: bool = False) -> Reader:
    """The reader of a run's folder, or of a model. cell, trust_cell: for a folder, as for a model's `load`.

    Raises RunError if the folder is no run, DataError for another object."""
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
    """The index of an item, which is given by its name, or else by its number from 0. Default: the first item.

    Raises DataError for an unknown item. what: the noun for an item in the message.
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
    """Raises DataError for a cell without a program, because the page shows what a program computes, and for one that
    divides its input into parts."""
    program = layer.program
    if not isinstance(program, Program):
        raise DataError(
            f"The page shows a cell's equations with their numbers, and the step of {layer.program.cell} runs as plain "
            f"Python: {layer.why_untraced}"
        )
    if len(program.parts) > 1:
        raise DataError(
            f"The page shows a network that reads one row at a step, and {program.cell} divides its input into the "
            f"parts {', '.join(program.parts)}. In Python, carousel.insight.read_gates reads its states."
        )
