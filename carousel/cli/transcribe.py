"""carousel transcribe"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from carousel.cli.own_cell import NOT_ASKED, OwnCell

if TYPE_CHECKING:
    from carousel.tasks.pairs.written import Written

AT_ONCE = 16  # sounds that are transcribed together


def transcribe(
    run: Path,
    /,
    *sound: Path,
    beam: int | None = None,
    n_best: int = 1,
    word_list: Path | None = None,
    times: Annotated[bool, Parameter(negative=())] = False,
    own: OwnCell = NOT_ASKED,
) -> None:
    """Write down what is said in sounds, with a model that was trained on sounds and their texts. Writes one line for
    each sound.

    For example:

    ```
    carousel transcribe runs/digits a.wav
    carousel transcribe runs/digits *.wav --n-best 3
    carousel transcribe runs/digits a.wav --times
    carousel transcribe runs/digits a.wav --word-list words.txt
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    sound
        Sound files: .wav, and with `carousel-rnn[audio]` .flac, .ogg, .mp3 and others.
    beam
        How many texts the search follows at once. Without it: 10, or 5 with a decoder.
    n_best
        Texts for each sound, likeliest first, each after its score, which is ln P with the head ctc.
    word_list
        A file with a word in each line: only texts of these words are written.
    times
        Below each text, a line for each symbol: when it begins and ends in seconds, and the symbol.
    """
    from carousel.cli.terminal import remark, show_exactly
    from carousel.errors import DataError
    from carousel.tasks.files import require_existing
    from carousel.tasks.pairs.transcriber import Transcriber, read_words, unwritable

    require_existing(sound)
    if not sound:
        raise DataError(f"Nothing to transcribe is named: carousel transcribe {run} a.wav")
    words = None if word_list is None else read_words(word_list)
    model = Transcriber.load(run, **own.allowed)
    if words is not None and (strange := unwritable(model.trained, words)):
        remark(f"the model cannot write {len(strange):,} words of the list: {', '.join(strange[:5])}")
    if times and model.trained.head.name != "ctc":
        raise DataError("--times needs a model with the head ctc, which writes while it reads: leave --times out.")
    for start in range(0, len(sound), AT_ONCE):
        files = list(sound[start : start + AT_ONCE])
        for file, mine in zip(files, model.transcribe(files, beam=beam, best=n_best, words=words), strict=True):
            if not mine[0].read:
                remark(f"{file} is silent: it has the empty text")
            for one in mine:
                show_exactly(_line(file, one, named=len(sound) > 1, scored=n_best > 1))
                show_exactly("".join(_moments(one)) if times else "")


def _line(file: Path, one: "Written", *, named: bool, scored: bool) -> str:
    before = f"{file}\t" if named else ""
    score = f"{one.score:8.3f}  " if scored else ""
    return f"{before}{score}{' '.join(one.text.splitlines())}\n"


def _moments(one: "Written") -> list[str]:
    if one.times is None:
        return []
    spans = zip(one.pieces, one.times.tolist(), strict=True)
    return [f"{begin:8.2f} {end:8.2f}  {piece.strip() or '␣'}\n" for piece, (begin, end) in spans]
