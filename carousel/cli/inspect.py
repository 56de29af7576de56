"""carousel inspect"""

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from carousel.cli.own_cell import OWN

LIVE = Group("Live", sort_key=1)


def inspect(
    run: Path,
    data: Path | None = None,
    /,
    *,
    item: str | None = None,
    against: Path | None = None,
    steps: int = 500,
    decimal: str | None = None,
    thousands: str | None = None,
    out: Path | None = None,
    live: Annotated[bool, Parameter(group=LIVE, negative=())] = False,
    host: Annotated[str, Parameter(group=LIVE)] = "127.0.0.1",
    port: Annotated[int, Parameter(group=LIVE)] = 8765,
    cell: Annotated[str | None, Parameter(group=OWN)] = None,
    trust_cell: Annotated[bool, Parameter(group=OWN, negative=())] = False,
) -> None:
    """See inside a trained model: what it does with a text, a recording or a series, step by step.

    Writes one HTML file, which needs no network, and pictures beside it: what was read, coloured by any unit; after
    every step what comes next, the probability of each class, or the forecast, and which steps moved it; gates over
    time, the equations of each step with their numbers, how far back gradients reach, a diagnosis in words. With
    --live, serves the same page and reads what you type (language models and classifiers of texts).

    For example:

    ```
    carousel inspect runs/shakespeare
    carousel inspect runs/shakespeare sonnets.txt --steps 1000
    carousel inspect runs/movements new.ts --item 3
    carousel inspect runs/sales --item north
    carousel inspect runs/lstm --against runs/gru
    carousel inspect runs/shakespeare --live
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    data
        What it reads: a text file, of which the beginning is shown; sequences such as `carousel predict` takes; or a
        table of series, of which the end is shown. Without it, what the run did not learn from: the end of its text or
        of its series, or a sequence that was held out.
    item
        Which of several sequences or series: its name, or its number, counted from 0. Without it: the first.
    against
        Another run of the same task, to be shown beside the first.
    steps
        Steps to show at most.
    decimal
        The decimal sign of numbers in a text table, "." or ",". Without it: as in training, or found.
    thousands
        The sign between thousands: ",", ".", " " or "'". Without it: as in training, or found.
    out
        The folder to write to. Without it: `inspect` in the run's.
    live
        Serve the page until Ctrl-C, and let the model read what is typed there. Needs carousel-rnn[page].
    host
        The address to listen at. Other than this machine's own, others can type too.
    port
        The port to listen at.
    cell
        Of a run that was trained with a cell in a file: that file again, as path/to/file.py:ClassName. It is run as
        Python; a run by itself never says which code is run.
    trust_cell
        Or: run the file that the run names.
    """
    from carousel.cli.terminal import show
    from carousel.tasks.table.numbers import numbers_written

    def say(line: str) -> None:
        show(f"{line}\n")

    if live:
        from carousel.errors import DataError
        from carousel.page.live import serve

        if against is not None or out is not None:
            option = "--against" if against is not None else "--out"
            raise DataError(f"--live serves the page of one run and writes nothing: leave {option} out.")

        with numbers_written(decimal, thousands):
            serve(run, data, item=item, steps=steps, host=host, port=port, report=say, cell=cell, trust_cell=trust_cell)
        return
    from carousel.page import inspect as write_page

    with numbers_written(decimal, thousands):
        page = write_page(
            run, data, item=item, against=against, steps=steps, out=out, report=say, cell=cell, trust_cell=trust_cell
        )
    say(f"Open it in a browser: {page.resolve().as_uri()}")
