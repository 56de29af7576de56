"""The settings of a classifier of trees and its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from carousel.errors import DataError
from carousel.tasks.held_out_settings import HeldOutSettings
from carousel.training.settings import DATA, MODEL, TRAINING, changed, explained, setting

Labels = Literal["nodes", "root"]

READ, FEWEST_EPOCHS, MOST_EPOCHS = 43_000, 5, 60  # trees in all, and times over them, where no length is given


@explained
@dataclass(frozen=True)
class Settings(HeldOutSettings):
    """The settings of a classifier of trees, with their defaults.

    Raises DataError for a value that means nothing.
    """

    cell: str = changed(
        "cell",
        default="auto",
        help="The cell, which goes on from the children of a node: tree-lstm, child-sum-tree-lstm, rvnn, tree-gru, or "
        "your own as path/to/file.py:ClassName. auto: tree-lstm where no node has more than two children, else "
        "child-sum-tree-lstm.",
    )
    hidden: int = changed("hidden", default=100)
    layers: int = changed("layers", default=1)
    dropout: float = changed(
        "dropout", default=0.5, help="Share of activations set to zero in training, of words and of states alike."
    )
    learning_rate: float = changed("learning_rate", default=4e-3)
    epochs: float | None = changed(
        "epochs",
        help="Train until all training data have been read this many times, instead of --minutes. Without both: as "
        f"often as {READ:,} trees in all allow, {FEWEST_EPOCHS} to {MOST_EPOCHS} times.",
    )

    labels: Labels | None = setting(
        None,
        "What is learnt: the label of every node (nodes), or that of a tree alone (root). Without it: nodes where "
        "every node has a label, root where only the roots have one.",
        group=DATA,
    )
    merge: str | None = setting(
        None,
        'Also score with labels merged: "0,1/3,4" tells 0 or 1 from 3 or 4, and leaves out trees of other labels.',
        group=DATA,
    )
    lowercase: bool = setting(True, "Take words for the same that differ in capital letters alone.", group=DATA)
    rare: int = setting(
        1, "Words that occur so many times or fewer in the training data share one vector, as unknown words do.",
        group=DATA,
    )  # fmt: skip

    embedding: int = setting(100, "Size of the vector that stands for a word at the input.", group=MODEL)

    networks: int = setting(3, "Networks that vote, trained side by side on the same data.", group=TRAINING)
    batch: int = setting(32, "Trees in each step of training.", group=TRAINING)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_at_least_one("embedding", "networks", "batch")
        if self.labels not in (None, *get_args(Labels)):
            raise DataError(f"The label of nodes or of the root is learnt, not of {self.labels!r}.")
        if not isinstance(self.rare, int) or self.rare < 0:
            raise DataError(f"rare is how often a rare word occurs at most, 0 or more, not {self.rare!r}.")
        if self.merge is not None:
            from carousel.tasks.trees.merging import Merging  # not above: help does not wait for numpy

            Merging.of(self.merge)  # refuses what is none
