"""A trained encoder-decoder with the symbols of both sides, as a run holds them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from carousel.models.beam_search import Search, search
from carousel.models.encoder_decoder import BOUNDARY, PADDING, Decoding, EncoderDecoder
from carousel.models.source_readers import SourceReader
from carousel.tasks.pairs import sources as of_sources
from carousel.tasks.pairs import symbols as of_symbols
from carousel.tasks.pairs.sources import Source
from carousel.tasks.pairs.symbols import TextSymbols
from carousel.training.building import build, naming_cell, require_counts
from carousel.training.run_folder import RunFolder

AT_ONCE = 64  # sources that are searched for together


@dataclass(frozen=True)
class Written:
    """A text that a model wrote. score: of the search, see `carousel.models.beam_search.Search`; log_probability: ln P
    of the text given its source. read: a name for each step of the source, which is the text of a symbol; pieces: of
    each symbol that was written, and the end; alignment: (pieces, read), how much each attended to each, None without
    attention."""

    text: str
    score: float
    log_probability: float
    read: tuple[str, ...]
    pieces: tuple[str, ...]
    alignment: np.ndarray | None


@dataclass
class TrainedPairs:
    """A network, how it reads sources, and the symbols of its targets. letters: all characters of the training
    sources, where those are texts. longest: symbols of the longest training target; None where that is not recorded."""

    network: EncoderDecoder
    source: Source
    target: TextSymbols
    letters: frozenset[str]
    longest: int | None = None

    @classmethod
    def described_by(cls, folder: RunFolder, config: dict[str, Any], *, trained: bool, device: str) -> TrainedPairs:
        """As a run's config.json describes it. trained: with the best weights of the run so far."""
        with folder.reading_config():
            model = folder.model(config)
            require_counts(layers=model["layers"])
            source, target = of_sources.from_json(config["source"]), of_symbols.from_json(config["target"])
            letters, longest = frozenset(str(config["letters"])), config.get("longest_target")
            if longest is not None:
                require_counts(longest_target=longest)

        def network() -> EncoderDecoder:
            return network_of(source.reader(model["embedding"]), target.size, model)

        return cls(build(folder, network, trained=trained).to(device), source, target, letters, longest)

    @classmethod
    def of(cls, folder: RunFolder, device: str = "cpu") -> TrainedPairs:
        """The best model of a run so far, ready to write. Raises RunError where the folder is damaged."""
        return cls.described_by(folder, folder.config(), trained=True, device=device).writing()

    def writing(self) -> TrainedPairs:
        """A copy that writes. It computes in double precision: there, what other rows of a batch do to the rounding is
        far smaller than any difference of probabilities, so that a text is the same alone and in any batch."""
        network = copy.deepcopy(self.network).double().eval()
        return replace(self, network=network)

    @property
    def device(self) -> torch.device:
        return self.network.bias.device

    def strange(self, text: str) -> list[str]:
        """The characters of a text that no training source had, each once."""
        return [letter for letter in dict.fromkeys(text) if letter not in self.letters and not letter.isspace()]

    @torch.inference_mode()
    def write(self, kept: Sequence[Any], how: Search) -> list[list[Written]]:
        """The `how.best` texts for each source. One without a step has one text, the empty one.

        kept: the sources as `Source.keep` gives them. The longest text has ten symbols more than twice its source, or
        than twice the longest training target where sources are no texts, if `how` does not say less."""
        steps = [self.source.steps(one) for one in kept]
        found: list[list[Written]] = [[] for _ in kept]
        order = sorted((k for k, one in enumerate(steps) if len(one)), key=lambda k: len(steps[k]))
        for start in range(0, len(order), AT_ONCE):
            chosen = order[start : start + AT_ONCE]
            batch = self._batch([steps[k] for k in chosen], [self.source.places(kept[k]) for k in chosen], how)
            for k, mine in zip(chosen, batch, strict=True):
                found[k] = mine
        empty = Written("", 0.0, 0.0, (), (), None)
        return [mine or ([] if len(one) else [empty]) for mine, one in zip(found, steps, strict=True)]

    def _batch(self, steps: Sequence[np.ndarray], places: Sequence[list[str]], how: Search) -> list[list[Written]]:
        x, lengths = padded(steps, 0)
        memory = self.network.encode(x.to(self.device), lengths)
        most = how.longest if isinstance(how.longest, int) else max(how.longest)
        usual = [len(one) if self.source.symbolic else self.longest or most for one in steps]
        longest = [max(1, how.shortest, min(most, 2 * count + 10)) for count in usual]
        never = () if self.target.unknown is None else (self.target.unknown,)
        how = Search(how.beam, how.best, how.length_penalty, how.coverage_penalty, how.shortest, longest, never)
        found = search(lambda: Decoding(self.network, memory), len(steps), how, end=BOUNDARY)
        return [[self._written(one, tuple(read)) for one in mine] for read, mine in zip(places, found, strict=True)]

    def _written(self, one: Any, read: tuple[str, ...]) -> Written:
        pieces = tuple(self.target.pieces((*one.symbols, BOUNDARY)))
        alignment = None if one.attention is None else one.attention[:, : len(read)].numpy()
        return Written(self.target.decode(one.symbols), one.score, one.log_probability, read, pieces, alignment)


def network_of(reader: SourceReader, targets: int, model: dict[str, Any]) -> EncoderDecoder:
    """The network with this reader for so many symbols of targets, freshly drawn. Raises DataError for a cell that it
    cannot have."""
    own = {name: value for name, value in model.items() if name != "dropout"}
    with naming_cell(str(model["cell"]), "encoder-decoder"):
        return EncoderDecoder(reader, targets, **own)


def padded(sequences: Sequence[np.ndarray], filling: int) -> tuple[Tensor, Tensor]:
    """Sequences of symbols, or of arrays of one shape, as one batch, (longest, B, ...), and their lengths, (B)."""
    lengths = np.array([len(one) for one in sequences], np.int64)
    shape, kind = sequences[0].shape[1:], sequences[0].dtype
    x = np.full((int(lengths.max(initial=0)), len(sequences), *shape), filling, kind)
    for row, one in enumerate(sequences):
        x[: len(one), row] = one
    return torch.from_numpy(x), torch.from_numpy(lengths)


def targets_of(sequences: Sequence[np.ndarray]) -> Tensor:
    """Targets as one batch, (longest + 1, B): each ends in the boundary, and PADDING follows it."""
    return padded([np.append(one, BOUNDARY) for one in sequences], PADDING)[0]
