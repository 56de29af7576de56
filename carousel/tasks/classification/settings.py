"""What can be chosen about a classifier of sequences and its training."""

from dataclasses import dataclass, fields

from carousel.errors import DataError
from carousel.models.pooling import HEADS
from carousel.tasks.classification.examples import Columns
from carousel.tasks.table.numbers import Signs
from carousel.training.settings import TrainingSettings

WEIGHTS = ("none", "balanced")
AXES = ("NTC", "NCT")


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """The choices, with their defaults. Sizes and budgets left at None are chosen by the data: see `choices`.

    Raises DataError for a value that means nothing.
    """

    cell: str = "gru"
    hidden: int = 64
    learning_rate: float = 4e-3
    validation_share: float = 0.2

    # How the data are read; None: found, and said
    label: str | None = None  # column of the classes
    id: str | None = None  # column that says which sequence a row belongs to, or several: "subject,trial"
    time: str | None = None  # column of times, to order a sequence's rows by, or several
    text: str | None = None  # column of texts
    file: str | None = None  # column of the names of sound files
    group: str | None = None  # column of what must not be split
    names: str | None = None  # what file names say, as "{label}_{group}_*"
    axes: str | None = None  # of arrays: NTC, or NCT (sequences, channels, steps)
    decimal: str | None = None  # what stands before the decimals of numbers in a text table
    thousands: str | None = None  # what stands between their thousands
    level: str | None = None  # of text: word or char
    differences: bool | None = None  # of series: changes from step to step beside values

    # The network
    head: str = "attention"
    bidirectional: bool = True
    embedding: int = 64

    # Training
    folds: int | None = (
        None  # networks that vote, each with its part of the data held out; 1: one, see validation_share
    )
    batch: int | None = None
    class_weights: str = "none"
    label_smoothing: float = 0.1
    augment: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        Signs(self.decimal, self.thousands)
        self.require_at_least_one("embedding", "folds", "batch")
        for name in ("id", "time"):
            if isinstance(given := getattr(self, name), list | tuple):
                object.__setattr__(self, name, ",".join(map(str, given)))
        if self.head not in HEADS:
            raise DataError(f"There is no head {self.head!r}. There are: {', '.join(HEADS)}.")
        if self.level not in (None, "word", "char"):
            raise DataError(f"A text is classified by word or by char; the level {self.level!r} is neither.")
        if self.axes not in (None, *AXES):
            raise DataError(
                f"The axes of arrays are NTC (sequences, steps, channels) or NCT (sequences, channels, steps), not "
                f"{self.axes!r}."
            )
        if self.class_weights not in WEIGHTS:
            raise DataError(f"Classes are weighted by none or balanced, not {self.class_weights!r}.")
        if not 0 <= self.label_smoothing < 1:
            raise DataError(f"label_smoothing is a share, at least 0 and below 1, not {self.label_smoothing}.")

    @property
    def columns(self) -> Columns:
        return Columns(**{field.name: getattr(self, field.name) for field in fields(Columns)})
