"""Pairs of a source and a target, as all files and Python objects become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from carousel.errors import DataError


@dataclass(frozen=True)
class Pairs:
    """N pairs. sources: what is read; here texts. targets: the texts to write; None where only sources are known.

    numbers: where each pair stands in its file: the number of its line, from 1. where: the name of the file, for
    messages. said: what was decided while the data were read.
    """

    sources: Sequence[str]
    targets: Sequence[str] | None
    numbers: Sequence[int]
    where: str
    said: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sources)

    def at(self, chosen: Sequence[int]) -> Pairs:
        """The pairs with these indices."""
        targets = None if self.targets is None else [self.targets[k] for k in chosen]
        return replace(
            self,
            sources=[self.sources[k] for k in chosen],
            targets=targets,
            numbers=[self.numbers[k] for k in chosen],
        )

    def require_targets(self, what: str) -> list[str]:
        """The targets. what: for the message: "Training". Raises DataError where there are none."""
        if self.targets is None:
            raise DataError(f"{what} needs pairs, and {self.where} has sources alone: give a target beside each.")
        return list(self.targets)

    @property
    def both(self) -> list[int]:
        """The indices of the pairs of which neither side is empty."""
        targets = self.targets or self.sources
        return [k for k, (x, y) in enumerate(zip(self.sources, targets, strict=True)) if x.strip() and y.strip()]
