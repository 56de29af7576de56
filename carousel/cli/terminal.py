"""The output of commands: results go to standard output, remarks to standard error.

The functions import the code that writes when they are called, because its package needs torch.
"""

import sys


def show(text: object) -> None:
    """Writes a part of a result, without a line break."""
    from carousel.training.terminal import write

    write(text)


def show_exactly(text: str) -> None:
    """Writes a model's text, or a table.

    A terminal receives it without control characters, a file or pipe unchanged.
    """
    from carousel.training.terminal import write

    write(text, exact=True)


def read_by_people() -> bool:
    """Whether results go to a terminal, and not to a file or another program."""
    return sys.stdout.isatty()


def remark(text: object) -> None:
    """Writes a line that is no result, such as an error, to standard error."""
    from carousel.training.terminal import write

    write(f"carousel: {text}\n", sys.stderr)
