"""Probabilities while a sequence is still arriving."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from carousel.errors import DataError, option
from carousel.models.label_model import Arriving
from carousel.tasks.classification.trained import TrainedClassifier
from carousel.tasks.sequences.examples import Label
from carousel.tasks.sequences.steps import StoredSteps


class Stream:
    """One sequence, as it arrives: made by `SequenceClassifier.stream()`.

        stream = model.stream()
        for reading in sensor:                  # a step (C,) or several (n, C); samples of a sound; a piece of text
            stream.push(reading)
            stream.label, stream.probabilities

    A step costs the same at the beginning and after a million, and memory does not grow. What it says after t steps is
    what the model says of a sequence of those t steps; before the first step, of a sequence without any.
    Raises DataError for a bidirectional model, which reads a sequence from its end as well.
    """

    def __init__(self, trained: TrainedClassifier) -> None:
        self._trained = trained
        self._front_end = trained.front_end.stream()
        self._arriving = arriving(trained)
        self.steps = 0

    def push(self, piece: Any) -> "Stream":
        """Reads the next piece of the sequence."""
        return self._read(self._front_end.push(piece))

    def finish(self) -> "Stream":
        """Nothing more comes: what waited for more (half a word, a sound shorter than a window) is read now."""
        return self._read(self._front_end.finish())

    def _read(self, steps: np.ndarray) -> "Stream":
        self._arriving.push(steps)
        self.steps += len(steps)
        return self

    @property
    def probabilities(self) -> np.ndarray:
        """Of each class, in the order of the model's classes, (K) float64."""
        return np.exp(self._arriving.log_probabilities().double().cpu().numpy())

    @property
    def label(self) -> Label:
        return self._trained.classes[int(self.probabilities.argmax())]


def arriving(trained: TrainedClassifier) -> Arriving:
    try:
        return trained.network.arriving()
    except ValueError:
        raise DataError(
            f"This model is bidirectional: it reads a sequence from its end as well, and can say nothing cheaply "
            f"before the end has come. Train one with {option('bidirectional', False)} to stream."
        ) from None


@dataclass(frozen=True)
class Moment:
    """A model's prediction after the first `steps` steps."""

    steps: int
    log_probabilities: np.ndarray


def moments(trained: TrainedClassifier, steps: np.ndarray, every: int) -> Iterator[Moment]:
    """After every so many steps of a sequence, and at its end. A bidirectional model reads each prefix anew."""
    return moments_at(trained, steps, [*range(every, len(steps), every), len(steps)])


def moments_at(trained: TrainedClassifier, steps: np.ndarray, stops: Iterable[int]) -> Iterator[Moment]:
    """After each of these numbers of steps, which increase. A bidirectional model reads each prefix anew."""
    stops = [int(stop) for stop in stops]
    if trained.network.members[0].recurrent.bidirectional:
        answers = trained.of_steps(StoredSteps.of([steps[:stop] for stop in stops]))
        yield from (Moment(stop, answer) for stop, answer in zip(stops, answers, strict=True))
        return
    reader, read = trained.network.arriving(), 0
    for stop in stops:
        reader.push(steps[read:stop])
        read = stop
        yield Moment(stop, reader.log_probabilities().double().cpu().numpy())
