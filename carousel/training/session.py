"""What every task does around its training: where a run goes, what it may be resumed with, how it ends."""

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from carousel.errors import CarouselError, DataError
from carousel.insight.learning_curve import draw_learning_curve
from carousel.training.measure import Measure
from carousel.training.progress import Report, clock
from carousel.training.run import Run
from carousel.training.run_folder import Log, RunFolder, free_name, require_space
from carousel.training.settings import TrainingSettings

MOST_THREADS = 4096


def folder_for(data: Sequence[str | Path], otherwise: str = "run") -> Path:
    """`runs/` and the name of the data, with a number where that is taken."""
    first = Path(data[0]) if data else Path(otherwise)
    return free_name(Path("runs"), first.stem or first.resolve().name or otherwise)


def parameter_count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def require_space_for(network: torch.nn.Module, folder: Path) -> None:
    """Room for two checkpoints (the old file stays until the new one is whole): weights, and weights with AdamW's
    two averages. Raises RunError."""
    require_space(folder, 2 * 4 * 4 * parameter_count(network), "A checkpoint of this model")


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {"carousel": version("carousel-rnn"), "torch": torch.__version__, "python": platform.python_version()}


def may_resume(folder: RunFolder, *, threads: int | None, report: Report) -> bool:
    """Get ready to resume a run, saying what may make its last bits differ. False where it has finished."""
    TrainingSettings(threads=threads)  # refuses a number that means nothing, as for a new run
    config = folder.config()
    folder.require_idle()
    if folder.finished:
        report.say(f"{folder.path} has finished: there is nothing left to do. Start a new run to train longer.")
        return False
    with folder.reading_config():
        recorded, before = config["settings"]["threads"], dict(config["versions"])
        TrainingSettings(threads=recorded)
        if recorded > MOST_THREADS:
            raise ValueError(f"{recorded:,} threads are more than any machine has")
    torch.set_num_threads(recorded if threads is None else threads)
    if threads not in (None, recorded):
        report.say(
            f"This run began with {recorded} threads and goes on with {threads}: "
            f"sums are taken in another order, so the last bits of the results may differ."
        )
    if before != versions():
        report.say(
            f"This run began with {_listed(before)} and goes on with {_listed(versions())}: "
            f"the last bits of the results may differ."
        )
    return True


def announce_start(
    folder: RunFolder, settings: TrainingSettings, explained: str, baseline: str, report: Report
) -> None:
    """Reports what every training says last before it begins.

    explained: what the layer's `explain()` returned; baseline: the name and loss of the naive baseline, in words."""
    for line in explained.splitlines()[1:]:
        report.say(line)
    report.say(f"a naive baseline to beat: {baseline}")
    if folder.kept:
        report.say(f"writing to {folder.path}")
    if settings.minutes is not None:
        report.say(
            f"training for {clock(60 * settings.minutes)}; its first {settings.budget.trial_seconds:.0f} s are timed, "
            f"to fix the number of steps"
        )


def how_long(settings: TrainingSettings, steps_per_epoch: int) -> str:
    """A training with these settings lasts: "3:00" by the clock, or "600 steps, 12.5 times over the training part"."""
    if settings.minutes is not None:
        return f"{clock(60 * settings.minutes)}"
    plan = settings.budget.plan_for_epochs(steps_per_epoch)
    assert plan is not None
    return f"{plan.steps:,} steps, {plan.steps / steps_per_epoch:.1f} times over the training part"


def carry_out(run: Run, report: Report, *, resuming: bool) -> None:
    """Train from where the run stands to the end of its budget, and say where to go on if it is stopped before."""
    path = run.folder.path
    if resuming:
        found = run.resume()
        report.say(f"continuing {path} from step {run.loop.steps:,}" if found else f"starting {path} again")
    try:
        run.train()
    except (KeyboardInterrupt, SystemExit):
        report.say(_stopped(run))
        raise


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


def record_final(folder: RunFolder, **values: Any) -> None:
    """The run's last line, which says that it has finished: `final` and what else there is to say."""
    log = Log(folder, length=None)
    log.write(**values)
    log.sync()
    log.close()


def draw_curve(
    folder: RunFolder, measure: Measure, baseline: tuple[str, float] | None, *, x_label: str = "epochs"
) -> None:
    """The run's learning curve, in its curve.png."""
    lines = folder.log_lines()
    in_nats = measure.quantity == "nats"
    draw_learning_curve(
        folder.path / "curve.png",
        training=[(line["epoch"], line["train"]) for line in lines if "train" in line],
        validation=[(line["epoch"], line["validation"]) for line in lines if "validation" in line],
        baseline=baseline,
        title=folder.path.name,
        x_label=x_label,
        loss=f"loss, nats per {measure.unit}" if in_nats else measure.quantity,
        in_nats=in_nats,
    )


@contextmanager
def running(cell: str, whose: str) -> Iterator[None]:
    """Around the making of `whose` network: a cell that it cannot run is said to be that."""
    try:
        yield
    except CarouselError:
        raise
    except ValueError as problem:
        raise DataError(f"The cell {cell!r} cannot be the {whose}'s: {problem}") from None


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())
