"""The sequences that a classifier learns from or answers for, with their names, classes and groups."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from carousel.errors import DataError, option

Label = str | int | float | bool


@dataclass(frozen=True)
class Columns:
    """Which columns of a table say what, what file names say, how the axes of arrays lie, and what stands before the
    decimals and between the thousands of numbers in texts; None: found, or there is none. Several columns of ids or
    of times are one text, separated by commas."""

    label: str | None = None
    id: str | None = None
    time: str | None = None
    text: str | None = None
    file: str | None = None
    group: str | None = None
    names: str | None = None
    axes: str | None = None
    decimal: str | None = None
    thousands: str | None = None


@dataclass(frozen=True)
class Examples:
    """Sequences of one kind, in order.

    items: of the kind "series", arrays (T, C) with NaN where a value is missing, of float32 or, where that loses
        something, float64; "audio", a `Recording` or
        the path of one; "text", strings. T may differ, and may be 0.
    names: what each is called in the data: an id, a file.
    labels: the class of each; None where the data have none.
    groups: what each belongs to (a speaker, a subject), so that a split can keep together what belongs together.
    channels: of series, their names.
    columns: where all this was found.
    said: how the data were read, for whoever asks.
    """

    kind: str
    items: Sequence[Any]
    names: Sequence[str]
    labels: Sequence[Label] | None = None
    groups: Sequence[Label] | None = None
    channels: tuple[str, ...] = ()
    columns: Columns = Columns()
    said: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def at(self, numbers: Iterable[int]) -> "Examples":
        """The examples with these indices."""
        chosen = list(numbers)

        def take(values: Sequence[Any] | None) -> Any:
            return None if values is None else [values[number] for number in chosen]

        return replace(
            self, items=take(self.items), names=take(self.names), labels=take(self.labels), groups=take(self.groups)
        )

    def saying(self, *lines: str) -> "Examples":
        """The same examples, with more lines about how they were read."""
        return replace(self, said=(*self.said, *lines))

    def require_labels(self, purpose: str) -> Sequence[Label]:
        if self.labels is None:
            raise DataError(
                f"{purpose} needs the class of every sequence, and these data say none. "
                f"Name the column of the classes ({option('label')}), put the files into folders named by "
                f"class, or say where file names have it ({option('names', '{label}_*')})."
            )
        return self.labels


def joined(parts: Sequence[Examples]) -> Examples:
    """Several files' examples as one. Raises DataError where they are not of one kind."""
    first = parts[0]
    for part in parts[1:]:
        if part.kind != first.kind or len(part.channels) != len(first.channels):
            raise DataError(
                f"Data that are read together must be of one kind: {first.names[0]} is {described(first)}, "
                f"and {part.names[0]} is {described(part)}. Give them one at a time."
            )
    if len(parts) == 1:
        return first

    def chain(field: str) -> Any:
        values = [getattr(part, field) for part in parts]
        return None if any(value is None for value in values) else [one for value in values for one in value]

    return replace(
        first,
        **{field: chain(field) for field in ("items", "names", "labels", "groups")},
        said=tuple(dict.fromkeys(line for part in parts for line in part.said)),
    )


def channel_names(width: int) -> tuple[str, ...]:
    """Names for the channels of series that come without."""
    return ("value",) if width == 1 else tuple(f"dim_{k}" for k in range(width))


def described(examples: Examples) -> str:
    return f"series of {len(examples.channels)} channels" if examples.kind == "series" else examples.kind


def plain(value: Any) -> Label:
    """A label as JSON can hold it: NumPy's scalars as Python's, bytes as text, 3.0 as 3.

    Raises DataError for what is no label: a missing value above all."""
    value = value.item() if isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0 else value
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value):
        raise DataError("A class is missing: every sequence to learn from, or to be judged on, must have one.")
    if not isinstance(value, str | int | float | bool):
        raise DataError(f"A class is a text or a number, not {type(value).__name__}: {value!r:.60}.")
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise DataError("A class is infinite: it must be a text, or a number that JSON can hold.")
    return value
