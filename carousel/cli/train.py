"""carousel train"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from carousel.cli.options import GROUPS
from carousel.training.settings import RUN

if TYPE_CHECKING:
    from carousel.training.progress import Report


def train(
    *data: Path,
    task: Annotated[str | None, Parameter(group=GROUPS[RUN])] = None,
    out: Annotated[Path | None, Parameter(group=GROUPS[RUN])] = None,
    resume: Annotated[Path | None, Parameter(group=GROUPS[RUN])] = None,
    dry_run: Annotated[bool, Parameter(group=GROUPS[RUN], negative=(), show_default=False)] = False,
    trust_cell: Annotated[bool, Parameter(group=GROUPS[RUN], negative=(), show_default=False)] = False,
    quiet: Annotated[bool, Parameter(group=GROUPS[RUN], negative=(), show_default=False)] = False,
    **settings: Any,
) -> None:
    """Train a model on your data.

    Looks at the data, says how it interprets them and how to choose otherwise, and trains. The run folder keeps the
    model with the lowest loss on the validation part of the data. Ctrl-C stops the training, and --resume continues it.

    For example:

    ```
    carousel train shakespeare.txt --minutes 3
    carousel train letters/ --level word --epochs 10 --out runs/letters
    carousel train sales.csv --horizon 28 --known price,holiday
    carousel train BasicMotions_TRAIN.ts
    carousel train words/ --no-bidirectional
    carousel train train.conllu --validation-file dev.conllu
    carousel train novels.txt --fill
    carousel train sales.csv --dry-run
    carousel train --resume runs/shakespeare
    carousel train
    ```

    The last of these is a demonstration of three quarters of a minute, on a text that is part of Python.

    Parameters
    ----------
    data
        Files, or folders of them: UTF-8 text; tables of series over time; sequences and their classes as .ts, .npz,
        tables, sounds or texts; words with their tags as CoNLL.
    task
        The name of a task, such as forecasting, if the data do not decide it.
    out
        The run folder. Without it: runs/ and the name of the data.
    resume
        A run folder whose training was stopped, to continue from its last checkpoint.
    dry_run
        Report all decisions about the data and the model, without training or writing anything.
    trust_cell
        With --resume, for a run whose cell is in a file: run the file that the run names. Or name the file with --cell.
    quiet
        Print nothing but errors.
    """
    given = {name: value for name, value in settings.items() if value is not None}

    import tempfile

    from carousel.errors import DataError
    from carousel.tasks.language.demo_text import write_demo_text
    from carousel.training.progress import Quiet, report_for

    report = Quiet() if quiet else report_for()
    if resume is not None:
        if dry_run:
            raise DataError("--dry-run says what a new run would be; --resume goes on with one. Give one of them.")
        _resume(resume, data, given, report, trust_cell=trust_cell)
        return
    if trust_cell:
        raise DataError("--trust-cell is about the cell of a run that was stopped: give --resume RUN, or leave it out.")
    with tempfile.TemporaryDirectory() as folder:
        if not data:
            demo, what = write_demo_text(Path(folder))
            report.say(f"No data were named, so this is a demonstration on {what}.")
            data, task = (demo,), "language"
            if not {"minutes", "epochs"} & set(given):
                given["minutes"] = 0.75
        _train(data, task, given, out, report, dry_run=dry_run)


def _train(
    data: Sequence[Path], task: str | None, given: dict[str, Any], out: Path | None, report: "Report", *, dry_run: bool
) -> None:
    from carousel.tasks.catalogue import choose
    from carousel.training.run_folder import RunFolder
    from carousel.training.run_location import folder_for
    from carousel.training.task_run import how_long, train

    _refuse_runs(data)
    chosen = choose(data, task, given, report)
    settings = chosen.Settings(**given)
    out = out or folder_for(data)
    RunFolder.require_unused(out)
    prepared = chosen.prepare(data, settings, report)
    if dry_run:
        report.say(f"would train for {how_long(prepared)}")
        report.say("nothing was trained, and nothing written (--dry-run)")
        return
    chosen.conclude(train(prepared, chosen.open_run, out=out, report=report), report)


def _resume(run: Path, data: Sequence[Path], given: dict[str, Any], report: "Report", *, trust_cell: bool) -> None:
    from carousel.errors import DataError, option
    from carousel.tasks import task_named
    from carousel.tasks.catalogue import task_of
    from carousel.training.run_folder import RunFolder
    from carousel.training.task_run import resume

    threads, cell = given.pop("threads", None), _own(given.get("cell"))
    if cell is not None:
        del given["cell"]
    if data:
        raise DataError("--resume goes on with the data the run began with: leave the files out.")
    if given:
        raise DataError(
            f"--resume goes on with the settings the run began with, or its end would not be what it would have been "
            f"without the stop: leave {', '.join(map(option, given))} out, or start a new run."
        )
    folder = RunFolder.open(run, cell=cell, trust_cell=trust_cell)
    task = task_named(task_of(folder))
    resume(folder, task.open_run, threads=threads, report=report)
    task.conclude(folder, report)


def _refuse_runs(data: Sequence[Path]) -> None:
    """Raises DataError for a folder that training wrote, whose files would be taken for a text."""
    from carousel.errors import DataError
    from carousel.training.run_folder import CONFIG

    for path in data:
        if (path / CONFIG).is_file() and (path / "log.jsonl").is_file():
            raise DataError(
                f"{path} is the folder of a run, and no data. To go on with its training: "
                f"carousel train --resume {path}"
            )


def _own(cell: str | None) -> str | None:
    """The name of a cell from a file; None for a cell of the catalogue."""
    from carousel.training.run_cell import in_file

    return cell if in_file(cell) else None
