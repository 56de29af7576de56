"""What can be chosen about a language model and its training."""

from dataclasses import dataclass

from carousel.errors import DataError
from carousel.training.settings import TrainingSettings


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """The choices, with their defaults; dropout, if not given, is that of `automatic_dropout`.

    Raises DataError for a value that means nothing.
    """

    level: str = "char"  # what a symbol is: char, byte or word
    words: int = 10_000  # word level only: how many words to know
    embedding: int | None = None  # numbers that stand for a symbol at the input; None: half of hidden
    window: int = 64  # steps that gradients go back
    lanes: int = 32  # places at which the text is read at once

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.level not in ("char", "byte", "word"):
            raise DataError(f"A text is read by char, by byte or by word; the level {self.level!r} is none of these.")
        self.require_at_least_one("words", "embedding", "window", "lanes")


def automatic_dropout(epochs: float, parameters: int, tokens: int) -> float:
    """How much to drop, from how hard a network of this size, reading the text this often, could learn it by heart.

    A text read once or twice cannot be learnt by heart, nor can a long one by a small network; dropout would only
    slow the learning.
    """
    pressure = epochs * min(1.0, parameters / tokens)
    if pressure < 4:
        return 0.0
    if pressure < 12:
        return 0.1
    if pressure < 30:
        return 0.2
    return 0.3
