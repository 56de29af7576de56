"""The settings of a tagger and its training."""

from __future__ import annotations

from dataclasses import dataclass

from carousel.errors import DataError
from carousel.tasks.table_settings import TableSettings, id_setting, time_setting
from carousel.training.settings import DATA, MODEL, TRAINING, changed, explained, setting


@explained
@dataclass(frozen=True)
class Settings(TableSettings):
    """The settings of a tagger, with their defaults. Those left at None are chosen by the data: see `preparation`.

    Raises DataError for a value that means nothing.
    """

    hidden: int = changed("hidden", default=128)
    layers: int = changed("layers", default=1)
    dropout: float | None = changed(
        "dropout", help="Share of activations set to zero in training. Without it: 0.4 for words, 0.3 for numbers."
    )
    learning_rate: float = changed("learning_rate", default=4e-3)
    epochs: float | None = changed(
        "epochs",
        help="Train until all training data have been read this many times, instead of --minutes. Without both: as "
        "often as 2,000,000 words or steps in all allow, 4 to 100 times.",
    )
    validation_share: float = changed(
        "validation_share", help="Share of the sequences to validate on, where no --validation-file is named."
    )

    label: str | None = setting(
        None,
        "The column of tags: its name, or its number from 1. Without it: upos in CoNLL-U, the last column of other "
        "files of words, a column with a usual name in tables.",
        group=DATA,
    )
    word: str | None = setting(
        None,
        "The column of words in a file of words: its name, or its number from 1. Without it: the form in CoNLL-U, the "
        "first column of other files.",
        group=DATA,
    )
    id: str | None = id_setting()
    time: str | None = time_setting()
    file: str | None = setting(
        None, "The column of file names, in a table of the intervals of sounds and their tags.", group=DATA
    )
    validation_file: str | None = setting(
        None, "A file of the same form to validate on, instead of a share of the data.", group=DATA
    )
    test_file: str | None = setting(
        None, "A file of the same form on which the best model is judged at the end.", group=DATA
    )

    bidirectional: bool = setting(True, "Read sequences in both directions.", group=MODEL)
    embedding: int = setting(100, "Size of the vector that stands for a known word.", group=MODEL)
    character_hidden: int = setting(
        48, "Units, in each direction, of the recurrence over the characters of a word; 0 for none.", group=MODEL
    )

    batch: int | None = setting(
        None,
        "Sequences in each step of training. Without it: 8 to 32, by how many sequences there are.",
        group=TRAINING,
    )
    forget: float = setting(0.1, "Share of known words that each training step reads as unknown ones.", group=TRAINING)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_at_least_one("embedding", "batch")
        if self.character_hidden != 0:
            self.require_at_least_one("character_hidden")
        if not 0 <= self.forget < 1:
            raise DataError(f"forget is a share, at least 0 and below 1, not {self.forget}.")
        self._join("id", "time")
        for name in ("label", "word", "validation_file", "test_file"):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, str(given))
