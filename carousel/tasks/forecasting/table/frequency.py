"""The frequency: which stamps there are between and after those of a table.

    integer   steps that are only counted
    clock     a fixed time apart: hours, minutes, seconds, on the clock of UTC where the table has a time zone
    day       every so many days, weeks with 7, on the calendar of the table's own time zone
    weekday   Monday to Friday
    week      52 weeks a year, the first from 1 January on
    open      certain times of the week: the hours of a market, the days of a shop
    month     every so many months: quarters with 3, years with 12; on one day of the month, its last, or its first or
              last weekday

A stamp of a frequency has a whole number, its place; consecutive places are one step apart. Where each series has days
of its own, a place is a whole step of days, and a series comes always as many days after its first: its shift.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError, option

SECOND = 1_000_000
DAY = 86_400 * SECOND
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
MONDAY = 4  # 1970-01-05, the first Monday, counted in days from 1970-01-01
WEEK = 7 * DAY
WEEKS = 52  # of each year, where none has a week 53
LAST, LAST_WEEKDAY, FIRST_WEEKDAY = 0, -1, -2  # of a month, in the place of a day of it
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Frequency:
    """`step`: microseconds, days, months or counted steps from one place to the next; `phase`: where place 0 stands, in
    the same; `day`: of the month, or LAST, LAST_WEEKDAY or FIRST_WEEKDAY; `time`: of the day, in microseconds, where
    the unit is a day or more; `week`: the times of the week, in microseconds after Monday's midnight, where it is open;
    `own`: each series has days of its own.
    """

    unit: str
    step: int = 1
    phase: int = 0
    day: int = 1
    time: int = 0
    zone: str | None = None
    week: tuple[int, ...] = ()
    own: bool = False

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "Frequency":
        return cls(**saved | {"week": tuple(saved.get("week", ()))})

    def places(self, stamps: np.ndarray) -> np.ndarray:
        """The place of each stamp, or of the last stamp of this frequency before it."""
        return (self._units(stamps) - self.phase) // self.step

    def shifts(self, stamps: np.ndarray) -> np.ndarray:
        """The days of each stamp after the first of its place; 0 unless each series has days of its own."""
        return (self._units(stamps) - self.phase) % self.step if self.own else np.zeros(len(stamps), np.int64)

    def stamps(self, places: np.ndarray, shifts: np.ndarray | int = 0) -> np.ndarray:
        """Stamps as `TimeColumn.parse` gives them, so many days after the first of each place."""
        units = np.asarray(places, np.int64) * self.step + self.phase + shifts
        if self.unit in ("integer", "clock"):
            return units
        if self.unit == "open":
            weeks, at = np.divmod(units, len(self.week))
            return _to_utc(MONDAY * DAY + weeks * WEEK + np.array(self.week)[at], self.zone)
        if self.unit == "weekday":
            days = np.busday_offset(np.datetime64("1970-01-05"), units).astype(np.int64)
        elif self.unit == "day":
            days = units
        elif self.unit == "week":
            years, weeks = np.divmod(units, WEEKS)
            days = _new_year(years) + 7 * weeks
        else:
            days = _days_of(units.astype("datetime64[M]"), self.day)
        return _to_utc(days * DAY + self.time, self.zone)

    def _units(self, stamps: np.ndarray) -> np.ndarray:
        if self.unit in ("integer", "clock"):
            return stamps
        if self.unit == "open":
            weeks, at = np.divmod(local(stamps, self.zone) - MONDAY * DAY, WEEK)
            found = np.searchsorted(np.array(self.week), at, side="right") - 1
            return weeks * len(self.week) + found
        days = (local(stamps, self.zone)) // DAY
        if self.unit == "day":
            return days
        dates = days.astype("datetime64[D]")
        if self.unit == "weekday":
            return np.busday_count("1970-01-05", dates)
        if self.unit == "week":
            return _weeks_of_years(days)
        return dates.astype("datetime64[M]").astype(np.int64)

    def is_close(self, stamps: np.ndarray, series: np.ndarray) -> tuple[bool, int]:
        """Do stamps come about once a place, a little too early or too late, and how late do they usually come (in
        microseconds)? Then they count for the nearest place. Where several come in each, these are meant to be
        averaged into it, and no stamp is too early for a month."""
        if self.unit not in ("clock", "day", "integer"):
            return False, 0
        length = self.step * (DAY if self.unit == "day" else 1)
        keyed = np.unique(np.stack([series, stamps]), axis=1)
        gaps = np.diff(keyed[1])[np.diff(keyed[0]) == 0]
        if not len(gaps) or np.median(gaps) <= length / 2:
            return False, 0
        if self.unit != "day":
            return True, 0
        clock = local(stamps, self.zone)
        around = _cluster(clock, DAY, whole=False)
        beside = clock % DAY
        midnight = around is not None and beside.min() < DAY // 4 and beside.max() > 3 * DAY // 4
        return True, around if midnight and around is not None else DAY // 2  # else each is of its own day

    def nearest(self, stamps: np.ndarray, late: int) -> np.ndarray:
        """The place that each stamp is nearest to, where stamps are usually so late."""
        if self.unit == "day":  # a day's rows may be some hours before or after midnight
            return ((local(stamps, self.zone) - late + DAY // 2) // DAY - self.phase) // self.step
        return (stamps - self.phase + self.step // 2) // self.step

    @property
    def seasons(self) -> tuple[int, ...]:
        """The lengths of seasons that people know at this frequency, shortest first: day and week of hours, ..."""
        if self.unit == "month":
            return (12 // self.step,) if self.step < 12 and 12 % self.step == 0 else ()
        if self.unit == "weekday":
            return (5, 260)
        if self.unit == "week":
            return (WEEKS,)
        if self.unit == "day":
            return {1: (7, 365), 7: (52,)}.get(self.step, ())
        if self.unit == "open":
            days = len({at // DAY for at in self.week})
            a_day = len(self.week) // days if len(self.week) % days == 0 else 1
            return tuple(length for length in dict.fromkeys((a_day, len(self.week))) if 2 <= length <= 2016)
        if self.unit == "clock":
            hour, day = 3600 * SECOND, DAY
            lengths = (length // self.step for length in (hour, day, 7 * day) if length % self.step == 0)
            return tuple(length for length in lengths if 4 <= length <= 2016)
        return ()

    @property
    def words(self) -> str:
        if self.own:
            days = "a weekday" if self.step == 7 else "days"
            return f"{replace(self, own=False).words}, each series on {days} of its own"
        if self.unit == "integer":
            return "steps of " + str(self.step) if self.step != 1 else "counted steps"
        if self.unit == "weekday":
            return "on weekdays"
        if self.unit == "open":
            return _opening_words(self.week)
        if self.unit == "week":
            return f"weekly, {WEEKS} weeks a year"
        named = {("day", 1): "daily", ("day", 7): "weekly", ("month", 1): "monthly", ("month", 3): "quarterly"}
        named |= {("month", 12): "yearly", ("clock", 3600 * SECOND): "hourly", ("clock", 60 * SECOND): "every minute"}
        named |= {("clock", SECOND): "every second"}
        if (self.unit, self.step) in named:
            return named[self.unit, self.step]
        if self.unit == "clock":
            return f"every {lasting(self.step)}"
        return f"every {self.step} {self.unit}s"


def lasting(time: float) -> str:
    """Microseconds in words: 7 days, 1.5 hours, 0.25 seconds."""
    for name, length in (("days", DAY), ("hours", 3600 * SECOND), ("minutes", 60 * SECOND)):
        if time >= length and (time % length == 0 or time >= 2 * length):
            return (
                f"{round(time / length, 2):,g} {name}".replace("1 days", "1 day")
                if time != length
                else f"1 {name[:-1]}"
            )
    return f"{round(time / SECOND, 6):g} seconds"


def _opening_words(week: tuple[int, ...]) -> str:
    days = sorted({at // DAY for at in week})
    runs = days == list(range(days[0], days[-1] + 1)) and len(days) > 2
    which = f"{DAYS[days[0]]} to {DAYS[days[-1]]}" if runs else ", ".join(DAYS[day] for day in days)
    hours = [sorted(at % DAY for at in week if at // DAY == day) for day in days]
    if len(week) == len(days):
        return f"daily, {which}"
    first, last = min(at[0] for at in hours), max(at[-1] for at in hours)
    step = _usual(np.diff(week))
    return f"every {lasting(step)} while open, {which}, {_clock(first)} to {_clock(last)}"


def _clock(time: int) -> str:
    return f"{time // (3600 * SECOND):02}:{time // (60 * SECOND) % 60:02}"


def _days_of(months: np.ndarray, day: int) -> np.ndarray:
    """The day, counted from 1970-01-01, that stands for each month."""
    first, end = months.astype("datetime64[D]"), (months + 1).astype("datetime64[D]")
    if day == LAST_WEEKDAY:
        return np.busday_offset(end, -1, roll="forward").astype(np.int64)
    if day == FIRST_WEEKDAY:
        return np.busday_offset(first, 0, roll="forward").astype(np.int64)
    last = end.astype(np.int64) - 1
    return last if day == LAST else np.minimum(first.astype(np.int64) + day - 1, last)


def _weeks_of_years(days: np.ndarray) -> np.ndarray:
    """52 y + w of days, w = 0, ..., 51 the week of the year y, counted from 1970; the last lasts to the year's end."""
    years = days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64)
    return WEEKS * years + np.minimum((days - _new_year(years)) // 7, WEEKS - 1)


def _new_year(years: np.ndarray) -> np.ndarray:
    return years.astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)


