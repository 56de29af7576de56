"""Errors of a run folder whose files are lost, damaged or cannot be written: what happened, and what to do."""

import errno
import functools
import logging
from pathlib import Path

from carousel.errors import RunError

CHANGED = (
    "The run cannot be read without it: put a copy of it back, or train again. "
    'If you changed it on purpose, remove its field "sha256".'
)
NO_STATE = "The run cannot be continued; model.safetensors still holds its best weights, if it is there."

logger = logging.getLogger("carousel")


class RunGone(RunError):
    """The folder of a run is no longer where its training began."""


def removed(run: Path) -> str:
    return f"{run} was removed or moved, and with it all that the run had saved there."


def unwritable(run: Path, name: str, problem: OSError, size: int, *, gone: bool, kept: bool) -> RunError:
    """The error for a file of `size` bytes that cannot be written. gone: whether the folder itself is gone.
    kept: whether the run can be resumed."""
    if gone:
        return RunGone(removed(run))
    full = problem.errno == errno.ENOSPC
    found = "the disk is full" if full else str(problem.strerror or problem)
    mend = "Make room" if full else "Put that right"
    remedy = f"{mend}, and train again."
    if kept:
        remedy = (
            f"What the run had saved before is untouched. {mend}, then continue with: carousel train --resume {run}"
        )
    return RunError(f"{run / name} ({size / 1e6:,.1f} MB) could not be written: {found}. {remedy}")


def damaged(file: Path, problem: BaseException, remedy: str) -> RunError:
    return RunError(f"{file} is damaged ({reason(problem)}). {remedy}")


def damaged_config(config: Path, problem: Exception) -> RunError:
    """The error for a config that lacks an entry, or has one of another kind."""
    if isinstance(problem, LookupError | TypeError | AttributeError):  # their messages say little without the kind
        problem = RunError(f"{type(problem).__name__}: {problem}")
    return damaged(config, problem, "The run cannot be read without it: put a copy of it back, or train again.")


def lost_data(file: Path, what: str, found: str) -> RunError:
    """The error for a file of training data. what: it should hold; found: what is wrong with it."""
    return RunError(
        f"{file} should hold {what}, and {found}. The run cannot go on without it: put a copy of it back, or train "
        f"again."
    )


def without_model(model: Path, *, finished: bool, started: bool) -> RunError:
    """The error for a run without its best weights. started: whether it has a checkpoint."""
    if finished or started:
        remedy = model_again(model.parent, finished=finished, started=started)
        return RunError(f"{model.parent} has lost its {model.name}. {remedy}")
    return RunError(
        f"{model.parent} has no {model.name} yet: training stopped before its first checkpoint. "
        f"Continue it with: carousel train --resume {model.parent}"
    )


def model_again(run: Path, *, finished: bool, started: bool) -> str:
    """How the user gets the best weights of a run again that has lost them."""
    if finished:
        return "The run has finished, so nothing writes it again: put a copy of it back, or train a new run."
    if started:
        return (
            f"Training had not finished: `carousel train --resume {run}` goes on, and writes it again at the "
            f"next improvement, if there is one. Or put a copy of it back."
        )
    return "Put a copy of it back, or train a new run."


def reason(problem: BaseException) -> str:
    """The first line of the message of an exception, 200 characters at most."""
    text = str(getattr(problem, "strerror", None) or problem)
    return text.strip().split("\n")[0][:200] or type(problem).__name__


@functools.cache
def say_once(message: str) -> None:
    """Warns through the logger "carousel", each message once in a process."""
    logger.warning(message)
