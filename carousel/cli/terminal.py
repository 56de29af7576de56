"""How commands speak: results to standard output, remarks to standard error.

The functions import what writes when they are called: it stands among the modules that need torch.
"""

import sys


def show(text: object) -> None:
    """Write a part of a result, without a line break of its own."""
    from carousel.training.terminal import write

    write(text)


def show_exactly(text: str) -> None:
    """Write what a model wrote, or a table: to a file or a pipe as it is, to a terminal cleaned."""
    from carousel.training.terminal import write

    write(text, exact=True)


def remark(text: object) -> None:
    """Write a line that is no result, such as an error, to standard error."""
    from carousel.training.terminal import write

    write(f"carousel: {text}\n", sys.stderr)
