"""The frequency: which stamps there are between and after those of a table.

    integer   steps that are only counted
    clock     a fixed time apart: hours, minutes, seconds, on the clock of UTC where the table has a time zone
    day       every so many days, weeks with 7, on the calendar of the table's own time zone
    weekday   Monday to Friday
    week      52 weeks a year, the first from 1 January on
    open      certain times of the week: the hours of a market, the days of a shop
    month     every so many months: quarters with 3, years with 12; on one day of the month, its last, or its first or
              last weekday

Each stamp of a frequency has an index, a whole number; consecutive stamps are one step apart. Where each series has
days of its own, an index stands for a whole step of days, and the stamps of a series lie a fixed number of days after
the first day of the step: its shift.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from carousel.tasks.forecasting.table.durations import DAY, SECOND, WEEK, clock_words, lasting

MONDAY = 4  # 1970-01-05, the first Monday, counted in days from 1970-01-01
WEEKS = 52  # of each year, where none has a week 53
LAST, LAST_WEEKDAY, FIRST_WEEKDAY = 0, -1, -2  # of a month, in the place of a day of it
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Frequency:
    """The rule that says which stamps there are.

    step: microseconds, days, months or counted steps from one stamp to the next. phase: the stamp of index 0, in the
    same unit. day: of the month, or LAST, LAST_WEEKDAY or FIRST_WEEKDAY. time: of the day, in microseconds, where the
    unit is a day or more. week: the times of an open week, in microseconds after Monday's midnight. own: whether each
    series has days of its own.
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

    def indices(self, stamps: np.ndarray) -> np.ndarray:
        """The index of each stamp, or of the last stamp of this frequency before it."""
        return (self.units_of(stamps) - self.phase) // self.step

    def shifts(self, stamps: np.ndarray) -> np.ndarray:
        """The days of each stamp after the first day of its step; 0 unless each series has days of its own."""
        return (self.units_of(stamps) - self.phase) % self.step if self.own else np.zeros(len(stamps), np.int64)

    def stamps(self, indices: np.ndarray, shifts: np.ndarray | int = 0) -> np.ndarray:
        """Stamps as `TimeColumn.parse` gives them, so many days after the first day of each step."""
        units = np.asarray(indices, np.int64) * self.step + self.phase + shifts
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
            days = new_year(years) + 7 * weeks
        else:
            days = days_of(units.astype("datetime64[M]"), self.day)
        return _to_utc(days * DAY + self.time, self.zone)

    def units_of(self, stamps: np.ndarray) -> np.ndarray:
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
            return weeks_of_years(days)
        return dates.astype("datetime64[M]").astype(np.int64)

    def is_close(self, stamps: np.ndarray, series: np.ndarray) -> tuple[bool, int]:
        """Whether stamps lie about once a step, a little before or after the stamps of the frequency; and how late they
        usually are, in microseconds. Then each row counts for the nearest stamp. Where several rows lie in a step, they
        are averaged. Months have no early stamps."""
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
        around = cluster(clock, DAY, whole=False)
        beside = clock % DAY
        midnight = around is not None and beside.min() < DAY // 4 and beside.max() > 3 * DAY // 4
        return True, around if midnight and around is not None else DAY // 2  # else each is of its own day

    def nearest(self, stamps: np.ndarray, late: int) -> np.ndarray:
        """The index that each stamp is nearest to, where stamps usually lie `late` microseconds after their own."""
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


def _opening_words(week: tuple[int, ...]) -> str:
    days = sorted({at // DAY for at in week})
    runs = days == list(range(days[0], days[-1] + 1)) and len(days) > 2
    which = f"{DAYS[days[0]]} to {DAYS[days[-1]]}" if runs else ", ".join(DAYS[day] for day in days)
    hours = [sorted(at % DAY for at in week if at // DAY == day) for day in days]
    if len(week) == len(days):
        return f"daily, {which}"
    first, last = min(at[0] for at in hours), max(at[-1] for at in hours)
    step = usual(np.diff(week))
    return f"every {lasting(step)} while open, {which}, {clock_words(first)} to {clock_words(last)}"


def days_of(months: np.ndarray, day: int) -> np.ndarray:
    """The day, counted from 1970-01-01, that stands for each month."""
    first, end = months.astype("datetime64[D]"), (months + 1).astype("datetime64[D]")
    if day == LAST_WEEKDAY:
        return np.busday_offset(end, -1, roll="forward").astype(np.int64)
    if day == FIRST_WEEKDAY:
        return np.busday_offset(first, 0, roll="forward").astype(np.int64)
    last = end.astype(np.int64) - 1
    return last if day == LAST else np.minimum(first.astype(np.int64) + day - 1, last)


def weeks_of_years(days: np.ndarray) -> np.ndarray:
    """52 y + w of days, w = 0, ..., 51 the week of the year y, counted from 1970; the last lasts to the year's end."""
    years = days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64)
    return WEEKS * years + np.minimum((days - new_year(years)) // 7, WEEKS - 1)


def new_year(years: np.ndarray) -> np.ndarray:
    return years.astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)


def local(stamps: np.ndarray, zone: str | None) -> np.ndarray:
    """The wall-clock time in a time zone at stamps of UTC, in microseconds; without a zone, the stamps themselves."""
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


def cluster(stamps: np.ndarray, step: int, *, whole: bool = True) -> int | None:
    """Where in the step stamps lie that all lie close to one point of it, from - step / 2 to step / 2; None where they
    lie all over it. whole: to a twelfth of the step."""
    turn = 2 * np.pi * ((stamps % step) / step)
    mean = np.exp(1j * turn).mean()
    if np.abs(mean) < 0.9:
        return None
    at = float(np.angle(mean)) / (2 * np.pi)
    return round(round(at * 12) / 12 * step) if whole else round(at * step)


def usual(gaps: np.ndarray) -> int:
    values, counts = np.unique(gaps, return_counts=True)
    return int(values[counts.argmax()])
