"""Sequences with a tag at every step, as every kind of file gives them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from carousel.errors import DataError


@dataclass(frozen=True)
class Tagged:
    """N sequences of one kind, in order.

    kind: "words", "series" or "audio". items: for words, tuples of texts; for series, arrays (T, C) with NaN where a
    value is missing; for audio, `Sound`s. names: what each is called in the data: a file and a line, an id.
    tags: for each sequence, the tag of each step, a text, or None where the data have none; None without any tags.
    Sounds have `intervals` instead: for each, (start, end, tag) in seconds, since its steps depend on the front end.
    channels: of series, their names. columns: where all this was found, as words and tables record it.
    said: how the data were read, in lines.
    """

    kind: str
    items: Sequence[Any]
    names: Sequence[str]
    tags: Sequence[Sequence[str | None]] | None = None
    intervals: Sequence[Sequence[tuple[float, float, str]]] | None = None
    channels: tuple[str, ...] = ()
    columns: dict[str, str | None] = field(default_factory=dict)
    said: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def labelled(self) -> bool:
        return self.tags is not None or self.intervals is not None

    def at(self, numbers: Sequence[int] | np.ndarray) -> "Tagged":
        """The sequences with these indices."""

        def take(values: Sequence[Any] | None) -> Any:
            return None if values is None else [values[number] for number in numbers]

        return replace(
            self,
            items=take(self.items),
            names=take(self.names),
            tags=take(self.tags),
            intervals=take(self.intervals),
        )

    def saying(self, *lines: str) -> "Tagged":
        """The same sequences, with more lines about how they were read."""
        return replace(self, said=(*self.said, *lines))

    def require_tags(self, purpose: str) -> "Tagged":
        """Raises DataError for sequences without tags. purpose: what needs them, "Training" for example."""
        if not self.labelled:
            raise DataError(
                f"{purpose} needs the tag of every step, and {self.names[0] if self.names else 'the data'} has none. "
                f"A file of words has a word and its tag in each line, and a blank line after each sentence."
            )
        return self


def joined(parts: Sequence[Tagged]) -> Tagged:
    """Several files as one. Raises DataError where they are not of one kind, or only some have tags."""
    first = parts[0]
    for part in parts[1:]:
        if part.kind != first.kind or part.channels != first.channels:
            raise DataError(
                f"Data that are read together must be of one kind: {first.names[0]} is {_described(first)}, and "
                f"{part.names[0]} is {_described(part)}. Give them one at a time."
            )
        if part.labelled != first.labelled:
            without = first if part.labelled else part
            raise DataError(f"{without.names[0]} has no tags, and other data have them. Give them one at a time.")
    if len(parts) == 1:
        return first

    def chain(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else [one for value in values for one in value]

    return replace(
        first,
        **{name: chain(name) for name in ("items", "names", "tags", "intervals")},
        said=tuple(dict.fromkeys(line for part in parts for line in part.said)),
    )


def _described(data: Tagged) -> str:
    return f"series of the channels {', '.join(data.channels)}" if data.kind == "series" else data.kind
