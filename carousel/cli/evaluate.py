"""carousel evaluate"""

from pathlib import Path

from carousel.cli.own_cell import NOT_ASKED, OwnCell


def evaluate(
    run: Path,
    /,
    *data: Path,
    decimal: str | None = None,
    thousands: str | None = None,
    out: Path | None = None,
    own: OwnCell = NOT_ASKED,
) -> None:
    """Measure how good a trained model is on other data.

    For example:

    ```
    carousel evaluate runs/shakespeare sonnets.txt
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    data
        Files or folders of the kind that it was trained on.
    decimal
        The decimal sign of numbers in a text table, "." or ",". Without it: as in training, or found.
    thousands
        The sign between thousands: ",", ".", " " or "'". Without it: as in training, or found.
    out
        A folder for pictures and tables, if the task makes any.
    """
    from carousel.cli.terminal import show
    from carousel.tasks import task_named
    from carousel.tasks.catalogue import task_of
    from carousel.tasks.table.numbers import numbers_written
    from carousel.training.run_folder import RunFolder

    with numbers_written(decimal, thousands):
        folder = RunFolder.open(run, **own.allowed)
        task_named(task_of(folder)).evaluate(folder, data, out=out, say=show)
