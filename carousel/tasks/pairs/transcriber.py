"""The transcriber as a Python user meets it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from carousel.errors import DataError, option, speaking
from carousel.models.ctc_model import CTCStream, Emission
from carousel.models.prefix_search import PrefixSearch
from carousel.models.word_list import WordList
from carousel.tasks.pairs.heads.ctc import CTCHead
from carousel.tasks.pairs.heads.decoder import DecoderHead
from carousel.tasks.pairs.pairs_model import PairsModel, how_to_search
from carousel.tasks.pairs.scoring import scores
from carousel.tasks.pairs.settings import Settings
from carousel.tasks.pairs.symbols import TextSymbols
from carousel.tasks.pairs.trained import TrainedPairs
from carousel.tasks.pairs.written import Written
from carousel.training.settings import explained_by

LISTED = ("char", "word", "byte")  # levels at which a list of words can be followed


@explained_by(Settings)
class Transcriber(PairsModel):
    """Learns to write down what is said in a sound.

        model = carousel.Transcriber(epochs=20)
        model.fit("recordings")                                 # a folder with a table of sounds and their texts
        model.fit([(samples, 8000), ...], ["seven three", ...])
        model.predict(["a.wav", "b.wav"])                       # an array of texts
        model.transcribe("a.wav", best=3, words=["one", ...])   # texts with ln P, and with the times of their symbols
        model.stream().push(samples)                            # with bidirectional=False: as the sound arrives

        model = carousel.Transcriber.load("runs/train")

    A sound is the name of a file, or its samples with their rate, (n,) or (n, channels). It has get_params, set_params,
    fit, predict and score, and can be cloned. fit seeds torch's global generator with `seed`. What is written for a
    sound does not depend on the sounds that are transcribed with it. All methods but `fit`, `load` and `resume` raise
    RunError before `fit`, and DataError for what are no sounds.

    verbose: whether to show how the training goes.
    """

    CALLED = "A transcriber"
    KINDS = ("sound",)

    @speaking(python=True)
    def transcribe(
        self, sounds: Any, *, beam: int | None = None, best: int = 1, words: Sequence[str] | None = None
    ) -> list[list[Written]]:
        """The `best` texts for each sound, with ln P and, from the head ctc, the times of their symbols, best first.

        sounds: one sound or several. beam: how many texts the search follows at once; without it 10, or 5 with a
        decoder. best: no text comes twice, and there may be fewer. words: only texts of these words are written; for
        the head ctc at the levels char, word and byte. A sound that is silent has the empty text.
        Raises DataError for what is no sound, for a word that cannot be written, and for a search that cannot be.
        """
        trained = self._fitted("asked")
        return self._write(self._items(sounds), _search(trained, beam, best, words))

    @speaking(python=True)
    def score(self, X: Any, y: Sequence[str]) -> float:
        """1 less the character error rate of what `predict` writes for the sounds X, whose texts are y.

        Raises DataError where X and y do not fit each other."""
        pairs = self._given(X, y)
        return 1 - scores(self.predict(pairs.sources).tolist(), pairs.require_targets("Scoring")).character_errors

    @speaking(python=True)
    def stream(self) -> TranscriptStream:
        """An object that transcribes a sound as it arrives; see `TranscriptStream`.

        Raises DataError for a model that needs the end of a sound."""
        return TranscriptStream(self._fitted("asked"))


class Spoken(NamedTuple):
    """text: what was written. seconds: when its first symbol was, from the start of the sound; nan for no text."""

    text: str
    seconds: float


class TranscriptStream:
    """Transcribes one sound as it arrives, in constant memory: made by `Transcriber.stream()`.

        stream = model.stream()
        for samples in microphone:              # any number of them, `stream.rate` a second
            print(stream.push(samples).text, end="")
        print(stream.finish().text)

    What `push` and `finish` return is, piece after piece, the text along the best path of the whole sound. It is what a
    search with a beam finds where the model is sure. trained: what a run trained. Raises DataError for a model with a
    decoder, or one that reads sounds in both directions: they need the end.
    """

    def __init__(self, trained: TrainedPairs) -> None:
        if trained.head is not CTCHead or trained.network.recurrent.bidirectional:
            raise DataError(
                f"This model needs the end of a sound before it writes. One that is trained with the head ctc and "
                f"{option('bidirectional', False)} writes while a sound arrives."
            )
        source: Any = trained.source
        self.rate: int = source.front_end.rate
        self._source, self._frames = source, source.stream()
        self._ctc = CTCStream(trained.network, () if trained.target.unknown is None else (trained.target.unknown,))
        self._text = _Text(trained.target)

    def push(self, samples: np.ndarray) -> Spoken:
        """Reads samples, (n,), and returns what was written for them. Floats are between -1 and 1; whole numbers are
        PCM. Raises DataError for what are no samples."""
        return self._spoken(self._ctc.push(self._frames.push(samples)))

    def finish(self) -> Spoken:
        """Nothing more comes: what waited for more is read, and the last of the text is returned."""
        found = self._ctc.push(self._frames.finish()) + self._ctc.finish()
        spoken = self._spoken(found)
        return Spoken(spoken.text + self._text.rest(), spoken.seconds)

    def _spoken(self, found: Sequence[Emission]) -> Spoken:
        seconds = float(self._source.seconds(np.array(found[0].step))) if found else float("nan")
        return Spoken("".join(self._text.push(one.symbol) for one in found), seconds)


class _Text:
    """A text of symbols that come one by one: without spaces before it and after it, as `TextSymbols.decode` has it."""

    def __init__(self, target: TextSymbols) -> None:
        self._decoder = target.decoder()
        self._spaces, self._begun = "", False

    def push(self, symbol: int) -> str:
        return self._out(self._decoder.push(symbol - 1))

    def rest(self) -> str:
        return self._out(self._decoder.flush())

    def _out(self, text: str) -> str:
        whole = self._spaces + text
        written = whole.rstrip()
        self._spaces = whole[len(written) :]
        if not self._begun:
            written = written.lstrip()
            self._spaces = "" if not written else self._spaces
        self._begun = self._begun or bool(written)
        return written


def _search(trained: TrainedPairs, beam: int | None, best: int, words: Sequence[str] | None) -> Any:
    beam = max(trained.head.usual.beam, best) if beam is None else beam
    if trained.head is not CTCHead:
        if words is not None:
            raise DataError(
                "A list of words is for models with the head ctc, and this one has a decoder: leave it out."
            )
        return how_to_search(beam, best, DecoderHead.usual.length_penalty, 0, 0, None)
    listed = None if words is None else word_list(trained.target, words)
    try:
        return PrefixSearch(beam, best, words=listed)
    except ValueError as problem:
        raise DataError(f"The search for a text cannot be: {problem}.") from None


def word_list(target: TextSymbols, words: Sequence[str]) -> WordList:
    """The words of a list as symbols of a model. A word whose symbols the model does not all know cannot be written.

    Raises DataError for a level that does not divide texts at words, and where no word can be written."""
    if target.level not in LISTED:
        raise DataError(
            f"A list of words is followed at the levels {', '.join(LISTED)}, and this model writes by {target.level}."
        )
    found = [target.encode(word.strip()).tolist() for word in words if word.strip()]
    known = [word for word in found if target.unknown not in word]
    if not known:
        raise DataError(
            f"The model can write none of the {len(found):,} words of the list: it does not know all {target.level}s "
            f"of any. Are they written as in its training texts, capitals too?"
        )
    separator = None if target.level == "word" else int(target.encode(" ")[0])
    if separator is not None and separator == target.unknown:
        separator = 0  # no training text had a space: a text is one word
    return WordList(known, separator)


def unwritable(trained: TrainedPairs, words: Sequence[str]) -> list[str]:
    """The words of a list that a model cannot write, because it does not know all their symbols."""
    return [word for word in words if word.strip() and trained.target.unknown in trained.target.encode(word.strip())]


def read_words(path: Path) -> list[str]:
    """The words of a file, one in each line. Raises DataError where it cannot be read, or has none."""
    from carousel.tasks.pairs.sources.text_files import lines_of

    words = [line.strip() for line in lines_of(path) if line.strip()]
    if not words:
        raise DataError(f"{path} holds no words: a word list has one in each line.")
    return words