def local(stamps: np.ndarray, zone: str | None) -> np.ndarray:
    """What the clocks of a time zone show at stamps of UTC, in microseconds; without a zone, the stamps themselves."""
    if zone is None:
        return stamps
    return (
        _moments(stamps)
        .dt.replace_time_zone("UTC")
        .dt.convert_time_zone(zone)
        .dt.replace_time_zone(None)
        .dt.epoch("us")
        .to_numpy()
    )


def _to_utc(local: np.ndarray, zone: str | None) -> np.ndarray:
    """The stamps at which the clocks of a zone show this: the first of two, and the next where they skip it."""
    if zone is None:
        return local
    zoned = _moments(local).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    if zoned.null_count():
        late = _moments(local + 3600 * SECOND).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        zoned = pl.select(pl.coalesce(zoned, late)).to_series()
    return zoned.dt.epoch("us").to_numpy()


def _moments(stamps: np.ndarray) -> pl.Series:
    return pl.Series(stamps, dtype=pl.Int64).cast(pl.Datetime("us"))


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
        first, phase = int(stamps.min()), _cluster(stamps, step)
        down = first - first % (step if DAY % step == 0 else SECOND)
        return Frequency("clock", step, down + (phase or 0), zone=zone)
    time = _one(local(stamps, zone) % DAY) or 0
    phase = int(Frequency(unit, time=time, zone=zone)._units(stamps.min(keepdims=True))[0])
    return Frequency(unit, step, phase, time=time, zone=zone)


