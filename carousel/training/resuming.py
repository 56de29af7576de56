"""Whether a run can be resumed here, and what may make its last bits differ from those without the stop."""

import platform
from importlib.metadata import version

import torch

from carousel.training.progress import Report
from carousel.training.run_folder import RunFolder
from carousel.training.settings import TrainingSettings

MOST_THREADS = 4096


def versions() -> dict[str, str]:
    """The versions on which the bits of a training depend, as a run's config.json records them."""
    return {"carousel": version("carousel-rnn"), "torch": torch.__version__, "python": platform.python_version()}


def may_resume(folder: RunFolder, *, threads: int | None, report: Report) -> bool:
    """Prepares to resume a run: sets the number of threads, and reports what may make its last bits differ.

    threads: None means the number that the run recorded. Returns False, and reports so, where the run has finished.
    Raises RunError where another process trains it or its config is damaged, DataError for an impossible number.
    """
    TrainingSettings(threads=threads)  # raises for an impossible number, as for a new run
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


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())
