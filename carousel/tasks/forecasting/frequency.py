"""The frequency: which stamps there are between and after those of a table.

    integer   steps that are only counted
    clock     a fixed time apart: hours, minutes, seconds, on the clock of UTC where the table has a time zone
    day       every so many days, weeks with 7, on the calendar of the table's own time zone
    weekday   Monday to Friday
    month     every so many months: quarters with 3, years with 12; on one day of the month, or its last

A stamp of a frequency has a whole number, its place; consecutive places are one step apart.
"""

import re
from dataclasses import dataclass

import numpy as np
import polars as pl

from carousel.errors import DataError

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


@dataclass(frozen=True)
class Frequency:
    """`step`: microseconds, days, months or counted steps from one place to the next; `phase`: where place 0 stands, in
    the same; `day`: of the month, 0 for its last; `time`: of the day, in microseconds, where the unit is a day or more.
    """

    unit: str
    step: int = 1
    phase: int = 0
    day: int = 1
    time: int = 0
    zone: str | None = None

    def places(self, stamps: np.ndarray) -> np.ndarray:
        """The place of each stamp, or of the last stamp of this frequency before it."""
        return (self._units(stamps) - self.phase) // self.step

    def stamps(self, places: np.ndarray) -> np.ndarray:
        """Stamps as `TimeColumn.parse` gives them."""
        units = np.asarray(places, np.int64) * self.step + self.phase
        if self.unit in ("integer", "clock"):
            return units
        if self.unit == "weekday":
            days = np.busday_offset(np.datetime64("1970-01-05"), units).astype(np.int64)
        elif self.unit == "day":
            days = units
        else:
            months = units.astype("datetime64[M]")
            last = ((months + 1).astype("datetime64[D]") - 1).astype(np.int64)
            days = (
                last
                if self.day == 0
                else np.minimum(months.astype("datetime64[D]").astype(np.int64) + self.day - 1, last)
            )
        return _to_utc(days * DAY + self.time, self.zone)

    def _units(self, stamps: np.ndarray) -> np.ndarray:
        if self.unit in ("integer", "clock"):
            return stamps
        days = (local(stamps, self.zone)) // DAY
        if self.unit == "day":
            return days
        dates = days.astype("datetime64[D]")
        if self.unit == "weekday":
            return np.busday_count("1970-01-05", dates)
        return dates.astype("datetime64[M]").astype(np.int64)

    @property
    def seasons(self) -> tuple[int, ...]:
        """The lengths of seasons that people know at this frequency, shortest first: day and week of hours, ..."""
        if self.unit == "month":
            return (12 // self.step,) if self.step < 12 and 12 % self.step == 0 else ()
        if self.unit == "weekday":
            return (5, 260)
        if self.unit == "day":
            return {1: (7, 365), 7: (52,)}.get(self.step, ())
        if self.unit == "clock":
            hour, day = 3600 * SECOND, DAY
            lengths = (length // self.step for length in (hour, day, 7 * day) if length % self.step == 0)
            return tuple(length for length in lengths if 4 <= length <= 2016)
        return ()

    @property
    def words(self) -> str:
        if self.unit == "integer":
            return "steps of " + str(self.step) if self.step != 1 else "counted steps"
        if self.unit == "weekday":
            return "on weekdays"
        named = {("day", 1): "daily", ("day", 7): "weekly", ("month", 1): "monthly", ("month", 3): "quarterly"}
        named |= {("month", 12): "yearly", ("clock", 3600 * SECOND): "hourly", ("clock", 60 * SECOND): "every minute"}
        named |= {("clock", SECOND): "every second"}
        if (self.unit, self.step) in named:
            return named[self.unit, self.step]
        if self.unit == "clock":
            for name, length in (("hours", 3600 * SECOND), ("minutes", 60 * SECOND), ("seconds", SECOND)):
                if self.step % length == 0:
                    return f"every {self.step // length} {name}"
            return f"every {self.step / SECOND:g} seconds"
        return f"every {self.step} {self.unit}s"


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

    Its phase is taken from the first stamp, rounded down to the clock, so that hours begin on the hour.
    Raises DataError for anything else.
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
        first = int(stamps.min())
        return Frequency("clock", step, first - first % (step if DAY % step == 0 else SECOND), zone=zone)
    time = _one(local(stamps, zone) % DAY) or 0
    phase = Frequency(unit, time=time, zone=zone)._units(stamps.min(keepdims=True))
    return Frequency(unit, step, int(phase[0]), time=time, zone=zone)


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
        _require_regular(every, gaps, step, every[0], "steps", 1)
        return Frequency("integer", step, int(every[0]))
    clock = local(every, zone)
    time = _one(clock % DAY)
    if time is not None:
        found = _calendar([local(group, zone) // DAY for group in groups], time, zone)
        if found:
            return found
    step = _usual(gaps)
    _require_regular(every, gaps, step, every[0], "seconds", SECOND)
    return Frequency("clock", step, int(every[0]), zone=zone)


def _calendar(groups: list[np.ndarray], time: int, zone: str | None) -> Frequency | None:
    """Of stamps at one time of day: months before weekdays before days."""
    days = np.unique(np.concatenate(groups))
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    of_month = (dates - months.astype("datetime64[D]")).astype(np.int64) + 1
    is_last = (dates + 1).astype("datetime64[M]") != months
    gaps = np.concatenate([np.diff(group) for group in groups])
    if np.median(gaps) >= 28:
        day = 0 if is_last.all() else _one(of_month)
        if day is None and (is_last | (of_month == of_month.max())).all():
            day = int(of_month.max())  # the 30th, say, which February does not have
        if day is not None:
            counted = [group.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) for group in groups]
            step = int(np.gcd.reduce(np.concatenate([np.diff(group) for group in counted])))
            return Frequency("month", step, int(months.astype(np.int64)[0]), day, time, zone)
    week = (days - MONDAY) % 7
    step = _usual(gaps)
    if step == 1 and (week < 5).all() and len(days) >= 10:
        first = int(np.busday_count("1970-01-05", dates[0]))
        return Frequency("weekday", 1, first, time=time, zone=zone)
    if ((days - days[0]) % step).any():
        return None
    return Frequency("day", step, int(days[0]), time=time, zone=zone)


def _usual(gaps: np.ndarray) -> int:
    values, counts = np.unique(gaps, return_counts=True)
    return int(values[counts.argmax()])


def _one(values: np.ndarray) -> int | None:
    return int(values[0]) if (values == values[0]).all() else None


def _require_regular(stamps: np.ndarray, gaps: np.ndarray, step: int, first: int, unit: str, length: int) -> None:
    off = (stamps - first) % step != 0
    if not off.any():
        return
    raise DataError(
        f"The stamps keep to no frequency: the most usual step is {step / length:g} {unit}, and {off.sum():,} of "
        f"{len(stamps):,} stamps are off it (steps from {gaps.min() / length:g} to {gaps.max() / length:g} {unit}). "
        f"Name a frequency to average them into: --frequency 1h, d, w, mo."
    )