def _cluster(stamps: np.ndarray, step: int, *, whole: bool = True) -> int | None:
    """Where in the step stamps lie that all lie close to one place of it, from - step / 2 to step / 2; None where they
    lie all over it. whole: to a twelfth of the step."""
    turn = 2 * np.pi * ((stamps % step) / step)
    mean = np.exp(1j * turn).mean()
    if np.abs(mean) < 0.9:
        return None
    at = float(np.angle(mean)) / (2 * np.pi)
    return round(round(at * 12) / 12 * step) if whole else round(at * step)


def regularity(stamps: np.ndarray, *, counts: bool = False) -> float:
    """The share of the places between the first and the last of these stamps that have one: 1 where none lacks."""
    distinct = np.unique(stamps)
    if len(distinct) < 2:
        return 0.0
    try:
        places = find([distinct], None, counts=counts).places(distinct[[0, -1]])
    except DataError:
        step = max(1.0, float(np.median(np.diff(distinct))))
        return 0.5 * min(1.0, len(distinct) / (1 + (distinct[-1] - distinct[0]) / step))
    return len(distinct) / float(1 + places[1] - places[0])


def words_for(stamps: np.ndarray, *, counts: bool) -> str:
    """The frequency of stamps, and how many of its places they leave empty, in words."""
    distinct = np.unique(stamps)
    try:
        found = find([distinct], None, counts=counts)
    except DataError:
        return "at no frequency"
    places = found.places(distinct[[0, -1]])
    missing = int(1 + places[1] - places[0] - len(distinct))
    return f"{found.words}, {missing:,} missing" if missing else found.words


