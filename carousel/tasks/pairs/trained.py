"""A trained network with the symbols of both sides, as a run holds them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from carousel.models.source_readers import SourceReader
from carousel.tasks.pairs import heads
from carousel.tasks.pairs import sources as of_sources
from carousel.tasks.pairs import symbols as of_symbols
from carousel.tasks.pairs.heads import Head
from carousel.tasks.pairs.sources import Source
from carousel.tasks.pairs.symbols import TextSymbols
from carousel.tasks.pairs.written import Written
from carousel.training.building import build, naming_cell, require_counts
from carousel.training.run_folder import RunFolder

AT_ONCE = 64  # sources that are searched for together


@dataclass
class TrainedPairs:
    """A network, how it reads sources, the symbols of its targets, and the head that writes them. letters: all
    characters of the training sources, where those are texts. longest: symbols of the longest training target; None
    where that is not recorded."""

    network: Any
    source: Source
    target: TextSymbols
    letters: frozenset[str]
    longest: int | None
    head: type[Head]

    @classmethod
    def described_by(cls, folder: RunFolder, config: dict[str, Any], *, trained: bool, device: str) -> TrainedPairs:
        """As a run's config.json describes it. trained: with the best weights of the run so far."""
        with folder.reading_config():
            model = folder.model(config)
            require_counts(layers=model["layers"])
            head = heads.of_name(model.get("head", "decoder"))
            source, target = of_sources.from_json(config["source"]), of_symbols.from_json(config["target"])
            letters, longest = frozenset(str(config["letters"])), config.get("longest_target")
            if longest is not None:
                require_counts(longest_target=longest)

        def network() -> Any:
            return network_of(source.reader(int(model.get("embedding", 1))), target.size, model)

        return cls(build(folder, network, trained=trained).to(device), source, target, letters, longest, head)

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
        device: torch.device = next(self.network.parameters()).device
        return device

    def strange(self, text: str) -> list[str]:
        """The characters of a text that no training source had, each once."""
        return [letter for letter in dict.fromkeys(text) if letter not in self.letters and not letter.isspace()]

    @torch.inference_mode()
    def write(self, kept: Sequence[Any], how: Any) -> list[list[Written]]:
        """The `how.best` texts for each source. One without a step has one text, the empty one.

        kept: the sources as `Source.keep` gives them. how: the search of the head."""
        steps = [self.source.steps(one) for one in kept]
        found: list[list[Written]] = [[] for _ in kept]
        order = sorted((k for k, one in enumerate(steps) if len(one)), key=lambda k: len(steps[k]))
        for start in range(0, len(order), AT_ONCE):
            chosen = order[start : start + AT_ONCE]
            batch = self.head.write(self, [kept[k] for k in chosen], [steps[k] for k in chosen], how)
            for k, mine in zip(chosen, batch, strict=True):
                found[k] = mine
        empty = Written("", 0.0, 0.0, (), (), None)
        return [mine or ([] if len(one) else [empty]) for mine, one in zip(found, steps, strict=True)]


def network_of(reader: SourceReader, targets: int, model: dict[str, Any]) -> Any:
    """The network with this reader for so many symbols of targets, freshly drawn. Raises DataError for a cell that it
    cannot have. model: its arguments, with its head; a run without one is of a time when all had a decoder."""
    head = heads.of_name(model.get("head", "decoder"))
    with naming_cell(str(model["cell"]), head.called):
        return head.network(reader, targets, {name: model[name] for name in head.fields})
