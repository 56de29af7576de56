"""carousel complete"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from carousel.cli.own_cell import NOT_ASKED, OwnCell


def complete(
    run: Path,
    text: str,
    /,
    *,
    count: Annotated[int, Parameter(alias="-n")] = 5,
    own: OwnCell = NOT_ASKED,
) -> None:
    """Ask a trained model for the likeliest continuations, with their probabilities.

    For example:

    ```
    carousel complete runs/shakespeare "The clouds are in the"
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    text
        The text to continue. If it ends inside a word, continuations complete that word.
    count
        How many continuations.
    """
    from carousel.cli.terminal import show
    from carousel.tasks.language.language_model import LanguageModel

    for completion in LanguageModel.load(run, **own.allowed).complete(text, count=count):
        show(f"{completion.probability:6.1%}  {text}{visible(completion.text)}\n")


def visible(text: str) -> str:
    """The text with ⏎ for each line break, so that a continuation stays on one line."""
    return text.replace("\r", "").replace("\n", "⏎")
