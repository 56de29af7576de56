"""carousel fill"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from carousel.cli.own_cell import NOT_ASKED, OwnCell


def fill(
    run: Path,
    text: str,
    /,
    *,
    count: Annotated[int, Parameter(alias="-n")] = 5,
    own: OwnCell = NOT_ASKED,
) -> None:
    """Ask a trained model for the likeliest missing words, with their probabilities.

    For a model that was trained with `carousel train text.txt --fill`.

    For example:

    ```
    carousel fill runs/novels "He is ___ because he wins"
    carousel fill runs/novels "The ___ is in the ___ ." --count 3
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    text
        The text, with two underscores or more where a word is missing. With several blanks, each is judged with the
        likeliest words in the others.
    count
        How many words for each blank.
    """
    from carousel.cli.terminal import remark, show
    from carousel.tasks.language.language_model import LanguageModel

    filled = LanguageModel.load(run, **own.allowed).fill(text, count=count)
    for number, blank in enumerate(filled.blanks, start=1):
        if len(filled.blanks) > 1:
            show(f"blank {number}\n")
        for word, probability in blank:
            show(f"{probability:6.1%}  {word}\n")
    show(f"{filled.text}\n")
    if filled.unknown:
        remark(f"words of the text that the model does not know: {', '.join(filled.unknown)}")
