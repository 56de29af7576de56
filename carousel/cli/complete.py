"""carousel complete"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def complete(
    run: Path,
    text: str,
    /,
    *,
    count: Annotated[int, Parameter(alias="-n")] = 5,
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
        What is to be continued. Where it breaks off within a word, the rest of the word is meant.
    count
        How many continuations.
    """
    from carousel.cli.terminal import show
    from carousel.tasks.language.language_model import LanguageModel

    for completion in LanguageModel.load(run).complete(text, count=count):
        show(f"{completion.probability:6.1%}  {text}{visible(completion.text)}\n")


def visible(text: str) -> str:
    """A line break as ⏎, so that each continuation stays on its line."""
    return text.replace("\r", "").replace("\n", "⏎")
