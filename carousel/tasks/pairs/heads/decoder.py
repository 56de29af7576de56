"""A decoder writes a text symbol by symbol, after the whole source was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from carousel.models import EncoderDecoder
from carousel.models.beam_search import Found, Search, search
from carousel.models.encoder_decoder import BOUNDARY, Decoding
from carousel.models.source_readers import SourceReader
from carousel.tasks.pairs.examples import Pairs
from carousel.tasks.pairs.settings import Settings
from carousel.tasks.pairs.symbols import TextSymbols
from carousel.tasks.pairs.written import Written, padded

if TYPE_CHECKING:
    from carousel.tasks.pairs.trained import TrainedPairs


class DecoderHead:
    """See `carousel.tasks.pairs.heads`."""

    name = "decoder"
    fields = ("cell", "hidden", "layers", "bidirectional", "form", "attention_score", "embedding", "tied")
    foreign = ()
    called = "encoder-decoder"
    usual = Search(beam=5, length_penalty=0.6, longest=400)
    quick = Search(beam=1, longest=400)

    @staticmethod
    def network(reader: SourceReader, symbols: int, arguments: dict[str, Any]) -> EncoderDecoder:
        return EncoderDecoder(reader, symbols, **arguments)

    @staticmethod
    def loss(network: EncoderDecoder, x: Tensor, lengths: Tensor, y: Tensor, settings: Settings) -> Tensor:
        return network.loss(
            x, lengths, y, label_smoothing=settings.label_smoothing, sampling=settings.scheduled_sampling
        )

    @staticmethod
    def said(settings: Settings) -> str:
        how = f"attention ({settings.attention_score}) after the decoder"
        return how if settings.form == "attention" else "a summary vector"

    @staticmethod
    def check(pairs: Pairs, lengths: np.ndarray, targets: Sequence[np.ndarray], reader: SourceReader) -> None:
        """A decoder writes texts of any length."""

    @staticmethod
    def write(
        trained: TrainedPairs, kept: Sequence[Any], steps: Sequence[np.ndarray], how: Search
    ) -> list[list[Written]]:
        """The longest text has ten symbols more than twice its source, or than twice the longest training target where
        sources are no texts, if `how` does not say less."""
        network, source, target = trained.network, trained.source, trained.target
        x, lengths = padded(steps, 0)
        memory = network.encode(x.to(trained.device), lengths)
        most = how.longest if isinstance(how.longest, int) else max(how.longest)
        usual = [len(one) if source.symbolic else trained.longest or most for one in steps]
        longest = [max(1, how.shortest, min(most, 2 * count + 10)) for count in usual]
        never = () if target.unknown is None else (target.unknown,)
        how = Search(how.beam, how.best, how.length_penalty, how.coverage_penalty, how.shortest, longest, never)
        found = search(lambda: Decoding(network, memory), len(steps), how, end=BOUNDARY)
        places = [tuple(source.places(one)) for one in kept]
        return [[_written(one, read, target) for one in mine] for read, mine in zip(places, found, strict=True)]


def _written(one: Found, read: tuple[str, ...], target: TextSymbols) -> Written:
    pieces = tuple(target.pieces((*one.symbols, BOUNDARY)))
    alignment = None if one.attention is None else one.attention[:, : len(read)].numpy()
    return Written(target.decode(one.symbols), one.score, one.log_probability, read, pieces, alignment)
