"""Finds how a column writes times: all of it is read, and the reading under which the times are regular is taken."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.forecasting.table import dates
from carousel.tasks.forecasting.table.frequency_search import regularity, words_for
from carousel.tasks.forecasting.table.time_column import (
    NANOSECONDS,
    OFF,
    OTHER_PARTS,
    PARTS,
    WEEKS,
    TimeColumn,
    digits,
    part_numbers,
)  # fmt: skip

STEPS = "steps"  # as a date format: numbers are counted, and mean no date
CLEARLY = 1.2  # times as regular: then one reading is chosen
EARLIEST, LATEST = 500_000_000, 4_200_000_000  # seconds since 1970 of 1985 and 2103
YEARS = (1500, 2200)  # that numbers like 200501 may begin with
TEXTS = (pl.String, pl.Categorical, pl.Enum)


class FormatError(DataError):
    """A column has times, or numbers, and a few other values: mistakes, or marks of missing values."""


class TwoReadings(FormatError):
    """A table can be read in two ways, and nothing in it decides between them."""


def recognise(
    frame: pl.DataFrame, name: str, form: str | None = None, said: list[str] | None = None
) -> TimeColumn | None:
    """How a column writes times; None where it has none. form: the date format, where the user names it. said: called
    with a line where two readings are possible and one is taken.

    Raises FormatError where nearly all values are times, and DataError where two readings are equally likely.
    """
    column = frame[name]
    kind = column.dtype
    if form is not None:
        return _in_form(column, form)
    if kind == pl.Date:
        return TimeColumn((name,), "date")
    if isinstance(kind, pl.Datetime):
        return TimeColumn((name,), "datetime", zone=kind.time_zone, unit=kind.time_unit)
    values = column.drop_nulls()
    if not len(values):
        return None
    if kind.is_numeric():
        return _of_numbers(values)
    if kind not in TEXTS:
        return None
    values = values.cast(pl.String)
    found = [_text(values, form) for form in dates.forms_of(values)]
    if found:
        return _chosen(values, found, said)
    _refuse_slips(values)
    return None


def tells_time(name: str) -> bool:
    """Whether the name of a column is usual for times."""
    return bool(
        words_in(name) & {"date", "datetime", "time", "timestamp", "ts", "ds", "period", "epoch", "unix", "month"}
    )


def words_in(name: str) -> set[str]:
    """ "saleDate", "sale_date", "Date/Time" -> sale, date; date, time."""
    spaced = pl.Series([name]).str.replace_all(r"([a-z])([A-Z])", "$1 $2")[0]
    return set("".join(c.lower() if c.isalnum() else " " for c in spaced).split())


def parts_in(columns: Sequence[str]) -> tuple[str, ...] | None:
    """The columns year, month and so on that together are a time: at least year and month, year and week, or year and
    quarter."""
    by_name = {name.lower(): name for name in columns}
    found = []
    for part in PARTS:
        if part not in by_name:
            break
        found.append(by_name[part])
    if len(found) == 1:
        found += [by_name[part] for part in OTHER_PARTS if part in by_name][:1]
    return tuple(found) if len(found) >= 2 else None


def from_parts(
    frame: pl.DataFrame, names: tuple[str, ...], form: str | None = None, said: list[str] | None = None
) -> TimeColumn:
    """The time that such columns are together. form: %G-W%V for weeks of ISO. said: called with a line about other
    weeks."""
    written = None
    for name in names:
        if name.lower() in ("month", "quarter") and frame[name].dtype in TEXTS:
            first = str(frame[name].drop_nulls()[0]) if frame[name].count() else ""
            if name.lower() == "month" and first[:1].isalpha():
                written = "%b" if len(first) == 3 else "%B"
            elif name.lower() == "quarter":
                written = "Q%q" if first[:1] in "Qq" else "%q"
    found = TimeColumn(names, "parts", written)
    if form != dates.ISO_WEEK and any(name.lower() == "week" for name in names):
        return _of_52_weeks(frame, found, said)
    return found


def _of_52_weeks(frame: pl.DataFrame, found: TimeColumn, said: list[str] | None) -> TimeColumn:
    """Where week 1 follows week 52 in years to which ISO's calendar gives a week 53, and no year has a week 53, every
    year has 52."""
    numbers = {name.lower(): part_numbers(frame[name], name) for name in found.names}
    if any(column.null_count() for column in numbers.values()):
        return found
    there = set(zip(numbers["year"].to_list(), numbers["week"].to_list(), strict=True))
    years = sorted(year for year, week in there if week == 52 and (year + 1, 1) in there)
    # 28 December is always in the last week of its year.
    without = [year for year in years if 0 < year < 9999 and date(year, 12, 28).isocalendar().week == 53]
    if not without or any(week == 53 for _, week in there):
        return found
    if said is not None:
        said.append(
            f"{found.label} are read as 52 weeks a year: no year has a week 53, which {without[-1]} would have in "
            f"ISO's calendar ({option('date_format', dates.ISO_WEEK)})"
        )
    return replace(found, format=WEEKS)


# -- texts ----------------------------------------------------------------------------------------------------------


def _text(values: pl.Series, form: str) -> TimeColumn:
    return TimeColumn((values.name,), "text", dates.as_written(values, form), zone=dates.zone_of(values, form))


def _chosen(values: pl.Series, found: list[TimeColumn], said: list[str] | None) -> TimeColumn:
    """The reading under which the stamps are regular, of several readings."""
    stamps = [reading.parse(values.to_frame()) for reading in found]
    _refuse_two_centuries(values, found[0], stamps[0])
    if len(found) == 1:
        return found[0]
    scores = [
        (regularity(s, counts=r.counts), float((np.diff(s) >= 0).mean())) for r, s in zip(found, stamps, strict=True)
    ]
    order = sorted(range(len(found)), key=lambda k: scores[k], reverse=True)
    best, second = order[:2]
    better = scores[best][0] > CLEARLY * scores[second][0] or scores[best][1] > scores[second][1] + 0.1
    if not better:
        raise TwoReadings(
            f"The dates of the column {values.name!r} can be read in two ways, and both are as regular: {values[1]!r} "
            f"as {_in_words(found[best], stamps[best])} or as {_in_words(found[second], stamps[second])}. Say which: "
            f"{option('date_format', found[best].format)} or {option('date_format', found[second].format)}."
        )
    if said is not None:
        said.append(
            f"dates of {values.name} are read as {found[best].format}, under which they are regular; as "
            f"{found[second].format} they would not be ({option('date_format')})"
        )
    return found[best]


def _in_words(reading: TimeColumn, stamps: np.ndarray) -> str:
    what = "a number of steps" if reading.counts else str(stamps[1].astype("datetime64[us]").astype("datetime64[s]"))
    return f"{what.removesuffix('T00:00:00')} ({words_for(stamps, counts=reading.counts)})"


def _refuse_two_centuries(values: pl.Series, reading: TimeColumn, stamps: np.ndarray) -> None:
    """Years of two digits are of 1970 to 2069; those of 1950 to 1980 would fall apart."""
    if reading.format is None or "%y" not in reading.format:
        return
    years = stamps.astype("datetime64[us]").astype("datetime64[Y]").astype(int) + 1970
    if years.max() >= 2050 and years.min() < 2000:
        raise DataError(
            f"The column {values.name!r} writes years with two digits, and they go from {years.min()} to "
            f"{years.max()} as such years are usually read (70 to 69 are 1970 to 2069). Write all four digits."
        )


def _refuse_slips(values: pl.Series) -> None:
    """Raises FormatError where nearly all texts (nine of ten) are times, so that the others must be mistakes."""
    near = dates.nearly(values)
    if near is not None:
        form, bad = near
        good = values.filter(dates.read(values, form).is_not_null())
        raise FormatError(
            f"The column {values.name!r} holds times like {good[0]!r}, and "
            f"{len(bad):,} that {'is' if len(bad) == 1 else 'are'} none: {bad[0]!r}"
            f"{' and others' if len(bad) > 1 else ''}. Correct or remove such rows."
        )


# -- numbers --------------------------------------------------------------------------------------------------------


def _of_numbers(values: pl.Series) -> TimeColumn | None:
    unit, name = str(values.dtype), values.name
    whole = values.cast(pl.Int64, strict=False)
    if whole.null_count() or not (whole == values).all():
        return _of_decimals(values)
    counted = TimeColumn((name,), "integer", unit=unit)
    epoch = _since_1970(whole, name, unit)
    texts = whole.cast(pl.String)
    width = texts.str.len_chars()
    compact = []
    if width.min() == width.max() and width[0] in (6, 8, 10, 12, 14):
        years = texts.str.slice(0, 4).cast(pl.Int64, strict=False)
        if not years.null_count() and years.min() >= YEARS[0] and years.max() <= YEARS[1]:  # type: ignore[operator]
            compact = [form for form in dates.forms_of(texts) if form.startswith("%Y%m")]
    if not compact:
        return epoch or counted
    dated = TimeColumn((name,), "text", compact[0], unit=unit)
    if width[0] == 6:  # 200501 may be a month, or a number
        months, steps = dated.parse(values.to_frame()), whole.to_numpy()
        regular, as_steps = regularity(months, counts=False), regularity(steps, counts=True)
        if regular > CLEARLY * as_steps and (tells_time(name) or regular > CLEARLY / 2):
            return dated
        if as_steps > CLEARLY * regular or words_in(name) & {"step", "t", "index", "id"}:
            return counted
        return dated if tells_time(name) or "yyyymm" in name.lower() else counted
    if epoch is not None and regularity(epoch.parse(values.to_frame())) > regularity(dated.parse(values.to_frame())):
        return epoch
    return dated


def _since_1970(whole: pl.Series, name: str, unit: str) -> TimeColumn | None:
    if not (tells_time(name) or name.lower() in ("t", "time", "index")):
        return None
    low, high = int(whole.min()), int(whole.max())  # type: ignore[arg-type]
    for counted, nanoseconds in NANOSECONDS.items():
        of_second = 1_000_000_000 // nanoseconds
        if EARLIEST * of_second <= low and high <= LATEST * of_second:
            return TimeColumn((name,), "epoch", counted, zone="UTC", unit=unit)
    return None


def _of_decimals(values: pl.Series) -> TimeColumn | None:
    """Decimal numbers that are evenly spaced: 0.00, 0.01, ... or seconds since 1970 with a fraction."""
    if not values.dtype.is_float() or not values.is_finite().all():
        return None
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    if tells_time(values.name) and low >= EARLIEST and high <= LATEST:
        return TimeColumn((values.name,), "epoch", "s", zone="UTC", unit=str(values.dtype))
    distinct = values.unique().sort().to_numpy().astype(np.float64)
    if len(distinct) < 3:
        return None
    step = float(np.median(np.diff(distinct)))
    step = float(distinct[-1] - distinct[0]) / max(1, round((distinct[-1] - distinct[0]) / step))
    indices = (distinct - distinct[0]) / step
    if np.abs(indices - np.round(indices)).max() > OFF:
        return None
    step, start = np.polyfit(np.round(indices), distinct, 1)  # of numbers that were rounded as they were written
    written = max(len(repr(float(number)).partition(".")[2].rstrip("0")) for number in distinct[:100])
    return TimeColumn(
        (values.name,), "decimal", str(min(written, 12)), unit=str(values.dtype), start=float(start), step=float(step)
    )


# -- as told --------------------------------------------------------------------------------------------------------


def _in_form(column: pl.Series, form: str) -> TimeColumn:
    """The reading that a date format names. Raises DataError for a column that it does not read."""
    numeric, name = column.dtype.is_numeric(), column.name
    if form == STEPS or form in NANOSECONDS:
        if not numeric:
            raise DataError(f"The date format {form!r} is of numbers, and the column {name!r} holds {column[0]!r}.")
        return TimeColumn((name,), "integer" if form == STEPS else "epoch", None if form == STEPS else form,
                          zone=None if form == STEPS else "UTC", unit=str(column.dtype))  # fmt: skip
    if "%" not in form:
        raise DataError(
            f"A date format is written like %d/%m/%Y, or is one of {', '.join((*NANOSECONDS, STEPS))} for numbers; "
            f"{form!r} is none."
        )
    if column.dtype.is_temporal():
        raise DataError(f"The column {name!r} holds {column.dtype}, which no date format need say how to read.")
    texts = digits(column).drop_nulls()
    found = TimeColumn(
        (name,),
        "text",
        dates.as_written(texts, form),
        zone=dates.zone_of(texts, form),
        unit=str(column.dtype) if numeric else "us",
    )
    bad = texts.filter(dates.read(texts, form).is_null())
    if len(bad):
        raise DataError(f"The column {name!r} holds {bad[0]!r}, which the date format {form!r} does not read.")
    return found
