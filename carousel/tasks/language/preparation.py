"""Everything that is decided before a language model is trained, from text files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from carousel.errors import DataError, option
from carousel.models import FillModel, TokenModel
from carousel.tasks import vocabulary
from carousel.tasks.kinds_of_files import named
from carousel.tasks.language import corpus, neighbour_baseline, ngram_baseline
from carousel.tasks.language.pieces import pieces_in
from carousel.tasks.language.settings import WORDS, Settings
from carousel.training.building import naming_cell, parameter_count
from carousel.training.lanes import Lanes
from carousel.training.progress import Report
from carousel.training.run_cell import absolute_cell
from carousel.training.threads import choose_threads

VALIDATED_ON = 131_072  # tokens at most, while training; the end judges on more
MOST_SOURCES = 1000  # files that the run records


@dataclass(frozen=True)
class Prepared:
    """Everything that is decided before a training (a `Preparation`): the texts, their symbols and the network.

    settings: every choice is made, except the dropout and the steps of a training by the clock, which depend on its
    speed. tokens: how many the whole text has. model: the arguments of the network.
    """

    TASK: ClassVar[str] = "language"
    DATA: ClassVar[str] = corpus.TOKENS

    settings: Settings
    sources: corpus.Sources
    symbols: vocabulary.Vocabulary
    tokens: int
    model: dict[str, Any]
    steps_per_epoch: int

    def network(self) -> TokenModel | FillModel:
        return network_of(self.symbols.size, self.model, self.settings)

    def write(self, folder: Path) -> dict[str, Any]:
        """Writes the symbols of the text, and counts the n-gram baseline on them."""
        settings = self.settings
        text = corpus.write(self.sources, self.symbols, self.tokens, folder, validation_share=settings.validation_share)
        return {
            "sources": [corpus.identity(file) for file in self.sources.files[:MOST_SOURCES]],
            "model": self.model,
            "corpus": text.to_json(),
            "baseline": self._baseline(text),
            "vocabulary": self.symbols.to_json(),
        }

    def _baseline(self, text: corpus.Corpus) -> dict[str, Any]:
        """The naive baseline: counts of what follows, and for missing words counts of both neighbours."""
        judged = text.validation[:VALIDATED_ON]
        if self.settings.fill:
            nats = neighbour_baseline.count(text.training, self.symbols.size).nats(judged)
            return {"name": neighbour_baseline.NAME, "nats_per_token": [nats], "trained_on": len(text.training)}
        orders = 3 if self.settings.level in WORDS else 6
        counts = ngram_baseline.count(text.training, judged, self.symbols.size, orders=orders)
        return {"name": counts.name, "nats_per_token": counts.nats, "trained_on": counts.trained_on}


def prepare(paths: Sequence[str | Path], settings: Settings, report: Report) -> Prepared:
    """Decides and reports what the text is, which symbols it has, and which network learns them.

    Trains and writes nothing. Raises DataError where the text or a setting cannot be used."""
    sources = corpus.find(paths, any_bytes=settings.level == "byte")
    settings = _resolved(settings, choose_threads(settings, report.say))
    assert settings.level is not None
    model = {
        "cell": settings.cell,
        "hidden": settings.hidden,
        "layers": settings.layers,
        "embedding": settings.embedding,
    }
    # A cell or a device that cannot be used raises here, before a long text is read.
    network_of(1, model, settings).to(settings.torch_device)
    share = 1 - settings.validation_share
    symbols, tokens = corpus.survey(sources, settings.level, words=settings.words, training_share=share)
    _announce_text(sources, symbols, tokens, report)
    learnt = int(tokens * share)
    if learnt < settings.window + 1 or tokens - learnt < 2:
        raise DataError(
            f"{' '.join(map(str, paths))} is too short: its first {100 * share:.0f} % must fill at least one window of "
            f"{settings.window} steps, and it has {tokens:,} {settings.level}s in all. "
            f"Give more text, a shorter window ({option('window', max(1, learnt // 4))}), "
            f"or hold out less of it ({option('validation_share')})."
        )
    if settings.fill:
        steps, reads = -(-pieces_in(learnt, settings.window) // settings.lanes), f"{settings.lanes} pieces a step"
    else:
        placeholder = np.broadcast_to(np.int8(0), learnt)  # as long as the training text, without memory
        lanes = Lanes(placeholder, lanes=settings.lanes, window=settings.window)
        steps, reads = lanes.windows_per_epoch, f"{lanes.lanes} lanes, windows"
    reads = f"{reads} of {settings.window} {'words' if settings.fill else 'steps'}"
    _announce_model(network_of(symbols.size, model, settings), reads, settings, learnt, tokens - learnt, report)
    return Prepared(settings, sources, symbols, tokens, model, steps)


def _resolved(settings: Settings, threads: int) -> Settings:
    """The settings with the choices that depend on the machine or on other settings: a resumed run repeats them."""
    return replace(
        settings,
        level=settings.level or ("word" if settings.fill else "char"),
        cell=absolute_cell(settings.cell),
        embedding=settings.embedding or (settings.hidden if settings.fill else max(1, settings.hidden // 2)),
        minutes=settings.budget.minutes,
        device=str(settings.torch_device),
        threads=threads,
    )


def network_of(symbols: int, model: dict[str, Any], settings: Settings) -> TokenModel | FillModel:
    """The network with the weights that training begins with. Raises DataError for a cell that it cannot have."""
    torch.manual_seed(settings.seed)
    with naming_cell(settings.cell, "language model"):
        return (FillModel if settings.fill else TokenModel)(symbols, **model, dropout=settings.dropout or 0.0)


def _announce_text(sources: corpus.Sources, symbols: vocabulary.Vocabulary, tokens: int, report: Report) -> None:
    what = sources.files[0].name if len(sources.files) == 1 else f"{len(sources.files):,} files"
    kinds = {"char": "different characters", "byte": "possible bytes", "word": "words known", "token": "known"}[
        symbols.level
    ]
    known = symbols.size - (symbols.unknown is not None)
    report.say(f"{what}: text, {sources.bytes:,} bytes; {tokens:,} {symbols.level}s, {known:,} {kinds}")
    if sources.skipped:
        names = ", ".join(file.name for file in sources.skipped[:3])
        more = f" and {len(sources.skipped) - 3:,} more" if len(sources.skipped) > 3 else ""
        report.say(f"passed over, as they are not UTF-8 text: {names}{more}")
    if sources.companions:
        report.say(f"left, as they are beside the texts: {named(sources.companions)}")


def _announce_model(
    network: TokenModel | FillModel, reads: str, settings: Settings, learnt: int, held: int, report: Report
) -> None:
    report.say(f"the first {learnt:,} {settings.level}s to learn from, the last {held:,} to validate on")
    if held > VALIDATED_ON:
        report.say(f"validation while training uses the first {VALIDATED_ON:,} of those")
    report.say(
        f"model: {settings.cell}, {settings.layers} x {settings.hidden} units{' on either side' * settings.fill}, "
        f"{parameter_count(network):,} parameters; {reads}; "
        f"{settings.device}, {settings.threads} threads"
    )
