"""What writes a text from the steps of its source: a class for each head, in a file of its own whose name stands in
`HEADS`. The kind of a source says which heads it may have (`Source.heads`), the usual one first.

A class has

    name: str                                    its name, in the settings and in config.json
    fields: tuple[str, ...]                      the settings that are arguments of its network
    foreign: tuple[str, ...]                     settings of other heads, which it does not take
    called: str                                  what errors call its network
    usual, quick                                 how texts are searched for where nobody chooses, and in samples
    network(reader, symbols, arguments)          the network, freshly drawn. It has `reader`, `recurrent` (the layer
                                                 that pages show), `loss(x, lengths, targets)` and `set_dropout`
    loss(network, x, lengths, y, settings)       its loss in training
    said(settings) -> str                        the network in words
    check(pairs, lengths, targets)               raises DataError for pairs that it cannot learn
    write(trained, kept, steps, how)             the texts of one batch, best first: a list of `Written` for each source
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from torch import Tensor, nn

from carousel.models.source_readers import SourceReader
from carousel.tasks.pairs.examples import Pairs
from carousel.tasks.pairs.settings import Settings
from carousel.tasks.pairs.written import Written

if TYPE_CHECKING:
    from carousel.tasks.pairs.trained import TrainedPairs

HEADS = {"decoder": "DecoderHead", "ctc": "CTCHead"}  # the class of each


class Head(Protocol):
    """See the module."""

    name: ClassVar[str]
    fields: ClassVar[tuple[str, ...]]
    foreign: ClassVar[tuple[str, ...]]
    called: ClassVar[str]
    usual: ClassVar[Any]
    quick: ClassVar[Any]

    @staticmethod
    def network(reader: SourceReader, symbols: int, arguments: dict[str, Any]) -> nn.Module: ...

    @staticmethod
    def loss(network: Any, x: Tensor, lengths: Tensor, y: Tensor, settings: Settings) -> Tensor: ...

    @staticmethod
    def said(settings: Settings) -> str: ...

    @staticmethod
    def check(pairs: Pairs, lengths: np.ndarray, targets: Sequence[np.ndarray], reader: SourceReader) -> None: ...

    @staticmethod
    def write(
        trained: TrainedPairs, kept: Sequence[Any], steps: Sequence[np.ndarray], how: Any
    ) -> list[list[Written]]: ...


def of_name(name: str) -> type[Head]:
    """The class of a head. Raises KeyError for one that there is not."""
    found: type[Head] = getattr(importlib.import_module(f"{__name__}.{name}"), HEADS[name])
    return found
