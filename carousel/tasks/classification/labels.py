"""The classes of sequences, from whatever a program holds them in."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from carousel.errors import DataError, option
from carousel.tasks.sequences.examples import Label, plain
from carousel.tasks.sequences.values import on_host


def labels_of(values: Any, name: str, count: int, *, one_hot: bool = False) -> list[Label] | None:
    """The class, or the group, of each of `count` sequences; None where there are none.

    values: an array (N,) or (N, 1), a list, a column of pandas (also of categories), polars or Arrow, a tensor.
    one_hot: or (N, K) with a single 1 in each row, as Keras has classes: its index is the class, 0 to K - 1, or the
        name of its column.
    Raises DataError for another length, and for what is no class.
    """
    if values is None:
        return None
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__"):
        raise DataError(
            f"{name} must have one entry for each of the {count} sequences; it is {type(values).__name__}"
            + (f" {values!r:.40}. To name a column of a table: {option('label', values)}." if values else ".")
        )
    names = [str(column) for column in values.columns] if hasattr(values, "columns") else []
    listed: Sequence[Any] = _rows(values)
    if len(listed) != count:
        raise DataError(f"{name} must have one entry for each of the {count} sequences; it has {len(listed)}.")
    listed = [on_host(value) for value in listed]
    if one_hot and listed and all(isinstance(value, list | tuple) or np.ndim(value) == 1 for value in listed):
        listed = _from_one_hot(listed, name, names)
    return consistent([plain(value) for value in listed], name)


def _rows(values: Any) -> list[Any]:
    """The entries of a column, or the rows of a table. Texts stay texts, whatever they look like."""
    if hasattr(values, "to_pylist"):  # Arrow
        return list(values.to_pylist())
    if hasattr(values, "categories"):  # pandas' Categorical
        return list(np.asarray(values, dtype=object))
    values = on_host(values.to_numpy() if hasattr(values, "to_numpy") else values)  # pandas, polars
    return [] if isinstance(values, np.ndarray) and values.ndim == 0 else list(values)


def _from_one_hot(rows: Sequence[Any], name: str, names: Sequence[str]) -> Sequence[Any]:
    """The index of the single 1 in each row. Other rows stay as they are, and `plain` refuses them."""
    widths = {len(row) for row in rows}
    if widths == {1}:
        return [row[0] for row in rows]
    try:
        table = np.array(rows, np.float64) if len(widths) == 1 else None
    except (TypeError, ValueError):
        table = None
    if table is None or table.shape[1] < 2 or not (np.isin(table, (0, 1)).all() and (table.sum(1) == 1).all()):
        row = rows[0]
        raise DataError(
            f"A class is a text or a number, not {type(row).__name__}: {name} has rows of {len(row)} entries. It must "
            f"be one class for each sequence, (N,), or one-hot, (N, K) with a single 1 and zeros in each row. Several "
            f"classes at a time, shares of classes and a class at every step are other tasks."
        )
    indices = table.argmax(1).tolist()
    return [names[index] for index in indices] if names else indices


def consistent(labels: list[Label], name: str) -> list[Label]:
    """Raises DataError where one class is written in two ways: 1 the number, and '1' the text."""
    seen: dict[str, Label] = {}
    for number, label in enumerate(labels):
        other = seen.setdefault(str(label), label)
        if isinstance(other, str) != isinstance(label, str):
            raise DataError(
                f"{name} has {str(label)!r} as a text and as a number (entry {number}, say), which may be one class or "
                f"two. Make all of them texts, or all numbers."
            )
    return labels
