"""Rows given as the future of series: where they may stand, and how far ahead they ask."""

from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError
from carousel.tasks.forecasting.table.panel import Layout, Panel

NEWER = (
    "To forecast from newer data, give the whole of them as history: predict(data=table), carousel forecast RUN FILE."
)

Key = tuple[Any, ...]  # the ids of a series


def indices_ahead(
    layout: Layout, future: pl.DataFrame, counted_from: int, shifts: dict[Key, int] | None = None
) -> np.ndarray:
    """The indices of the stamps of these rows. Without a time column, the rows follow each other from `counted_from`
    on.

    Raises DataError for stamps off the frequency, and where rows without a time hold values: they could be history or
    future.
    """
    roles = layout.roles
    if roles.time.kind != "rows":
        return layout.indices(future, shifts)
    observed = [name for name in roles.targets if name in future.columns and future[name].fill_nan(None).count()]
    if observed:
        raise DataError(
            f"Rows without a time column that hold values of {', '.join(observed)} are a history and no future. For a "
            f"forecast of {future.height:,} steps: predict({future.height}). {NEWER}"
        )
    return counted_from + np.arange(future.height)


def steps_asked(layout: Layout, future: pl.DataFrame, indices: np.ndarray, ends: dict[Key, int]) -> dict[Key, int]:
    """How many steps ahead the rows of each series go. ends: the index after the last value of each series with values.

    Raises DataError for rows that do not come after the history, and of series that it does not have.
    """
    if not future.height:
        raise DataError("The table given as future has no rows: give the rows to come, or a number of steps.")
    keys = keys_of(future, layout)
    asked = dict.fromkeys(ends, 0)
    for row, (key, index) in enumerate(zip(keys, indices, strict=True)):
        whose = f" of {', '.join(map(str, key))}" if key else ""
        if key not in ends:
            raise DataError(f"The table given as future has rows{whose}, and the history has no value of that. {NEWER}")
        if index < ends[key]:
            last = _last(layout, future[row], ends[key])
            raise DataError(
                f"A table given as future comes after the history, whose last value{whose} is at {written(last)}; row "
                f"{row + 1} of it is at {written(future.select(*layout.roles.time.names)[row])}. Leave out the rows "
                f"that do not come after. {NEWER}"
            )
        asked[key] = max(asked[key], int(index) - ends[key] + 1)
    return asked


def ends_of(panel: Panel) -> dict[Key, int]:
    """The index after the last value of each series that has any."""
    keys = panel.ids.rows() if panel.layout.roles.id else [()]
    return {key: panel.first + int(end) for key, end in zip(keys, panel.end, strict=True) if end}


def require_after(panel: Panel, later: pl.DataFrame) -> None:
    """Raises DataError for a table with rows that do not come after the values of the same series in the panel."""
    layout, ends = panel.layout, ends_of(panel)
    if layout.roles.time.kind == "rows":  # which come after all that there are
        return
    indices = layout.frequency.indices(layout.roles.time.parse(later))
    for row, (key, index) in enumerate(zip(keys_of(later, layout), indices, strict=True)):
        if key in ends and index < ends[key]:
            whose = f" of {', '.join(map(str, key))}" if key else ""
            last = _last(layout, later[row], ends[key])
            raise DataError(
                f"A forecaster is scored on what comes after the data that it was fitted on, whose last value{whose} "
                f"is at {written(last)}; row {row + 1} of the table given is at "
                f"{written(later.select(*layout.roles.time.names)[row])}. To search or to validate with scikit-learn, "
                f"split by time: cv=TimeSeriesSplit(). To judge it on the table that it was fitted on: backtest()."
            )


def _last(layout: Layout, row: pl.DataFrame, end: int) -> pl.DataFrame:
    """The time of the last value of the series of a row."""
    shift = 0 if layout.roles.time.kind == "rows" else layout.frequency.shifts(layout.roles.time.parse(row))
    return layout.roles.time.restore(layout.frequency.stamps(np.array([end - 1]), shift))


def keys_of(frame: pl.DataFrame, layout: Layout) -> list[Key]:
    return frame.select(layout.roles.id).rows() if layout.roles.id else [()] * frame.height


def written(row: pl.DataFrame) -> str:
    """The time in a row, as its columns write it."""
    return "-".join(map(str, row.row(0)))
