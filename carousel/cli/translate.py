"""carousel translate"""

from pathlib import Path

from carousel.cli.own_cell import NOT_ASKED, OwnCell
from carousel.cli.searching import USUAL, Alignment, Searching

AT_ONCE = 64  # lines of standard input that are translated together


def translate(
    run: Path,
    /,
    *text: str,
    search: Searching = USUAL,
    alignment: Path | None = None,
    own: OwnCell = NOT_ASKED,
) -> None:
    """Translate texts with a model that was trained on pairs. Writes one line for each text.

    For example:

    ```
    carousel translate runs/train "Am I fat?"
    carousel translate runs/train "Am I fat?" --n-best 3 --alignment picture.png
    carousel translate runs/train < sources.txt > targets.txt
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    text
        The texts. Without any: the lines of standard input.
    alignment
        A picture (.png, .svg, .pdf) of what each symbol of the text attended to; for one text.
    """
    import sys
    from itertools import islice

    from carousel.cli.terminal import remark
    from carousel.tasks.pairs.translator import Translator

    picture = Alignment(alignment)
    picture.require_one(len(text), "text")
    model = Translator.load(run, **own.allowed)
    picture.require_attention(model)
    lines = iter(text) if text else (line.rstrip("\r\n") for line in sys.stdin)
    while batch := list(islice(lines, AT_ONCE if text or not sys.stdin.isatty() else 1)):
        for line in batch:
            if strange := model.strange(line):
                remark(f"no training source had these characters: {' '.join(strange[:10])} (in {line[:40]!r})")
        found = model.translate(batch, **search.arguments)
        search.show(found)
        picture.draw(model, batch[0], found[0][0])
