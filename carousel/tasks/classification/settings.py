"""The settings of a classifier of sequences and its training."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, get_args

from carousel.errors import DataError, option
from carousel.tasks.table_settings import TableSettings, id_setting, time_setting
from carousel.training.settings import DATA, MODEL, TRAINING, changed, explained, setting

if TYPE_CHECKING:
    from carousel.tasks.sequences.examples import Columns

Head = Literal["last", "mean", "max", "attention"]
Weights = Literal["none", "balanced"]
Axes = Literal["NTC", "NCT"]


@explained
@dataclass(frozen=True)
class Settings(TableSettings):
    """The settings of a classifier, with their defaults. Those left at None are chosen by the data: see `choices`.

    Raises DataError for a value that means nothing.
    """

    cell: str = changed("cell", default="gru")
    hidden: int = changed("hidden", default=64)
    layers: int = changed("layers", default=1)
    dropout: float | None = changed(
        "dropout",
        help="Share of activations set to zero in training. Without it: 0.5 for texts, 0.3 for series and sounds.",
    )
    learning_rate: float = changed("learning_rate", default=4e-3)
    validation_share: float = changed(
        "validation_share",
        default=0.2,
        help="Share of the data to validate on, where there is one network (see --folds).",
    )

    label: str | None = setting(None, "The column of classes.", group=DATA)
    id: str | None = id_setting()
    time: str | None = time_setting()
    text: str | None = setting(None, "The column of texts to classify.", group=DATA)
    file: str | None = setting(
        None, "The column of file names, in a table that lists files and their classes.", group=DATA
    )
    group: str | None = setting(
        None,
        "The column of speakers, subjects or the like. The sequences of a group are all trained on or all held out.",
        group=DATA,
    )
    names: str | None = setting(
        None,
        'What file names say: `"{label}_{group}_*"` reads 7_theo_12.wav as the class 7 of the group theo.',
        group=DATA,
    )
    axes: Axes | None = setting(
        None,
        "Of arrays in .npz files: NTC (sequences, steps, channels) or NCT. Without it: NTC, and arrays with more "
        "channels than steps are refused. Of a table whose columns ch1, ch2, ... are the steps of the sequence in each "
        "row: NCT.",
        group=DATA,
    )
    level: Literal["char", "word"] | None = setting(
        None,
        "How texts are read: by word or by char. Without it: by word, unless most words occur only once.",
        group=DATA,
    )
    differences: bool | None = setting(
        None, "Of series: read the change from step to step beside the values. Without it: yes.", group=DATA
    )

    head: Head = setting(
        "attention",
        "How the outputs of all steps become one: the last, their mean, their maximum, or attention over them.",
        group=MODEL,
    )
    bidirectional: bool = setting(
        True, "Read sequences in both directions; a model that reads in one direction can stream.", group=MODEL
    )
    convolutions: int | None = setting(
        None,
        "Channels of the convolutions beside the recurrence, 0 for none. Without it: 32 for series and sounds, none "
        "for texts.",
        group=MODEL,
    )
    fixed_convolutions: int | None = setting(
        None,
        "Features of fixed convolutions (MiniRocket) that vote beside the networks that read series; 0 for none. "
        "Without it: 5,000 for up to 2,000 series that are read in both directions without weights of classes.",
        group=MODEL,
    )
    embedding: int = setting(64, "Size of the vector that stands for a symbol at the input.", group=MODEL)

    folds: int | None = setting(
        None,
        "Networks that vote, each trained without its fold of the data and judged on it. Without it: 5 up to 10,000 "
        "sequences, else 1, which is judged on --validation of the data.",
        group=TRAINING,
    )
    batch: int | None = setting(
        None,
        "Sequences in each step of training. Without it: 16 to 64, by how many sequences there are.",
        group=TRAINING,
    )
    class_weights: Weights = setting("none", "balanced: errors on rare classes weigh more.", group=TRAINING)
    label_smoothing: float = setting(
        0.1, "Share of the target probability that is spread over all classes alike.", group=TRAINING
    )
    augment: bool = setting(True, "Vary the training data a little at every step.", group=TRAINING)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_at_least_one("embedding", "folds", "batch")
        self._join("id", "time")
        if self.convolutions != 0:
            self.require_at_least_one("convolutions")
        if self.fixed_convolutions:
            self.require_at_least_one("fixed_convolutions")
            if not self.bidirectional:
                raise DataError(
                    f"Fixed convolutions read whole sequences, and a model that reads in one direction follows them as "
                    f"they arrive: leave out {option('fixed_convolutions')} or {option('bidirectional', False)}."
                )
        if self.head not in get_args(Head):
            raise DataError(f"There is no head {self.head!r}. There are: {', '.join(get_args(Head))}.")
        if self.level not in (None, "word", "char"):
            raise DataError(f"A text is classified by word or by char; the level {self.level!r} is neither.")
        if self.axes not in (None, *get_args(Axes)):
            raise DataError(
                f"The axes of arrays are NTC (sequences, steps, channels) or NCT (sequences, channels, steps), not "
                f"{self.axes!r}."
            )
        if self.class_weights not in get_args(Weights):
            raise DataError(f"Classes are weighted by none or balanced, not {self.class_weights!r}.")
        if not 0 <= self.label_smoothing < 1:
            raise DataError(f"label_smoothing is a share, at least 0 and below 1, not {self.label_smoothing}.")

    @property
    def columns(self) -> Columns:
        """The settings that say where a table has ids, times, classes and the like."""
        from carousel.tasks.sequences.examples import Columns

        return Columns(**{field.name: getattr(self, field.name) for field in fields(Columns)})
