"""Finds the frequency of stamps, or reads the one that a user names."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from carousel.errors import DataError, option
from carousel.tasks.forecasting.table.durations import DAY, SECOND, WEEK, clock_words, lasting
from carousel.tasks.forecasting.table.frequency import (
    FIRST_WEEKDAY,
    LAST,
    LAST_WEEKDAY,
    MONDAY,
    WEEKS,
    Frequency,
    cluster,
    days_of,
    local,
    new_year,
    usual,
    weeks_of_years,
)

NAMES = {
    "s": ("clock", SECOND),
    "min": ("clock", 60 * SECOND),
    "h": ("clock", 3600 * SECOND),
    "d": ("day", 1),
    "w": ("day", 7),
    "mo": ("month", 1),
    "q": ("month", 3),
    "y": ("month", 12),
    "weekday": ("weekday", 1),
}


def named(text: str, stamps: np.ndarray, zone: str | None, *, counts: bool) -> Frequency:
    """The frequency that a user names: 15min, 1h, d, w, mo, q, y, weekday; a whole number where time is counted.

    Its phase is that of the stamps where they lie close to one; else it is rounded down to the clock, so that hours
    begin on the hour. Raises DataError for anything else.
    """
    match = re.fullmatch(r"(\d*)\s*([a-z]*)", text.strip().lower())
    if match and counts and not match[2] and match[1]:
        return Frequency("integer", int(match[1]), int(stamps.min()))
    if not match or counts or match[2] not in NAMES or match[1] == "0":
        known = (
            "a whole number, as time is counted in steps here" if counts else ", ".join(f"1{name}" for name in NAMES)
        )
        raise DataError(f"There is no frequency {text!r}. Choose {known}.")
    unit, factor = NAMES[match[2]]
    step = int(match[1] or 1) * factor
    if unit == "clock":
        first, phase = int(stamps.min()), cluster(stamps, step)
        down = first - first % (step if DAY % step == 0 else SECOND)
        return Frequency("clock", step, down + (phase or 0), zone=zone)
    time = _one(local(stamps, zone) % DAY) or 0
    phase = int(Frequency(unit, time=time, zone=zone).units_of(stamps.min(keepdims=True))[0])
    return Frequency(unit, step, phase, time=time, zone=zone)


def regularity(stamps: np.ndarray, *, counts: bool = False) -> float:
    """The share of the indices between the first and the last of these stamps that have one: 1 where none lacks."""
    distinct = np.unique(stamps)
    if len(distinct) < 2:
        return 0.0
    try:
        indices = find([distinct], None, counts=counts).indices(distinct[[0, -1]])
    except DataError:
        step = max(1.0, float(np.median(np.diff(distinct))))
        return 0.5 * min(1.0, len(distinct) / (1 + (distinct[-1] - distinct[0]) / step))
    return len(distinct) / float(1 + indices[1] - indices[0])


def words_for(stamps: np.ndarray, *, counts: bool) -> str:
    """The frequency of stamps, and how many of its stamps are missing, in words."""
    distinct = np.unique(stamps)
    try:
        found = find([distinct], None, counts=counts)
    except DataError:
        return "at no frequency"
    indices = found.indices(distinct[[0, -1]])
    missing = int(1 + indices[1] - indices[0] - len(distinct))
    return f"{found.words}, {missing:,} missing" if missing else found.words


def find(groups: list[np.ndarray], zone: str | None, *, counts: bool) -> Frequency:
    """The frequency of several series' stamps, each increasing without repetition.

    Gaps are no hindrance as long as one step is the most usual. Raises DataError for irregular stamps.
    """
    every = np.unique(np.concatenate(groups))
    gaps = np.concatenate([np.diff(group) for group in groups])
    if not len(gaps):
        raise DataError("A frequency is the time from one row to the next, and no series here has two rows.")
    if counts:
        step = usual(gaps)
        _require_regular(every, gaps, step, every[0], lambda steps: f"{steps:g} steps")
        return Frequency("integer", step, int(every[0]))
    clock = local(every, zone)
    time = _one(clock % DAY)
    if time is not None:
        found = _calendar([local(group, zone) // DAY for group in groups], time, zone)
        if found:
            return _open(found, clock) or found
    step = usual(gaps)
    _refuse_other_clocks(groups, gaps, zone)
    _require_regular(every, gaps, step, every[0], lasting)
    found = Frequency("clock", step, int(every[0]), zone=zone)
    return _open(found, clock) or found


def _calendar(groups: list[np.ndarray], time: int, zone: str | None) -> Frequency | None:
    """Of stamps at one time of day: months before weekdays before days."""
    days = np.unique(np.concatenate(groups))
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    gaps = np.concatenate([np.diff(group) for group in groups])
    if np.median(gaps) >= 28:
        day = _day_of_month(days, months)
        if day is not None:
            counted = [group.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) for group in groups]
            step = int(np.gcd.reduce(np.concatenate([np.diff(group) for group in counted])))
            return Frequency("month", step, int(months.astype(np.int64)[0]), day, time, zone)
    week = (days - MONDAY) % 7
    step = usual(gaps)
    if step == 1 and (week < 5).all() and len(days) >= 10:
        first = int(np.busday_count("1970-01-05", dates[0]))
        return Frequency("weekday", 1, first, time=time, zone=zone)
    own = bool(((days - days[0]) % step).any())
    if own and step == 7:
        weeks = weeks_of_years(days)
        if (days == new_year(weeks // WEEKS) + 7 * (weeks % WEEKS)).all():
            return Frequency("week", 1, int(weeks[0]), time=time, zone=zone)
    if any(((group - group[0]) % step).any() for group in groups if len(group)):
        return None
    return Frequency("day", step, int(days[0]), time=time, zone=zone, own=own)


def _day_of_month(days: np.ndarray, months: np.ndarray) -> int | None:
    """On which day of the month all of these days fall."""
    of_month = days - months.astype("datetime64[D]").astype(np.int64) + 1
    if (days == days_of(months, LAST)).all():
        return LAST
    highest = int(of_month.max())  # the 30th, say, which February does not have
    if (days == days_of(months, highest)).all():
        return highest
    return next((day for day in (LAST_WEEKDAY, FIRST_WEEKDAY) if (days == days_of(months, day)).all()), None)


FEWEST_WEEKS = 2  # for hours at which nothing ever came to be hours at which nothing comes


FILLED, EMPTIER = 0.85, 0.9  # the share of open times that have a stamp, and that of all times beside it


def _open(found: Frequency, clock: np.ndarray) -> Frequency | None:
    """The frequency of a market with fixed hours: its stamps are the times of the week at which stamps come. None
    unless nearly every such time has a stamp, and the regular frequency `found` would leave many more empty.

    clock: the stamps in local time, sorted, each once.
    """
    if found.unit not in ("clock", "day") or (found.unit == "day" and found.step != 1) or found.step >= DAY:
        return None
    since = clock - MONDAY * DAY
    if since[-1] - since[0] < FEWEST_WEEKS * WEEK:
        return None
    at = np.unique(since % WEEK)
    opened = Frequency("open", zone=found.zone, week=tuple(int(time) for time in at))
    indices = replace(opened, zone=None).indices(clock[[0, -1]])
    step = found.step * (DAY if found.unit == "day" else 1)
    filled = len(clock) / float(1 + indices[1] - indices[0])
    plain = len(clock) / float(1 + (clock[-1] - clock[0]) // step)
    if filled < FILLED or plain > EMPTIER * filled:
        return None
    return replace(opened, phase=int(indices[0]))


def _refuse_other_clocks(groups: list[np.ndarray], gaps: np.ndarray, zone: str | None) -> None:
    """Raises DataError where each series is regular, at a time of day of its own."""
    step = usual(gaps)
    if step % DAY or step < 2 * DAY or any(((group - group[0]) % step).any() for group in groups if len(group)):
        return
    firsts = {clock_words(int(local(group[:1], zone)[0] % DAY)) for group in groups if len(group)}
    raise DataError(
        f"Each series here has a row every {lasting(step)}, but not all at the same time of the day "
        f"({', '.join(sorted(firsts))}). Name the frequency, "
        f"{option('frequency', 'w' if step == WEEK else f'{step // DAY}d')}, "
        f"and each row counts for the step that it is in."
    )


def _one(values: np.ndarray) -> int | None:
    return int(values[0]) if (values == values[0]).all() else None


def _require_regular(
    stamps: np.ndarray, gaps: np.ndarray, step: int, first: int, words: Callable[[float], str]
) -> None:
    off = (stamps - first) % step != 0
    if not off.any():
        return
    raise DataError(
        f"The stamps are not regular: the most common step is {words(step)}, and {off.sum():,} of {len(stamps):,} "
        f"stamps do not fit it (steps from {words(gaps.min())} to {words(gaps.max())}). Name a frequency, for example "
        f"{option('frequency', '1h')} (or d, w, mo), and each row counts for the step that it is in."
    )
