"""The settings of a model that is trained on pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from carousel.errors import DataError, option
from carousel.tasks.pairs.usual import LITTLE_DROPOUT_FROM, usual_dropout, usual_in_words
from carousel.training.settings import DATA, MODEL, TRAINING, TrainingSettings, changed, explained, setting

Level = Literal["subword", "word", "char", "byte"]
Head = Literal["decoder", "ctc"]
Form = Literal["attention", "summary"]
Score = Literal["general", "dot", "concat"]


@explained
@dataclass(frozen=True)
class Settings(TrainingSettings):
    """The settings of a training on pairs, with their defaults. Those left at None are chosen by the data.

    Raises DataError for a value that means nothing.
    """

    cell: str = changed("cell", default="gru")
    hidden: int | None = changed("hidden", help=f"Units in each layer. Without it: {usual_in_words('hidden')}.")
    layers: int | None = changed("layers", help=f"Layers on top of each other. Without it: {usual_in_words('layers')}.")
    dropout: float | None = changed(
        "dropout",
        help=f"Share of activations set to zero in training. Without it: {usual_in_words('dropout')}, else "
        f"{usual_dropout(0)}, or {usual_dropout(LITTLE_DROPOUT_FROM)} from {LITTLE_DROPOUT_FROM:,} pairs on.",
    )
    learning_rate: float = changed("learning_rate", default=3e-3)
    validation_share: float = changed(
        "validation_share",
        default=0.05,
        help="Share of the pairs to validate on. Pairs with the same source or target are all trained on or all held "
        "out.",
    )

    source: str | None = setting(
        None,
        "Of a table: the column to read, by its name, or by its number from 1. Without it: the first. Of a table of "
        "series: the column that says which series a row belongs to.",
        group=DATA,
    )
    target: str | None = setting(
        None,
        "Of a table: the column to write, by its name, or by its number from 1. Without it: the second.",
        group=DATA,
    )
    level: Level | None = setting(
        None,
        "How texts are read and written: by subword (needs carousel-rnn[text]), word, char or byte. Without it, by the "
        f"sources: {usual_in_words('level')}.",
        group=DATA,
    )
    vocabulary: int | None = setting(
        None,
        "Symbols of each side, for the levels subword and word. Without it: 3,000 subwords, or 10,000 words.",
        group=DATA,
    )
    longest: int = setting(200, "Pairs with more symbols on a side are left out of training.", group=DATA)

    side: int | None = setting(
        None,
        "Of images: the pixels of a side that each is brought to. Without it: those of the largest, 32 at most.",
        group=DATA,
    )

    head: Head | None = setting(
        None,
        "What writes a text: a decoder, after it has read the source; or ctc, while it reads a sound, so that it knows "
        "times (and, with --no-bidirectional, writes as the sound arrives). Without it: ctc for sounds, else decoder.",
        group=MODEL,
    )
    form: Form = setting(
        "attention",
        "attention: the decoder reads all steps of the source at each of its own. summary: it reads one vector, the "
        "summary of the source.",
        group=MODEL,
    )
    attention_score: Score = setting(
        "general", "How attention compares a step of the decoder with one of the source.", group=MODEL
    )
    bidirectional: bool = setting(True, "Read sources in both directions.", group=MODEL)
    channels: int = setting(128, "Of images: numbers of each place that the convolutions give.", group=MODEL)
    embedding: int | None = setting(
        None, "Size of the vector that stands for a symbol. Without it: half of --hidden.", group=MODEL
    )
    tied: bool = setting(True, "The decoder reads and writes a symbol with the same vector.", group=MODEL)

    batch: int | None = setting(
        None, "Pairs in each step of training. Without it: 16 to 64, by how many pairs there are.", group=TRAINING
    )
    label_smoothing: float = setting(
        0.1, "Share of the target probability that is spread over all symbols alike.", group=TRAINING
    )
    scheduled_sampling: float = setting(
        0.0,
        "Probability with which the decoder reads a symbol of its own in training instead of the true one.",
        group=TRAINING,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_at_least_one("embedding", "vocabulary", "batch", "longest", "side", "channels")
        for name in ("source", "target"):
            given = getattr(self, name)
            if isinstance(given, list | tuple):  # another task takes several columns by this option
                if len(given) != 1:
                    raise DataError(f"A pair has one {name}: name one column ({option(name)}), not {len(given)}.")
                object.__setattr__(self, name, given[0])
        for name, choices in (("head", Head), ("form", Form), ("attention_score", Score), ("level", Level)):
            value = getattr(self, name)
            if value not in (*get_args(choices), *((None,) if name in ("level", "head") else ())):
                raise DataError(f"{option(name)} is one of {', '.join(get_args(choices))}, not {value!r}.")
        for name in ("label_smoothing", "scheduled_sampling"):
            value = getattr(self, name)
            if not 0 <= value < (1 if name == "label_smoothing" else 1 + 1e-9):
                raise DataError(f"{name} is a share, at least 0 and below 1, not {value}.")
        if self.attention_score == "dot" and self.form == "summary":
            raise DataError(
                f"The form summary has no attention: leave {option('attention_score')} out, or {option('form')}."
            )
