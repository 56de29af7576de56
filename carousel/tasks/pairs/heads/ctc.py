"""Connectionist temporal classification writes a text while the source is read; see `carousel.models.ctc_model`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from carousel.errors import DataError, option
from carousel.models.ctc_alignment import aligned
from carousel.models.ctc_model import CTCModel, steps_needed
from carousel.models.prefix_search import PrefixSearch, Transcript, prefix_search
from carousel.models.source_readers import SourceReader
from carousel.tasks.pairs.examples import Pairs
from carousel.tasks.pairs.settings import Settings
from carousel.tasks.pairs.written import Written, padded

if TYPE_CHECKING:
    from carousel.tasks.pairs.trained import TrainedPairs


class CTCHead:
    """See `carousel.tasks.pairs.heads`."""

    name = "ctc"
    fields = ("cell", "hidden", "layers", "bidirectional")
    foreign = ("form", "attention_score", "embedding", "tied", "label_smoothing", "scheduled_sampling")
    called = "network with CTC"
    usual = PrefixSearch(beam=10)
    quick = PrefixSearch(beam=1)

    @staticmethod
    def network(reader: SourceReader, symbols: int, arguments: dict[str, Any]) -> CTCModel:
        return CTCModel(reader, symbols, **arguments)

    @staticmethod
    def loss(network: CTCModel, x: Tensor, lengths: Tensor, y: Tensor, settings: Settings) -> Tensor:  # noqa: ARG004
        return network.loss(x, lengths, y)

    @staticmethod
    def said(settings: Settings) -> str:
        return "connectionist temporal classification" + ("" if settings.bidirectional else ", as the source arrives")

    @staticmethod
    def check(pairs: Pairs, lengths: np.ndarray, targets: Sequence[np.ndarray], reader: SourceReader) -> None:
        """A text takes as many steps as it has symbols, and more where equal ones follow one another."""
        stride = int(getattr(reader, "stride", 1))
        has = -(-lengths // stride)
        needed = np.array([steps_needed(one) for one in targets])
        short = np.flatnonzero(needed > has)
        if len(short):
            k = int(short[0])
            more = f" So it is with {len(short) - 1:,} more of the {len(pairs):,} pairs." if len(short) > 1 else ""
            raise DataError(
                f"{pairs.where}, {pairs.numbers[k]:,}: the source has {has[k]:,} steps ({lengths[k]:,} frames, "
                f"{stride} a step), and its text {pairs.require_targets('')[k][:40]!r} needs {needed[k]:,}: one for "
                f"each symbol, and one more between two equal ones.{more} Is this the text of that sound? Otherwise "
                f"choose a level with fewer symbols ({option('level', 'word')}), or the other head "
                f"({option('head', 'decoder')})."
            )

    @staticmethod
    def write(
        trained: TrainedPairs, kept: Sequence[Any], steps: Sequence[np.ndarray], how: PrefixSearch
    ) -> list[list[Written]]:
        """Texts that several sequences of symbols spell are one text, whose probability is their sum."""
        x, lengths = padded(steps, 0)
        log_p, lengths = trained.network(x.to(trained.device), lengths)
        never = how.never if trained.target.unknown is None else (*how.never, trained.target.unknown)
        wider = PrefixSearch(how.beam, how.beam, never, how.words)
        found = []
        for row, one in enumerate(kept):
            logs = log_p[: int(lengths[row]), row].cpu().numpy()
            found.append(_texts(trained, one, logs, prefix_search(logs, wider))[: how.best])
        return found


def _texts(trained: TrainedPairs, kept: Any, log_p: np.ndarray, found: Sequence[Transcript]) -> list[Written]:
    by_text: dict[str, list[Transcript]] = {}
    for one in found:
        by_text.setdefault(trained.target.decode(one.symbols), []).append(one)
    source: Any = trained.source  # a kind that may have this head knows when its steps are
    read, texts = tuple(source.places(kept)), []
    for text, several in by_text.items():
        log = float(np.logaddexp.reduce([one.log_probability for one in several]))
        symbols = several[0].symbols
        times = source.seconds(aligned(log_p, symbols))
        texts.append(Written(text, log, log, read, tuple(trained.target.pieces(symbols)), None, times))
    return sorted(texts, key=lambda one: -one.score)
