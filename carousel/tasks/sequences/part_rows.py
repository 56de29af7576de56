"""Tables that say which part of the data each row is of: to learn from, to validate on, to test."""

from collections import Counter
from dataclasses import dataclass

import polars as pl

from carousel.tasks.sequences.kinds import part_of

SPLITS = ("split", "set", "subset", "part", "partition")  # columns that say which part of a data set a row is of

CALLED = {"train": "training", "valid": "validation", "test": "test"}


@dataclass(frozen=True)
class PartRows:
    """The rows of a table that are read. held: which of them are to validate on; None where the table does not say."""

    rows: list[int]
    held: list[bool] | None = None
    said: tuple[str, ...] = ()


def learnt_rows(frame: pl.DataFrame, *, validate: bool) -> PartRows:
    """The rows to learn from, by a column with names of parts; all rows of a table without one.

    validate: whether rows of a validation part are read, too, and held out; else they are left as those of a test part.
    """
    found = _parts(frame)
    if found is None:
        return PartRows(list(range(len(frame))))
    name, parts = found
    read = ("train", "valid") if validate else ("train",)
    rows = [row for row, part in enumerate(parts) if part in read]
    held = [parts[row] == "valid" for row in rows] if "valid" in parts and validate else None
    said = [f"the rows whose {name!r} is train are learnt from"]
    said += [f"those of the {CALLED['valid']} part are held out"] if held else []
    left = Counter(part for part in parts if part not in read)
    said += [f"{left[part]:,} rows of the {CALLED[part]} part are left" for part in sorted(left)]
    return PartRows(rows, held, ("; ".join(said),))


def asked_rows(frame: pl.DataFrame) -> PartRows:
    """The rows of the test part, or where there are none of the validation part, by a column with names of parts; all
    rows of a table without one."""
    found = _parts(frame)
    if found is None:
        return PartRows(list(range(len(frame))))
    name, parts = found
    wanted = "test" if "test" in parts else "valid"
    rows = [row for row, part in enumerate(parts) if part == wanted]
    return PartRows(rows, None, (f"only the {len(rows):,} rows whose {name!r} is {wanted} are read",))


def _parts(frame: pl.DataFrame) -> tuple[str, list[str]] | None:
    """The column that says which part each row is of, and these parts; a part to learn from and another are among
    them."""
    for name in frame.columns:
        if name.lower() not in SPLITS or frame[name].dtype != pl.String or frame[name].null_count():
            continue
        parts = [part_of(value) for value in frame[name]]
        if None not in parts and len(set(parts)) > 1 and "train" in parts:
            return name, [str(part) for part in parts]
    return None
