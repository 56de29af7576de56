"""The time column: what its values mean, and how to write further ones in the same way.

Inside, a stamp is an integer: microseconds since 1970 (of the wall clock where there is no time zone, of UTC where
there is one), or the number itself where time is counted in steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError

PARTS = ("year", "month", "day", "hour", "minute", "second")

# In the order in which they are tried. chrono's letters; "%.f" takes a fraction of any length, or none.
_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%Y%m%d", "%d %b %Y", "%b %d, %Y")
_CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S%.f")
_ZONES = ("", "Z", "%:z", "%z")
FORMATS = (
    *_DAYS,
    *(f"{day}{gap}{clock}{zone}" for day in _DAYS for gap in (" ", "T") for clock in _CLOCKS for zone in _ZONES),
)
# Months and quarters have no day: one is put behind (or in place of) what there is.
MONTHS = ("%Y-%m", "%Y/%m", "%m/%Y", "%b %Y", "%b-%Y", "%Y-%b", "%B %Y")
QUARTER = r"^(\d{4})[- ]?Q([1-4])$"


@dataclass(frozen=True)
class TimeColumn:
    """How a table writes time. `kind`: integer, date, datetime, text, month (text without a day), quarter, parts
    (columns year, month, ...), or rows (no column: rows follow each other).
    """

    names: tuple[str, ...]
    kind: str
    format: str | None = None
    zone: str | None = None
    unit: str = "us"

    @property
    def counts(self) -> bool:
        """Is time a number of steps, without a calendar?"""
        return self.kind in ("integer", "rows")

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
        if self.kind == "parts":
            return self._from_parts(frame)
        column = frame[self.names[0]]
        if column.null_count():
            row = int(column.is_null().arg_max() or 0) + 1
            raise DataError(f"The time column {self.names[0]!r} has no value in row {row}: fill or remove that row.")
        if self.kind == "integer":
            return self._integers(column)
        parsed = self._moments(column)
        if parsed.null_count():
            bad = column.filter(parsed.is_null())[0]
            raise DataError(f"The time column {self.names[0]!r} holds {bad!r}, which is no time like the others.")
        return parsed.dt.epoch("us").to_numpy()

    def restore(self, stamps: np.ndarray) -> pl.DataFrame:
        """Columns of the table's own names, types and formats for these stamps."""
        if self.kind == "rows":
            return pl.DataFrame({"step": stamps})
        if self.kind == "integer":
            return pl.DataFrame({self.names[0]: stamps}).cast(getattr(pl, self.unit))
        moments = pl.Series("t", stamps, dtype=pl.Int64).cast(pl.Datetime("us"))
        if self.zone is not None:
            moments = moments.dt.replace_time_zone("UTC").dt.convert_time_zone(self.zone)
        if self.kind == "parts":
            given = {"year": moments.dt.year(), "month": moments.dt.month(), "day": moments.dt.day()}
            given |= {"hour": moments.dt.hour(), "minute": moments.dt.minute(), "second": moments.dt.second()}
            return pl.DataFrame([given[name.lower()].cast(pl.Int64).alias(name) for name in self.names])
        if self.kind == "date":
            moments = moments.cast(pl.Date)
        elif self.kind == "datetime":
            moments = moments.dt.cast_time_unit(self.unit)  # type: ignore[arg-type]
        elif self.kind == "quarter":
            assert self.format is not None
            moments = pl.Series([self.format.format(t.year, (t.month + 2) // 3) for t in moments])
        else:
            assert self.format is not None
            moments = moments.dt.strftime(self.format)
        return pl.DataFrame([moments.alias(self.names[0])])

    # -- one kind each ----------------------------------------------------------------------------------------------

    def _integers(self, column: pl.Series) -> np.ndarray:
        whole = column.cast(pl.Int64, strict=False)
        if whole.null_count() or (column.dtype.is_float() and not (column == whole).all()):
            raise DataError(f"The time column {self.names[0]!r} must hold whole numbers, as it did in training.")
        return whole.to_numpy()

    def _from_parts(self, frame: pl.DataFrame) -> np.ndarray:
        given: dict[str, Any] = {name.lower(): frame[name].cast(pl.Int64, strict=False) for name in self.names}
        if any(part.null_count() for part in given.values()):
            raise DataError(f"The columns {self.label}, which together tell the time, must have a value in every row.")
        given |= {name: pl.repeat(1, frame.height, eager=True) for name in ("month", "day") if name not in given}
        try:
            moments = pl.DataFrame(given).select(pl.datetime(*(pl.col(p) for p in PARTS if p in given)))
        except pl.exceptions.PolarsError as problem:
            raise DataError(f"The columns {self.label} do not make times: {str(problem).splitlines()[0]}") from None
        if moments.to_series().null_count():
            raise DataError(f"The columns {self.label} do not make times in every row.")
        return moments.to_series().dt.epoch("us").to_numpy()

    def _moments(self, column: pl.Series) -> pl.Series:
        if self.kind in ("date", "datetime"):
            if not column.dtype.is_temporal():
                try:
                    column = column.cast(pl.String).str.to_datetime(strict=False, time_zone=self.zone)
                except pl.exceptions.ComputeError:  # none of them is a time
                    return column.clear(len(column)).cast(pl.Datetime("us"))
            if getattr(column.dtype, "time_zone", None) is None and self.zone is not None:
                column = column.dt.replace_time_zone(self.zone, ambiguous="null", non_existent="null")
            return column.cast(pl.Datetime("us")) if column.dtype == pl.Date else column.dt.cast_time_unit("us")
        assert self.format is not None
        if column.dtype.is_temporal():  # another table of the same series, whose library knows times
            return column.cast(pl.Datetime("us", getattr(column.dtype, "time_zone", None)))
        text = column.cast(pl.String)
        return _read_text(text, self.kind, self.format)


class Slip(DataError):
    """A column is nearly all times, or numbers, but for some values: mistakes, or a way to say missing."""


def recognise(frame: pl.DataFrame, name: str) -> TimeColumn | None:
    """How this column tells the time, or None where it does not. Raises Slip where it nearly does."""
    column = frame[name]
    kind = column.dtype
    if kind == pl.Date:
        return TimeColumn((name,), "date")
    if isinstance(kind, pl.Datetime):
        return TimeColumn((name,), "datetime", zone=kind.time_zone, unit=kind.time_unit)
    if kind.is_integer():
        text = column.cast(pl.String)
        compact = (text.str.len_chars() == 8).all() and not column.null_count()
        if compact and not text.str.to_datetime("%Y%m%d", strict=False).null_count():
            return TimeColumn((name,), "text", "%Y%m%d")
        return TimeColumn((name,), "integer", unit=str(kind))
    if kind != pl.String:
        return None
    values = column.drop_nulls()
    if not len(values):
        return None
    few = values[:1000]
    for format in FORMATS:
        if not _read_text(few, "text", format).null_count() and not _read_text(values, "text", format).null_count():
            return TimeColumn((name,), "text", format, zone=_zone(values, format))
    for format in MONTHS:
        if not _read_text(values, "month", format).null_count():
            return TimeColumn((name,), "month", format)
    if values.str.contains(QUARTER).all():
        between = values[0][4:-2]
        return TimeColumn((name,), "quarter", f"{{}}{between}Q{{}}")
    _refuse_slips(values, few)
    return None


def _refuse_slips(values: pl.Series, few: pl.Series) -> None:
    """Raises Slip for texts nearly all of which (nine of ten) are times: the others were meant to be."""
    for format in FORMATS:
        if 0.9 * len(few) <= _read_text(few, "text", format).count():
            parsed = _read_text(values, "text", format)
            bad = values.filter(parsed.is_null())
            if 0.9 * len(values) <= parsed.count():
                raise Slip(
                    f"The column {values.name!r} holds times like {values.filter(parsed.is_not_null())[0]!r}, and "
                    f"{len(bad):,} that {'is' if len(bad) == 1 else 'are'} none: {bad[0]!r}"
                    f"{' and others' if len(bad) > 1 else ''}. Correct or remove such rows."
                )


def _read_text(text: pl.Series, kind: str, format: str) -> pl.Series:
    if kind == "month":
        return (text + " 1").str.to_datetime(f"{format} %d", strict=False, time_unit="us")
    if kind == "quarter":  # 2024Q3 -> 2024-7 -> the first of July
        year, quarter = text.str.extract(QUARTER, 1), text.str.extract(QUARTER, 2).cast(pl.Int64, strict=False)
        return (year + "-" + (3 * quarter - 2).cast(pl.String) + "-1").str.to_datetime(
            "%Y-%m-%d", strict=False, time_unit="us"
        )
    return text.str.to_datetime(format, strict=False, time_unit="us")


def _zone(texts: pl.Series, format: str) -> str | None:
    """The time zone of texts with an offset: the one that has just that offset, or UTC where they have several."""
    if format.endswith("Z"):
        return "UTC"
    if not format.endswith("z"):
        return None
    offsets = texts.str.extract(r"([+-]\d\d):?00$").unique()
    if len(offsets) != 1 or offsets[0] is None or int(offsets[0]) == 0:
        return "UTC"
    return f"Etc/GMT{-int(offsets[0]):+d}"  # whose sign is turned around, as POSIX has it


def parts_in(columns: Sequence[str]) -> tuple[str, ...] | None:
    """Columns year, month and so on that together tell the time: at least year and month."""
    by_name = {name.lower(): name for name in columns}
    found = []
    for part in PARTS:
        if part not in by_name:
            break
        found.append(by_name[part])
    return tuple(found) if len(found) >= 2 else None
