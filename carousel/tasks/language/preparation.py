"""From text files to all that is decided before a language model is trained."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from carousel.errors import DataError, option
from carousel.models import TokenModel
from carousel.tasks.kinds_of_files import named
from carousel.tasks.language import corpus, vocabulary
from carousel.tasks.language.settings import Settings
from carousel.training.lanes import Lanes
from carousel.training.progress import Report
from carousel.training.run_cell import absolute_cell
from carousel.training.session import (
    parameter_count,
    running,
)

VALIDATED_ON = 131_072  # tokens at most, while training; the end judges on more


@dataclass(frozen=True)
class Prepared:
    """All that is decided before a training begins; nothing is written yet.

    `settings` has nothing left open but the dropout and the steps of a training by the clock."""

    settings: Settings
    sources: corpus.Sources
    symbols: vocabulary.Vocabulary
    tokens: int  # of the whole text
    model: dict[str, Any]  # the arguments of the network
    steps_per_epoch: int


def prepare(paths: Sequence[str | Path], settings: Settings, report: Report) -> Prepared:
    """Decide, and say, what the text is, its symbols and what network learns them. Trains and writes nothing.

    Raises DataError where the text or a setting cannot be used."""
    sources = corpus.find(paths, any_bytes=settings.level == "byte")
    settings = _resolved(settings)
    model = {
        "cell": settings.cell,
        "hidden": settings.hidden,
        "layers": settings.layers,
        "embedding": settings.embedding,
    }
    network_of(1, model, settings).to(
        settings.torch_device
    )  # a cell or a device that cannot be used is refused before a long text is read
    share = 1 - settings.validation_share
    symbols, tokens = corpus.survey(sources, settings.level, words=settings.words, training_share=share)
    _announce_text(sources, symbols, tokens, settings, report)
    learnt = int(tokens * share)
    if learnt < settings.window + 1 or tokens - learnt < 2:
        raise DataError(
            f"{' '.join(map(str, paths))} is too short: its first {100 * share:.0f} % must fill at least one window of "
            f"{settings.window} steps, and it has {tokens:,} {settings.level}s in all. "
            f"Give more text, a shorter window ({option('window', max(1, learnt // 4))}), "
            f"or hold out less of it ({option('validation_share')})."
        )
    symbols_to_come = np.broadcast_to(np.int8(0), learnt)  # as many, in no memory
    lanes = Lanes(symbols_to_come, lanes=settings.lanes, window=settings.window)
    _announce_model(network_of(symbols.size, model, settings), lanes, settings, learnt, tokens - learnt, report)
    return Prepared(settings, sources, symbols, tokens, model, lanes.windows_per_epoch)


def _resolved(settings: Settings) -> Settings:
    """With what was left to be chosen by the machine or by other settings, so that a resumed run chooses the same."""
    return replace(
        settings,
        cell=absolute_cell(settings.cell),
        embedding=settings.embedding or max(1, settings.hidden // 2),
        minutes=settings.budget.minutes,
        device=str(settings.torch_device),
        threads=settings.threads or torch.get_num_threads(),
    )


def network_of(symbols: int, model: dict[str, Any], settings: Settings) -> TokenModel:
    torch.manual_seed(settings.seed)
    with running(settings.cell, "language model"):
        return TokenModel(symbols, **model, dropout=settings.dropout or 0.0)


def _announce_text(
    sources: corpus.Sources, symbols: vocabulary.Vocabulary, tokens: int, settings: Settings, report: Report
) -> None:
    what = sources.files[0].name if len(sources.files) == 1 else f"{len(sources.files):,} files"
    kinds = {"char": "different characters", "byte": "possible bytes", "word": "words known"}[settings.level]
    known = symbols.size - (symbols.unknown is not None)
    report.say(f"{what}: text, {sources.bytes:,} bytes; {tokens:,} {settings.level}s, {known:,} {kinds}")
    if sources.skipped:
        names = ", ".join(file.name for file in sources.skipped[:3])
        more = f" and {len(sources.skipped) - 3:,} more" if len(sources.skipped) > 3 else ""
        report.say(f"passed over, as they are not UTF-8 text: {names}{more}")
    if sources.companions:
        report.say(f"left, as they are beside the texts: {named(sources.companions)}")


def _announce_model(
    network: TokenModel, lanes: Lanes, settings: Settings, learnt: int, held: int, report: Report
) -> None:
    report.say(f"the first {learnt:,} {settings.level}s to learn from, the last {held:,} to validate on")
    if held > VALIDATED_ON:
        report.say(f"validation while training uses the first {VALIDATED_ON:,} of those")
    report.say(
        f"model: {settings.cell}, {settings.layers} x {settings.hidden} units, "
        f"{parameter_count(network):,} parameters; {lanes.lanes} lanes, windows of {lanes.window} steps; "
        f"{settings.device}, {settings.threads} threads"
    )
