"""What a source is: a class for each kind of them, in a file of its own whose name stands in `KINDS`.

A class says how its kind is recognised and read, before anything is learnt:

    kind, plural: str                            its name, in config.json and in messages; of several sources
    usual: Mapping[str, Any]                     settings where nobody chooses: the level of targets, and sizes
    heads: tuple[str, ...]                       what may write them, the usual one first; see `heads`
    reads: int                                   pairs that a training reads, all epochs together, where nobody chooses
    baseline: str                                the naive baseline, in words
    symbolic: bool                               whether a step is a symbol, int64 (S,), or an array, (S, ...)
    recognize(paths, options) -> str | None      why the data look like pairs of such a source and a text; reads little
    read(paths, *, source, target, asked)        the pairs in files; asked: sources without targets will do
    given(items) -> list                         the same of Python objects. Raises DataError for what is no such source
    shaped(items, settings)                      an object of the class, which knows the form of all items: size, rate

An object of the class makes steps from sources:

    said: tuple[str, ...]                        how it reads, in lines
    keep(item) -> str | ndarray                  what a run keeps of a source: a text, or an array (S, ...)
    learnt(kept, settings)                       the same with what is learnt from the training part: symbols, scales
    steps(kept) -> ndarray                       the steps that the network reads, (S,) or (S, ...)
    reader(embedding) -> SourceReader            the module that stands before the encoder
    places(kept) -> list[str]                    a name for each step that attention is over
    asks(run) -> list[str]                       the commands that ask a run, to be typed next
    alignment_figure(weights, kept, written, title)   what draws attention: weights (written, places), as a function
    named(item, number) -> str                   what one source is called in a line of text
    memory(kept, targets) -> NearestSource       the naive baseline
    seconds(steps) -> ndarray                    of sounds: when steps of the network begin
    to_json(), from_json(record)                 as it stands in config.json

What is wrong with an item is said with its name, as a DataError. An error in a file of data also says its row.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np

from carousel.errors import DataError
from carousel.models.source_readers import SourceReader
from carousel.tasks.pairs.examples import Pairs
from carousel.tasks.pairs.settings import Head, Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The class of each; those first that are asked first.
KINDS = {"image": "ImageSource", "sound": "SoundSource", "series": "SeriesSource", "text": "TextSource"}


class NearestSource(Protocol):
    def answer(self, kept: Any) -> str:
        """The target of the nearest training source."""


class Source(Protocol):
    """See the module."""

    kind: ClassVar[str]
    plural: ClassVar[str]
    usual: ClassVar[Mapping[str, Any]]
    heads: ClassVar[tuple[Head, ...]]
    reads: ClassVar[int]
    baseline: ClassVar[str]
    symbolic: ClassVar[bool]

    @classmethod
    def recognize(cls, paths: Sequence[Path], options: Mapping[str, Any]) -> str | None: ...

    @classmethod
    def read(cls, paths: Sequence[Path], *, source: str | None, target: str | None, asked: bool) -> Pairs: ...

    @classmethod
    def given(cls, items: Any) -> list[Any]: ...

    @classmethod
    def shaped(cls, items: Sequence[Any], settings: Settings) -> Self: ...

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self: ...

    @property
    def said(self) -> tuple[str, ...]: ...

    def keep(self, item: Any) -> Any: ...

    def learnt(self, kept: Sequence[Any], settings: Settings) -> Self: ...

    def steps(self, kept: Any) -> np.ndarray: ...

    def reader(self, embedding: int) -> SourceReader: ...

    def places(self, kept: Any) -> list[str]: ...

    def alignment_figure(
        self, weights: np.ndarray, kept: Any, written: Sequence[str], title: str
    ) -> Callable[[], Figure]: ...

    def named(self, item: Any, number: int) -> str: ...

    def asks(self, run: str) -> list[str]: ...

    def memory(self, kept: Sequence[Any], targets: Sequence[str]) -> NearestSource: ...

    def to_json(self) -> dict[str, Any]: ...


def of_kind(kind: str) -> type[Source]:
    """The class of a kind. Raises KeyError for one that there is not."""
    name = KINDS[kind]
    found: type[Source] = getattr(importlib.import_module(f"{__name__}.{kind}"), name)
    return found


def recognize(paths: Sequence[Path], options: Mapping[str, Any], kinds: Sequence[str] = tuple(KINDS)) -> str | None:
    """Why the data look like pairs of a source and a text, or None."""
    reasons = (of_kind(kind).recognize(paths, options) for kind in kinds)
    return next((why for why in reasons if why), None)


def read(
    paths: Sequence[Path],
    *,
    source: str | None = None,
    target: str | None = None,
    asked: bool = False,
    kinds: Sequence[str] = tuple(KINDS),
) -> Pairs:
    """The pairs in files, whose sources are of the first of these kinds that recognises them, else of the last.

    source, target: the columns of a table, by their names or numbers. asked: whether sources without targets will do.
    Raises DataError where the files cannot be read so; the message says why, and how they would have to be."""
    options = {name: value for name, value in (("source", source), ("target", target)) if value is not None}
    kind = next((kind for kind in kinds if of_kind(kind).recognize(paths, options)), kinds[-1])
    return of_kind(kind).read(paths, source=source, target=target, asked=asked)


def from_json(record: dict[str, Any]) -> Source:
    """The source that a run recorded; one without a kind is of texts. Raises KeyError, TypeError, ValueError or
    RunError for a record that `to_json` has not written."""
    fields = dict(record)
    kind = fields.pop("kind", "text")
    if kind not in KINDS:
        raise ValueError(f"there is no kind of source {kind!r}")
    return of_kind(kind).from_json(fields)


def kept(source: Source, pairs: Pairs) -> list[Any]:
    """What a run keeps of all sources. Raises DataError for the first that cannot be read: its row and what is wrong,
    and how many more there are."""
    found, wrong = [], []
    for item, number in zip(pairs.sources, pairs.numbers, strict=True):
        try:
            found.append(source.keep(item))
        except DataError as problem:
            wrong.append(f"{pairs.where}, {pairs.unit} {number:,}: {problem}")
    if wrong:
        more = f" {len(wrong) - 1:,} more of the {len(pairs):,} cannot be read either." if len(wrong) > 1 else ""
        raise DataError(wrong[0] + more)
    return found
