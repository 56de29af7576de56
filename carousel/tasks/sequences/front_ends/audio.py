"""Sound: log-mel frames of recordings brought to one rate."""

from collections import Counter
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from carousel.errors import DataError, option
from carousel.models.log_mel import LogMel
from carousel.tasks.sequences.examples import Examples
from carousel.tasks.sequences.recordings import Sound, as_samples, read_recording, recorded_rate

HIGHEST, MOST_BANDS = 10_000_000, 1000  # samples a second, and bands of a frame, in what a run says
RATES_ASKED = 200  # recordings whose rate is looked up to find the commonest


@dataclass(frozen=True)
class AudioFrontEnd:
    """Each step is a frame of `bands` log-mel energies; see `carousel.models.log_mel.LogMel` for the formula."""

    rate: int
    bands: int = 40

    def __post_init__(self) -> None:
        if not 1 <= self.rate <= HIGHEST or not 1 <= self.bands <= MOST_BANDS:
            raise ValueError(f"no sound has {self.bands} bands at {self.rate} samples a second")

    kind = "audio"
    symbolic = False
    unit = "frame"

    @classmethod
    def fit(cls, examples: Examples, *, level: str | None, differences: bool | None) -> "AudioFrontEnd":
        if level is not None or differences is not None:
            raise DataError(
                f"These are sounds, but {option('level')} is for texts and "
                f"{option('differences')} for series of numbers. Leave it out."
            )
        return cls(_commonest_rate(examples.items))

    @property
    def size(self) -> int:
        return self.bands

    @property
    def said(self) -> str:
        mel = self._mel
        return (
            f"each step: a frame of {self.bands} log-mel energies, {mel.window / self.rate:.3g} s long, one every "
            f"{mel.hop / self.rate:.3g} s, at {self.rate:,} Hz; standardised on the training part"
        )

    @cached_property
    def _mel(self) -> LogMel:
        try:
            return mel_of(self.rate, self.bands)
        except ValueError as problem:
            raise DataError(f"The recordings' rate is too low for log-mel features: {problem}.") from None

    def steps(self, item: Sound | str | Path) -> np.ndarray:
        recording = item if isinstance(item, Sound) else read_recording(Path(item))
        return self._frames(recording.at(self.rate).samples)

    def stream(self) -> "AudioStream":
        return AudioStream(self)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}

    def _frames(self, samples: np.ndarray) -> np.ndarray:
        if not np.isfinite(samples).all():
            raise DataError("A recording has samples that are no numbers.")
        frames: np.ndarray = self._mel(torch.from_numpy(np.ascontiguousarray(samples, np.float32))).numpy()
        return frames


class AudioStream:
    """Samples at the front end's rate, as they arrive. A frame is complete with its last sample."""

    def __init__(self, front_end: AudioFrontEnd) -> None:
        self._front_end = front_end
        self._waiting = np.zeros(0, np.float32)
        self._begun = False

    def push(self, piece: np.ndarray) -> np.ndarray:
        self._waiting = np.concatenate([self._waiting, as_samples(piece)])
        mel = self._front_end._mel
        if len(self._waiting) < mel.window:
            return np.zeros((0, self._front_end.size), np.float32)
        frames = self._front_end._frames(self._waiting)
        self._waiting = self._waiting[len(frames) * mel.hop :]
        self._begun = True
        return frames

    def finish(self) -> np.ndarray:
        """A sound shorter than a window is padded to one, as `steps` does it."""
        if self._begun:
            return np.zeros((0, self._front_end.size), np.float32)
        return self._front_end._frames(self._waiting)


@cache
def mel_of(rate: int, bands: int) -> LogMel:
    return LogMel(rate, bands=bands)


def _commonest_rate(items: Any) -> int:
    some = items[:: max(1, len(items) // RATES_ASKED)]
    rates = Counter(item.rate if isinstance(item, Sound) else recorded_rate(Path(item)) for item in some)
    return max(rates, key=lambda rate: (rates[rate], rate))
