"""Sound files, as one channel of samples between -1 and 1 at a wanted rate."""

import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from carousel.errors import DataError

# What `wave` reads, and after it what soundfile does.
SUFFIXES = (
    ".wav",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".au",
    ".snd",
    ".aif",
    ".aiff",
    ".aifc",
    ".caf",
    ".w64",
    ".sph",
)
UNREADABLE = (".m4a", ".aac", ".wma", ".amr", ".webm", ".mp4", ".3gp")  # sounds that neither does


@dataclass(frozen=True)
class Sound:
    """samples: float32 (n,), between -1 and 1; rate: samples a second."""

    samples: np.ndarray
    rate: int

    def at(self, rate: int) -> "Sound":
        return self if rate == self.rate else Sound(resampled(self.samples, self.rate, rate), rate)


def read_recording(path: Path) -> Sound:
    """One file; several channels become their mean. WAV of 8, 16, 24 and 32 bits is read by Python's own `wave`,
    anything else by soundfile. Raises DataError where the file cannot be read."""
    if path.suffix.lower() != ".wav":
        return _with_soundfile(path, f"{path.suffix.lower().removeprefix('.').upper()} files")
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            content = file.readframes(file.getnframes())
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}. Check its permissions.") from None
    except (wave.Error, EOFError) as problem:
        if "unknown format" in str(problem):
            return _with_soundfile(path, "WAV files of other than whole numbers")
        raise DataError(f"{path} is no WAV file that can be read ({str(problem) or 'it breaks off'}).") from None
    if rate < 1 or channels < 1 or width not in (1, 2, 3, 4):
        raise DataError(f"{path} says it has {channels} channels of {8 * width} bits at {rate} Hz: it is damaged.")
    samples = whole_numbers(content[: len(content) // (channels * width) * channels * width], width)
    return Sound(samples.reshape(-1, channels).mean(1, dtype=np.float32), rate)


def recorded_rate(path: Path) -> int:
    """Samples a second, from the file's head alone."""
    if path.suffix.lower() == ".wav":
        try:
            with wave.open(str(path), "rb") as file:
                return file.getframerate()
        except (wave.Error, EOFError, OSError):
            pass  # reading it says what is wrong, or soundfile reads it
    return read_recording(path).rate


def whole_numbers(content: bytes, width: int) -> np.ndarray:
    """PCM as WAV files have it, little-endian and of `width` bytes a sample, as float32 between -1 and 1.

    Samples of 8 bits are 0 to 255 with silence at 128, wider ones are signed.
    """
    if width == 3:
        wide = np.zeros((len(content) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)  # as the upper three of four bytes
        content, width = wide.tobytes(), 4
    return as_samples(np.frombuffer(content, "u1" if width == 1 else f"<i{width}"))


def as_samples(sound: Any) -> np.ndarray:
    """One channel of samples, (n,), as float32 between -1 and 1.

    Floats are taken as they are. Whole numbers of b bits are PCM and become x / 2^(b - 1), unsigned ones after
    2^(b - 1) was taken away, as their silence lies in the middle. Raises DataError for anything else, and for whole
    numbers of 64 bits: no recording has them, and they do not tell what is full scale.
    """
    values = np.asarray(sound)
    if values.ndim != 1:
        raise DataError(f"A sound is samples (n,), one channel, and these have the shape {values.shape}.")
    if values.dtype.kind == "f" or not len(values):
        return values.astype(np.float32)
    bits = 8 * values.dtype.itemsize
    if values.dtype.kind not in "iu" or bits > 32:
        raise DataError(
            f"The samples of a sound are floats between -1 and 1, or whole numbers of 8, 16 or 32 bits, whose width "
            f"says what is full scale; these are {values.dtype}. Convert them: astype('int16'), say."
        )
    full = 2.0 ** (bits - 1)
    return ((values - (full if values.dtype.kind == "u" else 0.0)) / full).astype(np.float32)


def _with_soundfile(path: Path, what: str) -> Sound:
    try:
        import soundfile
    except ImportError:
        raise DataError(
            f"{path} needs the package soundfile, which reads {what}. Install it: pip install 'carousel-rnn[audio]'"
        ) from None
    except OSError as problem:  # soundfile is there, and the library it wraps is not
        raise DataError(f"{path} needs soundfile, which cannot start: {problem}.") from None
    try:
        samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (RuntimeError, OSError) as problem:
        raise DataError(f"{path} cannot be read as sound: {problem}.") from None
    return Sound(samples.mean(1, dtype=np.float32), int(rate))


def resampled(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """The same sound at `wanted` samples a second, float32, ceil(n · wanted / rate) of them.

    Frequencies that the new rate cannot hold are filtered out, by soxr (the SoX resampler library). Raises DataError
    for a rate below 1, and where soxr is not installed.
    """
    if rate < 1 or wanted < 1:
        raise DataError(f"A sampling rate is a whole number above 0, not {min(rate, wanted)}.")
    try:
        import soxr
    except ImportError:
        raise DataError(
            f"Sounds of {rate:,} samples a second are to be read at {wanted:,}, which needs the package soxr. "
            f"Install it: pip install 'carousel-rnn[audio]'"
        ) from None
    sound = soxr.resample(np.asarray(samples, np.float32), rate, wanted)
    count = -(-len(samples) * wanted // rate)  # soxr may round down
    return np.pad(sound[:count], (0, max(0, count - len(sound))))
