"""The course of a training, which is the same for every task.

    prepared = task.prepare(paths, settings, report)                        decides everything, writes nothing
    folder = train(prepared, task.open_run, out=..., report=report)         makes the folder, trains, judges, records
    resume(folder, task.open_run, threads=None, report=report)              continues a run that was stopped

A task brings two classes: its `Preparation`, and its `TaskRun`, which has the network, the batches and the losses.
Everything between them stands here: the run folder, the loop, what is reported, and what is written at the end.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import nn

from carousel.layers import Recurrent, Recursive
from carousel.training.batch_source import BatchSource
from carousel.training.building import parameter_count
from carousel.training.loop import Loop
from carousel.training.measure import Measure
from carousel.training.progress import Report, clock
from carousel.training.resuming import may_resume, versions
from carousel.training.run import Run
from carousel.training.run_cell import hash_of
from carousel.training.run_end import draw_curve, record_final
from carousel.training.run_folder import RunFolder, require_space
from carousel.training.settings import TrainingSettings


class Preparation(Protocol):
    """Everything that a task decides before a training, about its data and its network.

    TASK: the name of the task. DATA: the file in the run folder that holds the training data.
    """

    TASK: ClassVar[str]
    DATA: ClassVar[str]

    @property
    def settings(self) -> TrainingSettings:
        """The settings with every choice made, so that a resumed run makes the same ones."""

    @property
    def steps_per_epoch(self) -> int:
        """How many training steps read all training data once."""

    def network(self) -> nn.Module:
        """The network with the weights that training begins with."""

    def write(self, folder: Path) -> dict[str, Any]:
        """Writes the training data into the run folder. Returns the task's own entries of config.json."""


@dataclass(frozen=True)
class Judgement:
    """How good the best model of a run is.

    record: entries of the log's last line; `final` is its loss. lines: the same in words.
    """

    record: Mapping[str, Any]
    lines: tuple[str, ...]


class TaskRun(ABC):
    """A training of one task: its network, its batches, its losses. Each task derives one and sets what stands here.

    settings: as the run recorded them. network, recurrent: what learns, and the layer in it whose engine is reported.
    measure, validation_measure: how losses become figures. baseline: the name of a naive baseline and its figure.
    """

    settings: TrainingSettings
    network: nn.Module
    recurrent: Recurrent | Recursive
    batches: BatchSource
    measure: Measure
    validation_measure: Measure
    baseline: tuple[str, float]

    reads: ClassVar[str] = "training part"  # what an epoch reads once
    samples: str = ""  # what `sample` returns, in words
    unneeded: ClassVar[tuple[str, ...]] = ()  # files of the run folder that a finished run does not need

    @abstractmethod
    def validate(self) -> float:
        """The validation loss of the network as it is. The model with the lowest is kept."""

    @abstractmethod
    def judge(self) -> Judgement:
        """Judges the network, which has the best weights now, on everything that was held out."""

    def sample(self, step: int) -> str | None:  # noqa: ARG002
        """A text to show beside a validation, the same for the same weights and step; None for no text. Logs show it
        where it is short, as an accuracy is."""
        return None

    def dropout_for(self, epochs: float) -> float | None:  # noqa: ARG002
        """Called once the length of the training is fixed. Returns the dropout to report; None for no report."""
        return self.settings.dropout

    def remarks(self) -> list[str]:
        """What there is to say about the data before the training begins."""
        return []

    def draw(self, folder: RunFolder) -> None:
        """Draws the pictures of a finished run, whose folder stays."""
        draw_curve(folder, self.validation_measure, self.baseline, x_label=f"epochs (times over the {self.reads})")


class OpenRun(Protocol):
    """The function of a task that makes a `TaskRun` from a run folder."""

    def __call__(self, folder: RunFolder, prepared: Any = None) -> TaskRun:
        """prepared: the task's `Preparation`, for a run that begins; None for a run that is resumed, whose files are
        checked. Raises RunError where they are missing, damaged or do not fit each other."""


def train(prepared: Preparation, open_run: OpenRun, *, out: Path, report: Report, kept: bool = True) -> RunFolder:
    """Makes a new run in the folder `out` and trains it to the end of its budget. Returns the finished run.

    kept: whether the folder stays when the program ends, so that the training can be resumed.
    Raises RunError where the folder is in use or cannot be written, KeyboardInterrupt after Ctrl-C.
    """
    torch.set_num_threads(prepared.settings.threads or torch.get_num_threads())
    folder = _create(prepared, out, kept=kept)
    _run_to_end(open_run(folder, prepared), folder, report, resuming=False)
    return folder