def find(groups: list[np.ndarray], zone: str | None, *, counts: bool) -> Frequency:
    """The frequency of several series' stamps, each increasing without repetition.

    Gaps are no hindrance as long as one step is the most usual. Raises DataError for stamps that keep to no frequency.
    """
    every = np.unique(np.concatenate(groups))
    gaps = np.concatenate([np.diff(group) for group in groups])
    if not len(gaps):
        raise DataError("A frequency is the time from one row to the next, and no series here has two rows.")
    if counts:
        step = _usual(gaps)
        _require_regular(every, gaps, step, every[0], lambda steps: f"{steps:g} steps")
        return Frequency("integer", step, int(every[0]))
    clock = local(every, zone)
    time = _one(clock % DAY)
    if time is not None:
        found = _calendar([local(group, zone) // DAY for group in groups], time, zone)
        if found:
            return _open(found, clock) or found
    step = _usual(gaps)
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
    step = _usual(gaps)
    if step == 1 and (week < 5).all() and len(days) >= 10:
        first = int(np.busday_count("1970-01-05", dates[0]))
        return Frequency("weekday", 1, first, time=time, zone=zone)
    own = bool(((days - days[0]) % step).any())
    if own and step == 7:
        weeks = _weeks_of_years(days)
        if (days == _new_year(weeks // WEEKS) + 7 * (weeks % WEEKS)).all():
            return Frequency("week", 1, int(weeks[0]), time=time, zone=zone)
    if any(((group - group[0]) % step).any() for group in groups if len(group)):
        return None
    return Frequency("day", step, int(days[0]), time=time, zone=zone, own=own)


def _day_of_month(days: np.ndarray, months: np.ndarray) -> int | None:
    """On which day of the month all of these days fall."""
    of_month = days - months.astype("datetime64[D]").astype(np.int64) + 1
    if (days == _days_of(months, LAST)).all():
        return LAST
    highest = int(of_month.max())  # the 30th, say, which February does not have
    if (days == _days_of(months, highest)).all():
        return highest
    return next((day for day in (LAST_WEEKDAY, FIRST_WEEKDAY) if (days == _days_of(months, day)).all()), None)


FEWEST_WEEKS = 2  # for hours at which nothing ever came to be hours at which nothing comes
FILLED, EMPTIER = 0.85, 0.9  # the share of open times that have a stamp, and that of all times beside it


def _open(found: Frequency, clock: np.ndarray) -> Frequency | None:
    """The times of the week at which stamps (of the local clock, without repetition) come, where they come at nearly
    all of those and at no other: the hours of a market."""
    if found.unit not in ("clock", "day") or (found.unit == "day" and found.step != 1) or found.step >= DAY:
        return None
    since = clock - MONDAY * DAY
    if since[-1] - since[0] < FEWEST_WEEKS * WEEK:
        return None
    at = np.unique(since % WEEK)
    opened = Frequency("open", zone=found.zone, week=tuple(int(time) for time in at))
    places = replace(opened, zone=None).places(clock[[0, -1]])
    step = found.step * (DAY if found.unit == "day" else 1)
    filled = len(clock) / float(1 + places[1] - places[0])
    plain = len(clock) / float(1 + (clock[-1] - clock[0]) // step)
    if filled < FILLED or plain > EMPTIER * filled:
        return None
    return replace(opened, phase=int(places[0]))


def _refuse_other_clocks(groups: list[np.ndarray], gaps: np.ndarray, zone: str | None) -> None:
    """Series that are each regular, at times of the day of their own, are told so."""
    step = _usual(gaps)
    if step % DAY or step < 2 * DAY or any(((group - group[0]) % step).any() for group in groups if len(group)):
        return
    firsts = {_clock(int(local(group[:1], zone)[0] % DAY)) for group in groups if len(group)}
    raise DataError(
        f"Each series here has a row every {lasting(step)}, but not all at the same time of the day "
        f"({', '.join(sorted(firsts))}). Name the frequency, "
        f"{option('frequency', 'w' if step == WEEK else f'{step // DAY}d')}, "
        f"and each row counts for the step that it is in."
    )


def _usual(gaps: np.ndarray) -> int:
    values, counts = np.unique(gaps, return_counts=True)
    return int(values[counts.argmax()])


def _one(values: np.ndarray) -> int | None:
    return int(values[0]) if (values == values[0]).all() else None


def _require_regular(
    stamps: np.ndarray, gaps: np.ndarray, step: int, first: int, words: Callable[[float], str]
) -> None:
    off = (stamps - first) % step != 0
    if not off.any():
        return
    raise DataError(
        f"The stamps keep to no frequency: the most usual step is {words(step)}, and {off.sum():,} of "
        f"{len(stamps):,} stamps are off it (steps from {words(gaps.min())} to {words(gaps.max())}). "
        f"Name a frequency to put them to: {option('frequency', '1h')}, or d, w, mo."
    )
