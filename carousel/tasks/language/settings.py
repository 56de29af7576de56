"""The settings of a language model and its training."""

from dataclasses import dataclass
from typing import Literal, get_args

from carousel.errors import DataError
from carousel.training.settings import (
    DATA,
    DEFAULT_MINUTES,
    MODEL,
    TRAINING,
    TrainingSettings,
    changed,
    explained,
    setting,
)

Level = Literal["char", "byte", "word"]


@explained
@dataclass(frozen=True)
class Settings(TrainingSettings):
    """The settings of a language model, with their defaults. Dropout that is not given is that of `automatic_dropout`.

    Raises DataError for a value that means nothing.
    """

    dropout: float | None = changed(
        "dropout",
        help="Share of activations set to zero in training. Without it: 0 to 0.3, by the sizes of the network and the "
        "text, and by how often the text is read.",
    )
    minutes: float | None = changed(
        "minutes", help=f"Train for this long. Without it and --epochs: {DEFAULT_MINUTES:g}."
    )
    validation_share: float = changed("validation_share", help="Share of the text to validate on: its end.")
    level: Level = setting(
        "char", "What the model reads and writes: char, byte or word. byte takes any file.", group=DATA
    )
    words: int = setting(10_000, "With --level word: size of the vocabulary; the most frequent words.", group=DATA)
    embedding: int | None = setting(
        None, "Size of the vector that stands for a symbol at the input. Without it: half of --hidden.", group=MODEL
    )
    window: int = setting(
        64, "Steps of truncated backpropagation; the state is carried on from window to window.", group=TRAINING
    )
    lanes: int = setting(32, "Batch size: how many parts of the text are read side by side.", group=TRAINING)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.level not in get_args(Level):
            raise DataError(f"A text is read by char, by byte or by word; the level {self.level!r} is none of these.")
        self.require_at_least_one("words", "embedding", "window", "lanes")


def automatic_dropout(epochs: float, parameters: int, tokens: int) -> float:
    """The dropout for a network with so many parameters that reads a text of so many tokens this often.

    A text that is read once or twice cannot be learnt by heart, nor can a long text by a small network: dropout would
    only slow the learning. The pressure to learn by heart is epochs · min(1, parameters / tokens).
    """
    pressure = epochs * min(1.0, parameters / tokens)
    if pressure < 4:
        return 0.0
    if pressure < 12:
        return 0.1
    if pressure < 30:
        return 0.2
    return 0.3