def resume(folder: RunFolder, open_run: OpenRun, *, threads: int | None = None, report: Report) -> None:
    """Continues a training that was stopped, to the bits that it would have computed without the stop.

    A run that has finished stays as it is. threads, errors: as for `may_resume`.
    """
    if may_resume(folder, threads=threads, report=report):
        _run_to_end(open_run(folder), folder, report, resuming=True)


def how_long(prepared: Preparation) -> str:
    """How long a training lasts: "3:00" by the clock, or "600 steps, 12.5 times over the training part"."""
    settings, steps_per_epoch = prepared.settings, prepared.steps_per_epoch
    if settings.minutes is not None:
        return f"{clock(60 * settings.minutes)}"
    plan = settings.budget.plan_for_epochs(steps_per_epoch)
    assert plan is not None
    return f"{plan.steps:,} steps, {plan.steps / steps_per_epoch:.1f} times over the training part"


def carry_out(run: Run, report: Report, *, resuming: bool) -> None:
    """Trains from where the run stands to the end of its budget. If it is stopped before, reports how to resume it."""
    path = run.folder.path
    if resuming:
        found = run.resume()
        report.say(f"continuing {path} from step {run.loop.steps:,}" if found else f"starting {path} again")
    try:
        run.train()
    except (KeyboardInterrupt, SystemExit):
        report.say(_stopped(run))
        raise


def _create(prepared: Preparation, out: Path, *, kept: bool) -> RunFolder:
    """The folder of a new run, with its data and its config."""
    # Two checkpoints, as the old one stays until the new one is whole. Each has four numbers of four bytes for every
    # parameter: its value, AdamW's two averages, and its best value so far.
    require_space(out, 2 * 4 * 4 * parameter_count(prepared.network()), "A checkpoint of this model")
    folder = RunFolder.create(out, kept=kept, cell=prepared.settings.cell)
    try:
        entries = prepared.write(out)
        folder.write_config(
            {
                "task": prepared.TASK,
                "versions": versions(),
                "settings": asdict(prepared.settings),
                **entries,
                **hash_of(prepared.settings.cell),
            },
            data=[prepared.DATA],
        )
    except BaseException:
        folder.discard(prepared.DATA)
        raise
    return folder


def _run_to_end(task_run: TaskRun, folder: RunFolder, report: Report, *, resuming: bool) -> None:
    """Trains from where the run stands to the end, then judges the best model and records how good it is."""
    settings = task_run.settings
    report.begin(task_run.measure, task_run.baseline, samples=task_run.samples)
    run = Run(
        Loop(task_run.network, task_run.batches, peak_rate=settings.learning_rate, device=settings.torch_device),
        folder,
        settings.budget,
        validate=task_run.validate,
        sample=task_run.sample,
        planned=lambda loop: report.say(_planned(task_run, loop)),
        measure=task_run.measure,
        validation_measure=task_run.validation_measure,
        report=report,
    )
    if not resuming:
        _announce(task_run, folder, report)
    carry_out(run, report, resuming=resuming)
    folder.load_into(task_run.network)
    judgement = task_run.judge()
    record_final(folder, **judgement.record)
    for name in task_run.unneeded:
        (folder.path / name).unlink(missing_ok=True)
    for line in judgement.lines:
        report.say(line)
    if folder.kept:
        task_run.draw(folder)


def _planned(task_run: TaskRun, loop: Loop) -> str:
    assert loop.plan is not None
    epochs = loop.plan.steps / loop.batches.steps_per_epoch
    dropout = task_run.dropout_for(epochs)
    return f"{loop.plan.steps:,} steps, {epochs:.1f} times over the {task_run.reads}" + (
        "" if dropout is None else f", dropout {dropout:g}"
    )


def _announce(task_run: TaskRun, folder: RunFolder, report: Report) -> None:
    """Reports what every training reports last before it begins."""
    settings, (name, figure) = task_run.settings, task_run.baseline
    for line in (*task_run.remarks(), *task_run.recurrent.explain().splitlines()[1:]):
        report.say(line)
    report.say(f"a naive baseline to beat: {name}, {task_run.validation_measure.words(figure)}")
    if folder.kept:
        report.say(f"writing to {folder.path}")
    if settings.minutes is not None:
        report.say(
            f"training for {clock(60 * settings.minutes)}; its first {settings.budget.trial_seconds:.0f} s are timed, "
            f"to fix the number of steps"
        )


def _stopped(run: Run) -> str:
    if not run.folder.kept:
        return f"stopped at step {run.loop.steps:,}. Nothing is kept, as no folder was named for the run (out)."
    if run.saved_steps is None:
        where = "before its first checkpoint"
    elif run.saved_steps == run.loop.steps:
        where = f"at step {run.loop.steps:,}, and saved"
    else:
        where = f"at step {run.loop.steps:,}; the last checkpoint is step {run.saved_steps:,}"
    return f"stopped {where}. Go on with: carousel train --resume {run.folder.path}"
