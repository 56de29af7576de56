"""carousel complete"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from carousel.cli.own_cell import OWN


def complete(
    run: Path,
    text: str,
    /,
    *,
    count: Annotated[int, Parameter(alias="-n")] = 5,
    cell: Annotated[str | None, Parameter(group=OWN)] = None,
    trust_cell: Annotated[bool, Parameter(group=OWN, negative=())] = False,
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
    cell
        Of a run that was trained with a cell in a file: that file again, as path/to/file.py:ClassName. It is run as
        Python; a run by itself never says which code is run.
    trust_cell
        Or: run the file that the run names.
    """
    from carousel.cli.terminal import show
    from carousel.tasks.language.language_model import LanguageModel

    for completion in LanguageModel.load(run, cell=cell, trust_cell=trust_cell).complete(text, count=count):
        show(f"{completion.probability:6.1%}  {text}{visible(completion.text)}\n")


def visible(text: str) -> str:
    """The text with ⏎ for each line break, so that a continuation stays on one line."""
    return text.replace("\r", "").replace("\n", "⏎")
