"""From what a sequence is (words, numbers over time, sound) to the steps that the network reads."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from carousel.tasks.sequences.examples import Examples
from carousel.tasks.sequences.front_ends.audio import AudioFrontEnd
from carousel.tasks.sequences.front_ends.series import SeriesFrontEnd
from carousel.tasks.tagging.frames import tags_of_frames
from carousel.tasks.tagging.tagged import Tagged
from carousel.tasks.tagging.words import WordFrontEnd

FrontEnd = WordFrontEnd | SeriesFrontEnd | AudioFrontEnd
FRONT_ENDS: dict[str, Any] = {"words": WordFrontEnd, "series": SeriesFrontEnd, "audio": AudioFrontEnd}


def fit(data: Tagged) -> FrontEnd:
    """The front end for these training sequences."""
    if data.kind == "words":
        return WordFrontEnd.fit(data.items)
    examples = Examples(data.kind, data.items, data.names, channels=data.channels)
    found: FrontEnd = FRONT_ENDS[data.kind].fit(examples, level=None, differences=None)
    return found


def from_json(record: dict[str, Any]) -> FrontEnd:
    """Raises KeyError, TypeError or ValueError for what `to_json` has not written."""
    fields = dict(record)
    front_end: FrontEnd = FRONT_ENDS[fields.pop("kind")](**fields)
    return front_end


def sizes(front_end: FrontEnd) -> dict[str, Any]:
    """The arguments of `TagModel` that say what a step is."""
    return front_end.sizes if isinstance(front_end, WordFrontEnd) else {"inputs": front_end.size}


def numbers(front_end: SeriesFrontEnd | AudioFrontEnd, data: Tagged) -> list[np.ndarray]:
    """The steps of each sequence, (T, size) float32 each."""
    return [np.asarray(front_end.steps(item), np.float32) for item in data.items]


def tags_of(front_end: FrontEnd, data: Tagged, lengths: Sequence[int]) -> list[Sequence[str | None]] | None:
    """The true tag of each step, None where a step has none; None for data without tags. lengths: of the sequences."""
    if data.intervals is not None and isinstance(front_end, AudioFrontEnd):
        return [
            tags_of_frames(front_end, length, intervals)
            for length, intervals in zip(lengths, data.intervals, strict=True)
        ]
    return None if data.tags is None else list(data.tags)
