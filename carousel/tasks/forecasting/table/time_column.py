"""The columns that hold the time: how their values are read, and how further values are written in the same way.

Inside, a stamp is an integer: microseconds since 1970 (of the wall clock where there is no time zone, of UTC where
there is one), or the number itself where time is counted in steps.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError
from carousel.tasks.forecasting.table import dates

PARTS = ("year", "month", "day", "hour", "minute", "second")
WEEKS = "52"  # the format of years and weeks without a week 53
OTHER_PARTS = ("week", "quarter")  # of a year, beside PARTS
NANOSECONDS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}  # of a number that counts since 1970
DAY = 86_400_000_000
OFF = 0.05  # of a step: further away than that, a decimal number is no multiple of it


@dataclass(frozen=True)
class Clock:
    """A column with the time of day beside one with the date. `form`: of its texts; else its whole numbers count parts
    of the day, `parts` of them, from `first` on."""

    name: str
    form: str | None = None
    parts: int = 24
    first: int = 0
    unit: str = "Int64"

    def parse(self, frame: pl.DataFrame) -> np.ndarray:
        """Microseconds after midnight. Raises DataError for the first value that is none."""
        column = frame[self.name]
        if column.dtype == pl.Time:
            found = column.cast(pl.Int64) // 1_000
        elif self.form is not None:
            found = dates.read_clock(column.cast(pl.String), self.form).dt.epoch("us") % DAY
        else:
            found = (column.cast(pl.Int64, strict=False) - self.first) * (DAY // self.parts)
            found = found.set((found < 0) | (found >= DAY), None)
        if found.null_count():
            row = int(found.is_null().arg_max() or 0)
            raise DataError(
                f"The column {self.name!r} must hold a time of day in every row, in one format, but row {row + 1:,} "
                f"holds {column[row]!r}."
            )
        return found.to_numpy()

    def restore(self, moments: pl.Series) -> pl.Series:
        of_day = moments.dt.epoch("us") % DAY
        if self.unit == "Time":
            return (of_day * 1_000).cast(pl.Time).alias(self.name)
        if self.form is not None:
            return dates.write(moments, self.form).alias(self.name)
        return (of_day // (DAY // self.parts) + self.first).cast(getattr(pl, self.unit)).alias(self.name)


@dataclass(frozen=True)
class TimeColumn:
    """How a table writes time. `kind`:

    rows       no column: rows follow each other
    integer    whole numbers of steps; of type `unit`
    decimal    decimal numbers, a multiple of `step` apart, counted from `start`, with so many digits (`format`)
    epoch      a number of s, ms, us or ns (`format`) since 1970
    date       a type that holds days
    datetime   a type that holds times, in `unit`
    text       texts, or whole numbers of type `unit`, in a form of `dates` (`format`)
    parts      columns year, month, ... or year, week or year, quarter; months are written as `format` has it; weeks are
               those of ISO, or, of the format WEEKS, 52 of each year

    `clock`: another column, the last of the names, has the time of day.
    """

    names: tuple[str, ...]
    kind: str
    format: str | None = None
    zone: str | None = None
    unit: str = "us"
    clock: Clock | None = None
    start: float = 0.0
    step: float = 1.0

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "TimeColumn":
        clock = saved.get("clock")
        return cls(**saved | {"names": tuple(saved["names"]), "clock": None if clock is None else Clock(**clock)})

    @property
    def counts(self) -> bool:
        """Whether time is a number of steps, without a calendar."""
        return self.kind in ("integer", "decimal", "rows")

    @property
    def label(self) -> str:
        return ", ".join(self.names) if self.names else "the rows' order"

    def parse(self, frame: pl.DataFrame) -> np.ndarray:
        """The stamps of a table's rows, int64. Raises DataError for values that are no time, naming the first."""
        if self.kind == "rows":
            return np.arange(frame.height)
        for name in self.names:
            if name not in frame.columns:
                raise DataError(f"The table lacks its time column {name!r}; it has {', '.join(frame.columns)}.")
        if self.clock is not None:
            days, tod = self.date.parse(frame), self.clock.parse(frame)
            return days + tod if self.zone is None else _in_zone(days + tod, self.zone)
        if self.kind == "parts":
            return self._from_parts(frame)
        column = frame[self.names[0]]
        if column.null_count():
            row = int(column.is_null().arg_max() or 0) + 1
            raise DataError(f"The time column {self.names[0]!r} has no value in row {row}: fill or remove that row.")
        if self.kind in ("integer", "decimal", "epoch"):
            return self._numbers(column)
        parsed = self._moments(column)
        if parsed.null_count():
            row = int(parsed.is_null().arg_max() or 0)
            raise DataError(
                f"The time column {self.names[0]!r} holds {column[row]!r}, which is no time like the others (row "
                f"{row + 1:,}{f'; the others are written {self.format}' if self.kind == 'text' else ''})."
            )
        return parsed.dt.epoch("us").to_numpy()

    @property
    def date(self) -> "TimeColumn":
        """The column of dates alone, where another has the time of day."""
        return TimeColumn(self.names[:1], self.kind, self.format, unit=self.unit)

    def restore(self, stamps: np.ndarray) -> pl.DataFrame:
        """Columns of the table's own names, types and formats for these stamps."""
        if self.kind == "rows":
            return pl.DataFrame({"step": stamps})
        if self.kind == "integer":
            return pl.DataFrame({self.names[0]: stamps}).cast(getattr(pl, self.unit))
        if self.kind == "decimal":
            numbers = np.round(self.start + self.step * stamps, int(self.format or 12))
            return pl.DataFrame({self.names[0]: numbers}).cast(getattr(pl, self.unit))
        if self.kind == "epoch":
            return self._since_1970(stamps)
        if self.clock is not None:
            days = self.date.restore(np.asarray(stamps) // DAY * DAY)
            return days.with_columns(self.clock.restore(_moments(stamps)))
        moments = _moments(stamps)
        if self.zone is not None:
            moments = moments.dt.replace_time_zone("UTC").dt.convert_time_zone(self.zone)
        if self.kind == "parts":
            return pl.DataFrame([self._part(name, moments) for name in self.names])
        if self.kind == "date":
            moments = moments.cast(pl.Date)
        elif self.kind == "datetime":
            moments = moments.dt.cast_time_unit(self.unit)  # type: ignore[arg-type]
        else:
            assert self.format is not None
            moments = dates.write(moments, self.format)
            if self.unit != "us":
                moments = moments.cast(pl.Int64).cast(getattr(pl, self.unit))
        return pl.DataFrame([moments.alias(self.names[0])])

    # -- one kind each ----------------------------------------------------------------------------------------------

    def _numbers(self, column: pl.Series) -> np.ndarray:
        if self.kind == "decimal":
            numbers = column.cast(pl.Float64, strict=False)
            indices = (numbers - self.start) / self.step
            off = ((indices - indices.round()).abs() > OFF).fill_null(True)
            if off.any():
                raise DataError(
                    f"The time column {self.names[0]!r} counts in steps of {self.step:g}, and holds "
                    f"{column[int(off.arg_max() or 0)]} in row {int(off.arg_max() or 0) + 1:,}, between two of them."
                )
            return indices.round().cast(pl.Int64).to_numpy()
        whole = column.cast(pl.Int64, strict=False)
        if self.kind == "epoch" and column.dtype.is_float() and self.format == "s" and not whole.null_count():
            return (column * 1e6).round().cast(pl.Int64).to_numpy()
        if whole.null_count() or (column.dtype.is_float() and not (column == whole).all()):
            raise DataError(f"The time column {self.names[0]!r} must hold whole numbers, as it did in training.")
        if self.kind == "epoch":
            assert self.format is not None
            return (
                whole.to_numpy() * NANOSECONDS[self.format] // 1_000
                if self.format != "ns"
                else whole.to_numpy() // 1_000
            )
        return whole.to_numpy()

    def _since_1970(self, stamps: np.ndarray) -> pl.DataFrame:
        assert self.format is not None
        if self.unit.startswith("Float"):
            numbers: np.ndarray = np.asarray(stamps) * 1_000 / NANOSECONDS[self.format]
        else:
            numbers = np.asarray(stamps) * 1_000 // NANOSECONDS[self.format]
        return pl.DataFrame({self.names[0]: numbers}).cast(getattr(pl, self.unit))

    def _from_parts(self, frame: pl.DataFrame) -> np.ndarray:
        given: dict[str, Any] = {name.lower(): part_numbers(frame[name], name) for name in self.names}
        for name in self.names:
            if (missing := given[name.lower()].is_null()).any():
                row = int(missing.arg_max() or 0)
                raise DataError(
                    f"The columns {self.label}, which together tell the time, must have a value in every row: in row "
                    f"{row + 1:,} {name!r} holds {frame[name][row]!r}."
                )
        if "week" in given:
            texts = given["year"].cast(pl.String) + "-W" + given["week"].cast(pl.String).str.zfill(2)
            moments = dates.read(texts, dates.ISO_WEEK)
            if self.format == WEEKS:
                later = pl.duration(days=7 * (pl.col("week") - 1))
                moments = (
                    pl.DataFrame(given)
                    .select(pl.when(pl.col("week").is_between(1, 52)).then(pl.datetime(pl.col("year"), 1, 1) + later))
                    .to_series()
                )
        else:
            if "quarter" in given:
                given["month"] = 3 * given.pop("quarter") - 2
            given |= {name: pl.repeat(1, frame.height, eager=True) for name in ("month", "day") if name not in given}
            try:
                parts = pl.datetime(*(pl.col(p) for p in PARTS if p in given))
                moments = pl.DataFrame(given).select(parts).to_series()
            except pl.exceptions.PolarsError as problem:
                raise DataError(f"The columns {self.label} do not make times: {str(problem).splitlines()[0]}") from None
        if moments.null_count():
            row = int(moments.is_null().arg_max() or 0)
            what = "-".join(str(frame[name][row]) for name in self.names)
            raise DataError(f"The columns {self.label} do not make times in every row: row {row + 1:,} has {what}.")
        return moments.dt.epoch("us").to_numpy()

    def _part(self, name: str, moments: pl.Series) -> pl.Series:
        part = name.lower()
        if self.format is not None and part == "quarter":
            return dates.write(moments, self.format).alias(name)
        if self.format is not None and part == "month":
            return dates.write(moments, self.format).alias(name)
        if self.format == WEEKS and part == "week":
            return (((moments.dt.ordinal_day().cast(pl.Int64) - 1) // 7).clip(upper_bound=51) + 1).alias(name)
        if part == "year" and self.format != WEEKS and any(other.lower() == "week" for other in self.names):
            part = "iso_year"
        return getattr(moments.dt, part)().cast(pl.Int64).alias(name)

    def _moments(self, column: pl.Series) -> pl.Series:
        if self.kind in ("date", "datetime"):
            if not column.dtype.is_temporal():
                column = _as_times(column, self.zone)
            if getattr(column.dtype, "time_zone", None) is None and self.zone is not None:
                column = column.dt.replace_time_zone(self.zone, ambiguous="null", non_existent="null")
            return column.cast(pl.Datetime("us")) if column.dtype == pl.Date else column.dt.cast_time_unit("us")
        assert self.format is not None
        if column.dtype.is_temporal():  # another table of the same series, whose library knows times
            return column.cast(pl.Datetime("us", getattr(column.dtype, "time_zone", None)))
        return dates.read(digits(column), self.format)


def digits(column: pl.Series) -> pl.Series:
    """A column as texts; whole decimal numbers without their point."""
    if column.dtype.is_float():
        column = column.cast(pl.Int64, strict=False)
    return column.cast(pl.String)


def part_numbers(column: pl.Series, name: str) -> pl.Series:
    """A column year, month, ... as numbers: months may be names, quarters may be written Q1."""
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        texts = column.cast(pl.String).str.strip_chars()
        if name.lower() == "month" and (texts.str.contains("^[A-Za-z]").fill_null(False)).any():
            for form in ("%b", "%B"):
                months = dates.read("2000 " + texts, f"%Y {form}").dt.month()
                if months.count() == texts.count():
                    return months.cast(pl.Int64)
        if name.lower() == "quarter":
            texts = texts.str.strip_prefix("Q").str.strip_prefix("q")
        return texts.cast(pl.Int64, strict=False)
    return column.cast(pl.Int64, strict=False)


def _as_times(column: pl.Series, zone: str | None) -> pl.Series:
    try:
        return column.cast(pl.String).str.to_datetime(strict=False, time_zone=zone)
    except pl.exceptions.PolarsError:  # none of them is a time
        return column.clear(len(column)).cast(pl.Datetime("us"))


def _moments(stamps: np.ndarray) -> pl.Series:
    return pl.Series("t", stamps, dtype=pl.Int64).cast(pl.Datetime("us"))


def _in_zone(local: np.ndarray, zone: str) -> np.ndarray:
    zoned = _moments(local).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return zoned.dt.epoch("us").to_numpy()
