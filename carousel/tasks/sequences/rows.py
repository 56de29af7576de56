"""Tables with a sequence in each row: a step in each column, or whole channels in their cells."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.sequences.columns import channels_in, roles, several
from carousel.tasks.sequences.examples import Columns, Examples
from carousel.tasks.sequences.values import as_numbers, held, refuse_infinite, without_padding
from carousel.tasks.table import listed

FEWEST = 3  # columns that count: two may do so by chance
MANY = 8  # columns that count are steps beyond doubt, where no id says that a row is a sequence
# Words before the number of a step. With any other word, ch1, ch2, ch3, the columns may be channels.
STEPS = (
    "",
    "t",
    "time",
    "step",
    "v",
    "val",
    "value",
    "x",
    "y",
    "z",
    "att",
    "attr",
    "attribute",
    "timestep",
    "timepoint",
)


def steps_by_channel(names: Sequence[str]) -> dict[str, list[str]] | None:
    """The columns of each channel in the order of their steps, or None where the names do not count.

    They do where all are a word and a number, the numbers go up by one from 0 or 1, and, with several words, are the
    same for all: x_0, x_1, x_2, y_0, y_1, y_2 are the channels x and y of three steps.
    """
    found: dict[str, dict[int, str]] = {}
    for name in names:
        match = re.fullmatch(r"(.*?)[\s_.\-\[(]*(\d+)[\])]?", name)
        if match is None or int(match[2]) in found.setdefault(match[1], {}):
            return None
        found[match[1]][int(match[2])] = name
    numbers = {tuple(sorted(steps)) for steps in found.values()}
    if len(numbers) != 1:
        return None
    (steps,) = numbers
    if len(steps) < FEWEST or steps[0] not in (0, 1) or steps != tuple(range(steps[0], steps[0] + len(steps))):
        return None
    return {word: [columns[step] for step in steps] for word, columns in found.items()}


def steps_in(frame: pl.DataFrame, columns: Columns) -> dict[str, list[str]] | None:
    """The columns of each channel, where a row can be nothing but a sequence; else None."""
    counted = steps_by_channel(_steps(frame, columns))
    if counted is None or (columns.time is not None and columns.time.lower() != "index"):
        return None
    ids = several(frame, columns.id)
    if ids and frame.select(ids).is_duplicated().any():
        return None
    if columns.axes == "NCT":  # told: what counts are steps, whatever the word
        return counted
    few = len(next(iter(counted.values()))) < MANY and not ids
    return None if few or any(word.lower() not in STEPS for word in counted) else counted


def steps_or_channels(frame: pl.DataFrame, columns: Columns) -> str:
    """What to say of columns like ch1, ch2, ch3, which may be steps or channels; nothing where there are none."""
    counted = steps_by_channel(_steps(frame, columns))
    if counted is None:
        return ""
    names = [column for word in counted.values() for column in word]
    return (
        f" Here the columns {listed(names, 4)} count, and may be steps, with a sequence in each row, or channels, with "
        f"a step in each row. If they are steps: {option('axes', 'NCT')}. If they are channels, name the column that "
        f"says which sequence a row belongs to: {option('id', 'NAME')}."
    )


def _steps(frame: pl.DataFrame, columns: Columns) -> list[str]:
    """Columns of numbers that say nothing else, and those without a value, as a step has that all sequences miss."""
    numbers, special = set(channels_in(frame, columns)), roles(frame, columns)
    empty = {name for name in frame.columns if frame[name].null_count() == frame.height and name not in special}
    return [name for name in frame.columns if name in numbers | empty]


def cells(frame: pl.DataFrame) -> list[str]:
    """The columns whose cells are lists of numbers: in each row, a channel of its sequence."""
    return [
        name
        for name in frame.columns
        if isinstance(dtype := frame[name].dtype, pl.List | pl.Array) and dtype.inner.is_numeric()
    ]


def read_rows(
    frame: pl.DataFrame,
    name: str,
    columns: Columns,
    *,
    channels: Sequence[str],
    labels: Callable[..., Any],
    said: Callable[..., str],
    any_names: bool = False,
) -> Examples:
    """The examples in a table with one in each row. channels: of a trained model. any_names: the names of the columns
    need not count; they are steps in their order."""
    if nested := cells(frame):
        words = nested
        items = [_of_cells(name, row, one, nested) for row, one in enumerate(frame.select(nested).iter_rows())]
        how = f"every row is a sequence, with its channels in {listed(words)}"
    else:
        numbers = _steps(frame, columns)
        by_channel = steps_by_channel(numbers) or ({"": numbers} if any_names else {})
        words = list(by_channel)
        steps = len(next(iter(by_channel.values())))
        planes = [frame.select(pl.col(names).cast(pl.Float64)).to_numpy() for names in by_channel.values()]
        items = list(np.stack(planes, axis=2))
        how = f"every row is a sequence of {steps:,} steps, {len(words)} channel{'s' * (len(words) > 1)}"
        if any_names and steps_by_channel(numbers) is None:
            how += f", its columns in their order ({listed(numbers, 3)})"
        words = ["value"] if len(words) == 1 else words
    if channels and len(channels) != len(words):
        raise DataError(f"The model reads {len(channels)} channels, and the rows of {name} have {len(words)}.")
    ids = several(frame, columns.id)
    names = (
        ["/".join(map(str, row)) for row in frame.select(ids).iter_rows()]
        if ids
        else list(map(str, range(1, frame.height + 1)))
    )
    for one, item in zip(names, items, strict=True):
        refuse_infinite(f"{name}: the sequence {one}", item, words)
    left = [
        c
        for c in frame.columns
        if c not in roles(frame, columns) and c not in nested and c not in _steps(frame, columns)
    ]
    return Examples(
        "series",
        held([without_padding(item) for item in items]),
        names,
        labels(frame, name, columns.label, "label"),
        labels(frame, name, columns.group, "group"),
        channels=tuple(channels or words),
        columns=columns,
        said=(said(frame, columns, how), *([f"not read: {listed(left)}"] if left else [])),
    )


def _of_cells(name: str, row: int, cells: tuple[Any, ...], words: Sequence[str]) -> np.ndarray:
    """The sequence of one row whose cells hold a channel each, (T, C). Shorter channels end in missing values, and an
    empty cell is a channel without steps.
    """
    values = []
    for word, cell in zip(words, cells, strict=True):
        try:
            values.append(as_numbers([] if cell is None else cell).astype(np.float64))
        except DataError as problem:
            raise DataError(f"{name}, row {row + 1}: the cell of {word!r} cannot be read; {problem}.") from None
    item = np.full((max(map(len, values)), len(values)), np.nan)
    for k, one in enumerate(values):
        item[: len(one), k] = one
    return item
