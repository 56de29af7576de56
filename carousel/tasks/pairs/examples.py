"""Pairs of a source and a target, as all files and Python objects become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from carousel.errors import DataError


@dataclass(frozen=True)
class Pairs:
    """N pairs. sources: what is read, all of one kind. targets: the texts to write; None where only sources are known.

    numbers: where each pair stands in its file, from 1; unit: the number of what: "line", "row". where: the name of the
    file, for messages. kind: of the sources, see `carousel.tasks.pairs.sources`. held: which pairs the data themselves
    hold out, to validate on; None where they do not say. said: what was decided while the data were read.
    """

    sources: Sequence[Any]
    targets: Sequence[str] | None
    numbers: Sequence[int]
    where: str
    kind: str = "text"
    unit: str = "line"
    held: Sequence[bool] | None = None
    said: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sources)

    def at(self, chosen: Sequence[int]) -> Pairs:
        """The pairs with these indices."""

        def take(values: Sequence[Any] | None) -> Any:
            return None if values is None else [values[k] for k in chosen]

        return replace(
            self,
            sources=take(self.sources),
            targets=take(self.targets),
            numbers=take(self.numbers),
            held=take(self.held),
        )

    def require_targets(self, what: str) -> list[str]:
        """The targets. what: for the message: "Training". Raises DataError where there are none."""
        if self.targets is None:
            raise DataError(f"{what} needs pairs, and {self.where} has sources alone: give a target beside each.")
        return list(self.targets)

    @property
    def both(self) -> list[int]:
        """The indices of the pairs of which neither side is empty."""
        targets = self.targets if self.targets is not None else ["?"] * len(self)
        return [k for k, (x, y) in enumerate(zip(self.sources, targets, strict=True)) if not empty(x) and y.strip()]


def empty(source: Any) -> bool:
    """Whether a source has nothing to read: a text without a sign, an array without a step."""
    if isinstance(source, str):
        return not source.strip()
    return hasattr(source, "__len__") and len(source) == 0
