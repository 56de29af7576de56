"""A trained encoder-decoder with the symbols of both sides, as a run holds them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from carousel.models.beam_search import Search, search
from carousel.models.encoder_decoder import BOUNDARY, PADDING, Decoding, EncoderDecoder
from carousel.models.source_readers import SymbolReader
from carousel.tasks.pairs import symbols as of_symbols
from carousel.tasks.pairs.symbols import TextSymbols
from carousel.training.building import build, naming_cell, require_counts
from carousel.training.run_folder import RunFolder

AT_ONCE = 64  # sources that are searched for together


@dataclass(frozen=True)
class Written:
    """A text that a model wrote. score: of the search, see `carousel.models.beam_search.Search`; log_probability: ln P
    of the text given its source. read: the text of each symbol of the source; pieces: of each symbol that was written,
    and the end; alignment: (pieces, read), how much each attended to each, None without attention."""

    text: str
    score: float
    log_probability: float
    read: tuple[str, ...]
    pieces: tuple[str, ...]
    alignment: np.ndarray | None


@dataclass
class TrainedPairs:
    """A network, and the symbols of its sources and targets. letters: all characters of the training sources."""

    network: EncoderDecoder
    source: TextSymbols
    target: TextSymbols
    letters: frozenset[str]

    @classmethod
    def described_by(cls, folder: RunFolder, config: dict[str, Any], *, trained: bool, device: str) -> TrainedPairs:
        """As a run's config.json describes it. trained: with the best weights of the run so far."""
        with folder.reading_config():
            model = folder.model(config)
            require_counts(layers=model["layers"])
            source, target = of_symbols.from_json(config["source"]), of_symbols.from_json(config["target"])
            letters = frozenset(str(config["letters"]))
        network = build(folder, lambda: network_of(source.size, target.size, model), trained=trained)
        return cls(network.to(device), source, target, letters)

    @classmethod
    def of(cls, folder: RunFolder, device: str = "cpu") -> TrainedPairs:
        """The best model of a run so far, ready to write. Raises RunError where the folder is damaged."""
        return cls.described_by(folder, folder.config(), trained=True, device=device).writing()

    def writing(self) -> TrainedPairs:
        """A copy that writes. It computes in double precision: there, what other rows of a batch do to the rounding is
        far smaller than any difference of probabilities, so that a text is the same alone and in any batch."""
        network = copy.deepcopy(self.network).double().eval()
        return TrainedPairs(network, self.source, self.target, self.letters)

    @property
    def device(self) -> torch.device:
        return self.network.bias.device

    def strange(self, text: str) -> list[str]:
        """The characters of a text that no training source had, each once."""
        return [letter for letter in dict.fromkeys(text) if letter not in self.letters and not letter.isspace()]

    @torch.inference_mode()
    def write(self, texts: Sequence[str], how: Search) -> list[list[Written]]:
        """The `how.best` texts for each source. One without a symbol has one text, the empty one. The longest text has
        twice as many symbols as its source, and ten more, if `how` does not say less."""
        sources = [self.source.encode(text) for text in texts]
        found: list[list[Written]] = [[] for _ in texts]
        order = sorted((k for k, one in enumerate(sources) if len(one)), key=lambda k: len(sources[k]))
        for start in range(0, len(order), AT_ONCE):
            chosen = order[start : start + AT_ONCE]
            for k, mine in zip(chosen, self._batch([sources[k] for k in chosen], how), strict=True):
                found[k] = mine
        empty = Written("", 0.0, 0.0, (), (), None)
        return [mine or ([] if len(one) else [empty]) for mine, one in zip(found, sources, strict=True)]

    def _batch(self, sources: Sequence[np.ndarray], how: Search) -> list[list[Written]]:
        x, lengths = padded(sources, 0)
        memory = self.network.encode(x.to(self.device), lengths)
        most = how.longest if isinstance(how.longest, int) else max(how.longest)
        longest = [max(1, how.shortest, min(most, 2 * len(one) + 10)) for one in sources]
        never = () if self.target.unknown is None else (self.target.unknown,)
        how = Search(how.beam, how.best, how.length_penalty, how.coverage_penalty, how.shortest, longest, never)
        found = search(lambda: Decoding(self.network, memory), len(sources), how, end=BOUNDARY)
        return [
            [self._written(one, tuple(self.source.pieces(source.tolist()))) for one in mine]
            for source, mine in zip(sources, found, strict=True)
        ]

    def _written(self, one: Any, read: tuple[str, ...]) -> Written:
        pieces = tuple(self.target.pieces((*one.symbols, BOUNDARY)))
        alignment = None if one.attention is None else one.attention[:, : len(read)].numpy()
        return Written(self.target.decode(one.symbols), one.score, one.log_probability, read, pieces, alignment)


def network_of(sources: int, targets: int, model: dict[str, Any]) -> EncoderDecoder:
    """The network for so many symbols on each side, freshly drawn. Raises DataError for a cell that it cannot have."""
    own = {name: value for name, value in model.items() if name != "dropout"}
    with naming_cell(str(model["cell"]), "encoder-decoder"):
        return EncoderDecoder(SymbolReader(sources, model["embedding"]), targets, **own)


def padded(sequences: Sequence[np.ndarray], filling: int) -> tuple[Tensor, Tensor]:
    """Sequences of symbols as one batch, (longest, B), and their lengths, (B)."""
    lengths = np.array([len(one) for one in sequences], np.int64)
    x = np.full((int(lengths.max(initial=0)), len(sequences)), filling, np.int64)
    for row, one in enumerate(sequences):
        x[: len(one), row] = one
    return torch.from_numpy(x), torch.from_numpy(lengths)


def targets_of(sequences: Sequence[np.ndarray]) -> Tensor:
    """Targets as one batch, (longest + 1, B): each ends in the boundary, and PADDING follows it."""
    return padded([np.append(one, BOUNDARY) for one in sequences], PADDING)[0]
