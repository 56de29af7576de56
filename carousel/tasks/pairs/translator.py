"""The translator as a Python user meets it, in scikit-learn's manners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from carousel.errors import DataError, speaking
from carousel.models import EncoderDecoder
from carousel.models.beam_search import Search
from carousel.tasks.files import paths_in
from carousel.tasks.fitted_model import FittedModel
from carousel.tasks.pairs import parts, preparation, reading, stored
from carousel.tasks.pairs.examples import Pairs
from carousel.tasks.pairs.scoring import TextScores, require_sacrebleu, scores
from carousel.tasks.pairs.settings import Settings
from carousel.tasks.pairs.trained import TrainedPairs, Written
from carousel.tasks.pairs.training import USUAL
from carousel.tasks.pairs.translation_memory import NAME, TranslationMemory
from carousel.training.progress import Report
from carousel.training.run_folder import RunFolder
from carousel.training.settings import explained_by


@dataclass(frozen=True)
class Evaluation:
    """What a model wrote for some sources, and how good it is.

    scores: of the model; baseline: of the translation memory, None for a run that has lost its pairs. known: how many
    of the pairs have a source or a target that the training part has, up to case and marks. sources, written, targets:
    the texts of each pair, and what the model wrote for its source.
    """

    scores: TextScores
    baseline: TextScores | None
    known: int
    sources: list[str]
    written: list[str]
    targets: list[str]

    @property
    def lines(self) -> list[str]:
        """The evaluation in words."""
        lines = [f"{len(self.targets):,} pairs", f"this model: {self.scores.words}"]
        if self.baseline is not None:
            lines.append(f"{NAME}: {self.baseline.words}")
        if self.known:
            lines.append(f"{self.known:,} of the pairs have a source or a target that the training part has, too")
        if self.scores.bleu is None:
            lines.append("BLEU and chrF need pip install 'carousel-rnn[text]'")
        return lines


@explained_by(Settings)
class Translator(FittedModel[TrainedPairs]):
    """Learns to write a text for another: a translation, an answer, a correction.

        model = carousel.Translator(epochs=20)
        model.fit(["Am I fat?", ...], ["Suis-je gros ?", ...])     # or fit("pairs.tsv"), fit(["train.en", "train.fr"])
        model.predict(["Go get it."])                              # an array of texts
        model.translate("Go get it.", best=3)                      # texts with scores and alignments
        model.score(sources, targets)                              # BLEU / 100

        model = carousel.Translator.load("runs/train")

    It has get_params, set_params, fit, predict and score, and can be cloned. fit seeds torch's global generator with
    `seed`. What a text becomes does not depend on the texts that are translated with it. All methods but `fit`, `load`
    and `resume` raise RunError before `fit`, and DataError for what are no texts.

    verbose: whether to show how the training goes.
    """

    TASK = "pairs"
    CALLED = "A translator"
    _TRAINED = TrainedPairs

    def __init__(
        self,
        *,
        cell: str = "gru",
        hidden: int = 256,
        layers: int = 1,
        bidirectional: bool = True,
        form: str = "attention",
        attention_score: str = "general",
        embedding: int | None = None,
        tied: bool = True,
        dropout: float | None = None,
        learning_rate: float = 3e-3,
        minutes: float | None = None,
        epochs: float | None = None,
        validation_share: float = 0.05,
        batch: int | None = None,
        label_smoothing: float = 0.1,
        scheduled_sampling: float = 0.0,
        source: str | None = None,
        target: str | None = None,
        level: str | None = None,
        vocabulary: int | None = None,
        longest: int = 200,
        seed: int = 0,
        device: str = "auto",
        threads: int | None = None,
        verbose: bool = False,
    ) -> None:
        self._store(locals())

    # -- learning ---------------------------------------------------------------------------------------------------

    @speaking(python=True)
    def fit(self, X: Any, y: Any = None, *, out: str | Path | None = None, report: Report | None = None) -> Self:
        """Learns from sources and their targets, and returns this object.

        X: a list of texts, with y the list of their targets; or, without y, the name of a table of pairs, or a list of
            the names of two files of texts.
        out: the run folder to keep; without it the run leaves nothing behind.
        report: is told of the progress. Default: nothing is shown, or with `verbose` the terminal.
        Raises DataError where the pairs or a parameter cannot be used, RunError where the run cannot be written,
        KeyboardInterrupt after Ctrl-C; with `out` the run is saved then, and `resume` goes on.
        """

        def prepared(settings: Settings, report: Report) -> preparation.Prepared:
            files = [] if y is not None else paths_in(X)
            pairs = _given(X, y) if y is not None else self.read(files)
            return preparation.prepare(pairs, settings, report, files)

        return self._learn(prepared, out=out, report=report)

    def read(self, paths: Sequence[Path], *, asked: bool = False) -> Pairs:
        """The pairs in files. paths: the files, as for `fit`. asked: whether texts without targets will do.

        Raises DataError where the files cannot be read so."""
        chosen = self.get_params()
        return reading.read(paths, source=chosen["source"], target=chosen["target"], asked=asked)

    def _take(self, folder: RunFolder, device: str) -> None:
        super()._take(folder, device)
        self._pairs = stored.StoredPairs.load(folder.path) if (folder.path / stored.FILE).exists() else None

    # -- answering --------------------------------------------------------------------------------------------------

    @speaking(python=True)
    def translate(
        self,
        texts: str | Sequence[str],
        *,
        beam: int = USUAL.beam,
        best: int = 1,
        length_penalty: float = USUAL.length_penalty,
        coverage_penalty: float = USUAL.coverage_penalty,
        shortest: int = 0,
        longest: int | None = None,
    ) -> list[list[Written]]:
        """The `best` texts for each source, with their scores and alignments, best first.

        texts: one text or several. beam: how many hypotheses the search follows; 1 is greedy. length_penalty,
        coverage_penalty, shortest, longest: as for `carousel.models.beam_search.Search`; longest at most twice the
        symbols of the source and ten more. An empty source has the empty text.
        Raises DataError for what is no text, and for a search that cannot be.
        """
        trained, texts = self._fitted("asked"), [texts] if isinstance(texts, str) else list(texts)
        _require_texts(texts, "translated")
        try:
            how = Search(beam, best, length_penalty, coverage_penalty, shortest, longest or int(USUAL.longest))  # type: ignore[arg-type]
        except ValueError as problem:
            raise DataError(f"The search for a translation cannot be: {problem}.") from None
        found = trained.write([text.strip() for text in texts], how)
        if lost := [k for k, mine in enumerate(found) if not mine]:
            raise DataError(
                f"The model has no text for {texts[lost[0]][:40]!r}: what it computes is no number, or no text is long "
                f"enough (shortest {shortest})."
            )
        return found

    @speaking(python=True)
    def predict(self, X: str | Sequence[str]) -> np.ndarray:
        """The best text for each source of X, (N,) of str."""
        return np.array([mine[0].text for mine in self.translate(X)], dtype=object)

    @speaking(python=True)
    def score(self, X: Sequence[str], y: Sequence[str]) -> float:
        """BLEU / 100 of what `predict` writes for the sources X, whose targets are y.

        Raises CarouselError without the package sacrebleu, DataError where X and y do not fit each other."""
        require_sacrebleu()
        pairs = _given(X, y)
        bleu = scores(self.predict(pairs.sources).tolist(), pairs.require_targets("Scoring")).bleu
        return float(bleu or 0.0) / 100

    @speaking(python=True)
    def evaluate(self, X: Any, y: Any = None) -> Evaluation:
        """BLEU, chrF and the share of texts that are right as a whole, beside those of the translation memory. X, y: as
        for `fit`. Pairs with an empty side are left out.

        Raises DataError where the pairs cannot be read, or none has both sides."""
        pairs = _given(X, y) if y is not None else self.read(paths_in(X))
        pairs = pairs.at(pairs.both)
        targets, sources = pairs.require_targets("Evaluating"), list(pairs.sources)
        if not sources:
            raise DataError(f"{pairs.where} has no pair with both sides to evaluate on.")
        written = [str(text) for text in self.predict(sources)]
        baseline, known = None, 0
        if self._pairs is not None:
            learnt = self._pairs.part(held=False)
            memory = TranslationMemory(*learnt)
            baseline = scores([memory.answer(text) for text in sources], targets)
            keys = [set(map(parts.key_of, side)) for side in learnt]
            known = sum(
                parts.key_of(x) in keys[0] or parts.key_of(y) in keys[1] for x, y in zip(sources, targets, strict=True)
            )
        return Evaluation(scores(written, targets), baseline, known, sources, written, targets)

    def held_out(self) -> tuple[list[str], list[str]]:
        """The sources and targets that the training held out. Raises DataError for a run that has lost its pairs."""
        self._fitted("asked")
        if self._pairs is None:
            raise DataError(f"This run has no {stored.FILE} any more: name data, or a text.")
        return self._pairs.part(held=True)

    def strange(self, text: str) -> list[str]:
        """The characters of `text` that no training source had, each once."""
        return self._fitted("asked").strange(text)

    @property
    def network(self) -> EncoderDecoder:
        """The trained network, in double precision."""
        return self._fitted("asked").network


def _given(X: Any, y: Any) -> Pairs:
    """The pairs of two lists of texts."""
    sources, targets = (list(side) if not isinstance(side, str) else [side] for side in (X, y))
    if len(sources) != len(targets):
        raise DataError(f"Each source has one target, and {len(sources):,} sources and {len(targets):,} are given.")
    for side, what in ((sources, "read"), (targets, "written")):
        _require_texts(side, what)
    return Pairs(sources, targets, range(1, len(sources) + 1), "the lists that were given")


def _require_texts(texts: Sequence[Any], what: str) -> None:
    strange = next((text for text in texts if not isinstance(text, str)), None)
    if strange is not None:
        raise DataError(f"Texts are {what}, and {type(strange).__name__} is given: {strange!r:.40}.")
