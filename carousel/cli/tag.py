"""carousel tag"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from carousel.cli.own_cell import NOT_ASKED, OwnCell


def tag(
    run: Path,
    /,
    *text: str,
    data: Annotated[list[Path] | None, Parameter(negative=())] = None,
    pretokenized: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
    out: Path | None = None,
    own: OwnCell = NOT_ASKED,
) -> None:
    """Tag every word of a text, every row of a table or every moment of a sound with a trained tagger.

    For example:

    ```
    carousel tag runs/english "The clouds are in the sky."
    carousel tag runs/english < sentences.txt > tagged.txt
    carousel tag runs/english --json < sentences.txt
    carousel tag runs/movements --data new.csv --out tagged.csv
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    text
        Sentences. Without them and without --data: the lines of standard input.
    data
        Files of the kind of the training data, instead of text. Their tags, if there are any, stand beside the
        predictions in a file (--out).
    pretokenized
        Words are divided by white space, and by nothing else. Without it, as the words of the training data say.
    json
        A line of JSON for each text, with its words, tags, probabilities and spans.
    out
        A file for a table with a row for each step: .csv, .tsv, .parquet or .arrow. Without it, the tags are printed.
    """
    from carousel.cli.terminal import show
    from carousel.errors import DataError
    from carousel.tasks.files import require_writable
    from carousel.tasks.table import WRITTEN, write
    from carousel.tasks.tagging import answers
    from carousel.tasks.tagging.trained import TrainedTagger
    from carousel.training.run_folder import RunFolder

    require_writable(out, WRITTEN)
    if data and (text or json or pretokenized):
        wrong = "the text" if text else "--json" if json else "--pretokenized"
        raise DataError(f"Files are tagged (--data), or texts: leave {wrong} or --data out.")
    trained = TrainedTagger.of(RunFolder.open(run, task="tagging", **own.allowed))
    if data:
        asked = answers.read(trained, data)
    else:
        tagged = answers.tag_texts(trained, text or _lines(run), pretokenized=pretokenized)
        if out is None:
            for line in answers.as_json(tagged) if json else answers.as_lines(tagged):
                show(line + "\n")
            return
        asked = answers.sentences(tagged)
    if out is None:
        for line in answers.printed(trained, asked):
            show(line + "\n")
        return
    frame = answers.table(trained, asked)
    write(frame, out)
    show(f"{frame.height:,} steps: {out}\n")


def _lines(run: Path) -> Iterator[str]:
    """The lines of standard input. Raises DataError for a terminal, at which nobody has typed them."""
    import sys

    from carousel.errors import DataError

    if sys.stdin.isatty():
        raise DataError(f'Nothing to tag is named: carousel tag {run} "a sentence", --data FILE, or < sentences.txt')
    return (line.rstrip("\r\n") for line in sys.stdin)
