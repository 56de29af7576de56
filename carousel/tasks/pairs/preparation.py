"""Everything that is decided before a network is trained on pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from carousel.errors import DataError, option
from carousel.models.source_readers import SymbolReader
from carousel.tasks.pairs import heads, parts, sources, stored
from carousel.tasks.pairs.examples import Pairs
from carousel.tasks.pairs.settings import Head, Settings
from carousel.tasks.pairs.sources import Source
from carousel.tasks.pairs.symbols import TextSymbols
from carousel.tasks.pairs.trained import network_of
from carousel.tasks.pairs.usual import usual_dropout
from carousel.training.building import parameter_count
from carousel.training.progress import Report
from carousel.training.run_cell import absolute_cell
from carousel.training.threads import choose_threads

FEWEST_EPOCHS, MOST_EPOCHS = 3.0, 100.0
FEWEST = 10  # pairs that can be learnt from and validated on
MOST_SOURCES = 1000  # files that the run records


@dataclass(frozen=True)
class Prepared:
    """Everything that is decided before a training (a `Preparation`): the pairs, their symbols and the network.

    settings: every choice is made, except the steps of a training by the clock. pairs: with the part of each.
    source: how sources are read. target: the symbols of the targets. files: where the pairs are from.
    """

    TASK: ClassVar[str] = "pairs"
    DATA: ClassVar[str] = stored.FILE

    settings: Settings
    pairs: stored.StoredPairs
    source: Source
    target: TextSymbols
    files: Sequence[Path] = ()

    @property
    def steps_per_epoch(self) -> int:
        assert self.settings.batch is not None
        learnt = int((~self.pairs.held).sum())
        return -(-learnt // min(self.settings.batch, learnt))

    @property
    def model(self) -> dict[str, Any]:
        """The arguments of the network."""
        return _model(self.settings)

    def network(self) -> Any:
        torch.manual_seed(self.settings.seed)
        return network_of(self.source.reader(self.settings.embedding or 1), self.target.size, self.model)

    def write(self, folder: Path) -> dict[str, Any]:
        """Writes the pairs."""
        self.pairs.save(folder)
        learnt, targets = self.pairs.part(held=False)
        return {
            "model": self.model,
            "source": self.source.to_json(),
            "target": self.target.to_json(),
            "letters": "".join(sorted({letter for text in learnt for letter in text if self.source.symbolic})),
            "longest_target": max(len(self.target.encode(text)) for text in targets),
            "sources": [str(path.absolute()) for path in self.files[:MOST_SOURCES]],
        }


def prepare(pairs: Pairs, settings: Settings, report: Report, files: Sequence[Path] = ()) -> Prepared:
    """Decides and reports which pairs are learnt from, which symbols they have, and which network learns them.

    Trains and writes nothing. Raises DataError where the pairs or a setting cannot be used."""
    for line in pairs.said:
        report.say(line)
    pairs.require_targets("Training")
    kind = sources.of_kind(pairs.kind)
    settings = _resolved(settings, len(pairs), kind, report)
    network_of(SymbolReader(2, 1), 2, _model(settings)).to(settings.torch_device)  # raises before anything long begins
    source = kind.shaped(pairs.sources, settings)
    pairs = replace(
        pairs,
        sources=sources.kept(source, pairs),
        targets=[one.strip() for one in pairs.require_targets("")],
    )
    pairs = _without_empty(pairs, report)
    held = _held(pairs, settings, report)
    part = pairs.at(np.flatnonzero(~held).tolist())
    source = source.learnt(part.sources, settings)
    assert settings.level is not None
    target = TextSymbols.learn(part.require_targets(""), settings.level, settings.vocabulary)
    kept, lengths = _short_enough(pairs, source, target, settings, report)
    texts = [target.encode(text) for text in pairs.at(kept.tolist()).require_targets("")]
    assert settings.head is not None
    reader = source.reader(settings.embedding or 1)
    heads.of_name(settings.head).check(pairs.at(kept.tolist()), lengths[:, 0], texts, reader)
    held, pairs = held[kept], pairs.at(kept.tolist())
    data = stored.StoredPairs(pairs.sources, pairs.require_targets(""), held)
    if not 0 < data.held.sum() < len(data.held):
        raise DataError(
            f"Of {pairs.where} no pair is left to {'learn from' if data.held.any() else 'validate on'}: give more "
            f"pairs, or take longer ones ({option('longest')})."
        )
    prepared = Prepared(settings, data, source, target, files)
    _announce(prepared, lengths, report)
    return prepared


def _without_empty(pairs: Pairs, report: Report) -> Pairs:
    kept = pairs.both
    if len(kept) < len(pairs):
        lost = sorted(set(range(len(pairs))) - set(kept))
        report.say(
            f"left out, as a side is empty: {len(lost):,} pairs, the first in {pairs.unit} {pairs.numbers[lost[0]]:,}"
        )
        pairs = pairs.at(kept)
    if len(pairs) < FEWEST:
        raise DataError(
            f"A model learns from {FEWEST} pairs or more, with both sides filled, and {pairs.where} has {len(pairs)}."
        )
    return pairs


def _resolved(settings: Settings, count: int, kind: type[Source], report: Report) -> Settings:
    """The settings with nothing left open, so that a resumed run makes the same choices."""
    usual = {name: value for name, value in kind.usual.items() if getattr(settings, name) is None}
    settings = replace(settings, **usual)
    assert settings.hidden is not None
    epochs = settings.epochs
    if epochs is None and settings.minutes is None:
        epochs = min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(kind.reads / count)))
    return replace(
        settings,
        cell=absolute_cell(settings.cell),
        head=_head(settings, kind),
        embedding=settings.embedding or max(1, settings.hidden // 2),
        batch=settings.batch or (16 if count < 1000 else 32 if count < 10_000 else 64),
        dropout=usual_dropout(count) if settings.dropout is None else settings.dropout,
        epochs=epochs,
        device=str(settings.torch_device),
        threads=choose_threads(settings, report.say),
    )


def _head(settings: Settings, kind: type[Source]) -> Head:
    """The head that is named, or the usual one of the kind. Raises DataError for one that the kind cannot have, and for
    a setting that the head does not have."""
    chosen = settings.head or kind.heads[0]
    if chosen not in kind.heads:
        raise DataError(
            f"The head {chosen} ({option('head')}) writes while a sound is read, and these sources are {kind.plural}: "
            f"leave it out."
        )
    usual = Settings()
    for name in heads.of_name(chosen).foreign:
        if getattr(settings, name) != getattr(usual, name):
            raise DataError(
                f"{option(name)} is for a decoder, and a model with the head {chosen} has none: leave it out, or "
                f"choose the other head ({option('head', 'decoder')})."
            )
    return chosen


def _model(settings: Settings) -> dict[str, Any]:
    assert settings.head is not None
    head = heads.of_name(settings.head)
    # Runs with a decoder are as they were before there was another head.
    named = {} if head.name == "decoder" else {"head": head.name}
    return {name: getattr(settings, name) for name in head.fields} | named


def _held(pairs: Pairs, settings: Settings, report: Report) -> np.ndarray:
    """Which pairs are held out, (N,) bool: those that the data hold out, else some by their groups."""
    if pairs.held is not None:
        held = np.array(pairs.held, bool)
        if not 0 < held.sum() < len(held):
            raise DataError(f"{pairs.where} must have pairs to learn from and pairs to validate on, each with a text.")
        return held
    groups, linked = parts.groups_of(pairs.sources, pairs.require_targets(""))
    alike = len(groups) - len(np.unique(groups))
    if alike:
        by = "their source or their target" if linked else "their source (a few targets answer most sources)"
        report.say(f"{alike:,} pairs share {by} with another, up to case and marks: those stay in one part")
    if len(np.unique(groups)) < 2:
        raise DataError("All pairs have the same source or the same target, so that none can be held out to judge on.")
    return parts.held_out(groups, settings.validation_share, settings.seed)


def _short_enough(
    pairs: Pairs, source: Source, target: TextSymbols, settings: Settings, report: Report
) -> tuple[np.ndarray, np.ndarray]:
    """The indices of the pairs whose texts are no longer than `longest`, and how many steps both sides of each have."""
    both = zip(pairs.sources, pairs.require_targets(""), strict=True)
    lengths = np.array([(len(source.steps(x)), len(target.encode(y))) for x, y in both])
    sides = slice(0 if source.symbolic else 1, 2)
    long = np.flatnonzero((lengths[:, sides] > settings.longest).any(1))
    if len(long):
        report.say(
            f"left out, as a side has more than {settings.longest} {settings.level}s ({option('longest')}): "
            f"{len(long):,} pairs, the first in {pairs.unit} {pairs.numbers[long[0]]:,}"
        )
    kept = np.flatnonzero((lengths[:, sides] <= settings.longest).all(1))
    return kept, lengths[kept]


def _announce(data: Prepared, lengths: np.ndarray, report: Report) -> None:
    settings, held = data.settings, int(data.pairs.held.sum())
    for line in data.source.said:
        report.say(line)
    mean, most = lengths.mean(0), lengths.max(0)
    steps = f"{mean[0]:.1f} and {mean[1]:.1f} a pair on average, {lengths.max():,} at most"
    if not data.source.symbolic:
        steps = f"{mean[1]:.1f} a text on average, {most[1]:,} at most"
    report.say(f"{data.target.size - 1:,} {settings.level}s of the target; {steps}")
    report.say(f"{len(lengths) - held:,} pairs to learn from, {held:,} to validate on")
    assert settings.head is not None
    head, ways = heads.of_name(settings.head), "both directions" if settings.bidirectional else "forward"
    report.say(
        f"model: {head.called}, {settings.cell}, {settings.layers} x {settings.hidden} units, source read "
        f"{'in ' if settings.bidirectional else ''}{ways}, {head.said(settings)}; {parameter_count(data.network()):,} "
        f"parameters; {settings.device}, {settings.threads} threads"
    )
