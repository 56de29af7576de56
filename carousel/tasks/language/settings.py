"""The settings of a language model and its training."""

from dataclasses import dataclass
from typing import Literal, get_args

from carousel.errors import DataError, option
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

Level = Literal["char", "byte", "word", "token"]
WORDS: tuple[Level, ...] = ("word", "token")  # levels whose symbols are whole words


@explained
@dataclass(frozen=True)
class Settings(TrainingSettings):
    """The settings of a language model, with their defaults. Dropout that is not given is that of `automatic_dropout`.

    Raises DataError for a value that means nothing.
    """

    hidden: int = changed("hidden", default=256)
    layers: int = changed("layers", default=1)
    dropout: float | None = changed(
        "dropout",
        help="Share of activations set to zero in training. Without it: 0 to 0.3, by the sizes of the network and the "
        "text, and by how often the text is read.",
    )
    minutes: float | None = changed(
        "minutes", help=f"Train for this long. Without it and --epochs: {DEFAULT_MINUTES:g}."
    )
    validation_share: float = changed("validation_share", help="Share of the text to validate on: its end.")
    level: Level | None = setting(
        None,
        "What the model reads and writes: char, byte, word, or token, for a text that white space divides into tokens "
        "already. byte takes any file. Without it: char, or word with --fill.",
        group=DATA,
    )
    words: int = setting(
        10_000, "With --level word or token: size of the vocabulary; the most frequent words.", group=DATA
    )
    fill: bool = setting(
        False,
        "Learn to fill in missing words: the model reads a text from both sides, and predicts each word from all the "
        "others. Such a model writes no text.",
        group=MODEL,
    )
    embedding: int | None = setting(
        None,
        "Size of the vector that stands for a symbol at the input. Without it: half of --hidden, or all of it with "
        "--fill.",
        group=MODEL,
    )
    sampled: int | None = setting(
        None,
        "With --fill: how many other words a word is compared with in training, 0 for all. Without it: all of up to "
        "4,000 words, 1,024 of more.",
        group=TRAINING,
    )
    window: int = setting(
        64,
        "Steps of truncated backpropagation; the state is carried on from window to window. With --fill: words of a "
        "piece of text that is read at a time.",
        group=TRAINING,
    )
    lanes: int = setting(32, "Batch size: how many parts of the text are read side by side.", group=TRAINING)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.level not in (None, *get_args(Level)):
            raise DataError(f"A text is read by char, byte, word or token; the level {self.level!r} is none of these.")
        self.require_at_least_one("words", "embedding", "window", "lanes")
        if self.sampled != 0:
            self.require_at_least_one("sampled")
        if self.fill and self.level not in (None, *WORDS):
            raise DataError(
                f"A model that fills in missing words ({option('fill', True)}) reads words or tokens; leave "
                f"{option('level', self.level)} out."
            )
        if self.sampled is not None and not self.fill:
            raise DataError(f"{option('sampled')} is for models that fill in words: give {option('fill', True)}, too.")


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
