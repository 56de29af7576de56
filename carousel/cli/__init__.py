"""The command line. Each command is a typed function that calls a function which Python users can call too.

The modules of the commands import torch, numpy and other large packages inside their functions, so that help,
completion and errors of typing come at once.
"""

import logging
import sys
import warnings
from typing import Any

from cyclopts import CycloptsError, Parameter

from carousel.cli.backtest import backtest
from carousel.cli.caption import caption
from carousel.cli.cells import cells
from carousel.cli.complete import complete
from carousel.cli.course import course
from carousel.cli.doctor import doctor
from carousel.cli.evaluate import evaluate
from carousel.cli.export import export
from carousel.cli.fill import fill
from carousel.cli.forecast import forecast
from carousel.cli.generate import generate
from carousel.cli.help import AppWithTasks
from carousel.cli.inspect import inspect
from carousel.cli.options import all_options, with_options
from carousel.cli.predict import predict
from carousel.cli.tag import tag
from carousel.cli.terminal import remark
from carousel.cli.train import train
from carousel.cli.transcribe import transcribe
from carousel.cli.translate import translate
from carousel.cli.whole_numbers import refuse_fractions

app = AppWithTasks(
    name="carousel",
    help="Recurrent networks for PyTorch: train one on your data, let it answer, look inside, judge it.",
    help_format="markdown",
    default_parameter=Parameter(converter=refuse_fractions),
    version=lambda: _version(),
    error_formatter=lambda error: _panel(error),
    help_epilogue="Start with `carousel train DATA`, or `carousel train` for a demonstration on a built-in text.",
)
for command in (
    with_options(train, all_options()),
    generate,
    complete,
    fill,
    translate,
    caption,
    transcribe,
    predict,
    tag,
    forecast,
    backtest,
    evaluate,
    inspect,
    export,
    cells,
    course,
    doctor,
):
    app.command(command)


def main() -> None:
    """Runs the command that was typed. Exit codes: 0, 2 for an error that the user can correct, 130 for Ctrl-C."""
    from carousel.errors import CarouselError, speaking

    warnings.showwarning = lambda message, *_, **__: remark(message)
    logging.getLogger("carousel").handlers = [_Remarks()]
    try:
        with speaking(python=False):
            app(sys.argv[1:])
    except CarouselError as problem:
        remark(problem)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of the output, such as `head`, has closed the pipe. Without this, Python's flush at exit would
        # fail.
        sys.stderr.close()
        sys.exit(141)


class _Remarks(logging.Handler):
    """Writes the warnings of the library to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        remark(record.getMessage())


def _panel(error: CycloptsError) -> Any:
    """An error of cyclopts in its frame. The message repeats what was typed."""
    from cyclopts import CycloptsPanel
    from rich.text import Text

    from carousel.training.terminal import printable

    return CycloptsPanel(Text(printable(error)))


def _version() -> str:
    from importlib.metadata import version

    return version("carousel-rnn")
