"""Series as Python's libraries hold them, and what a forecast of them may be."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import carousel
from carousel.errors import DataError
from carousel.tasks.forecasting.scoring import conformal
from carousel.tasks.forecasting.scoring.metrics import LEVELS, MEDIAN

SMALL: dict[str, Any] = {"epochs": 1, "hidden": 4, "threads": 1, "horizon": 3}
STEPS = 120
WAVE = 10 + 5 * np.sin(np.arange(STEPS) / 4)


def fitted(source: object, y: object = None, **chosen: object) -> carousel.Forecaster:
    return carousel.Forecaster(**SMALL | chosen).fit(source, y)


def frame(**more: object) -> pd.DataFrame:
    return pd.DataFrame({"date": pd.date_range("2024-01-01", periods=STEPS), "y": WAVE} | more)


def test_a_range_index_goes_on_where_it_ends():
    model = fitted(pd.Series(WAVE, index=pd.RangeIndex(50, 50 + STEPS)))
    told = model.predict()
    assert told.index.tolist() == told["step"].tolist() == [170, 171, 172]
    model.update(pd.Series([10.0, 11.0], index=pd.RangeIndex(170, 172)))
    assert model.predict().index.tolist() == [172, 173, 174]
    every_second = fitted(pd.Series(WAVE, index=pd.RangeIndex(0, 2 * STEPS, 2)))
    assert every_second.predict().index.tolist() == [240, 242, 244]
    assert fitted(pd.Series(WAVE)).predict().index.tolist() == [0, 1, 2]  # which says nothing


def test_an_index_of_texts_of_dates_is_the_time():
    dates = pd.date_range("2024-01-01", periods=STEPS).strftime("%d/%m/%Y")
    model = fitted(pd.Series(WAVE, index=list(dates), name="sold"))
    assert model.predict()["time"].tolist() == ["30/04/2024", "01/05/2024", "02/05/2024"]
    assert "time: time (time=)" in model.describe()
    labels = fitted(pd.Series(WAVE, index=[f"row {k}" for k in range(STEPS)]))
    assert "time: the rows' order" in labels.describe()


def test_what_is_masked_is_missing():
    there = np.where(np.arange(STEPS) % 9 == 4, -9999.0, WAVE)
    masked, missing = (
        fitted(y).predict() for y in (np.ma.masked_equal(there, -9999), np.where(there < 0, np.nan, there))
    )
    np.testing.assert_array_equal(masked, missing)


def test_a_level_of_a_billion_is_no_hindrance():
    """The same forecasts, moved by as much, to what double precision leaves of the values."""
    plain, high = (fitted(WAVE + level).predict() for level in (0.0, 1e9))
    np.testing.assert_allclose(high - 1e9, plain, atol=1e-4)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d/%m/%Y", "%d-%b-%y"])
def test_a_table_of_another_library_is_scored(tmp_path, form):
    whole = frame()
    whole[:100].assign(date=whole["date"][:100].dt.strftime(form)).to_csv(tmp_path / "a.csv", index=False)
    model = fitted(str(tmp_path / "a.csv"))
    assert model.score(whole[100:]) == fitted(whole[:100]).score(whole[100:])


def test_a_category_that_training_never_saw_is_said():
    model = fitted(frame(weather=["sun", "rain"] * (STEPS // 2)), target="y")
    with pytest.warns(UserWarning, match="weather has 'hail', which training never saw"):
        model.predict(data=frame(weather=["sun", "hail"] * (STEPS // 2)))


@pytest.mark.parametrize(
    ("source", "y", "words"),
    [
        (frame()[["date"]], WAVE[:-1], "X has 120 rows, and y 119 values"),
        (frame()[["date"]], ["a"] * STEPS, "y of a forecaster is one number for each row"),
        (np.zeros((4, 2, 50)), None, r"\(rows,\) or \(rows, columns\), not \(4, 2, 50\)"),
        (pd.DataFrame({"d": [pd.Series(WAVE)] * 3}), None, "column 'd' holds a Series"),
    ],
)
def test_what_is_no_table_is_refused_in_words(source, y, words):
    with pytest.raises(DataError, match=words):
        fitted(source, y)


def test_a_model_refuses_a_table_whose_rows_repeat_times():
    model = fitted(frame())
    with pytest.raises(DataError, match=r"60 of 180 rows repeat a time \(date\)"):
        model.predict(data=pd.concat([frame(), frame().assign(y=WAVE + 1)[:60]]))


# -- what is never negative, and logarithms -------------------------------------------------------------------------

COUNTS = np.random.default_rng(1).poisson(0.7, STEPS).astype(float)


def lowest(model: carousel.Forecaster, data: object = None) -> float:
    told = model.predict(data=data)
    return float(
        pl.DataFrame(told if isinstance(told, pl.DataFrame) else pl.from_pandas(told))
        .select(pl.selectors.float())
        .to_numpy()
        .min()
    )


def test_forecasts_of_what_is_never_negative_are_not_unless_they_may_be():
    table = frame(y=COUNTS)
    floored, free = fitted(table, log=False), fitted(table, log=False, allow_negative=True)
    assert lowest(floored) == 0.0
    assert lowest(free) < 0.0
    assert "never negative, so no forecast is: y (allow_negative=)" in floored.describe()
    assert "never negative" not in free.describe()
    assert "never negative" not in fitted(frame(y=COUNTS - 1)).describe()
    backtest = floored.backtest().forecasts
    assert backtest.select("forecast", "lo_80", "lo_95").to_numpy().min() == 0.0
    # A table that goes below 0 is forecast as such, as is a series that does so later.
    assert lowest(floored, frame(y=COUNTS - 5)) < 0.0
    floored.update({"date": pd.Timestamp("2024-04-30"), "y": -4.0})
    assert lowest(floored) < 0.0
    assert lowest(carousel.Forecaster.load(free.run)) < 0.0


def test_corrections_of_a_logarithm_are_sums_in_the_units_of_the_data():
    """A held-out part with a few values far off widens the intervals by about as much as these were off."""
    chance = np.random.default_rng(2)
    y = 800 * np.exp(0.3 * np.sin(2 * np.pi * np.arange(STEPS) / 12) + 0.02 * chance.normal(size=STEPS))
    y[[98, 103, 109, 114]] *= [0.2, 4.0, 0.3, 3.0]
    table = pd.DataFrame({"month": pd.date_range("2010-01-01", periods=STEPS, freq="MS"), "sales": y})
    told = fitted(table, log=True, horizon=6).predict()
    assert (told["sales_lo_95"] >= 0).all()
    assert (told["sales_hi_95"] < 2 * y.max()).all()


def test_a_correction_is_the_same_in_any_units():
    """Intervals are corrected in the units of the data, so a·y + b has the corrections of y."""
    chance = np.random.default_rng(3)
    told = np.sort(chance.normal(size=(4, 200, len(LEVELS))), axis=-1)
    came = told[..., MEDIAN] + 2 * chance.normal(size=(4, 200))
    r = conformal.corrections(told, came)
    np.testing.assert_allclose(conformal.corrections(7 * told - 300, 7 * came - 300), r, rtol=1e-9)
    moved = conformal.corrected(7 * told - 300, r)
    np.testing.assert_allclose(moved, 7 * conformal.corrected(told, r) - 300, rtol=1e-9)
