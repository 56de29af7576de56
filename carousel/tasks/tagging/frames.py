"""Sounds with a table of intervals: the file, the start and the end in seconds, and the tag of each."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.sequences.columns import intervals_in
from carousel.tasks.sequences.front_ends.audio import AudioFrontEnd, mel_of
from carousel.tasks.sequences.recordings import SUFFIXES, read_recording
from carousel.tasks.table import listed, looks_like_table, read
from carousel.tasks.tagging.tagged import Tagged

OUTSIDE = "-"  # the tag of frames that lie in no interval
HEAD = 50  # rows that are looked at to recognise a table


def looks_like(path: Path, label: str | None, file: str | None) -> bool:
    """Whether a file is a table of intervals of sounds. Reads its head."""
    if not path.is_file() or not looks_like_table(path):
        return False
    try:
        return intervals_in(read(path, rows=HEAD), label=label, file=file) is not None
    except DataError:
        return False


def is_sound(path: Path) -> bool:
    """Whether a file is a sound, by its name."""
    return path.name.lower().endswith(SUFFIXES)


def read_table(path: Path, *, label: str | None = None, file: str | None = None) -> Tagged:
    """The sounds that a table lists, with their intervals, each in the order of time.

    Files are looked for from the folder of the table. Raises DataError for a file that is missing, an interval without
    a tag, one that ends before it starts or outside its sound, and for two that overlap.
    """
    frame = read(path)
    columns = intervals_in(frame, label=label, file=file)
    if columns is None:
        raise DataError(
            f"{path} has the columns {listed(frame.columns, 20)}. A table of the intervals of sounds has a column of "
            f"file names ({option('file')}), start and end in seconds, and a column of tags ({option('label')})."
        )
    rows = frame.select(
        pl.col(columns.file).cast(pl.String),
        pl.col(columns.start).cast(pl.Float64),
        pl.col(columns.end).cast(pl.Float64),
        pl.col(columns.label).cast(pl.String),
    )
    of_file: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for number, (name, start, end, tag) in enumerate(rows.iter_rows(), start=1):
        if None in (name, start, end, tag):
            raise DataError(f"{path}: row {number:,} below the names lacks a file, a start, an end or a tag.")
        if not 0 <= start < end:
            raise DataError(
                f"{path}: row {number:,} below the names has an interval from {start:g} s to {end:g} s. An interval "
                f"starts at 0 or later, and ends after its start."
            )
        of_file[name].append((start, end, tag))
    items, intervals = [], []
    for name, found in of_file.items():
        sound = read_recording(path.parent / name)
        found.sort()
        _require_apart(f"{path}: {name}", found, len(sound.samples) / sound.rate)
        items.append(sound)
        intervals.append(found)
    said = (
        f"{path.name}: {sum(map(len, intervals)):,} intervals in {len(items):,} sounds; frames in none of them have "
        f"the tag {OUTSIDE!r}",
    )
    return Tagged("audio", items, list(of_file), intervals=intervals, columns={"label": label, "file": file}, said=said)


def read_sounds(paths: Sequence[Path]) -> Tagged:
    """Sounds without tags, for a trained model."""
    return Tagged("audio", [read_recording(path) for path in paths], [str(path) for path in paths])


def tags_of_frames(front_end: AudioFrontEnd, frames: int, intervals: Sequence[tuple[float, float, str]]) -> list[str]:
    """The tag of each frame: that of the interval in which its middle lies, or `OUTSIDE`."""
    middles = middles_of_frames(front_end, frames)
    tags = [OUTSIDE] * frames
    for start, end, tag in intervals:
        for frame in range(*np.searchsorted(middles, (start, end)).tolist()):
            tags[frame] = tag
    return tags


def middles_of_frames(front_end: AudioFrontEnd, frames: int) -> np.ndarray:
    """The middle of each frame in seconds, (frames,)."""
    mel = mel_of(front_end.rate, front_end.bands)
    middles: np.ndarray = (np.arange(frames) * mel.hop + mel.window / 2) / front_end.rate
    return middles


def _require_apart(name: str, intervals: Sequence[tuple[float, float, str]], seconds: float) -> None:
    """Raises DataError where two intervals overlap, or one ends after the sound."""
    for (start, end, tag), (later, _, other) in pairwise(intervals):
        if later < end:
            raise DataError(
                f"{name}: the interval {tag!r} from {start:g} s to {end:g} s overlaps with {other!r}, which starts at "
                f"{later:g} s. Each moment has one tag."
            )
    start, end, tag = intervals[-1]
    if end > seconds + 0.05:
        raise DataError(f"{name}: the interval {tag!r} ends at {end:g} s, and the sound at {seconds:.2f} s.")
