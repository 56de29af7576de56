"""Texts as sources: each step is a symbol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from carousel.errors import DataError
from carousel.insight.alignment import alignment_figure
from carousel.models.source_readers import SymbolReader
from carousel.tasks.pairs import symbols as of_symbols
from carousel.tasks.pairs.examples import Pairs
from carousel.tasks.pairs.settings import Settings
from carousel.tasks.pairs.sources import text_files
from carousel.tasks.pairs.symbols import TextSymbols
from carousel.tasks.pairs.translation_memory import TranslationMemory
from carousel.tasks.pairs.usual import USUAL

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TextSource:
    """See `carousel.tasks.pairs.sources`. symbols: of the texts, once they are learnt."""

    symbols: TextSymbols | None = None

    kind = "text"
    plural = "texts"
    usual: ClassVar[Mapping[str, Any]] = USUAL["text"]
    heads = ("decoder",)
    reads = 600_000
    baseline = "nearest source's target"
    symbolic = True

    @classmethod
    def recognize(cls, paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:
        return text_files.recognize(paths, options)

    @classmethod
    def read(
        cls, paths: Sequence[Path], *, source: str | None = None, target: str | None = None, asked: bool = False
    ) -> Pairs:
        return text_files.read(paths, source=source, target=target, asked=asked)

    @classmethod
    def given(cls, items: Any) -> list[Any]:
        return texts_in(items, "read")

    @classmethod
    def shaped(cls, items: Sequence[Any], settings: Settings) -> TextSource:  # noqa: ARG003 (texts have no form)
        return cls()

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> TextSource:
        return cls(of_symbols.from_json(record))

    @property
    def said(self) -> tuple[str, ...]:
        return (f"{self._known.size - 1:,} {self._known.level}s of the source",)

    def keep(self, item: str) -> str:
        return item.strip()

    def learnt(self, kept: Sequence[str], settings: Settings) -> TextSource:
        assert settings.level is not None
        return replace(self, symbols=TextSymbols.learn(kept, settings.level, settings.vocabulary))

    def steps(self, kept: str) -> np.ndarray:
        return self._known.encode(kept)

    def reader(self, embedding: int) -> SymbolReader:
        return SymbolReader(self._known.size, embedding)

    def places(self, kept: str) -> list[str]:
        return self._known.pieces(self.steps(kept).tolist())

    def alignment_figure(
        self, weights: np.ndarray, kept: str, written: Sequence[str], title: str
    ) -> Callable[[], Figure]:
        return partial(alignment_figure, weights, read=self.places(kept), written=written, title=title)

    def named(self, item: str, number: int) -> str:  # noqa: ARG002
        return item

    def asks(self, run: str) -> list[str]:
        return [
            f'carousel translate {run} "a text" --alignment picture.png',
            f"carousel translate {run} < sources.txt > targets.txt",
        ]

    def memory(self, kept: Sequence[str], targets: Sequence[str]) -> TranslationMemory:
        return TranslationMemory(kept, targets)

    def to_json(self) -> dict[str, Any]:
        return self._known.to_json()

    @property
    def _known(self) -> TextSymbols:
        assert self.symbols is not None
        return self.symbols


def texts_in(items: Any, what: str) -> list[str]:
    """A list of texts, or one text, as a list. what: is done with them, for the message."""
    texts = [items] if isinstance(items, str) else list(items)
    strange = next((text for text in texts if not isinstance(text, str)), None)
    if strange is not None:
        raise DataError(f"Texts are {what}, and {type(strange).__name__} is given: {strange!r:.40}.")
    return texts
