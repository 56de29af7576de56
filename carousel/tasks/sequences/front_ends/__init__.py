"""From what an example is (numbers over time, sound, text) to the steps that the network reads.

A front end is fitted to the training examples, written to the run's config.json, and has

    kind: str                       of the examples it reads
    size: int                       numbers at each step; for symbols, how many different ones
    symbolic: bool                  whether a step is a symbol, int64 (T,), or numbers, float32 (T, size)
    unit: str                       what one step is: "step", "frame", "word", "character"
    steps(item) -> ndarray          the steps of one example, whole
    stream() -> StepStream            the same, as the example arrives
    said: str                       what it does, in a line
    to_json()

None looks ahead: the steps of the beginning of an example are the first steps of the example.
"""

from typing import Any, Protocol

import numpy as np

from carousel.tasks.sequences.examples import Examples
from carousel.tasks.sequences.front_ends.audio import AudioFrontEnd
from carousel.tasks.sequences.front_ends.series import SeriesFrontEnd
from carousel.tasks.sequences.front_ends.text import TextFrontEnd


class StepStream(Protocol):
    def push(self, piece: Any) -> np.ndarray:
        """The steps that are complete with this piece: numbers, samples or characters, any number of them."""

    def finish(self) -> np.ndarray:
        """The steps that are complete once nothing more comes."""


class FrontEnd(Protocol):
    kind: str
    symbolic: bool
    unit: str

    @property
    def size(self) -> int: ...

    @property
    def said(self) -> str: ...

    def steps(self, item: Any) -> np.ndarray: ...

    def stream(self) -> StepStream: ...

    def to_json(self) -> dict[str, Any]: ...


FRONT_ENDS: dict[str, Any] = {"series": SeriesFrontEnd, "audio": AudioFrontEnd, "text": TextFrontEnd}


def fit(examples: Examples, *, level: str | None, differences: bool | None) -> FrontEnd:
    """The front end for these training examples. Raises DataError for an option that their kind does not have."""
    front_end: FrontEnd = FRONT_ENDS[examples.kind].fit(examples, level=level, differences=differences)
    return front_end


def from_json(record: dict[str, Any]) -> FrontEnd:
    """Raises KeyError or TypeError for what `to_json` has not written."""
    fields = dict(record)
    front_end: FrontEnd = FRONT_ENDS[fields.pop("kind")](**fields)
    return front_end
