"""What the models that users fit share: a fit is a run, and the run is what they answer from, save and describe."""

import tempfile
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from carousel.errors import RunError, speaking
from carousel.tasks import task_named
from carousel.tasks.estimator import Estimator
from carousel.tasks.files import paths_in
from carousel.tasks.saved_model import SavedModel
from carousel.training.progress import Quiet, Report, report_for
from carousel.training.run_folder import Log, RunFolder
from carousel.training.run_location import folder_for

if TYPE_CHECKING:
    from carousel.training.task_run import Preparation

Trained = TypeVar("Trained")


class FittedModel(SavedModel, Estimator, Generic[Trained]):
    """A model with scikit-learn's manners, whose `fit` trains in a run folder and then holds what the run trained.

    Its constructor stores its arguments: the settings of its task, and `verbose`. CALLED: what errors call it.
    _TRAINED: the class of what a run trained, whose `of(folder, device)` opens it.
    """

    CALLED: ClassVar[str]
    _TRAINED: ClassVar[Any]

    _trained: Trained | None = None
    _run: Path | None = None

    @abstractmethod
    def fit(self, X: Any, y: Any = None, *, out: str | Path | None = None, report: Report | None = None) -> Self:
        """Learns from data, and returns this object. X may name files. See the fit of each model."""

    @classmethod
    @speaking(python=True)
    def train(
        cls,
        paths: str | Path | Sequence[str | Path],
        *,
        out: str | Path | None = None,
        report: Report | None = None,
        **settings: Any,
    ) -> Self:
        """Learns from files as `carousel train` does, and returns the trained model.

        paths: a file or folder, or several. out: the run folder. Default: `runs/` and the data's name.
        report: is told of the progress. Default: the terminal. settings: arguments of the class.
        Raises DataError, RunError and KeyboardInterrupt as `fit` does.
        """
        named = paths_in(paths)
        return cls(**settings).fit(named, out=out or folder_for(named), report=report or report_for())

    @classmethod
    def of(cls, folder: RunFolder, device: str = "auto") -> Self:
        with folder.reading_config():
            recorded = dict(folder.config()["settings"])
        model = cls(**{name: value for name, value in recorded.items() if name in cls._parameters()})
        model._take(folder, device)
        model._run = folder.path
        return model

    @property
    def trained(self) -> Trained:
        """What the run trained, with its network. Raises RunError before `fit`."""
        return self._fitted("looked into")

    @property
    def config(self) -> dict[str, Any]:
        """The content of the run's config.json. Raises RunError before `fit`."""
        self._fitted("described")
        return self._config

    @property
    def run(self) -> Path | None:
        """The run folder, or None where the run was not kept."""
        return self._run

    @speaking(python=True)
    def save(self, run: str | Path) -> Path:
        """Writes the model as the run folder `run`, which must not exist yet, and returns its path.

        Raises RunError before `fit`, and where the folder cannot be written.
        """
        trained: Any = self._fitted("saved")
        folder = RunFolder.create(Path(run))
        folder.write_config({name: value for name, value in self._config.items() if name != "format"})
        folder.write_model(trained.network.state_dict())
        log = Log(folder)
        for line in self._log:
            log.write(**line)
        log.sync()
        log.close()
        return folder.path

    def __sklearn_is_fitted__(self) -> bool:
        return self._trained is not None

    def _learn(
        self,
        prepare: "Callable[[Any, Report], Preparation]",
        *,
        out: str | Path | None,
        report: Report | None,
    ) -> Self:
        """Trains on what `prepare` makes of the settings, in the run folder `out` or in one that goes afterwards.

        report: is told of the progress. Default: nothing is shown, or with `verbose` the terminal.
        """
        from carousel.training.task_run import train  # not above: who loads a model waits for no training

        task, chosen = task_named(self.TASK), self.get_params()
        report = report or (report_for() if chosen["verbose"] else Quiet())
        names = {field.name for field in fields(task.Settings)}
        settings = task.Settings(**{name: value for name, value in chosen.items() if name in names})
        with tempfile.TemporaryDirectory() as scratch:
            run = Path(scratch) / "run" if out is None else Path(out)
            RunFolder.require_unused(run)
            prepared = prepare(settings, report)
            folder = train(prepared, task.open_run, out=run, report=report, kept=out is not None)
            self._take(folder, settings.device)
            self._run = run if out is not None else None
        return self

    def _take(self, folder: RunFolder, device: str) -> None:
        """Holds what the run trained, its configuration and its log."""
        where = str(task_named(self.TASK).Settings(device=device).torch_device)
        self._trained = self._TRAINED.of(folder, where)
        self._config, self._log = folder.config(), folder.log_lines()

    def _fitted(self, what: str) -> Trained:
        """What the run trained. Raises RunError before `fit`, with what was to be done."""
        if self._trained is None:
            raise RunError(f"{self.CALLED} must have learnt before it can be {what}: call fit first, or load a run.")
        return self._trained
