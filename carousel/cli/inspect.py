"""carousel inspect"""

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from carousel.cli.own_cell import NOT_ASKED, OwnCell

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
    own: OwnCell = NOT_ASKED,
) -> None:
    """Show what a trained model does with a text, a recording or a series, step by step.

    Writes one HTML file, which needs no network, and pictures: the input, coloured by any unit; the prediction of the
    next symbol, the class or the forecast after every step, and the influence of earlier steps on it; gates over time,
    the equations of each step with their numbers, how far back gradients reach, and a diagnosis in words. With --live,
    serves the same page and reads what you type (language models and classifiers of texts).

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
        The data to read: a text file, whose beginning is shown; sequences, as for `carousel predict`; or a table of
        series, whose end is shown. Without it, data that the run did not learn from: the end of its text or of its
        series, or a sequence that was held out.
    item
        One of several sequences or series: its name, or its number from 0. Without it: the first.
    against
        Another run of the same task, which is shown beside the first.
    steps
        The largest number of steps to show.
    decimal
        The decimal sign of numbers in a text table, "." or ",". Without it: as in training, or found.
    thousands
        The sign between thousands: ",", ".", " " or "'". Without it: as in training, or found.
    out
        The folder for the page. Without it: `inspect` in the run's folder.
    live
        Serve the page until Ctrl-C, and let the model read what you type there. Needs carousel-rnn[page].
    host
        The address of the server. With another address than the default, other machines may have access.
    port
        The port of the server.
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
            serve(run, data, item=item, steps=steps, host=host, port=port, report=say, **own.allowed)
        return
    from carousel.page import inspect as write_page

    with numbers_written(decimal, thousands):
        page = write_page(run, data, item=item, against=against, steps=steps, out=out, report=say, **own.allowed)
    say(f"Open it in a browser: {page.resolve().as_uri()}")
