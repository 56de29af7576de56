"""Pictures with a few things in them, and sounds with a few digits in them, for lesson 16: generated or read."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from carousel.course.numerals import ONES
from carousel.errors import DataError
from carousel.models import LogMel
from carousel.models.encoder_decoder import BOUNDARY, PADDING
from carousel.tasks.sequences.recordings import Sound, read_recording

DIGITS = ONES[:10]
SIDE = 16  # pixels of a picture, each way
SHAPES = {
    "square": "### ### ###", "ring": "### #.# ###", "plus": ".#. ### .#.", "cross": "#.# .#. #.#",
    "bar": "... ### ...", "post": ".#. .#. .#.", "slope": "..# .#. #..", "corner": "#.. #.. ###",
}  # fmt: skip


def targets_of(rows: Sequence[Sequence[int]]) -> Tensor:
    """Numbers of words as targets (T, B): word k is the symbol k + 1, each row ends in the boundary."""
    return pad_sequence([torch.tensor([*(k + 1 for k in row), BOUNDARY]) for row in rows], padding_value=PADDING)


# -- pictures -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Things:
    """What pictures are made of. words: the names of the kinds. grid: how many things a picture can have each way.
    drawn: for each kind its drawings, (n, k, k) from 0 to 1 with k = SIDE / grid."""

    words: list[str]
    grid: int
    drawn: list[np.ndarray]

    def pictures(self, count: int, most: int, *, fewest: int = 1) -> tuple[Tensor, list[list[int]], list[list[int]]]:
        """Pictures as `ImageReader` takes them, (SIDE, count, SIDE, 1) bytes, each with `fewest` to `most` things; the
        kinds of things in each, row by row from the left, and the cells of the grid where they are."""
        images = np.random.default_rng(random.getrandbits(32)).normal(0.1, 0.1, (count, SIDE, SIDE))
        size, kinds, cells = SIDE // self.grid, [], []
        for image in images:
            at = sorted(random.sample(range(self.grid**2), random.randint(fewest, most)))
            what = random.choices(range(len(self.words)), k=len(at))
            for cell, kind in zip(at, what, strict=True):
                row, column = (size * place for place in divmod(cell, self.grid))
                drawing = self.drawn[kind][random.randrange(len(self.drawn[kind]))]
                image[row : row + size, column : column + size] += random.uniform(0.6, 0.9) * drawing
            kinds.append(what)
            cells.append(at)
        seen = np.clip(255 * images, 0, 255).astype(np.uint8).transpose(1, 0, 2)[..., None]
        return torch.from_numpy(seen.copy()), kinds, cells


def shapes() -> Things:
    """Eight shapes of 3 x 3 pixels, at 4 x 4 places."""
    drawn = [np.array([[[*map("#".__eq__, row)] for row in f"{shape} ...".split()]]) for shape in SHAPES.values()]
    return Things(list(SHAPES), 4, [np.pad(one.astype(float), ((0, 0), (0, 0), (0, 1))) for one in drawn])


def written_digits(file: Path) -> Things:
    """Handwritten digits of a file of lines of 64 numbers from 0 to 16 and the digit (optdigits), at 2 x 2 places.
    Raises DataError for a file that is not so."""
    try:
        table = np.loadtxt(file, delimiter=",")
        images = table[:, :64].reshape(-1, 8, 8) / 16
        drawn = [images[table[:, 64] == digit] for digit in range(10)]
    except (ValueError, IndexError) as problem:
        raise DataError(f"{file} must have lines of 64 numbers and a digit, with commas: {problem}.") from None
    if not all(map(len, drawn)):
        raise DataError(f"{file} must have images of all ten digits.")
    return Things(DIGITS, 2, drawn)


# -- sounds ---------------------------------------------------------------------------------------------------------

RATE, BANDS = 8000, 24
LOW, HIGH = (697, 770, 852, 941), (1209, 1336, 1477)  # Hz, of the rows and columns of a telephone's keys


@dataclass(frozen=True)
class DigitSound:
    """A sound of some digits. frames: log-mel energies, (T, BANDS), a hundred a second. digits: in their order. times:
    when each begins and ends, in seconds (n, 2)."""

    frames: Tensor
    digits: list[int]
    times: np.ndarray


def key_tone(digit: int, rng: np.random.Generator) -> np.ndarray:
    """What a telephone sends for a digit: two tones at once, for 60 to 160 ms."""
    row, column = (3, 1) if digit == 0 else divmod(digit - 1, 3)
    t = np.arange(int(rng.uniform(0.06, 0.16) * RATE)) / RATE
    first, second = (np.sin(2 * np.pi * (f * t + rng.uniform())) for f in (LOW[row], HIGH[column]))
    tone: np.ndarray = rng.uniform(0.1, 0.3) * (first + second)
    return tone


def dialled(count: int, digits: tuple[int, int], seed: int) -> list[DigitSound]:
    """Sounds of keys that are pressed one after another, with noise and pauses of 30 to 150 ms. digits: the fewest and
    most of a sound."""
    rng = np.random.default_rng(seed)

    def sound() -> DigitSound:
        keys = rng.integers(10, size=rng.integers(digits[0], digits[1] + 1)).tolist()
        return _joined(keys, [key_tone(key, rng) for key in keys], rng, noise=0.08)

    return [sound() for _ in range(count)]


def _joined(digits: list[int], clips: list[np.ndarray], rng: np.random.Generator, *, noise: float) -> DigitSound:
    pieces, times, now = [], [], 0
    for clip in (*clips, None):
        pause = np.zeros(int(rng.uniform(0.03, 0.15) * RATE))
        now += len(pause)
        pieces.append(pause)
        if clip is not None:
            times.append((now / RATE, (now + len(clip)) / RATE))
            now += len(clip)
            pieces.append(clip)
    samples = np.concatenate(pieces)
    samples += rng.normal(0, noise, len(samples))
    return DigitSound(MEL(torch.from_numpy(samples.astype(np.float32))), digits, np.array(times))


MEL = LogMel(RATE, bands=BANDS)


class Recordings:
    """Recordings of single digits, in files {digit}_{speaker}_{take}.wav (fsdd), to be joined into strings of one
    speaker's. Raises DataError for a folder that has none, or a file that cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.clips: dict[tuple[str, bool], dict[int, list[np.ndarray]]] = {}
        for file in sorted(folder.glob("[0-9]_*_*.wav")):
            digit, speaker, take = file.stem.split("_")
            sound: Sound = read_recording(file).at(RATE)
            of_speaker = self.clips.setdefault((speaker, take in "01234"), {})
            of_speaker.setdefault(int(digit), []).append(sound.samples)
        if not any(held for _, held in self.clips) or all(held for _, held in self.clips):
            raise DataError(
                f"{folder} must have files as 7_jackson_3.wav, some of takes 0 to 4 and some of later ones."
            )

    def strings(self, count: int, digits: tuple[int, int], seed: int, *, held: bool) -> list[DigitSound]:
        """Strings of digits, each of one speaker. held: of takes 0 to 4, else of all others."""
        rng = np.random.default_rng(seed)
        speakers = [clips for (_, takes), clips in self.clips.items() if takes == held]

        def string() -> DigitSound:
            speaker = speakers[rng.integers(len(speakers))]
            said = rng.choice(sorted(speaker), rng.integers(digits[0], digits[1] + 1)).tolist()
            return _joined(said, [speaker[d][rng.integers(len(speaker[d]))] for d in said], rng, noise=0.002)

        return [string() for _ in range(count)]
