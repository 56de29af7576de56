"""A table of series is read as its owner means it, or refused with the words that name the flag: by cases, and by a
known panel that is written in random forms."""

import re
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel import Forecaster
from carousel.errors import DataError
from carousel.tasks.forecasting.network.preparation import Prepared, prepare
from carousel.tasks.forecasting.settings import Settings
from carousel.tasks.forecasting.table import sources
from carousel.training.progress import Quiet

SMALL: dict[str, Any] = {"epochs": 1, "hidden": 2, "threads": 1}
STEPS = 60
CHANCE = np.random.default_rng(0)
VALUES = np.round(50 + 10 * np.sin(np.arange(4000) * 2 * np.pi / 7) + CHANCE.normal(size=4000), 3)


class Heard(Quiet):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def decided(source: object, **chosen: object) -> tuple[Prepared, str]:
    """What would be trained, and all that was said before."""
    heard = Heard()
    frame = sources.read(source, say=heard.say)
    return prepare(frame, Settings(**SMALL, **chosen), heard), "\n".join(heard.lines)  # type: ignore[arg-type]


def days(count: int = STEPS, start: date = date(2021, 1, 1), step: int = 1) -> list[date]:
    return [start + timedelta(days=step * k) for k in range(count)]


def months(count: int = STEPS, year: int = 2005) -> list[date]:
    return [date(year + k // 12, k % 12 + 1, 1) for k in range(count)]


def hours(count: int = 24 * 20, step: int = 60) -> list[datetime]:
    return [datetime(2021, 1, 4) + timedelta(minutes=step * k) for k in range(count)]


def table(times: list, form: str | None = None, name: str = "date", **more: object) -> pl.DataFrame:
    column = [t.strftime(form) for t in times] if form else times
    return pl.DataFrame({name: column, "value": VALUES[: len(times)], **more})


def unpadded(times: list, form: str) -> list[str]:
    """In the format of str.format, whose numbers have no zero before them."""
    return [form.format(d=t, y=t.year % 100) for t in times]


def epoch(times: list[datetime], unit: int) -> list[int]:
    return [int((t - datetime(1970, 1, 1)).total_seconds()) * unit for t in times]


OPEN = [
    t
    for t in hours(48 * 60, 30)
    if t.weekday() < 5 and timedelta(hours=9, minutes=30) <= t - datetime(t.year, t.month, t.day) <= timedelta(hours=16)
]
SIX = [d for d in days(120) if d.weekday() != 6]
LAST_WEEKDAYS = [d.date() for d in pd.date_range("2015-01-01", periods=STEPS, freq="BME")]
QUARTERS = [date(1990 + k // 4, 3 * (k % 4) + 1, 1) for k in range(STEPS)]
WEEKS = days(STEPS, date(2018, 1, 1), 7)

# What is read: the table, the frequency, the first, the last and the next time as they are written.
READ = {
    "iso": (table(days()), "daily", date(2021, 1, 1), date(2021, 3, 1), date(2021, 3, 2)),
    "day first months": (table(months(), "%d/%m/%Y"), "monthly", "01/01/2005", "01/12/2009", "01/01/2010"),
    "month first months": (table(months(), "%m/%d/%Y"), "monthly", "01/01/2005", "12/01/2009", "01/01/2010"),
    "day first days": (table(days(), "%d/%m/%Y"), "daily", "01/01/2021", "01/03/2021", "02/03/2021"),
    "two-digit years": (
        table(unpadded(days(), "{d.month}/{d.day}/{y}")),
        "daily",
        "1/1/21",
        "3/1/21",
        "3/2/21",
    ),
    "day, name, two-digit year": (
        table(unpadded(days(), "{d.day}-{d:%b}-{d:%y}")),
        "daily",
        "1-Jan-21",
        "1-Mar-21",
        "2-Mar-21",
    ),
    "name day year": (
        table(unpadded(days(), "{d:%b} {d.day} {d:%Y}")),
        "daily",
        "Jan 1 2021",
        "Mar 1 2021",
        "Mar 2 2021",
    ),
    "capitals": (table([f"{d:%d%b%Y}".upper() for d in days()]), "daily", "01JAN2021", "01MAR2021", "02MAR2021"),
    "points": (table(days(), "%Y.%m.%d"), "daily", "2021.01.01", "2021.03.01", "2021.03.02"),
    "year name": (table(months(), "%Y %b"), "monthly", "2005 Jan", "2009 Dec", "2010 Jan"),
    "yyyymm": (table([int(f"{d:%Y%m}") for d in months()], name="month"), "monthly", 200501, 200912, 201001),
    "yyyymmddhhmm": (
        table([int(f"{t:%Y%m%d%H%M}") for t in hours()], name="time"),
        "hourly",
        202101040000,
        202101232300,
        202101240000,
    ),
    "weeks": (table(WEEKS, "%G-W%V"), "weekly", "2018-W01", "2019-W08", "2019-W09"),
    "quarters": (
        table([f"{d.year}Q{d.month // 3 + 1}" for d in QUARTERS]),
        "quarterly",
        "1990Q1",
        "2004Q4",
        "2005Q1",
    ),
    "quarters first": (
        table([f"Q{d.month // 3 + 1} {d.year}" for d in QUARTERS]),
        "quarterly",
        "Q1 1990",
        "Q4 2004",
        "Q1 2005",
    ),
    "seconds": (table(epoch(hours(), 1), name="timestamp"), "hourly", 1609718400, 1611442800, 1611446400),
    "milliseconds": (
        table(epoch(hours(), 1000), name="timestamp"),
        "hourly",
        1609718400000,
        1611442800000,
        1611446400000,
    ),
    "nanoseconds": (
        table(epoch(hours(), 10**9), name="ts"),
        "hourly",
        1609718400 * 10**9,
        1611442800 * 10**9,
        1611446400 * 10**9,
    ),
    "am and pm": (
        table(hours(), "%m/%d/%Y %I:%M %p"),
        "hourly",
        "01/04/2021 12:00 AM",
        "01/23/2021 11:00 PM",
        "01/24/2021 12:00 AM",
    ),
    "utc": (
        table(hours(), "%Y-%m-%d %H:%M:%S UTC"),
        "hourly",
        "2021-01-04 00:00:00 UTC",
        "2021-01-23 23:00:00 UTC",
        "2021-01-24 00:00:00 UTC",
    ),
    "offset": (
        table(hours(), "%Y-%m-%dT%H:%M:%S+02:00"),
        "hourly",
        "2021-01-04T00:00:00+02:00",
        "2021-01-23T23:00:00+02:00",
        "2021-01-24T00:00:00+02:00",
    ),
    "years as floats": (
        table([float(y) for y in range(1950, 2010)], name="year"),
        "counted steps",
        1950.0,
        2009.0,
        2010.0,
    ),
    "tenths of a second": (
        table([round(0.1 * k, 1) for k in range(100)], name="t"),
        "counted steps",
        0.0,
        9.9,
        10.0,
    ),
    "month ends on weekdays": (
        table(LAST_WEEKDAYS),
        "monthly",
        date(2015, 1, 30),
        date(2019, 12, 31),
        date(2020, 1, 31),
    ),
    "a market": (
        table(OPEN, "%Y-%m-%d %H:%M"),
        "every 30 minutes while open, Monday to Friday, 09:30 to 16:00",
        "2021-01-04 09:30",
        "2021-03-04 16:00",
        "2021-03-05 09:30",
    ),
    "a shop": (table(SIX), "daily, Monday to Saturday", date(2021, 1, 1), date(2021, 4, 30), date(2021, 5, 1)),
}


@pytest.mark.parametrize("case", READ)
def test_times_are_read_and_written_in_their_form(case):
    frame, frequency, first, last, after = READ[case]
    prepared, said = decided(frame)
    panel, time = prepared.inputs.panel, prepared.roles.time
    written = time.restore(panel.stamps(np.array([0, panel.steps - 1, panel.steps]))).to_series()
    assert written.to_list() == [first, last, after]
    assert written.dtype == frame.dtypes[0]
    assert prepared.frequency.words == frequency
    assert panel.gaps == panel.duplicates == 0
    np.testing.assert_array_equal(panel.values[:, 0], VALUES[: frame.height])
    assert f"time: {frame.columns[0]} (--time)" in said


# Times in several columns, several series, and targets: the table, and what its columns are.
HOURLY = hours(24 * 12)
SHOPS = pl.concat([table(days(), shop=[shop] * STEPS) for shop in ("north", "south")])
WALMART = pl.concat(
    [
        table(WEEKS, store=[s] * STEPS, dept=[d] * STEPS, size=[1000 * s] * STEPS)
        .rename({"value": "weekly_sales"})
        .with_columns(temperature=pl.Series(VALUES[100 : 100 + STEPS]))
        for s in (1, 2)
        for d in (7, 8)
    ]
)
ROLES = {
    "year and week": (
        pl.DataFrame({"year": [2018] * 52 + [2019] * 52, "week": [*range(1, 53)] * 2, "cases": VALUES[:104]}),
        ("year", "week"),
        (),
        ("cases",),
        "weekly",
    ),
    "year and quarter": (
        pl.DataFrame({"year": [d.year for d in QUARTERS], "quarter": [1, 2, 3, 4] * 15, "gdp": VALUES[:STEPS]}),
        ("year", "quarter"),
        (),
        ("gdp",),
        "quarterly",
    ),
    "date and hour": (
        pl.DataFrame(
            {"date": [t.date() for t in HOURLY], "hour": [t.hour for t in HOURLY], "mw": VALUES[: len(HOURLY)]}
        ),
        ("date", "hour"),
        (),
        ("mw",),
        "hourly",
    ),
    "hours from 1 to 24": (
        pl.DataFrame(
            {"date": [t.date() for t in HOURLY], "HE": [t.hour + 1 for t in HOURLY], "mw": VALUES[: len(HOURLY)]}
        ),
        ("date", "HE"),
        (),
        ("mw",),
        "hourly",
    ),
    "Date and Time": (
        pl.DataFrame(
            {
                "Date": [t.strftime("%d/%m/%Y") for t in HOURLY],
                "Time": [t.strftime("%H:%M:%S") for t in HOURLY],
                "kw": VALUES[: len(HOURLY)],
            }
        ),
        ("Date", "Time"),
        (),
        ("kw",),
        "hourly",
    ),
    "a clock with points": (
        pl.DataFrame(
            {
                "Date": [t.strftime("%d/%m/%Y") for t in HOURLY],
                "Time": [t.strftime("%H.%M.%S") for t in HOURLY],
                "co": VALUES[: len(HOURLY)],
            }
        ),
        ("Date", "Time"),
        (),
        ("co",),
        "hourly",
    ),
    "a number of each row names no series": (
        SHOPS.rename({"shop": "city"}).with_columns(id=pl.int_range(2 * STEPS) * 3),
        ("date",),
        ("city",),
        ("value",),
        "daily",
    ),
    "decimal years": (
        pl.DataFrame({"decimal_year": [round(1958 + (k + 0.5) / 12, 4) for k in range(100)], "co2": VALUES[:100]}),
        ("decimal_year",),
        (),
        ("co2",),
        "counted steps",
    ),
    "what never changes is no target": (
        table(days(), season=[1] * STEPS).rename({"value": "rides"}),
        ("date",),
        (),
        ("rides",),
        "daily",
    ),
    "a date beside the time": (
        pl.DataFrame({"date": [t.date() for t in HOURLY], "ts": HOURLY, "n": VALUES[: len(HOURLY)]}),
        ("ts",),
        (),
        ("n",),
        "hourly",
    ),
    "year and month beside the date": (
        table(days(400)).with_columns(year=pl.col("date").dt.year(), month=pl.col("date").dt.month()),
        ("date",),
        (),
        ("value",),
        "daily",
    ),
    "shops": (SHOPS, ("date",), ("shop",), ("value",), "daily"),
    "numbers name series, and one value a series is no target": (
        WALMART,
        ("date",),
        ("store", "dept"),
        ("weekly_sales",),
        "weekly",
    ),
    "subject and trial": (
        pl.DataFrame(
            {
                "subject": [s for s in "ab" for _ in range(120)],
                "trial": [k for k in (1, 2, 3) for _ in range(40)] * 2,
                "t": [*range(40)] * 6,
                "force": VALUES[:240],
            }
        ),
        ("t",),
        ("subject", "trial"),
        ("force",),
        "counted steps",
    ),
    "dates as columns": (
        pl.DataFrame({"page": ["a", "b"], **{str(d): VALUES[2 * k : 2 * k + 2] for k, d in enumerate(days())}}),
        ("date",),
        ("page",),
        ("value",),
        "daily",
    ),
    "years as columns": (
        pl.DataFrame(
            {"country": ["a", "b"], "code": ["x", "y"], **{str(1960 + k): VALUES[2 * k : 2 * k + 2] for k in range(40)}}
        ),
        ("date",),
        ("country",),
        ("value",),
        "counted steps",
    ),
    "d_1, d_2, ...": (
        pl.DataFrame({"id": ["a", "b"], **{f"d_{k}": VALUES[2 * k : 2 * k + 2] for k in range(1, 41)}}),
        ("date",),
        ("id",),
        ("value",),
        "counted steps",
    ),
    "pandas' index in a file": (
        table(days(), __index_level_0__=[3 * k for k in range(STEPS)]),
        ("date",),
        (),
        ("value",),
        "daily",
    ),
}


@pytest.mark.parametrize("case", ROLES)
def test_columns_are_taken_for_what_they_mean(case):
    frame, time, ids, targets, frequency = ROLES[case]
    prepared, said = decided(frame)
    roles, panel = prepared.roles, prepared.inputs.panel
    assert (roles.time.names, set(roles.id), roles.targets, prepared.frequency.words) == (
        time,
        set(ids),
        targets,
        frequency,
    )
    assert panel.gaps == panel.duplicates == 0
    assert np.isfinite(panel.values).all()
    if ids:
        assert "told apart by" in said
    if time[0] in frame.columns and not ids:  # the times come back as they were
        again = roles.time.restore(roles.time.parse(frame))
        assert again.equals(frame.select(again.columns))


WEATHER = ["rain", "clear", "clouds", "rain", "fog", "clear", "clouds"]
TWICE = sorted(hours(300) + hours(300)[::10])
BOTH = [date(2021, 1, k + 1) for k in range(12)]
REFUSED = {
    "two orders of day and month": (
        table(BOTH, "%d/%m/%Y"),
        {},
        r"'02/01/2021' as 2021-02-01 \(monthly\) or as 2021-01-02 \(daily\).*--date-format %m/%d/%Y or --date-format",
    ),
    "two centuries": (
        table(unpadded(months(400, 1949), "{d.day:02}/{d.month:02}/{d:%y}")),
        {},
        "Write all four digits",
    ),
    "the weather names no series": (
        table(TWICE, weather=[WEATHER[k * k % 7] for k in range(330)]),
        {},
        r"30 of 330 rows repeat a time \(date; .*weather would tell them apart.*--id weather.*--frequency",
    ),
    "a part of the day names no series": (
        pl.DataFrame(
            {
                "date": [t.date() for t in HOURLY],
                "time": ["morning" if t.hour < 12 else "evening" for t in HOURLY],
                "v": VALUES[:288],
            }
        ).unique(["date", "time"], maintain_order=True),
        {},
        r"24 rows repeat a time \(date; .*--time date,NAME",
    ),
    "nothing tells rows apart": (
        table(TWICE),
        {},
        r"30 of 330 rows repeat a time .*no column tells them apart.*--time date,NAME",
    ),
    "the ids named leave repetitions": (
        pl.concat([SHOPS.with_columns(item=pl.lit(k), value=pl.col("value") + k) for k in (1, 2)]),
        {"id": "shop"},
        r"repeat a time \(date\) of the same shop. They differ in item: --id shop,item",
    ),
    "several targets of several series": (
        SHOPS.select("date", "shop", gdp="value", population=pl.col("value") * 2),
        {},
        "several columns of numbers: gdp, population. Which is forecast. --target gdp",
    ),
    "an end of an interval": (
        pl.DataFrame({"date": days(), "temp": VALUES[:STEPS], "temp_lo_80": VALUES[:STEPS] - 2}),
        {},
        "a column 'temp_lo_80', an end of its interval.*--target temp",
    ),
    "a time called like an end": (
        pl.DataFrame({"y_hi_95": days(), "y": VALUES[:STEPS]}),
        {},
        "a column 'y_hi_95', an end .*rename that column",
    ),
    "two columns of times": (
        pl.DataFrame({"ordered": days(), "shipped": days(STEPS, date(2021, 1, 3)), "n": VALUES[:STEPS]}),
        {},
        "'ordered' and 'shipped' both hold times.*--time ordered or --time shipped",
    ),
    "weeks at different times of the day": (
        pl.concat([table([t + timedelta(hours=h) for t in hours(40, 7 * 1440)], id=["ab"[h]] * 40) for h in (0, 1)]),
        {},
        r"a row every 7 days, but not all at the same time of the day \(00:00, 01:00\).*--frequency w",
    ),
    "a date format that does not read": (
        table(days(), "%d.%m.%Y"),
        {"date_format": "%m.%d.%Y"},
        "holds '13.01.2021', which the date format '%m.%d.%Y' does not",
    ),
    "no date format": (table(days(), "%d.%m.%Y"), {"date_format": "german"}, "A date format is written like %d/%m/%Y"),
    "cells of lists": (pd.DataFrame({"start": ["2021-01-01"], "target": [[1.0, 2.0]]}), {}, "'target' holds a list"),
    "two columns of one name": (pd.DataFrame(np.ones((20, 2)), columns=["a", "a"]), {}, "two columns called 'a'"),
    "texts under dates": (
        pl.DataFrame({"page": ["a", "b"], **{str(d): ["1", "?"] for d in days(8)}}),
        {},
        "the column '2021-01-01' holds '1'",
    ),
    "rows of the same series": (
        pl.DataFrame({"page": ["a", "a"], **{str(d): [1.0, 2.0] for d in days(8)}}),
        {},
        "rows share their page",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_two_readings_are_refused_with_the_way_out(case):
    source, chosen, words = REFUSED[case]
    with pytest.raises(DataError, match=words):
        decided(source, **chosen)


def weeks_of(years: range, last: dict[int, int], lacking: tuple = ()) -> pl.DataFrame:
    """Columns year, week and value, of years of 52 weeks or as many as `last` says."""
    both = [(y, w) for y in years for w in range(1, last.get(y, 52) + 1) if (y, w) not in lacking]
    return pl.DataFrame({"year": [y for y, _ in both], "week": [w for _, w in both], "cases": VALUES[: len(both)]})


ISO = {2015: 53, 2020: 53}
COUNTED_WEEKS = {  # the table, the words, the gaps, the next week
    "52 in every year": (weeks_of(range(2012, 2022), {}), {}, "weekly, 52 weeks a year", 0, (2022, 1)),
    "52, up to the last week but three": (
        weeks_of(range(2013, 2017), {2016: 49}),
        {},
        "weekly, 52 weeks a year",
        0,
        (2016, 50),
    ),
    "52, and a gap": (weeks_of(range(2013, 2018), {}, ((2016, 7),)), {}, "weekly, 52 weeks a year", 1, (2018, 1)),
    "53 where ISO has it": (weeks_of(range(2013, 2021), ISO), {}, "weekly", 0, (2021, 1)),
    "53 in one of two years": (weeks_of(range(2013, 2022), {2015: 53}), {}, "weekly", 1, (2022, 1)),
    "no year of 53 weeks within": (weeks_of(range(2016, 2020), {}), {}, "weekly", 0, (2020, 1)),
    "no such turn of the year within": (
        weeks_of(range(2014, 2018), {}, tuple((2015, w) for w in range(40, 53))),
        {},
        "weekly",
        14,
        (2018, 1),
    ),
    "ISO, as told": (weeks_of(range(2012, 2022), {}), {"date_format": "%G-W%V"}, "weekly", 2, (2022, 1)),
    "named": (weeks_of(range(2012, 2022), {}), {"time": "year,week"}, "weekly, 52 weeks a year", 0, (2022, 1)),
}


@pytest.mark.parametrize("case", COUNTED_WEEKS)
def test_weeks_are_of_iso_or_52_a_year_as_the_table_shows(case):
    frame, chosen, words, gaps, after = COUNTED_WEEKS[case]
    prepared, said = decided(frame, **chosen)
    panel, time = prepared.inputs.panel, prepared.roles.time
    assert (prepared.frequency.words, panel.gaps) == (words, gaps)
    assert prepared.seasons == ((52,) if panel.steps > 104 else ())
    assert ("no year has a week 53" in said) == ("52" in words)
    seen = np.isfinite(panel.values[:, 0])
    np.testing.assert_array_equal(panel.values[seen, 0], frame["cases"])
    assert time.restore(panel.stamps(np.flatnonzero(seen))).equals(frame.select("year", "week"))
    assert time.restore(panel.stamps(np.array([panel.steps]))).row(0) == after


OWN_DAYS = {
    "weeks": (7, 3, "weekly, each series on a weekday of its own"),
    "weeks that begin in the week of another": (7, 6, "weekly, each series on a weekday of its own"),
    "every third day": (3, 1, "every 3 days, each series on days of its own"),
    "the second begins later": (7, 7 * 5 + 2, "weekly, each series on a weekday of its own"),
}


@pytest.mark.parametrize("case", OWN_DAYS)
def test_series_keep_days_of_their_own(case, tmp_path):
    """Forecasts, backtests, streams and charts have each series' own days; a row on another day is refused."""
    step, later, words = OWN_DAYS[case]
    starts = {"a": date(2021, 1, 5), "b": date(2021, 1, 5) + timedelta(days=later)}
    frame = pl.concat([table(days(40, start, step), id=[name] * 40) for name, start in starts.items()])
    frame = frame.filter(pl.int_range(frame.height) != 50)  # a row that is missing
    prepared, said = decided(frame)
    panel = prepared.inputs.panel
    assert (prepared.frequency.words, panel.gaps, panel.duplicates) == (words, 1, 0)
    ends = starts["a"], starts["b"] + timedelta(days=39 * step)
    assert f"{words}, {ends[0]} to {ends[1]} (--frequency)" in said
    for series, (_, start) in enumerate(starts.items()):
        rows = np.flatnonzero(np.isfinite(panel.values[:, series]))
        kept = np.delete(np.arange(40), [10] if series else [])
        own = [np.datetime64(start + timedelta(days=int(step * k)), "us").astype(int) for k in kept]
        np.testing.assert_array_equal(panel.stamps(rows, series), own)
        np.testing.assert_array_equal(panel.values[rows, series], VALUES[kept])

    model = Forecaster(**SMALL, horizon=2).fit(frame)
    model.save(tmp_path / "run")
    expected = [start + timedelta(days=step * k) for start in starts.values() for k in (40, 41)]
    for forecaster in (model, Forecaster.load(tmp_path / "run")):
        assert forecaster.predict(2)["date"].to_list() == expected
        assert forecaster.predict(2, data=frame)["date"].to_list() == expected
    backtest = model.backtest().forecasts
    of_b = backtest.filter(pl.col("series").str.starts_with("b"))
    assert of_b.height
    assert all((day - starts["b"]).days % step == 0 for name in ("date", "origin_date") for day in of_b[name])
    came = frame.filter(id="b").select("date", pl.col("value").alias("came"))
    matched = of_b.join(came, on="date")
    np.testing.assert_array_equal(matched["actual"], matched["came"])
    new = pl.DataFrame({"date": expected[::2], "value": [50.0, 50.0], "id": ["a", "b"]})
    with pytest.raises(DataError, match="1 of 1 stamps are off the frequency"):
        model.update(new[1:].with_columns(pl.col("date") + timedelta(days=1)))
    model.update(new)
    assert model.predict(1)["date"].to_list() == expected[1::2]


@pytest.mark.parametrize("case", REFUSED)
def test_python_users_are_not_told_flags_of_the_command_line(case):
    source, chosen, words = REFUSED[case]
    with pytest.raises(DataError) as refused:
        Forecaster(**SMALL, **chosen).fit(source)  # type: ignore[arg-type]
    assert "--" not in str(refused.value)
    flags = re.findall(r"--([a-z-]+)", words)
    assert all(f"{flag.replace('-', '_')}=" in str(refused.value) for flag in flags)


CALLS = {  # what is asked of a fitted forecaster, or of one to be fitted
    "too long a horizon": (lambda m: Forecaster(50).fit(table(days())), "horizon=12"),
    "a column that is none": (lambda m: Forecaster(target="sales").fit(table(days())), "target= names 'sales'"),
    "nothing to learn": (lambda m: Forecaster().fit(table(days(), same=1.0).drop("value")), "(target=)"),
    "too short": (lambda m: Forecaster().fit(table(days(5))), "(id=)"),
    "irregular": (
        lambda m: Forecaster().fit(
            table([datetime(2021, 1, 1) + timedelta(hours=k * k + 7 * k % 5) for k in range(30)])
        ),
        "frequency='1h'",
    ),
    "no covariate ahead": (lambda m: m.predict(5), "(horizon=)"),
    "too far": (lambda m: m.predict(10**6), "frequency"),
    "a row between two": (
        lambda m: m.update({"date": datetime(2022, 1, 1, 7), "value": 1.0, "price": 1.0}),
        "(frequency=)",
    ),
}


@pytest.fixture(scope="module")
def fitted():
    return Forecaster(**SMALL, horizon=2, known="price").fit(table(days(), price=VALUES[:STEPS]))


@pytest.mark.parametrize("case", CALLS)
def test_refusals_of_calls_name_arguments(case, fitted):
    call, words = CALLS[case]
    with pytest.raises(DataError) as refused:
        call(fitted)
    assert "--" not in str(refused.value)
    assert words in str(refused.value)


def test_what_is_said_names_arguments_in_python_and_flags_without(fitted):
    assert "--" not in fitted.describe()
    assert "time: date (time=)" in fitted.describe()
    assert "--" not in fitted.backtest().verdict()
    assert "(--time)" in decided(table(days()))[1]


def test_a_flag_decides_what_nothing_in_the_table_does():
    frame = table(BOTH, "%d/%m/%Y")
    assert decided(frame, date_format="%d/%m/%Y")[0].frequency.words == "daily"
    assert decided(frame, date_format="%m/%d/%Y")[0].frequency.words == "monthly"
    months = table([int(f"{d:%Y%m}") for d in globals()["months"]()], name="month")
    assert decided(months, date_format="steps")[0].roles.time.counts
    weather = table(TWICE, weather=[WEATHER[k * k % 7] for k in range(330)])
    merged, said = decided(weather, frequency="1h")
    assert (merged.inputs.panel.steps, merged.inputs.panel.values.shape[1]) == (300, 1)
    assert "330 rows are averaged into 300, one a series and stamp" in said


@pytest.mark.parametrize("late", [0, 7 * 60, 30 * 60])
def test_stamps_that_are_a_little_off_count_for_the_nearest(late):
    chance = np.random.default_rng(late)
    times = [t + timedelta(seconds=int(late + chance.integers(-3, 4))) for t in hours(300)]
    prepared, said = decided(table(times), frequency="1h")
    panel = prepared.inputs.panel
    np.testing.assert_array_equal(panel.values[:, 0], VALUES[:300])
    assert "rows count for the nearest stamp of the frequency named, at most" in said
    assert panel.gaps == panel.merged == 0


def test_days_stay_days_whenever_they_are_written_and_around_midnight_are_the_nearest():
    for hour, first in ((13, date(2021, 1, 4)), (23, date(2021, 1, 4))):
        times = [t + timedelta(hours=hour, seconds=k % 5) for k, t in enumerate(hours(60, 24 * 60))]
        panel = decided(table(times), frequency="d")[0].inputs.panel
        assert panel.stamps(np.array([0]))[0] == np.datetime64(first, "us").astype(np.int64)
        np.testing.assert_array_equal(panel.values[:, 0], VALUES[:60])
    around = [t + timedelta(seconds=k % 5 - 2) for k, t in enumerate(hours(60, 24 * 60))]
    np.testing.assert_array_equal(decided(table(around), frequency="d")[0].inputs.panel.values[:, 0], VALUES[:60])


def test_a_folder_is_a_series_for_each_file_and_what_is_no_table_is_left(tmp_path):
    for shop in ("east", "west"):
        table(days()).write_csv(tmp_path / f"{shop}.csv")
    (tmp_path / "README.md").write_text("shops")
    prepared, said = decided(tmp_path)
    assert prepared.roles.id == ("file",)
    assert prepared.inputs.panel.ids["file"].to_list() == ["east", "west"]
    assert "not read, as they are no tables: README.md" in said
    # Files that go on where the one before ends are one series.
    table(days()).write_csv(tmp_path / "a.csv")
    table(days(STEPS, date(2021, 3, 2))).write_csv(tmp_path / "b.csv")
    following, _ = decided([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert following.roles.id == ()
    assert following.inputs.panel.steps == 2 * STEPS


# -- a known panel in random forms ----------------------------------------------------------------------------------

FORMS = [
    *(
        "%Y-%m-%d",
        "%d.%m.%Y",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%Y%m%d",
        "%d-%b-%y",
        "%b %d %Y",
        "%B %d, %Y",
        "%d/%m/%y",
        "%m/%d/%y",
    ),
    *("%Y.%m.%d", "%d-%m-%Y"),
]
CLOCK_FORMS = ["%H:%M", "%H:%M:%S", "%I:%M %p", "%H:%M:%S.%f"]


@st.composite
def panels(draw):
    """Stamps of one frequency, series, and how they are written."""
    kind = draw(st.sampled_from(["hours", "quarters of hours", "days", "weeks", "months"]))
    count, series = draw(st.integers(20, 60)), draw(st.integers(1, 3))
    start = datetime(draw(st.integers(1990, 2030)), draw(st.integers(1, 12)), draw(st.integers(1, 28)))
    if kind == "months":
        first = 12 * start.year + start.month - 1
        times = [datetime((first + k) // 12, (first + k) % 12 + 1, 1) for k in range(count)]
    else:
        step = {"hours": 60, "quarters of hours": 15, "days": 1440, "weeks": 7 * 1440}[kind]
        times = [start + timedelta(minutes=step * k) for k in range(count)]
    seed = draw(st.integers(0, 1000))
    values = np.round(np.random.default_rng(seed).normal(100, 10, size=(count, series)), 3)
    daily = kind in ("days", "weeks", "months")
    way = draw(st.sampled_from(["text", "epoch", "parts", "split", "typed"]))
    form = draw(st.sampled_from(FORMS)) + (
        "" if daily else draw(st.sampled_from([" ", "T"])) + draw(st.sampled_from(CLOCK_FORMS))
    )
    layout = draw(st.sampled_from(["long", "wide"])) if series > 1 else "wide"
    return times, values, (way, form, layout, draw(st.booleans()), seed, draw(st.integers(0, 2)))


def written(times: list[datetime], way: str, form: str) -> dict[str, list]:
    if way == "typed":
        return {"when": times}
    if way == "epoch":
        return {"timestamp": epoch(times, 1000)}
    if way == "parts":
        return {part: [getattr(t, part) for t in times] for part in ("year", "month", "day", "hour", "minute")}
    if way == "split" and ":" in form:
        hour = "%H" if "%H" in form else "%I"
        date_form, minutes = form.split(hour)
        date_form, clock = date_form.rstrip(" T"), hour + minutes
        return {"Date": [t.strftime(date_form) for t in times], "Time": [t.strftime(clock) for t in times]}
    return {"date": [t.strftime(form) for t in times]}


@settings(max_examples=50, deadline=None)
@given(panels())
def test_a_panel_in_any_form_is_the_same_panel_or_refused(made):
    """Never another: the values of each stamp of each series are those that were written."""
    times, values, (way, form, layout, shuffled, seed, lost) = made
    columns = written(times, way, form)
    names = [f"s{k}" for k in range(values.shape[1])]
    if layout == "wide":
        frame = pl.DataFrame(columns | {name: values[:, k] for k, name in enumerate(names)})
    else:
        parts = [
            pl.DataFrame(columns | {"value": values[:, k], "shop": [name] * len(times)}) for k, name in enumerate(names)
        ]
        frame = pl.concat(parts)
    if shuffled:
        frame = frame.sample(fraction=1, shuffle=True, seed=seed)
    holes = [len(times) // 3 + k for k in range(lost)]  # rows that the table does not have
    gone = pl.DataFrame(columns)[holes] if lost else None
    if gone is not None:
        frame = frame.join(gone, on=list(columns), how="anti", maintain_order="left")
    try:
        prepared, _ = decided(frame)
    except DataError:
        return
    panel = prepared.inputs.panel
    expected = values.copy()
    expected[holes] = np.nan
    first = np.array(times, dtype="datetime64[us]").astype(np.int64)
    assert panel.values.shape == values.shape
    np.testing.assert_array_equal(panel.values, expected)
    np.testing.assert_array_equal(panel.stamps(np.arange(panel.steps)), first)
    later = prepared.roles.time.restore(panel.stamps(np.arange(panel.steps)))
    assert later.select(*columns).to_dict(as_series=False) == {name: list(column) for name, column in columns.items()}
