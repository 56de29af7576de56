"""The sequences that a run learns from and is judged on, as its folder keeps them until training has ended."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from carousel.models.tag_model import Spelled
from carousel.tasks.sequences.steps import StoredSteps
from carousel.tasks.tagging.words import WordFrontEnd, of_forms

TRAINING, VALIDATION, TEST = 0, 1, 2  # the parts
UNTAGGED = -1  # the tag of a step that has none


@dataclass(frozen=True)
class Store:
    """N sequences with the tags of their steps.

    steps: numbers (T, size) of each, or, for words, the places of their forms in `forms`, (T,) int64. forms: the
    different written words. tags: the number of each step's tag, in the order of the steps, (total,) int64.
    parts: TRAINING, VALIDATION or TEST for each sequence, (N,) int64.
    """

    steps: StoredSteps
    tags: np.ndarray
    parts: np.ndarray
    forms: tuple[str, ...] = ()

    @cached_property
    def starts(self) -> np.ndarray:
        """Where the steps of each sequence begin, (N + 1,)."""
        return np.concatenate([[0], np.cumsum(self.steps.lengths)])

    def of_part(self, part: int) -> np.ndarray:
        """The numbers of the sequences of a part."""
        return np.flatnonzero(self.parts == part)

    def tags_of(self, number: int) -> np.ndarray:
        tags: np.ndarray = self.tags[self.starts[number] : self.starts[number + 1]]
        return tags

    def words_of(self, number: int) -> list[str]:
        return [self.forms[index] for index in self.steps[number].tolist()]

    def save(self, folder: Path) -> None:
        """Raises RunError where the folder cannot be written to."""
        written = np.frombuffer("\n".join(self.forms).encode("utf-8", "surrogatepass"), np.uint8)
        self.steps.save(folder, tags=self.tags, parts=self.parts, forms=written)

    @classmethod
    def load(cls, folder: Path) -> "Store":
        """Raises RunError where the file is missing or damaged, KeyError or ValueError where it holds other arrays."""
        steps, arrays = StoredSteps.load(folder)
        written = arrays["forms"].tobytes().decode("utf-8", "surrogatepass")
        store = cls(steps, arrays["tags"], arrays["parts"], tuple(written.split("\n")) if written else ())
        lengths = steps.lengths
        if bool((lengths < 1).any()) or int(lengths.sum()) != len(steps.flat) or store.tags.shape != (len(steps.flat),):
            raise ValueError("every sequence has a step, and every step a tag")
        if store.parts.shape != lengths.shape or not np.isin(store.parts, (TRAINING, VALIDATION, TEST)).all():
            raise ValueError("every sequence is of a part")
        if store.forms and not (steps.flat.min() >= 0 and steps.flat.max() < len(store.forms)):
            raise ValueError("every word is one of the forms")
        return store


class Reading:
    """Makes the batches that a network reads from stored steps.

    front_end, forms: for words, the front end and the forms that the steps are places in; else None and nothing.
    """

    def __init__(
        self,
        steps: StoredSteps,
        device: torch.device | str,
        front_end: WordFrontEnd | None = None,
        forms: Sequence[str] = (),
    ) -> None:
        self.steps, self.device = steps, torch.device(device)
        self._spelled = None if front_end is None else front_end.spell(forms)

    def batch(self, numbers: np.ndarray) -> tuple[Tensor, Tensor, Spelled | None]:
        """The arguments of `TagModel` for the sequences with these numbers. Each form is spelled once."""
        x, lengths = self.steps.batch(numbers)
        if self._spelled is None:
            return x.to(self.device), lengths, None
        there, places = x.unique(return_inverse=True)
        spelled = Spelled(*(part.to(self.device) for part in of_forms(self._spelled, there)))
        return places.to(self.device), lengths, spelled

    def batches(self, numbers: np.ndarray) -> Iterator[np.ndarray]:
        """The numbers of sequences in batches of like lengths, to be read without gradients."""
        return self.steps.batches(numbers)


def padded_tags(store: Store, numbers: np.ndarray) -> Tensor:
    """The tags of some sequences, (T, B) int64, UNTAGGED after the end of each."""
    lengths = store.steps.lengths[numbers]
    tags = np.full((int(lengths.max(initial=0)), len(numbers)), UNTAGGED, np.int64)
    for row, number in enumerate(numbers):
        tags[: lengths[row], row] = store.tags_of(number)
    return torch.from_numpy(tags)
