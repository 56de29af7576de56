"""Finds the columns of a table that hold the time, one or several together, and those that only repeat a part of it."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.forecasting.table import dates
from carousel.tasks.forecasting.table.stamps import (
    TEXTS,
    FormatError,
    TwoReadings,
    from_parts,
    parts_in,
    recognise,
    tells_time,
    words_in,
)  # fmt: skip
from carousel.tasks.forecasting.table.time_column import DAY, OTHER_PARTS, PARTS, Clock, TimeColumn

TIMES = (
    *("ds", "date", "datetime", "timestamp", "time", "month", "day", "week", "quarter", "year", "period", "step", "t"),
    "hour",
)
COUNTING = {"hour", "hr", "hours", "period", "interval", "slot", "he"}  # words for a number within the day
PARTS_OF_DAY = (24, 48, 96)
OF_DATES = ("date", "datetime", "text")  # kinds of columns that another may give the time of day to


def find_time(frame: pl.DataFrame, form: str | None = None, said: list[str] | None = None) -> TimeColumn:
    """The columns that tell the time: dates, times or texts that read as such, by type and then by name; year, month,
    ... in columns of their own; a date and a time of day; whole numbers under a name that says so. Of two where one is
    only a part of the other (the day of a time), the finer. Without any, rows are steps.

    Raises FormatError for a column that is nearly all times, and DataError where several are as likely as each other.
    """
    chosen: TimeColumn | None = None
    others: list[TimeColumn] = []
    stamps = np.zeros(0, np.int64)
    problem: DataError | None = None
    for found, heard, failed in _candidates(frame, form):
        if failed is not None:
            problem = problem or failed
            continue
        assert found is not None
        mine = found.parse(frame) if _complete(frame, found) else None
        if mine is None:
            if chosen is None:
                return found  # which will be refused with the row that has no value
            continue
        if chosen is None or (_part_of(stamps, mine) is not None and not found.counts and not chosen.counts):
            chosen, stamps = found, mine
            if said is not None:
                said[:] = heard
        elif _part_of(mine, stamps) is None and not found.counts:
            others.append(found)
    if problem is not None and (chosen is None or chosen.counts):
        raise problem
    if chosen is None:
        return TimeColumn((), "rows")
    _refuse_another(frame, chosen, others)
    return _with_clock(frame, chosen, stamps)


def declared_time(frame: pl.DataFrame, names: tuple[str, ...], form: str | None, said: list[str]) -> TimeColumn:
    """The time in the columns that a user names. Raises DataError where they hold none."""
    if len(names) > 1:
        parts = parts_in(names)
        if parts is not None and set(parts) == set(names):
            return from_parts(frame, parts, form, said)
        for date, clock in ((names[0], names[1]), (names[1], names[0])) if len(names) == 2 else ():
            found = _of_day(frame[clock], asked=True)
            if found is None or frame[date].dtype == pl.Time:
                continue
            day = recognise(frame, date, form, said)
            if day is not None and day.kind in OF_DATES:
                return TimeColumn((date, clock), day.kind, day.format, day.zone, day.unit, found)
        raise DataError(
            f"Time is one column; or columns called year, month, day, hour, ..., or year and week, or year and "
            f"quarter; or one of dates and one of times of day; not {', '.join(names)}."
        )
    found_one = recognise(frame, names[0], form, said)
    if found_one is None:
        column = frame[names[0]].drop_nulls()
        example = repr(column[0]) if len(column) else "nothing"
        raise DataError(
            f"The column {names[0]!r} holds {example}, which reads as no time. Dates are written like 2024-03-31, "
            f"times like 2024-03-31 14:00, months like 2024-03, quarters like 2024Q1; steps are whole numbers, or "
            f"decimal numbers evenly spaced. Of another form: {option('date_format')}."
        )
    return found_one


def repeating(frame: pl.DataFrame, when: TimeColumn) -> dict[str, str]:
    """The other columns that only say a part of the time again, and what part."""
    if when.counts:
        return {}
    stamps, found = when.parse(frame), {}
    for name in frame.columns:
        if name in when.names or not (frame[name].dtype in TEXTS or frame[name].dtype.is_temporal()):
            continue
        try:
            other = recognise(frame, name)
            part = None if other is None or other.counts else _part_of(other.parse(frame), stamps, same=True)
        except DataError:
            continue
        if part is not None:
            found[name] = f"the {part} of {when.label}"
    return found


def says_when(name: str) -> bool:
    """Whether the name of a column is that of a part of the time, such as its year. Such a column is no target."""
    return name.lower() in (*PARTS, *OTHER_PARTS) or bool(words_in(name) & {"dayofweek", "weekday", "dow", "dayofyear"})


# -- inside ---------------------------------------------------------------------------------------------------------


def _candidates(
    frame: pl.DataFrame, form: str | None
) -> Iterator[tuple[TimeColumn | None, list[str], DataError | None]]:
    """The likeliest first, each with what is to be said of it; or why one that nearly is one is none."""
    if parts := parts_in(frame.columns):
        notes: list[str] = []
        found = from_parts(frame, parts, form, notes)
        try:
            found.parse(frame)
        except DataError as problem:
            yield None, [], problem
        else:
            yield found, notes, None
    named = sorted((n for n in frame.columns if n.lower() in TIMES), key=lambda n: TIMES.index(n.lower()))
    likely = [n for n in frame.columns if tells_time(n)]
    for name in dict.fromkeys((*named, *likely, *frame.columns)):
        numeric, hinted = frame[name].dtype.is_numeric(), name in named or name in likely
        hinted |= frame[name].dtype.is_float() and "year" in words_in(name)  # 1958.042, 1958.125, ...
        if frame[name].dtype == pl.Time or (numeric and not hinted and not frame[name].dtype.is_integer()):
            continue
        said: list[str] = []
        try:
            found_one = recognise(frame, name, form if form is not None and (hinted or not numeric) else None, said)
        except TwoReadings as problem:
            yield None, [], problem
            continue
        except FormatError:
            raise
        except DataError as problem:
            yield None, [], problem
            continue
        if found_one is not None and (hinted or found_one.kind in OF_DATES):
            yield found_one, said, None


def _complete(frame: pl.DataFrame, found: TimeColumn) -> bool:
    return not any(frame[name].null_count() for name in found.names)


def _part_of(coarse: np.ndarray, fine: np.ndarray, *, same: bool = False) -> str | None:
    """The part of the time (the hour, the day, ...) that the column `coarse` repeats; None where it repeats none."""
    if np.array_equal(coarse, fine):
        return "time" if same else None
    moments = fine.astype("datetime64[us]")
    days = fine // DAY
    floors = {
        "minute": fine // 60_000_000 * 60_000_000,
        "hour": fine // 3_600_000_000 * 3_600_000_000,
        "day": days * DAY,
        "week": ((days - 4) // 7 * 7 + 4) * DAY,
        "month": moments.astype("datetime64[M]").astype("datetime64[us]").astype(np.int64),
        "quarter": _months(moments, 3),
        "year": _months(moments, 12),
    }
    return next((name for name, floor in floors.items() if np.array_equal(coarse, floor)), None)


def _months(moments: np.ndarray, step: int) -> np.ndarray:
    months = moments.astype("datetime64[M]").astype(np.int64) // step * step
    return months.astype("datetime64[M]").astype("datetime64[us]").astype(np.int64)


def _refuse_another(frame: pl.DataFrame, chosen: TimeColumn, others: Sequence[TimeColumn]) -> None:
    """Raises DataError where two columns hold different times and no name decides between them."""
    if not others or chosen.counts or any(name.lower() in TIMES for name in chosen.names) or len(chosen.names) > 1:
        return
    other = others[0]
    if tells_time(chosen.names[0]) and not tells_time(other.names[0]):
        return
    raise TwoReadings(
        f"The columns {chosen.label!r} and {other.label!r} both hold times, and not the same: "
        f"{frame[chosen.names[0]][0]} and {frame[other.names[0]][0]} in the first row. Say which tells when: "
        f"{option('time', chosen.names[0])} or {option('time', other.names[0])}."
    )


def _with_clock(frame: pl.DataFrame, chosen: TimeColumn, stamps: np.ndarray) -> TimeColumn:
    """The column of dates together with one of times of day, where dates repeat and that column makes more of them
    distinct."""
    distinct = len(np.unique(stamps))
    if chosen.kind not in OF_DATES or chosen.zone is not None or distinct == len(stamps) or (stamps % DAY).any():
        return chosen
    for name in frame.columns:
        if name in chosen.names or (clock := _of_day(frame[name])) is None:
            continue
        whole = TimeColumn((*chosen.names, name), chosen.kind, chosen.format, unit=chosen.unit, clock=clock)
        if len(np.unique(whole.parse(frame))) > distinct:
            return whole
    return chosen


def _of_day(column: pl.Series, *, asked: bool = False) -> Clock | None:
    """How a column tells the time of day, if it does. told: somebody says that it does."""
    if column.null_count() or not len(column):
        return None
    if column.dtype == pl.Time:
        return Clock(column.name, unit="Time")
    if column.dtype in TEXTS:
        forms = dates.clocks_of(column.cast(pl.String))
        return Clock(column.name, dates.as_written_clock(column.cast(pl.String), forms[0])) if forms else None
    whole = column.cast(pl.Int64, strict=False)
    if not column.dtype.is_numeric() or whole.null_count() or not (whole == column).all():
        return None
    low, high = int(whole.min()), int(whole.max())  # type: ignore[arg-type]
    counting = asked or bool(words_in(column.name) & COUNTING)
    for parts in PARTS_OF_DAY:
        complete = high - low == parts - 1 and low in (0, 1)
        if counting and (
            complete or (parts == 24 and low >= 0 and high <= 23 and (asked or "hour" in words_in(column.name)))
        ):
            return Clock(column.name, parts=parts, first=low if complete else 0, unit=str(column.dtype))
    return None
