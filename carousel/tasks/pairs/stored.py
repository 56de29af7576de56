"""The pairs that a run learns from, in its folder: sources, targets, and which of them are held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from carousel.errors import RunError, option
from carousel.files import read, write_atomically
from carousel.tasks.sequences.steps import StoredSteps

FILE = "pairs.safetensors"
WHAT = "the pairs that this run learns from"


class StoredPairs:
    """sources: texts, or arrays (S, ...) of one type and of the same sizes but S. targets: texts. held: which pairs are
    held out, (N,) bool."""

    def __init__(self, sources: Sequence[Any], targets: Sequence[str], held: np.ndarray) -> None:
        self.sources, self.targets, self.held = sources, targets, held

    def part(self, held: bool) -> tuple[list[Any], list[str]]:
        """The sources and targets that are held out, or those that are learnt from."""
        chosen = np.flatnonzero(self.held == held).tolist()
        return [self.sources[k] for k in chosen], [self.targets[k] for k in chosen]

    def save(self, folder: Path) -> None:
        """Raises RunError where the folder cannot be written to."""
        arrays = {"held": self.held.astype(np.uint8), **_packed("targets", self.targets)}
        if isinstance(self.sources[0], str):
            arrays |= _packed("sources", self.sources)
        else:
            steps = StoredSteps.of(self.sources)
            arrays |= {"steps": np.ascontiguousarray(steps.flat), "steps_lengths": steps.lengths}
        try:
            write_atomically(folder / FILE, safetensors.numpy.save(arrays))
        except Exception as problem:
            raise RunError(
                f"{folder / FILE} could not be written: {problem}. Choose another {option('out')}."
            ) from None

    @classmethod
    def load(cls, folder: Path) -> StoredPairs:
        """Raises RunError where the file is missing or not whole."""
        try:
            arrays = safetensors.numpy.load(read(folder / FILE))
            targets = _texts(arrays["targets"], arrays["targets_lengths"])
            sources = _steps(arrays) if "steps" in arrays else _texts(arrays["sources"], arrays["sources_lengths"])
            held = arrays["held"].astype(bool)
            if not len(sources) == len(targets) == len(held) or not 0 < held.sum() < len(held):
                raise ValueError("its parts differ in size, or one part is empty")
        except Exception as problem:
            raise RunError(
                f"{folder / FILE} should hold {WHAT}, and cannot be read ({str(problem).splitlines()[0][:100]}). "
                f"The run cannot go on without it: train again."
            ) from None
        return cls(sources, targets, held)


def _packed(name: str, texts: Sequence[str]) -> dict[str, np.ndarray]:
    pieces = [text.encode("utf-8", "surrogatepass") for text in texts]
    lengths = np.array([len(piece) for piece in pieces], np.int64)
    return {name: np.frombuffer(b"".join(pieces), np.uint8), f"{name}_lengths": lengths}


def _steps(arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    flat, lengths = arrays["steps"], arrays["steps_lengths"]
    if (lengths < 0).any() or lengths.sum() != len(flat):
        raise ValueError("its sources are not as long as it says")
    steps = StoredSteps(flat, lengths)
    return [steps[number] for number in range(len(steps))]


def _texts(content: np.ndarray, lengths: np.ndarray) -> list[str]:
    ends = np.cumsum(lengths).tolist()
    if (lengths < 0).any() or (ends[-1] if ends else 0) != len(content):
        raise ValueError("its texts are not as long as it says")
    whole = content.tobytes()
    return [whole[a:b].decode("utf-8", "surrogatepass") for a, b in zip([0, *ends], ends, strict=False)]
