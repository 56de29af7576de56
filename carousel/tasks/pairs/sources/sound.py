"""Sounds as sources: each step is a few frames of log-mel energies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from carousel.errors import DataError
from carousel.insight.alignment import alignment_figure
from carousel.models.source_readers import FrameReader
from carousel.models.standardizing import mean_and_scale
from carousel.tasks.pairs.examples import Pairs
from carousel.tasks.pairs.nearest import NearestInTime
from carousel.tasks.pairs.settings import Settings
from carousel.tasks.pairs.sources import sound_files
from carousel.tasks.pairs.usual import USUAL
from carousel.tasks.sequences.front_ends.audio import RATES_ASKED, AudioFrontEnd, AudioStream, mel_of
from carousel.tasks.sequences.recordings import Sound, as_samples, read_recording, recorded_rate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STRIDE = 2  # frames that stand side by side in a step: 20 ms of sound
MOST_CHANNELS = 64  # of a sound in an array; more are samples, and the axes are the wrong way round


@dataclass(frozen=True)
class SoundSource:
    """See `carousel.tasks.pairs.sources`. front_end: makes the frames. mean, scale: of each band in the training part,
    once they are learnt."""

    front_end: AudioFrontEnd
    stride: int = STRIDE
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    kind = "sound"
    plural = "sounds"
    usual: ClassVar[Mapping[str, Any]] = USUAL["sound"]
    heads = ("ctc", "decoder")
    reads = 16_000
    baseline = "nearest sound's text"
    symbolic = False

    @classmethod
    def recognize(cls, paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:
        return sound_files.recognize(paths, options)

    @classmethod
    def read(
        cls, paths: Sequence[Path], *, source: str | None = None, target: str | None = None, asked: bool = False
    ) -> Pairs:
        return sound_files.read(paths, source=source, target=target, asked=asked)

    @classmethod
    def given(cls, items: Any) -> list[Any]:
        single = isinstance(items, str | Path | Sound) or _has_rate(items)
        return [_sound(one) for one in ([items] if single else items)]

    @classmethod
    def shaped(cls, items: Sequence[Any], settings: Settings) -> SoundSource:  # noqa: ARG003
        some = items[:: max(1, len(items) // RATES_ASKED)]
        rates = Counter(one.rate if isinstance(one, Sound) else recorded_rate(Path(one)) for one in some)
        return cls(AudioFrontEnd(max(rates, key=lambda rate: (rates[rate], rate))))

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> SoundSource:
        front_end = AudioFrontEnd(int(record["rate"]), int(record["bands"]))
        mean, scale = (tuple(map(float, record[name])) for name in ("mean", "scale"))
        stride = int(record["stride"])
        if stride < 1 or not len(mean) == len(scale) == front_end.bands or not all(one > 0 for one in scale):
            raise ValueError("the scales of a sound's bands are not whole")
        return cls(front_end, stride, mean, scale)

    @property
    def said(self) -> tuple[str, ...]:
        return (f"{self.front_end.said}; {self.stride} frames side by side are read at once",)

    def keep(self, item: Any) -> np.ndarray:
        """The frames, (T, bands); none of a sound that is silent, all of whose samples are equal."""
        sound = item if isinstance(item, Sound) else read_recording(Path(item))
        samples = np.asarray(sound.samples, np.float32)
        if not len(samples) or (samples == samples[0]).all():
            return np.zeros((0, self.front_end.bands), np.float32)
        try:
            return self.front_end.steps(sound)
        except DataError as problem:
            raise problem if isinstance(item, Sound) else DataError(f"{item}: {problem}") from None

    def learnt(self, kept: Sequence[np.ndarray], settings: Settings) -> SoundSource:  # noqa: ARG002
        mean, scale = mean_and_scale(kept)
        return replace(self, mean=tuple(mean.tolist()), scale=tuple(scale.tolist()))

    def steps(self, kept: np.ndarray) -> np.ndarray:
        return kept

    def reader(self, embedding: int) -> FrameReader:  # noqa: ARG002 (frames are numbers already)
        return FrameReader(self.mean, self.scale, self.stride)

    def places(self, kept: np.ndarray) -> list[str]:
        starts = self.seconds(np.arange(-(-len(kept) // self.stride))).tolist()
        return [f"{second:.2f} s" for second in starts]

    def seconds(self, steps: np.ndarray) -> np.ndarray:
        """When steps of the network begin, in seconds. The frames of a step overlap with others at both ends, by half a
        frame less half its distance to the next; the steps follow one another in between."""
        mel = mel_of(self.front_end.rate, self.front_end.bands)
        seconds: np.ndarray = (np.asarray(steps) * (self.stride * mel.hop) + (mel.window - mel.hop) / 2) / mel.rate
        return seconds

    def stream(self) -> AudioStream:
        """Makes frames of samples as they arrive, at the rate of the front end."""
        return self.front_end.stream()

    def named(self, item: Any, number: int) -> str:
        return str(item) if isinstance(item, str | Path) else f"sound {number + 1}"

    def memory(self, kept: Sequence[np.ndarray], targets: Sequence[str]) -> NearestInTime:
        mean, scale = np.array(self.mean), np.array(self.scale)
        return NearestInTime(lambda frames: (frames - mean) / scale, kept, targets)

    def alignment_figure(
        self, weights: np.ndarray, kept: np.ndarray, written: Sequence[str], title: str
    ) -> Callable[[], Figure]:
        return partial(alignment_figure, weights, read=self.places(kept), written=written, title=title)

    def asks(self, run: str) -> list[str]:
        return [f"carousel transcribe {run} a.wav --times"]

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "rate": self.front_end.rate,
            "bands": self.front_end.bands,
            "stride": self.stride,
            "mean": self.mean,
            "scale": self.scale,
        }


def _has_rate(item: Any) -> bool:
    """Whether this is samples with their rate."""
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], Integral)


def _sound(item: Any) -> Any:
    """The name of a file, or a sound. Raises DataError for what is neither."""
    if isinstance(item, str | Path | Sound):
        return item
    if not _has_rate(item):
        raise DataError(
            f"A sound is the name of a file, or its samples with their rate, (samples, 8000), and "
            f"{type(item).__name__} is given."
        )
    samples, rate = np.asarray(item[0]), int(item[1])
    if rate < 1:
        raise DataError(f"The rate of a sound is its samples a second, above 0, not {rate}.")
    if samples.ndim != 2:
        return Sound(as_samples(samples), rate)
    if not 0 < samples.shape[1] <= MOST_CHANNELS:
        raise DataError(f"The samples of a sound are (n,) or (n, channels), and these have the shape {samples.shape}.")
    channels = np.stack([as_samples(samples[:, k]) for k in range(samples.shape[1])])
    return Sound(channels.mean(0, dtype=np.float32), rate)
