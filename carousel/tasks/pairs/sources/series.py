"""Series of numbers as sources: each step is the numbers of one time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from carousel.errors import DataError
from carousel.insight.series_alignment import series_alignment_figure
from carousel.models.source_readers import FrameReader
from carousel.models.standardizing import mean_and_scale
from carousel.tasks.pairs.examples import Pairs
from carousel.tasks.pairs.nearest import NearestInTime
from carousel.tasks.pairs.settings import Settings
from carousel.tasks.pairs.sources import series_files
from carousel.tasks.pairs.sources.series_files import Series
from carousel.tasks.pairs.usual import USUAL
from carousel.tasks.sequences.examples import Examples, channel_names
from carousel.tasks.sequences.front_ends.series import SeriesFrontEnd
from carousel.tasks.table import listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class SeriesSource:
    """See `carousel.tasks.pairs.sources`. front_end: fills what is missing, and adds changes. mean, scale: of each of
    its numbers in the training part, once they are learnt."""

    front_end: SeriesFrontEnd
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    kind = "series"
    plural = "series"
    usual: ClassVar[Mapping[str, Any]] = USUAL["series"]
    heads = ("decoder",)
    reads = 40_000
    baseline = "nearest series' text"
    symbolic = False

    @classmethod
    def recognize(cls, paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:
        return series_files.recognize(paths, options)

    @classmethod
    def read(
        cls, paths: Sequence[Path], *, source: str | None = None, target: str | None = None, asked: bool = False
    ) -> Pairs:
        return series_files.read(paths, source=source, target=target, asked=asked)

    @classmethod
    def given(cls, items: Any) -> list[Any]:
        return series_files.given(items)

    @classmethod
    def shaped(cls, items: Sequence[Series], settings: Settings) -> SeriesSource:  # noqa: ARG003
        channels = items[0].channels or channel_names(items[0].values.shape[1])
        return cls(SeriesFrontEnd(channels, (0.0,) * len(channels), (), differences=True))

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> SeriesSource:
        fields = dict(record["front_end"])
        fields.pop("kind")
        front_end = SeriesFrontEnd(**fields)
        mean, scale = (tuple(map(float, record[name])) for name in ("mean", "scale"))
        if not len(mean) == len(scale) == front_end.size or not all(one > 0 for one in scale):
            raise ValueError("the scales of a series are not whole")
        return cls(front_end, mean, scale)

    @property
    def said(self) -> tuple[str, ...]:
        return (self.front_end.said,) if self.mean else ()

    def keep(self, item: Series) -> np.ndarray:
        """The numbers of the channels that are read, (T, C), in their order."""
        channels, there = self.front_end.channels, item.channels or self.front_end.channels
        if not item.channels and item.values.shape[1] != len(channels):
            raise DataError(
                f"The model reads {len(channels)} channels ({listed(channels, 8)}), and an array with "
                f"{item.values.shape[1]} is given. An array is (T, C): steps first."
            )
        if lacking := [name for name in channels if name not in there]:
            more = [name for name in there if name not in channels]
            raise DataError(
                f"{item.name or 'A series'} lacks {listed(lacking, 5)}: all series have the same channels, "
                f"{listed(channels, 8)}" + (f", and this one has {listed(more, 5)}." if more else ".")
            )
        return item.values[:, [there.index(name) for name in channels]]

    def learnt(self, kept: Sequence[np.ndarray], settings: Settings) -> SeriesSource:  # noqa: ARG002
        examples = Examples("series", kept, [""] * len(kept), channels=self.front_end.channels)
        front_end = SeriesFrontEnd.fit(examples, level=None, differences=None)
        mean, scale = mean_and_scale([front_end.steps(one) for one in kept])
        return replace(self, front_end=front_end, mean=tuple(mean.tolist()), scale=tuple(scale.tolist()))

    def steps(self, kept: np.ndarray) -> np.ndarray:
        """The standardised steps, (T, size). This is done in the precision of the numbers, before single precision
        could lose small changes of large numbers."""
        if not self.mean:  # nothing is learnt yet: as many steps, at least
            return kept
        steps = (self.front_end.steps(kept) - np.array(self.mean)) / np.array(self.scale)
        return steps.astype(np.float32)

    def reader(self, embedding: int) -> FrameReader:  # noqa: ARG002 (steps are numbers already)
        return FrameReader((0.0,) * self.front_end.size, (1.0,) * self.front_end.size, 1)

    def places(self, kept: np.ndarray) -> list[str]:
        return [f"step {step + 1}" for step in range(len(kept))]

    def alignment_figure(
        self, weights: np.ndarray, kept: np.ndarray, written: Sequence[str], title: str
    ) -> Callable[[], Figure]:
        channels = self.front_end.channels
        return partial(series_alignment_figure, weights, series=kept, channels=channels, written=written, title=title)

    def named(self, item: Any, number: int) -> str:
        return getattr(item, "name", "") or f"series {number + 1}"

    def asks(self, run: str) -> list[str]:
        return [f"carousel caption {run} series.csv"]

    def memory(self, kept: Sequence[np.ndarray], targets: Sequence[str]) -> NearestInTime:
        return NearestInTime(self.steps, kept, targets)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "front_end": self.front_end.to_json(), "mean": self.mean, "scale": self.scale}
