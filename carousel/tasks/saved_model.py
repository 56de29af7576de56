"""The model classes of all tasks are loaded from runs in the same way, and resume a training in the same way."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

from carousel.errors import speaking
from carousel.tasks import task_named
from carousel.training.progress import Report, report_for
from carousel.training.run_folder import RunFolder


class SavedModel:
    """A model that training writes as a run folder. TASK: the name of its task. DEVICE: where it is loaded to."""

    TASK: ClassVar[str]
    DEVICE: ClassVar[str] = "auto"

    @classmethod
    @speaking(python=True)
    def load(cls, run: str | Path, *, device: str | None = None, cell: Any = None, trust_cell: bool = False) -> Self:
        """Loads the best model of a run so far.

        run: the run folder.
        device: "auto" (CUDA where there is a device, else the CPU), "cpu" or "cuda". Default: "auto"; for a
            `Forecaster`, whose steps are short, "cpu".
        cell, trust_cell: for a run that was trained with a cell in a file. Give the cell again, as
            "file.py:ClassName" or as a `Cell`, or `trust_cell=True` for the file that the run names. Without either
            the file is not run: a run alone never decides which code is executed.

        Raises RunError where the folder is no run of this task, is damaged, or was written by a newer Carousel.
        """
        return cls.of(RunFolder.open(run, task=cls.TASK, cell=cell, trust_cell=trust_cell), device or cls.DEVICE)

    @classmethod
    @speaking(python=True)
    def resume(
        cls,
        run: str | Path,
        *,
        threads: int | None = None,
        report: Report | None = None,
        cell: Any = None,
        trust_cell: bool = False,
    ) -> Self:
        """Continues a training that was stopped, from its last checkpoint to its end, and loads the best model.

        With the number of threads that the run recorded, which is the default, the result has the bits that it would
        have had without the stop.
        run: the run folder. threads: how many threads to compute with. report: as for training.
        cell, trust_cell: as for `load`, whose errors it raises too.
        """
        from carousel.training.task_run import resume  # not above: who loads a model waits for no training

        folder = RunFolder.open(run, task=cls.TASK, cell=cell, trust_cell=trust_cell)
        resume(folder, task_named(cls.TASK).open_run, threads=threads, report=report or cls._usual_report())
        return cls.load(run, cell=cell, trust_cell=trust_cell)

    @classmethod
    @abstractmethod
    def of(cls, folder: RunFolder, device: str = "auto") -> Self:
        """The best model of an open run so far; `load` opens a run and calls it.

        folder: the run. device: as for `load`. Raises RunError as `load` does.
        """

    @staticmethod
    def _usual_report() -> Report:
        return report_for()
