"""The steps of many sequences in one array, and batches of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from torch import Tensor

from carousel.errors import RunError, option
from carousel.files import read, write_atomically

BATCH_STEPS = 1 << 16  # in a batch that is only read, padding included


def said_lengths(lengths: np.ndarray, unit: str) -> str:
    """How long sequences are, in words. lengths: of each, (N). unit: "step"."""
    shortest, longest = int(lengths.min()), int(lengths.max())
    if shortest == longest:
        return f"{shortest:,} {unit}s each"
    return f"{shortest:,} to {longest:,} {unit}s each, {lengths.mean():,.0f} on average"


class StoredSteps:
    """flat: all steps one after another, (total, size) float32 or float64, or (total,) int64; lengths: of each
    sequence, (N)."""

    def __init__(self, flat: np.ndarray, lengths: np.ndarray) -> None:
        self.flat, self.lengths = flat, lengths.astype(np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])

    @classmethod
    def of(cls, sequences: Sequence[np.ndarray]) -> "StoredSteps":
        return cls(np.concatenate(list(sequences)), np.array([len(one) for one in sequences], np.int64))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> np.ndarray:
        return self.flat[self._starts[number] : self._starts[number + 1]]

    def at(self, numbers: np.ndarray) -> "StoredSteps":
        """The sequences with these indices."""
        return StoredSteps.of([self[number] for number in numbers])

    def batch(self, numbers: np.ndarray, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """The sequences with these numbers as one padded batch: x, (T, B, size) or (T, B), and their lengths, (B).

        T is the length of the longest; a shorter sequence is followed by zeros.
        """
        lengths = self.lengths[numbers]
        x = np.zeros((int(lengths.max(initial=0)), len(numbers), *self.flat.shape[1:]), self.flat.dtype)
        for row, number in enumerate(numbers):
            x[: lengths[row], row] = self[number]
        return torch.from_numpy(x).to(device), torch.from_numpy(lengths)

    def batches(self, numbers: np.ndarray) -> Iterator[np.ndarray]:
        """The numbers in batches of like lengths, for reading: short ones in large batches."""
        order = numbers[np.argsort(self.lengths[numbers], kind="stable")]
        start = 0
        while start < len(order):
            stop = start + 1
            while stop < len(order) and self.lengths[order[stop]] * (stop + 1 - start) <= BATCH_STEPS:
                stop += 1
            yield order[start:stop]
            start = stop

    # -- in a run folder, until training has ended ------------------------------------------------------------------

    FILE = "examples.safetensors"
    WHAT = "the examples that this run learns from"

    def save(self, folder: Path, **others: np.ndarray) -> None:
        """Raises RunError where the folder cannot be written to."""
        try:
            arrays = {"flat": self.flat, "lengths": self.lengths, **others}
            # safetensors writes memory as it lies, whatever order the axes have in it.
            arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
            write_atomically(folder / self.FILE, safetensors.numpy.save(arrays))
        except Exception as problem:
            raise RunError(
                f"{folder / self.FILE} could not be written: {problem}. Choose another {option('out')}."
            ) from None

    @classmethod
    def load(cls, folder: Path) -> tuple["StoredSteps", dict[str, np.ndarray]]:
        """The steps, and the others that were saved with them. Raises RunError where they are not whole."""
        try:
            arrays = safetensors.numpy.load(read(folder / cls.FILE))
            return cls(arrays.pop("flat"), arrays.pop("lengths")), arrays
        except Exception as problem:
            raise RunError(
                f"{folder / cls.FILE} should hold {cls.WHAT}, and cannot be read "
                f"({str(problem).splitlines()[0][:100]}). The run cannot go on without it: train again."
            ) from None
