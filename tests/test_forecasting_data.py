"""From a table to a panel: time, frequency, roles, gaps. Every decision, and every refusal in its words."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.errors import DataError
from carousel.tasks.forecasting.network import planning
from carousel.tasks.forecasting.network.transform import LogTransform, Transform
from carousel.tasks.forecasting.settings import Settings
from carousel.tasks.forecasting.table import calendar
from carousel.tasks.forecasting.table.durations import DAY, SECOND
from carousel.tasks.forecasting.table.frequency import Frequency
from carousel.tasks.forecasting.table.frequency_search import find, named
from carousel.tasks.forecasting.table.panel import Layout, Panel
from carousel.tasks.forecasting.table.roles import Roles, find_roles
from carousel.tasks.forecasting.table.stamps import FormatError, recognise
from carousel.tasks.forecasting.table.time_column import TimeColumn


def panel_of(frame: pl.DataFrame, frequency: str | None = None, **given) -> Panel:
    roles, _ = find_roles(frame, **given)
    layout = Layout.fit(frame, roles, frequency)
    return Panel.build(frame, layout.encoding(frame, int(layout.indices(frame).max()) + 1))


def days(count: int, start: date = date(2024, 1, 1)) -> list[date]:
    return [start + timedelta(days=k) for k in range(count)]


# -- time columns ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "texts",
    [
        ["2024-01-31", "2024-02-01"],
        ["2024-01-31 23:00", "2024-02-01 00:00"],
        ["2024-01-31T23:00:00", "2024-02-01T00:00:00"],
        ["2024-01-31 23:00:00.250", "2024-02-01 00:00:00.250"],
        ["31.01.2024", "01.02.2024"],
        ["01/31/2024", "02/01/2024"],
        ["31/01/2024", "01/02/2024"],
        ["2024-01", "2024-02"],
        ["Jan 2024", "Feb 2024"],
        ["2024Q1", "2024Q2"],
        ["2024-Q3", "2024-Q4"],
        ["20240131", "20240201"],
        ["2024-01-31T23:00:00Z", "2024-02-01T00:00:00Z"],
        ["2024-01-31 23:00:00+01:00", "2024-02-01 00:00:00+01:00"],
    ],
)
def test_stamps_are_written_as_they_were_read(texts):
    frame = pl.DataFrame({"when": texts})
    found = recognise(frame, "when")
    stamps = found.parse(frame)
    assert stamps[0] < stamps[1]
    assert found.restore(stamps)["when"].to_list() == texts


def test_what_texts_mean():
    def moment(text):
        frame = pl.DataFrame({"t": [text]})
        return datetime(1970, 1, 1) + timedelta(microseconds=int(recognise(frame, "t").parse(frame)[0]))

    assert moment("2024-03-31 01:00:00+01:00") == datetime(2024, 3, 31)
    assert moment("31.12.2024") == datetime(2024, 12, 31)
    assert moment("2024Q3") == datetime(2024, 7, 1)
    assert recognise(pl.DataFrame({"t": ["yesterday"]}), "t") is None


def test_types_and_zones_are_kept():
    zoned = pl.Series([datetime(2024, 3, 30), datetime(2024, 3, 31)]).dt.replace_time_zone("Europe/Zurich")
    for column in (pl.Series(days(3)), zoned, zoned.dt.cast_time_unit("ns"), pl.Series([1, 2, 5], dtype=pl.Int32)):
        frame = pl.DataFrame({"t": column})
        found = recognise(frame, "t")
        assert found.restore(found.parse(frame))["t"].dtype == column.dtype
        assert found.restore(found.parse(frame))["t"].to_list() == column.to_list()
    parts = pl.DataFrame({"year": [2024, 2024], "month": [2, 3], "day": [29, 1], "hour": [23, 0]})
    found = TimeColumn(("year", "month", "day", "hour"), "parts")
    assert found.restore(found.parse(parts)).equals(parts)


# -- frequencies ----------------------------------------------------------------------------------------------------

MONTHS = [datetime(2023 + k // 12, k % 12 + 1, 1) for k in range(24)]


@pytest.mark.parametrize(
    ("stamps", "words"),
    [
        ([datetime(2024, 1, 1) + timedelta(hours=k) for k in range(30)], "hourly"),
        ([datetime(2024, 1, 1) + timedelta(minutes=15 * k) for k in range(30)], "every 15 minutes"),
        ([datetime(2024, 1, 1) + timedelta(days=k) for k in range(30)], "daily"),
        ([datetime(2024, 1, 3, 12) + timedelta(days=7 * k) for k in range(30)], "weekly"),
        (MONTHS, "monthly"),
        ([m - timedelta(days=1) for m in MONTHS], "monthly"),  # the last of each month
        (MONTHS[::3], "quarterly"),
        (MONTHS[::12], "yearly"),
        ([d for k in range(40) if (d := datetime(2024, 1, 1) + timedelta(days=k)).weekday() < 5], "on weekdays"),
    ],
)
def test_frequencies_are_found_and_go_on(stamps, words):
    micro = np.array(stamps, dtype="datetime64[us]").astype(np.int64)
    found = find([micro], None, counts=False)
    assert found.words == words
    places = found.indices(micro)
    assert np.array_equal(places, np.arange(len(stamps)))
    assert np.array_equal(found.stamps(places), micro)
    holes = np.delete(micro, [3, len(micro) // 2]) if len(micro) > 5 else micro
    assert np.array_equal(find([holes], None, counts=False).stamps(np.arange(len(stamps))), micro)


def test_counted_steps_and_gaps():
    found = find([np.array([10, 15, 30, 35])], None, counts=True)
    assert (found.step, found.indices(np.array([40])).tolist()) == (5, [6])


@given(st.integers(1, 6), st.integers(0, 400), st.integers(1, 31))
def test_places_and_stamps_are_inverse(step, first, day):
    places = np.arange(-50, 50)
    for frequency in (Frequency("month", step, first, day), Frequency("day", step, first), Frequency("weekday", 1, 9)):
        assert np.array_equal(frequency.indices(frequency.stamps(places)), places)


def test_days_of_a_time_zone_stay_local_where_clocks_change():
    zone = "Europe/Zurich"
    local = pl.Series([datetime(2024, 3, 29) + timedelta(days=k) for k in range(5)]).dt.replace_time_zone(zone)
    frame = pl.DataFrame({"t": local, "y": range(5)})
    stamps = recognise(frame, "t").parse(frame)
    found = find([stamps], zone, counts=False)
    assert found.words == "daily"
    assert np.diff(found.stamps(np.arange(5))).tolist() == [DAY, DAY, 23 * 3600 * SECOND, DAY]
    hours = pl.DataFrame({"t": pl.datetime_range(local[0], local[4], "1h", eager=True, time_zone=zone)})
    stamps = recognise(hours, "t").parse(hours)
    hourly = find([stamps], zone, counts=False)
    assert hourly.words == "hourly"
    assert np.array_equal(hourly.stamps(np.arange(len(stamps))), stamps)
    # The calendar is that of the clocks on the wall: midnight is midnight on both sides of the change.
    waves = calendar.features(hourly, hourly.indices(recognise(frame, "t").parse(frame)))
    assert np.abs(waves[:, :6] - waves[0, :6]).max() < 1e-5


def test_irregular_stamps_are_refused_and_averaged_when_asked():
    frame = pl.DataFrame({"t": [datetime(2024, 1, 1, 0, m) for m in (0, 7, 9, 30, 41, 50)], "y": [1.0, 3, 5, 7, 9, 11]})
    with pytest.raises(DataError, match=r"are not regular: the most common step is .* --frequency 1h"):
        panel_of(frame)
    panel = panel_of(frame, "30min")
    assert panel.values[:, 0].tolist() == [3.0, 9.0]
    assert panel.duplicates == 0
    with pytest.raises(DataError, match="There is no frequency 'often'"):
        named("often", np.zeros(1, np.int64), None, counts=False)


# -- roles ----------------------------------------------------------------------------------------------------------


def sales() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "store": ["east"] * 4 + ["west"] * 4,
            "date": days(4) * 2,
            "sales": [1.0, 2, 3, 4, 5, 6, 7, 8],
            "price": [9.0, 8, 9, 8, 7, 7, 7, 6],
            "weather": ["sun", "rain", "sun", "rain"] * 2,
            "region": ["n"] * 4 + ["s"] * 4,
            "country": ["CH"] * 8,
            "row": range(8),
        }
    )


def test_roles_of_a_long_table():
    roles, said = find_roles(sales())
    order = tuple(sales().columns)
    covariates = ((), ("price", "weather"), ("region",))
    assert roles == Roles(TimeColumn(("date",), "date"), ("store",), ("sales",), *covariates, order)
    assert roles.needed == ("store", "date", "sales", "price", "weather", "region")
    text = "\n".join(said)
    for words in ("time: date (--time)", "by store (--id)", "target: sales", "past covariates: price, weather"):
        assert words in text
    assert "not used: country (always the same), row (the number of the row)" in text
    roles, _ = find_roles(sales(), target=("price",), known=("weather",))
    assert (roles.targets, roles.known, roles.past) == (("price",), ("weather",), ("sales",))


def test_a_wide_table_has_a_series_each_and_nixtlas_names_are_known():
    wide = pl.DataFrame({"date": days(3), "a": [1.0, 2, 3], "b": [4.0, 5, 7]})
    assert find_roles(wide)[0].targets == ("a", "b")
    assert panel_of(wide).values.shape == (3, 2)
    nixtla = pl.DataFrame({"unique_id": ["x"] * 3, "ds": days(3), "y": [1.0, 2, 4], "other": [3.0, 1, 2]})
    roles, _ = find_roles(nixtla)
    assert (roles.id, roles.time.names, roles.targets, roles.past) == (("unique_id",), ("ds",), ("y",), ("other",))


def test_ids_of_two_columns_and_times_of_four():
    frame = pl.DataFrame(
        {"shop": ["a", "a", "b", "b"] * 2, "item": ["x", "y"] * 4, "ds": [1] * 4 + [2] * 4, "y": range(10, 90, 10)}
    )
    assert set(find_roles(frame)[0].id) == {"shop", "item"}
    hours = pl.DataFrame({"year": [2024] * 3, "month": [1] * 3, "day": [1] * 3, "hour": [0, 1, 2], "pm": [1.0, 5, 2]})
    roles, _ = find_roles(hours)
    assert roles.time.names == ("year", "month", "day", "hour")
    assert roles.targets == ("pm",)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"target": ("profit",)}, "--target names 'profit', which is no column. There are: store, date, sales"),
        ({"target": ("weather",)}, "A target must be numbers, and the column 'weather' holds 'sun'"),
        ({"time": ("weather",)}, "holds 'sun', which reads as no time"),
        ({"time": ("price", "sales")}, "columns called year, month, day"),
        ({"known": ("price",), "past": ("price",)}, "'price' cannot be both known and past"),
    ],
)
def test_roles_that_cannot_be_are_refused(given, words):
    with pytest.raises(DataError, match=words):
        find_roles(sales(), **given)


def test_a_table_without_numbers_is_refused():
    with pytest.raises(DataError, match="needs a column of numbers as its target"):
        find_roles(pl.DataFrame({"date": days(2), "name": ["a", "b"]}))


# -- panels ---------------------------------------------------------------------------------------------------------


def test_gaps_are_missing_duplicates_averaged_and_order_is_nothing():
    frame = pl.DataFrame({"date": [days(6)[k] for k in (4, 0, 1, 4, 5)], "y": [10.0, 1, None, 20, 5]})
    panel = panel_of(frame)
    np.testing.assert_array_equal(panel.values[:, 0], [1, np.nan, np.nan, np.nan, 15, 5])
    assert (panel.gaps, panel.duplicates, panel.begin[0], panel.end[0]) == (2, 1, 0, 6)
    np.testing.assert_array_equal(panel_of(frame[::-1]).values, panel.values)
    said = "\n".join(planning.describe(panel, frame))
    for words in ("2 stamps have no row", "3 missing values", "1 rows repeat a series' stamp: averaged", "daily"):
        assert words in said


def test_series_of_different_times_stand_on_one_grid():
    frame = pl.DataFrame(
        {"id": ["b"] * 3 + ["a"] * 2, "date": days(3) + days(2, date(2024, 1, 4)), "y": [1.0, 2, 3, 4, 5]}
    )
    panel = panel_of(frame)
    assert panel.ids["id"].to_list() == ["a", "b"]
    np.testing.assert_array_equal(panel.begin, [3, 0])
    np.testing.assert_array_equal(panel.end, [5, 3])
    assert panel.name(1) == "b"


def test_rows_after_the_last_target_only_say_what_is_known():
    frame = pl.DataFrame({"date": days(5), "y": [1.0, 2, 3, None, None], "price": [1.0, 2, 3, 4, 5]})
    panel = panel_of(frame, known=("price",))
    assert (panel.steps, len(panel.known), panel.known_until.tolist()) == (3, 5, [5])


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pl.DataFrame({"date": days(3), "y": [None, None, None]}).cast({"y": pl.Float64}), "no value of y in any row"),
        (pl.DataFrame({"date": [date(2024, 1, 1), None, date(2024, 1, 3)], "y": [1.0, 2, 3]}), "no value in row 2"),
        (pl.DataFrame({"date": [date(2024, 1, 1)], "y": [1.0]}), "no series here has two rows"),
    ],
)
def test_panels_that_cannot_be_are_refused(frame, words):
    with pytest.raises(DataError, match=words):
        panel_of(frame)


def test_what_is_too_short_or_never_moves_is_refused():
    with pytest.raises(DataError, match=r"longest here has 5 observations: it needs 10 or more"):
        planning.require_enough(panel_of(pl.DataFrame({"date": days(5), "y": [1.0, 2, 3, 4, 6]})))
    with pytest.raises(DataError, match="Every series here is constant"):
        planning.require_enough(panel_of(pl.DataFrame({"date": days(20), "y": [1.0] * 20}), target=("y",)))
    long = panel_of(pl.DataFrame({"date": days(30), "y": np.random.default_rng(0).normal(size=30)}))
    with pytest.raises(DataError, match="A horizon of 20 steps needs a series of 60 or more"):
        planning.horizon_of(long, Settings(horizon=20))


def test_a_season_of_counted_steps_is_seen():
    t = np.arange(300)
    noise = np.random.default_rng(0).normal(size=300)
    assert planning.shown_season((np.sin(2 * np.pi * t / 25) + 0.05 * noise)[:, None]) == (25,)
    assert planning.shown_season(noise.cumsum()[:, None]) == ()


def test_settings_take_lists_in_any_form():
    assert Settings(known="a, b", past=["c", "d,e"]).known == ("a", "b")  # type: ignore[arg-type]
    assert Settings(past=["c", "d,e"]).past == ("c", "d", "e")  # type: ignore[arg-type]
    assert Settings(season=[0]).season == ()  # type: ignore[arg-type]
    with pytest.raises(DataError, match="form is encoder-decoder or autoregressive, not 'lstm'"):
        Settings(form="lstm")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="horizon must be 1 or more"):
        Settings(horizon=0)


# -- slips ----------------------------------------------------------------------------------------------------------


def february(slip: str | None = None) -> list[str]:
    return [slip if slip and k == 17 else f"2024-02-{k + 1:02}" for k in range(28)]


def test_a_few_times_that_are_none_are_a_slip_and_many_are_no_time():
    with pytest.raises(
        FormatError, match=r"'date' holds times like '2024-02-01', and 1 that is none: '2024-02-30'. Correct"
    ):
        find_roles(pl.DataFrame({"date": february("2024-02-30"), "y": np.arange(28) % 5}))
    halves = pl.DataFrame(
        {"date": [d if k % 2 else f"day {k}" for k, d in enumerate(february())], "y": np.arange(28) % 5}
    )
    assert recognise(halves, "date") is None


def test_a_few_texts_among_numbers_are_a_slip_and_many_are_no_target():
    values = ["?" if k == 3 else f"{k},5" for k in range(28)]
    with pytest.raises(
        FormatError, match=r"A target must be numbers, and the column 'value' holds '\?'. Choose another"
    ):
        find_roles(pl.DataFrame({"date": february(), "value": values}))
    with pytest.raises(DataError, match="there is value") as raised:
        find_roles(pl.DataFrame({"date": february(), "value": ["up", "down"] * 14}))
    assert not isinstance(raised.value, FormatError)


def test_a_target_may_count_upwards_where_its_name_says_that_it_is_one():
    roles, _ = find_roles(pl.DataFrame({"date": february(), "sales": range(28)}))
    assert roles.targets == ("sales",)
    with pytest.raises(DataError, match=r"n counts 1, 2, 3, ... like the number of a row.*: --target n"):
        find_roles(pl.DataFrame({"date": february(), "n": range(28)}))


# -- the logarithm --------------------------------------------------------------------------------------------------


def test_the_logarithm_is_taken_where_spread_grows_with_level():
    rng = np.random.default_rng(1)
    level = np.exp(np.linspace(0, 3, 240))
    in_proportion = level * np.exp(0.1 * rng.normal(size=240))
    assert Transform.fit(in_proportion[:, None], 1, 12).logs == [LogTransform(shift=0.0, least=in_proportion.min())]
    assert Transform.fit((level + rng.normal(size=240))[:, None] + 5, 1, 12).logs == [None]
    assert Transform.fit((level * rng.normal(size=240))[:, None], 1, 12).logs == [None]


def test_the_logarithm_and_back():
    transform = Transform([LogTransform(shift=0.5, least=0.5), None])
    values = np.array([[0.0, -1.0], [3.0, 2.0]])
    there = transform.forward(values)
    np.testing.assert_allclose(there[:, 0], np.log([0.5, 3.5]))
    np.testing.assert_allclose(transform.backward(there, np.array([0, 1]), axis=1), values, atol=1e-12)
    with pytest.raises(DataError, match="never negative, and here it is -1"):
        transform.forward(np.array([[-1.0, 0.0]]))


def test_the_first_zero_after_training_is_read_as_the_least_there_was():
    transform = Transform.forced(np.array([[4.0], [2.0], [8.0]]), 1)
    there = transform.forward(np.array([[0.0], [1.0], [2.0]]))
    np.testing.assert_allclose(there[:, 0], np.log([2.0, 1.0, 2.0]))


@pytest.mark.parametrize("name", ["index", "owner", "place"])
def test_a_covariate_may_have_any_name(name):
    frame = pl.DataFrame({"day": days(30), "sold": np.arange(30) % 7, name: np.arange(30) % 5})
    assert panel_of(frame, known=[name]).known.shape[0] >= 30
