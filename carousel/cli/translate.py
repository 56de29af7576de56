"""carousel translate"""

from pathlib import Path
from typing import TYPE_CHECKING

from carousel.cli.own_cell import NOT_ASKED, OwnCell

if TYPE_CHECKING:
    from carousel.tasks.pairs.trained import Written

AT_ONCE = 64  # lines of standard input that are translated together


def translate(
    run: Path,
    /,
    *text: str,
    beam: int = 5,
    n_best: int = 1,
    length_penalty: float = 0.6,
    coverage_penalty: float = 0.0,
    shortest: int = 0,
    longest: int | None = None,
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
    beam
        How many hypotheses the search follows at once; 1 is greedy search.
    n_best
        Texts for each source, best first, each after its score.
    length_penalty
        With 0 the likeliest text is the best; the more, the longer the texts.
    coverage_penalty
        The more, the more of the source must have been attended to.
    shortest
        Symbols of a text at least.
    longest
        Symbols of a text at most. Without it: twice as many as the source has, and ten more.
    alignment
        A picture (.png, .svg, .pdf) of what each symbol of the text attended to; for one text.
    """
    import sys
    from itertools import islice

    from carousel.cli.terminal import remark, show_exactly
    from carousel.errors import DataError
    from carousel.insight.saving import PICTURES
    from carousel.tasks.files import require_writable
    from carousel.tasks.pairs.translator import Translator

    require_writable(alignment, PICTURES)
    if alignment is not None and len(text) != 1:
        raise DataError(f"--alignment draws the alignment of one text, and {len(text)} are given.")
    model = Translator.load(run, **own.allowed)
    if alignment is not None and model.network.form == "summary":
        raise DataError(
            "--alignment draws what each symbol attended to, and a model of the form summary attends to nothing: leave "
            "--alignment out, or train a model with --form attention."
        )
    lines = iter(text) if text else (line.rstrip("\r\n") for line in sys.stdin)
    while batch := list(islice(lines, AT_ONCE if text or not sys.stdin.isatty() else 1)):
        for line in batch:
            if strange := model.strange(line):
                remark(f"no training source had these characters: {' '.join(strange[:10])} (in {line[:40]!r})")
        found = model.translate(
            batch, beam=beam, best=n_best, length_penalty=length_penalty, coverage_penalty=coverage_penalty,
            shortest=shortest, longest=longest,
        )  # fmt: skip
        for mine in found:
            show_exactly("".join(map(_line if n_best == 1 else _scored, mine)))
        if alignment is not None:
            _draw(alignment, found[0][0])


def _line(one: "Written") -> str:
    # One line for each source, so that line n of the output belongs to line n of the input.
    return " ".join(one.text.splitlines()) + "\n"


def _scored(one: "Written") -> str:
    return f"{one.score:8.3f}  {_line(one)}"


def _draw(path: Path, one: "Written") -> None:
    from carousel.insight.alignment import draw_alignment

    if one.alignment is not None:
        draw_alignment(path, one.alignment, read=one.read, written=one.pieces, title=one.text)
