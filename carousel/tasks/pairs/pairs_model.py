"""What the models of pairs share, as Python users meet them, in scikit-learn's manners."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from carousel.errors import DataError, RunError, speaking
from carousel.models.beam_search import Search
from carousel.tasks.files import paths_in
from carousel.tasks.fitted_model import FittedModel
from carousel.tasks.pairs import parts, preparation, sources, stored
from carousel.tasks.pairs.evaluation import Evaluation
from carousel.tasks.pairs.examples import Pairs, empty
from carousel.tasks.pairs.heads.decoder import DecoderHead
from carousel.tasks.pairs.scoring import require_sacrebleu, scores
from carousel.tasks.pairs.settings import Settings
from carousel.tasks.pairs.sources.text import texts_in
from carousel.tasks.pairs.trained import TrainedPairs
from carousel.tasks.pairs.written import Written
from carousel.training.progress import Report
from carousel.training.run_folder import RunFolder


class PairsModel(FittedModel[TrainedPairs]):
    """A model that writes a text for a source; `Translator` and `Captioner` are it for one kind of source each.

    KINDS: the kinds of sources that it reads, see `carousel.tasks.pairs.sources`; the last of them is what Python
    objects are, and files that no kind recognises. This class itself opens runs of all kinds. A derived class has a
    method by its own name for `_write`.
    """

    TASK = "pairs"
    CALLED = "A model of pairs"
    KINDS: ClassVar[tuple[str, ...]] = tuple(sources.KINDS)
    _TRAINED = TrainedPairs

    def __init__(
        self,
        *,
        cell: str = "gru",
        hidden: int | None = None,
        layers: int | None = None,
        bidirectional: bool = True,
        head: str | None = None,
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
        side: int | None = None,
        channels: int = 128,
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

        X: a list of sources, with y the list of their targets, which are texts; or, without y, the names of files of
            pairs, as `carousel train` takes them.
        out: the run folder to keep; without it the run leaves nothing behind.
        report: is told of the progress. Default: nothing is shown, or with `verbose` the terminal.
        Raises DataError where the pairs or a parameter cannot be used, RunError where the run cannot be written,
        KeyboardInterrupt after Ctrl-C; with `out` the run is saved then, and `resume` goes on.
        """

        def prepared(settings: Settings, report: Report) -> preparation.Prepared:
            files = [] if y is not None else paths_in(X)
            pairs = self._given(X, y) if y is not None else self.read(files)
            return preparation.prepare(pairs, settings, report, files)

        return self._learn(prepared, out=out, report=report)

    def read(self, paths: Sequence[Path], *, asked: bool = False) -> Pairs:
        """The pairs in files. paths: the files, as for `fit`. asked: whether sources without targets will do.

        Raises DataError where the files cannot be read so."""
        chosen = self.get_params()
        kinds = self.KINDS if self._trained is None else (self._trained.source.kind,)
        return sources.read(paths, source=chosen["source"], target=chosen["target"], asked=asked, kinds=kinds)

    def _take(self, folder: RunFolder, device: str) -> None:
        super()._take(folder, device)
        source = self._fitted("asked").source
        if source.kind not in self.KINDS:
            raise RunError(
                f"{folder.path} reads {source.plural}, and {type(self).__name__} is for runs that read "
                f"{' or '.join(sources.of_kind(one).plural for one in self.KINDS)}. Such a run is asked so: "
                f"{source.asks(str(folder.path))[0]}"
            )
        self._pairs = stored.StoredPairs.load(folder.path) if (folder.path / stored.FILE).exists() else None

    # -- answering --------------------------------------------------------------------------------------------------

    def _write(self, items: Sequence[Any], how: Any) -> list[list[Written]]:
        """The `how.best` texts for each source, best first. Raises DataError for a source that cannot be read."""
        trained = self._fitted("asked")
        found = trained.write([trained.source.keep(item) for item in items], how)
        if lost := [k for k, mine in enumerate(found) if not mine]:
            named = trained.source.named(items[lost[0]], lost[0])
            raise DataError(
                f"The model has no text for {named[:40]!r}: what it computes is no number, or no text is long "
                f"enough (shortest {how.shortest})."
            )
        return found

    def _items(self, X: Any) -> list[Any]:
        """Sources of the kind that the model reads. Raises DataError for anything else."""
        return sources.of_kind(self._fitted("asked").source.kind).given(X)

    @speaking(python=True)
    def predict(self, X: Any) -> np.ndarray:
        """The best text for each source of X, (N,) of str."""
        return np.array(
            [mine[0].text for mine in self._write(self._items(X), self._fitted("asked").head.usual)], dtype=object
        )

    @speaking(python=True)
    def score(self, X: Any, y: Sequence[str]) -> float:
        """BLEU / 100 of what `predict` writes for the sources X, whose targets are y.

        Raises CarouselError without the package sacrebleu, DataError where X and y do not fit each other."""
        require_sacrebleu()
        pairs = self._given(X, y)
        bleu = scores(self.predict(pairs.sources).tolist(), pairs.require_targets("Scoring")).bleu
        return float(bleu or 0.0) / 100

    @speaking(python=True)
    def evaluate(self, X: Any, y: Any = None) -> Evaluation:
        """How good the model is on pairs, beside the naive baseline: BLEU, chrF, the share of texts that are right as a
        whole, and of words. X, y: as for `fit`; of a table that names parts, the rows of the test part. Pairs with an
        empty side are left out.

        Raises DataError where the pairs cannot be read, or none has both sides."""
        pairs = self._given(X, y) if y is not None else self.read(paths_in(X), asked=True)
        trained = self._fitted("asked")
        targets = [text.strip() for text in pairs.require_targets("Evaluating")]
        kept = sources.kept(trained.source, pairs)
        both = [k for k, one in enumerate(kept) if not empty(one) and targets[k]]
        kept, targets, pairs = [kept[k] for k in both], [targets[k] for k in both], pairs.at(both)
        if not both:
            raise DataError(f"{pairs.where} has no pair with both sides to evaluate on.")
        found = trained.write(kept, trained.head.usual)
        written = [mine[0].text if mine else "" for mine in found]
        baseline, known = None, 0
        if self._pairs is not None:
            learnt = self._pairs.part(held=False)
            memory = trained.source.memory(*learnt)
            baseline = scores([memory.answer(one) for one in kept], targets)
            known = parts.known(kept, targets, *learnt)
        named = [trained.source.named(one, k) for k, one in enumerate(pairs.sources)]
        mine = scores(written, targets)
        return Evaluation(mine, baseline, known, named, written, targets, trained.source.baseline, pairs.said)

    def held_out(self) -> tuple[list[Any], list[str]]:
        """The sources, as the run keeps them, and the targets that the training held out. Raises DataError for a run
        that has lost its pairs."""
        self._fitted("asked")
        if self._pairs is None:
            raise DataError(f"This run has no {stored.FILE} any more: name data.")
        return self._pairs.part(held=True)

    @property
    def network(self) -> Any:
        """The trained network, in double precision."""
        return self._fitted("asked").network

    def _given(self, X: Any, y: Any) -> Pairs:
        """The pairs of two lists. Raises DataError for what are no sources and texts, and for two lengths."""
        kind = self.KINDS[-1] if self._trained is None else self._trained.source.kind
        items, targets = sources.of_kind(kind).given(X), texts_in(y, "written")
        if len(items) != len(targets):
            raise DataError(f"Each source has one target, and {len(items):,} sources and {len(targets):,} are given.")
        return Pairs(items, targets, range(1, len(items) + 1), "the lists that were given", kind, "pair")


def how_to_search(
    beam: int, best: int, length_penalty: float, coverage_penalty: float, shortest: int, longest: int | None
) -> Search:
    """The search with these options. Raises DataError where it cannot be."""
    try:
        return Search(beam, best, length_penalty, coverage_penalty, shortest, longest or int(DecoderHead.usual.longest))  # type: ignore[arg-type]
    except ValueError as problem:
        raise DataError(f"The search for a text cannot be: {problem}.") from None
