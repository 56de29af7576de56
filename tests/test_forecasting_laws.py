"""Laws of a forecaster: what may change a forecast, what may not, and what it is the same as."""

import copy
import gc
import pickle
import re
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from interrupting import CtrlC
from polars.testing import assert_frame_equal

import carousel
from carousel.errors import DataError, RunError
from carousel.tasks import table
from carousel.tasks.forecasting import Forecaster
from carousel.tasks.forecasting.answers import following
from carousel.tasks.forecasting.answers.backtesting import Backtest
from carousel.tasks.forecasting.answers.following import corrections_at
from carousel.tasks.forecasting.network import predicting
from carousel.tasks.forecasting.network.predicting import absolute, quantiles_at
from carousel.tasks.forecasting.network.preparation import prepare
from carousel.tasks.forecasting.network.reading_json import reading_to_json
from carousel.tasks.forecasting.network.trained import CALIBRATED_ON, TrainedForecaster, held_out
from carousel.tasks.forecasting.network.training import open_run
from carousel.tasks.forecasting.scoring import conformal
from carousel.tasks.forecasting.scoring.metrics import LEVELS, Scores
from carousel.tasks.forecasting.settings import Settings
from carousel.training.progress import Quiet
from carousel.training.run_folder import RunFolder
from carousel.training.task_run import train

FORMS = ("encoder-decoder", "autoregressive")
QUICK: dict[str, Any] = {"epochs": 1, "hidden": 8, "batch": 16, "horizon": 7, "seed": 3}
STEPS = 120
START = date(2024, 1, 1)


def shops(steps: int = STEPS, names: tuple[str, ...] = ("east", "west"), seed: int = 0) -> pl.DataFrame:
    """Days of shops: a week's pattern, a price known in advance, a temperature that is not, a region, some gaps."""
    frames = []
    for number, name in enumerate(names):
        rng = np.random.default_rng([seed, number])
        t = np.arange(steps)
        price = 1 + (rng.random(steps) < 0.2)
        warmth = rng.normal(size=steps)
        y = 20 + 10 * number + 3 * np.sin(2 * np.pi * t / 7) - 2 * price + 0.5 * np.roll(warmth, 1)
        y = y + rng.normal(size=steps)
        sold = [None if k % 31 == 5 else float(v) for k, v in enumerate(y)]
        frames.append(
            pl.DataFrame(
                {
                    "date": [START + timedelta(days=int(k)) for k in t],
                    "shop": name,
                    "sold": sold,
                    "price": price,
                    "warmth": warmth,
                    "region": "n" if number % 2 else "s",
                }
            )
        )
    return pl.concat(frames)


def with_plan(frame: pl.DataFrame, days: int = 20) -> pl.DataFrame:
    """Below the data, the prices to come."""
    last = frame["date"].max()
    coming = [last + timedelta(days=k + 1) for k in range(days)]
    rows = [
        pl.DataFrame({"date": coming, "shop": s, "price": [1 + k % 2 for k in range(days)]})
        for s in frame["shop"].unique(maintain_order=True)
    ]
    return pl.concat([frame, *rows], how="diagonal_relaxed")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks this small only wait for a second one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=FORMS)
def model(request, one_thread) -> Forecaster:  # noqa: ARG001
    return heard(Forecaster(form=request.param, known="price", target="sold", **QUICK).fit(shops()))


@pytest.fixture(scope="module")
def plain(one_thread) -> Forecaster:  # noqa: ARG001
    """Without covariates."""
    return heard(Forecaster(**QUICK).fit(shops().select("date", "shop", "sold")))


def heard(model: Forecaster) -> Forecaster:
    """With a head of random weights, as two epochs leave a network that says little but its anchor."""
    network, folder = model._trained.network, RunFolder.open(model.run)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        network.head.weight.copy_(torch.randn(network.head.weight.shape, generator=generator))
    folder.write_model(network.state_dict())
    return model


def numbers(frame: pl.DataFrame) -> np.ndarray:
    return frame.select(pl.selectors.float()).to_numpy()


# -- what may not change a forecast ---------------------------------------------------------------------------------


def test_the_future_and_covariates_not_known_yet_change_nothing(model):
    """Backtests over two tables that agree up to a day: forecasts made up to it are the same bits."""
    longer, changed = shops(STEPS + 30), shops(STEPS + 30)
    day = START + timedelta(days=STEPS + 10)
    later = pl.col("date") > day
    changed = changed.with_columns(
        pl.when(later).then(pl.col("sold") * 3 + 50).otherwise("sold").alias("sold"),
        pl.when(later).then(pl.col("warmth") - 9).otherwise("warmth").alias("warmth"),
    )
    columns = ["forecast", "lo_80", "hi_80", "lo_95", "hi_95"]
    a, b = (model.backtest(frame).forecasts for frame in (longer, changed))
    before = pl.col("origin_date") <= day
    assert a.filter(before).height >= 100
    assert_frame_equal(a.filter(before).select(columns), b.filter(before).select(columns), check_exact=True)
    assert not a.filter(~before).select(columns).equals(b.filter(~before).select(columns))


def test_what_is_held_out_has_no_part_in_how_a_table_is_read():
    """Covariates' scales and categories, the season that counted steps show and the logarithm: the same of two tables
    that agree up to the held-out part, a fifth."""
    t = np.arange(100)
    wave = 5 + np.sin(2 * np.pi * t / 9)
    one = pl.DataFrame(
        {"step": t, "y": wave, "warmth": np.cos(t), "feast": np.where(t % 9 == 0, "a", "b"), "plan": t % 5}
    )
    late = pl.col("step") >= 80
    other = one.with_columns(
        y=pl.when(late).then(40 * (pl.col("y") - 3) * (pl.col("step") % 4 == 0)).otherwise("y"),
        warmth=pl.when(~late | (pl.col("step") == 90)).then(pl.col("warmth") * pl.when(late).then(50).otherwise(1)),
        feast=pl.when(late).then(pl.lit("new")).otherwise("feast"),
        plan=pl.when(late).then(900).otherwise("plan"),
    )
    below = pl.DataFrame({"step": t + 100, "plan": t + 10**6})
    chosen = QUICK | {"horizon": 4, "validation_share": 0.2, "known": "plan", "target": "y", "log": True, "epochs": 1}
    read = []
    for frame in (one, other, pl.concat([one, below], how="diagonal_relaxed")):
        fitted = Forecaster(**chosen).fit(frame)
        read.append(reading_to_json(fitted.trained.reading))
    assert read[0]["recipe"]["seasons"] == (9,)
    assert {encoder["name"]: encoder["categories"] for encoder in read[0]["past"]} == {
        "warmth": None,
        "feast": ("a", "b"),
    }
    assert read[0] == read[1] == read[2]
    unheard = one.with_columns(feast=pl.when(late).then("feast"))  # a category without a value in training
    assert Forecaster(**chosen).fit(unheard).predict(future=below[:4]).height == 4


def test_what_is_known_in_advance_changes_it(model):
    frame = with_plan(shops())
    other = frame.with_columns(
        pl.when(pl.col("sold").is_null()).then(3 - pl.col("price")).otherwise("price").alias("price")
    )
    assert np.abs(numbers(model.predict(data=frame)) - numbers(model.predict(data=other))).max() > 1e-3


def test_the_future_may_stand_below_or_come_by_itself(model):
    frame = with_plan(shops())
    plan = frame.filter(pl.col("region").is_null()).select("price", "shop", "date")
    expected = model.predict(data=frame)
    for future in (
        plan,
        plan.with_columns(pl.col("date").cast(pl.Datetime)),
        plan.with_columns(pl.col("date").cast(pl.String)),
    ):
        assert_frame_equal(model.predict(future=future), expected, check_exact=True)
    assert model.predict(plan.filter(pl.col("date") < START + timedelta(days=STEPS + 3))).height == 2 * 3
    with pytest.raises(DataError, match="comes with price, time and series; the table given as future lacks price"):
        model.predict(future=plan.drop("price"))


def test_a_table_asks_for_the_rows_that_it_has(model, plain):
    """Of each series, however its history ends; carried on or not."""
    day = START + timedelta(days=STEPS)
    plan = with_plan(shops()).filter(pl.col("region").is_null()).select("date", "shop", "price")
    first, later = plan.filter(pl.col("date") < day + timedelta(days=3)), pl.col("date") >= day
    carried = copy.copy(plain)
    carried.update({"date": day, "shop": "east", "sold": 20.0})
    whole = with_plan(shops())
    unseen = (pl.col("shop") == "west") & (pl.col("date") >= day - timedelta(days=4))
    ragged = whole.with_columns(pl.when(unseen).then(None).otherwise("sold").alias("sold"))
    rows = ["date", "shop"]
    east = pl.col("shop") == "east"
    for got, asked in (
        (model.predict(first), first),
        (plain.predict(first), first),
        (plain.predict(first.filter(east)), first.filter(east)),
        (carried.predict(first.filter(east & (pl.col("date") > day))), first.filter(east & (pl.col("date") > day))),
    ):
        assert got.select(rows).rows() == asked.select(rows).sort("shop", "date").rows()
    got = model.predict(first, data=ragged.filter(~later))
    assert got.filter(east)["date"].to_list() == first.filter(east)["date"].to_list()
    assert got.filter(~east).height == 7  # from the last value on
    expected = model.predict(7, data=ragged)
    for shop, steps in (("east", 3), ("west", 7)):
        assert_frame_equal(got.filter(shop=shop), expected.filter(shop=shop)[:steps], check_exact=True)


@pytest.mark.parametrize("carried", [False, True])
def test_a_future_comes_after_the_history_without_gaps_and_with_what_is_known(model, plain, carried):
    model, plain = copy.copy(model), copy.copy(plain)
    day = START + timedelta(days=STEPS)
    if carried:
        day += timedelta(days=1)
        rows = shops(STEPS + 1).filter(pl.col("date") == day - timedelta(days=1))
        model.update(rows)
        plain.update(rows)
    plan = with_plan(shops(STEPS + carried)).filter(pl.col("region").is_null()).select("date", "shop", "price")
    at = pl.col("date") - pl.lit(day)
    gone = plan.filter((at.dt.total_days() != 2) | (pl.col("shop") == "east"))
    lost = plan.with_columns(pl.when(pl.col("date") == day).then(None).otherwise("price").alias("price"))
    newer = r"To forecast from newer data, give the whole of them as history: predict\(data=table\)"
    after = f"whose last value of east is at {day - timedelta(days=1)}; row 1 of it is at 2024-01-01.*{newer}"
    for fitted in (model, plain):
        with pytest.raises(DataError, match=after):
            fitted.predict(shops())
        with pytest.raises(DataError, match=f"has rows of south, and the history has no value of that. {newer}"):
            fitted.predict(plan.with_columns(shop=pl.lit("south")))
        with pytest.raises(DataError, match="The table given as future has no rows"):
            fitted.predict(plan.clear())
    missing = day + timedelta(days=2)
    with pytest.raises(
        DataError, match=f"this one goes of west up to {plan['date'].to_list()[-1]}, and lacks {missing}"
    ):
        plain.predict(gone)
    for ask in (lambda table: model.predict(table), lambda table: model.predict(future=table)):
        with pytest.raises(DataError, match=f"the table has it of west up to .*, and none for {missing}. Add rows"):
            ask(gone)
        with pytest.raises(DataError, match=f"the table has it of east up to .*, and none for {day}. Add rows"):
            ask(lost)


def test_two_futures_at_once_are_refused(model):
    plan = with_plan(shops()).filter(pl.col("region").is_null()).select("date", "shop", "price")
    with pytest.raises(DataError, match="A table was given in the place of the horizon, and another as future"):
        model.predict(plan, future=plan)


def test_what_was_missing_in_training_may_be_missing_in_the_future():
    frame = (
        shops()
        .filter(shop="east")
        .select("date", "sold", "price", feast=pl.when(pl.col("price") > 1).then(pl.lit("feast")))
    )
    holes = frame.with_columns(pl.when(pl.col("date").dt.day() == 3).then(None).otherwise("price").alias("price"))
    plan = with_plan(shops()).filter(pl.col("region").is_null() & (pl.col("shop") == "east")).select("date", "price")
    nothing = plan.with_columns(pl.lit(None, pl.String).alias("feast"), pl.lit(None, pl.Int64).alias("price"))
    fitted = Forecaster(known="price, feast", target="sold", **QUICK)
    assert fitted.fit(holes).predict(nothing[:3]).height == 3
    with pytest.raises(DataError, match="needs price, feast, known in advance, .* none for 2024-04-30"):
        fitted.fit(frame).predict(nothing[:3])


def test_an_array_of_values_is_no_future():
    array = np.sin(np.arange(90) * 2 * np.pi / 7)
    fitted = Forecaster(**QUICK).fit(array)
    with pytest.raises(DataError, match=r"hold values of y are a history and no future. .* predict\(90\)"):
        fitted.predict(array)
    assert fitted.predict(np.full(4, np.nan)).shape == (4,)


def test_the_order_of_rows_is_nothing(model):
    frame = with_plan(shops())
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=1)
    assert_frame_equal(model.predict(data=shuffled), model.predict(data=frame), check_exact=True)


def test_a_row_that_is_missing_is_a_row_without_a_value(plain):
    frame = shops().select("date", "shop", "sold")
    assert frame["sold"].null_count() > 5
    assert_frame_equal(plain.predict(data=frame.drop_nulls()), plain.predict(data=frame), check_exact=True)
    nan = frame.with_columns(pl.col("sold").fill_null(float("nan")))
    assert_frame_equal(plain.predict(data=nan), plain.predict(data=frame), check_exact=True)


def test_one_series_alone_is_forecast_as_among_others(model):
    """Another batch, another start of the grid: the same numbers, but for the rounding of float32 sums."""
    frame = with_plan(shops(names=("east", "west", "north")))
    late = frame.filter((pl.col("shop") != "west") | (pl.col("date") > START + timedelta(days=STEPS - 9)))
    both = model.predict(data=late)
    for shop in ("east", "west", "north"):
        alone = model.predict(data=late.filter(shop=shop))
        np.testing.assert_allclose(numbers(alone), numbers(both.filter(shop=shop)), rtol=2e-4)


def test_a_series_in_other_units_is_forecast_in_other_units(plain):
    """of a y + b it is a times that of y, plus b: signals are relative, up to float32."""
    frame = shops().select("date", "shop", "sold")
    for a, b in ((1000.0, 0.0), (0.01, 5.0), (3.0, -2000.0)):
        moved = plain.predict(data=frame.with_columns((a * pl.col("sold") + b).alias("sold")))
        np.testing.assert_allclose((numbers(moved) - b) / a, numbers(plain.predict()), rtol=1e-4, atol=1e-3)


def test_a_series_that_never_moves_is_forecast_as_it_is(plain):
    frame = pl.concat(
        [shops().select("date", "shop", "sold"), shops(names=("still",)).select("date", "shop", sold=4.0)]
    )
    still = plain.predict(data=frame).filter(shop="still")
    assert (numbers(still) == 4.0).all()


# -- what it is the same as -----------------------------------------------------------------------------------------


def test_wide_is_long():
    long = shops().select("date", "shop", "sold")
    wide = long.pivot("shop", index="date", values="sold")
    of_long = Forecaster(**QUICK).fit(long).predict()
    of_wide = Forecaster(**QUICK).fit(wide).predict()
    for shop in ("east", "west"):
        np.testing.assert_array_equal(of_wide[shop].to_numpy(), of_long.filter(shop=shop)["sold"].to_numpy())
        np.testing.assert_array_equal(of_wide[f"{shop}_hi_95"], of_long.filter(shop=shop)["sold_hi_95"])


@pytest.mark.parametrize("horizon", [5, 12])  # within what was trained, and fed back beyond it
def test_carrying_on_is_forecasting_from_the_whole_history(model, horizon):
    """`update` after `update`, rows of several series at once, passed-over days: what the whole table says."""
    longer = with_plan(shops(STEPS + 9))
    coming = longer.filter(pl.col("sold").is_not_null() & (pl.col("date") >= START + timedelta(days=STEPS)))
    plan = longer.filter(pl.col("sold").is_null() & (pl.col("date") >= START + timedelta(days=STEPS + 9)))
    taken = coming.filter(pl.col("date") != START + timedelta(days=STEPS + 4))
    history = pl.concat([shops(), taken, plan], how="diagonal_relaxed")
    streaming = copy.copy(model)
    streaming._stream = None
    first, *rest = taken.sort("date", "shop").iter_slices(1)
    streaming.update(first.row(0, named=True))
    for rows in [rest[0], pl.concat(rest[1:])]:
        streaming.update(rows)
    for series in streaming._stream.series.values():
        moved = np.abs(series.r - series.correction.r[..., None]).max()
        assert moved == 0 if streaming._trained.network.autoregressive else moved > 0.01
    got = streaming.predict(horizon, future=plan)
    np.testing.assert_allclose(numbers(got), numbers(model.predict(horizon, data=history)), rtol=2e-4, atol=1e-3)
    with pytest.raises(DataError, match=r"Each row must come after the last of its series, and 2024-04-30 does not"):
        streaming.update(taken[:1])
    with pytest.raises(DataError, match="There is no series south to carry on"):
        streaming.update(taken[:1].with_columns(shop=pl.lit("south")))


def test_intervals_are_corrected_by_the_errors_of_every_step_since_training(plain):
    """Against a plain loop: each forecast from a table that goes on otherwise, judged when its last step is there."""
    frame = shops(STEPS + 30).select("date", "shop", "sold").filter(shop="west")
    frame = frame.with_columns(pl.col("sold") + 4 * (pl.col("date") > START + timedelta(days=STEPS + 5)))
    trained, horizon, last = plain._trained, QUICK["horizon"], STEPS + 29
    correction = trained.calibrated()
    rs: list = []
    for t in range(STEPS - 1, last + 1):
        r = rs[-1] if rs else correction.r
        origin = t - horizon
        if origin >= STEPS - 1:
            later = pl.col("date") > START + timedelta(days=origin)
            cut = trained.inputs(frame.with_columns(pl.when(later).then(999.0).otherwise("sold").alias("sold")))
            row, column = np.array([origin]), np.array([0])
            told = absolute(cut, quantiles_at(trained.network, cut, row, column, horizon), row, column)
            came = np.array([np.nan if v is None else v for v in frame["sold"][origin + 1 : t + 1]])
            r = r.copy()
            for pair, (low, high) in enumerate(conformal.PAIRS):
                alpha = 2 * LEVELS[low]
                for h in range(horizon):
                    lo, hi = told[h, 0, low], told[h, 0, high]
                    outside = max(lo - came[h], came[h] - hi) / ((hi - lo) / 2)
                    if np.isfinite(outside):
                        missed = outside > rs[origin - (STEPS - 1)][pair, h]
                        r[pair, h] += correction.gain[pair, h] * (missed - alpha)
        rs.append(r)
    inputs = trained.inputs(frame)
    rows = np.array([last, STEPS - 1, STEPS + 12, 40])
    got = corrections_at(trained, inputs, rows, np.zeros(4, int))
    for k, row in enumerate(rows):
        np.testing.assert_allclose(got[..., k], rs[max(0, row - STEPS + 1)], atol=1e-6)
    assert np.abs(got[..., 0] - correction.r).max() > 0.1
    for most in (1, 7):  # however many forecasts are made at once
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(following, "AT_ONCE", most)
            np.testing.assert_allclose(corrections_at(trained, inputs, rows, np.zeros(4, int)), got, atol=1e-6)


@pytest.mark.parametrize("horizon", [5, 9])
def test_what_was_known_ahead_stays_known_as_time_moves_on(model, horizon):
    """A plan below the history with a hole in it, days passed over and a price left empty: update after update, what
    the whole table says; further than the plan goes it says nothing."""
    hole, skipped, empty = (START + timedelta(days=STEPS + k) for k in (1, 2, 3))
    planned = with_plan(shops()).filter(pl.col("date") != hole)
    carried = Forecaster.load(model.run)
    carried._history = carried.trained.inputs(planned)
    with pytest.raises(DataError, match=f"and none for {hole}"):
        carried.predict(horizon)
    coming = shops(STEPS + 4).filter((pl.col("date") >= START + timedelta(days=STEPS)) & (pl.col("date") != skipped))
    price = pl.col("price").cast(pl.Float64)
    coming = coming.with_columns(price=pl.when(pl.col("date") == empty).then(None).otherwise(price))
    told = planned.join(coming, on=["date", "shop"], how="anti")
    prices = planned.join(coming.filter(date=empty), on=["date", "shop"], how="semi").select("date", "shop", "price")
    taken = coming.update(prices, on=["date", "shop"])
    for rows in coming.sort("date").iter_slices(1):
        carried.update(rows)
    whole = pl.concat([told, taken], how="diagonal_relaxed")
    expected = numbers(model.predict(horizon, data=whole))
    np.testing.assert_allclose(numbers(carried.predict(horizon)), expected, rtol=2e-4, atol=1e-3)
    ahead = planned.filter(pl.col("date") > empty).select("date", "shop", "price")
    np.testing.assert_allclose(numbers(carried.predict(horizon, future=ahead[:1])), expected, rtol=2e-4, atol=1e-3)
    with pytest.raises(DataError, match="the table has it of east up to 2024-05-19, and none for 2024-05-20"):
        carried.predict(17)


def test_a_series_without_a_value_hinders_no_other(plain):
    """Alone in its group of columns, whose scan then begins where nothing does; and beside others."""
    frame = shops().select("date", "shop", "sold")
    empty = frame.filter(shop="west").with_columns(sold=pl.lit(None, pl.Float64), shop=pl.lit("north"))
    for at_once in (1, 2, 256):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(predicting, "COLUMNS", at_once)
            got = plain.predict(data=pl.concat([frame, empty]))
            assert got["shop"].unique().sort().to_list() == ["east", "west"]
            np.testing.assert_allclose(numbers(got), numbers(plain.predict(data=frame)), rtol=1e-5)
    carried = copy.copy(plain)
    carried._stream, carried._history = None, plain.trained.inputs(pl.concat([frame, empty]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predicting, "COLUMNS", 1)
        carried.update({"date": START + timedelta(days=STEPS), "shop": "east", "sold": 20.0})


def test_a_slip_in_the_year_of_an_update_is_refused_before_it_begins(plain):
    carried = copy.copy(plain)
    carried.update({"date": START + timedelta(days=STEPS), "shop": "east", "sold": 20.0})
    place = carried._stream.series["east",].index
    rows = pl.DataFrame({"date": [START + timedelta(days=STEPS + 1), date(9024, 5, 1)], "shop": "east", "sold": 20.0})
    far = (date(9024, 5, 1) - START).days - STEPS - 1
    with pytest.raises(
        DataError, match=rf"over 100,000 steps at most.* and 9024-05-01 comes {far:,} after the last of east\. If that"
    ):
        carried.update(rows)
    assert carried._stream.series["east",].index == place


def test_a_stamp_off_the_frequency_is_refused_as_an_observation_and_as_future(plain):
    """As in a history: an average of nobody's asking, or a value at another time, is no answer."""
    noon, carried = pl.col("date").cast(pl.Datetime) + pl.duration(hours=12), copy.copy(plain)
    frame = shops().with_columns(pl.col("date").cast(pl.Datetime)).select("date", "shop", "sold")
    fitted = Forecaster(**QUICK).fit(frame)
    coming = shops(STEPS + 2).filter(pl.col("date") >= START + timedelta(days=STEPS)).select(noon, "shop", "sold")
    off = r"4 of 4 stamps are off the frequency \(daily\), the first of them 2024-04-30 12:00:00: correct them"
    for take in (fitted.update, fitted.predict, carried.update, carried.predict):
        with pytest.raises(DataError, match=off):
            take(coming)
    carried.update({"date": START + timedelta(days=STEPS), "shop": "east", "sold": 20.0})
    with pytest.raises(DataError, match=r"2 of 2 stamps are off the frequency \(daily\)"):
        carried.predict(coming[1::2])


def test_carrying_on_remembers_no_more_after_more_steps(plain):
    streaming = copy.copy(plain)
    sizes = []
    for k in range(40):
        streaming.update({"date": START + timedelta(days=STEPS + k), "shop": "east", "sold": 20.0 + k % 7})
        inputs = streaming._stream.series["east",].inputs
        pending = len(streaming._stream.series["east",].pending)
        sizes.append((inputs.signals.shape, inputs.panel.past.shape, inputs.panel.known.shape, pending))
    assert len(set(sizes[QUICK["horizon"] :])) == 1
    assert sizes[-1][:3] == sizes[0][:3]


def test_the_same_seed_is_the_same_bits_and_dice_are_left_alone():
    torch.manual_seed(11)
    expected = torch.get_rng_state()
    frame = shops().select("date", "shop", "sold")
    a, b = (Forecaster(dropout=0.3, **QUICK).fit(frame).predict() for _ in range(2))
    assert_frame_equal(a, b, check_exact=True)
    assert torch.equal(torch.get_rng_state(), expected)
    assert not Forecaster(**{**QUICK, "seed": 4}).fit(frame).predict().equals(a)


@pytest.mark.parametrize("carried", [False, True])
def test_a_pickled_or_copied_forecaster_is_the_same_and_goes_on(model, tmp_path, carried):
    """Also when the one that it came from, and that one's folder, are gone; and no copy moves another."""
    plan = with_plan(shops(STEPS + 1)).filter(pl.col("region").is_null()).select("date", "shop", "price")
    coming = shops(STEPS + 2).filter(pl.col("date") >= START + timedelta(days=STEPS))
    first, second = (coming.filter(pl.col("date") == day) for day in coming["date"].unique().sort())
    original = Forecaster(form=model.form, known="price", target="sold", **QUICK).fit(shops())
    if carried:
        original.update(first)
    pickled = pickle.dumps(original)
    copied = copy.deepcopy(original)
    if not carried:
        original.update(first)
        copied.update(first)
    expected = original.predict(5, future=plan)
    folder = original.run
    del original
    gc.collect()
    assert not folder.exists()
    woken = pickle.loads(pickled)
    if not carried:
        woken.update(first)
    for other in (woken, copied):
        assert_frame_equal(other.predict(5, future=plan), expected, check_exact=True)
    ahead = plan.filter(pl.col("date") > second["date"].max())
    woken.update(second)
    assert woken.predict(5, future=ahead)["date"].min() == ahead["date"].min()
    assert_frame_equal(copied.predict(5, future=plan), expected, check_exact=True)
    assert woken.save(tmp_path / "run").is_dir()


def test_what_is_not_kept_is_not_said_to_be(plain, tmp_path):
    """Without a folder for the run there is nothing to go on with, and no folder is named."""
    said = []
    for out in (None, tmp_path / "run"):
        report = CtrlC()
        with pytest.raises(KeyboardInterrupt):
            Forecaster(**QUICK).fit(shops().select("date", "shop", "sold"), out=out, report=report)
        said.append(report.said)
    assert said[0][-1] == "stopped at step 3. Nothing is kept, as no folder was named for the run (out)."
    for words in ("\n".join(said[0]), plain.describe()):
        assert not re.search("writing to|resume", words)
    assert said[1][-1] == f"stopped at step 3, and saved. Go on with: carousel train --resume {tmp_path / 'run'}"
    assert f"writing to {tmp_path / 'run'}" in said[1]
    assert not (plain.run / "curve.png").exists(), "nobody would see it"


def test_a_fit_that_fails_leaves_what_was_fitted(tmp_path):
    frame = shops(60).select("date", "shop", "sold")
    fitted = Forecaster(**QUICK).fit(frame)
    expected, said = fitted.predict(), fitted.describe()
    for out in (None, tmp_path / "run"):
        with pytest.raises(DataError, match="it needs 10 or more"):
            fitted.fit(frame[:8], out=out)
        with pytest.raises(KeyboardInterrupt):
            fitted.fit(frame, out=out, report=CtrlC())
        gc.collect()
        assert_frame_equal(fitted.predict(), expected, check_exact=True)
        assert_frame_equal(pickle.loads(pickle.dumps(fitted)).predict(), expected, check_exact=True)
        assert fitted.describe() == said
        assert not fitted.kept


class Stopping(Quiet):
    """Stops at a step, as a crash would: nothing more is saved."""

    def __init__(self, at: int) -> None:
        self.at = at

    def tick(self, status) -> None:
        if status().step == self.at:
            raise InterruptedError


@pytest.mark.parametrize("form", FORMS)
def test_a_resumed_training_is_the_one_that_never_stopped(tmp_path, form):
    settings = Settings(form=form, dropout=0.2, **QUICK)
    frame = shops().select("date", "shop", "sold")
    train(prepare(frame, settings, Quiet()), open_run, out=tmp_path / "whole", report=Quiet())
    with pytest.raises(InterruptedError):
        train(prepare(frame, settings, Quiet()), open_run, out=tmp_path / "stopped", report=Stopping(9))
    Forecaster.resume(tmp_path / "stopped")
    whole, stopped = (RunFolder.open(tmp_path / name) for name in ("whole", "stopped"))
    for name, values in whole.read_model().items():
        assert torch.equal(values, stopped.read_model()[name]), name
    ends = [[line for line in run.log_lines() if "final" in line] for run in (whole, stopped)]
    assert ends[0] == ends[1]
    assert {path.suffix for path in whole.path.iterdir()} == {
        ".json",
        ".safetensors",
        ".pt",
        ".jsonl",
        ".png",
        ".parquet",
    }


def test_a_saved_forecaster_is_the_same(plain, tmp_path):
    plain.save(tmp_path / "run")
    assert_frame_equal(Forecaster.load(tmp_path / "run").predict(), plain.predict(), check_exact=True)
    with pytest.raises(RunError, match="already holds a run"):
        plain.save(tmp_path / "run")


def test_a_run_that_was_stopped_can_forecast(tmp_path):
    prepared = prepare(shops(), Settings(target="sold", **QUICK), Quiet())  # type: ignore[arg-type]
    with pytest.raises(InterruptedError):
        train(prepared, open_run, out=tmp_path / "run", report=Stopping(5))
    assert TrainedForecaster.of(RunFolder.open(tmp_path / "run")).correction is None
    assert np.isfinite(numbers(Forecaster.load(tmp_path / "run").predict())).all()


def test_a_run_that_was_stopped_is_calibrated_on_its_own_data_whatever_it_is_asked_about(tmp_path):
    prepared = prepare(shops(), Settings(target="sold", **QUICK), Quiet())  # type: ignore[arg-type]
    with pytest.raises(InterruptedError):
        train(prepared, open_run, out=tmp_path / "run", report=Stopping(5))
    other = shops(STEPS + 40, seed=9).with_columns(pl.col("sold") ** 2)
    asked, fresh = Forecaster.load(tmp_path / "run"), Forecaster.load(tmp_path / "run")
    of_other = asked.predict(data=other)
    assert_frame_equal(asked.predict(), fresh.predict(), check_exact=True)
    assert_frame_equal(fresh.predict(data=other), of_other, check_exact=True)
    trained, horizon = fresh.trained, QUICK["horizon"]
    own = trained.inputs(shops())
    rows, columns = held_out(own, trained.split.rows(own.panel), CALIBRATED_ON, trained.network)
    told = quantiles_at(trained.network, own, rows, columns, horizon)
    held = conformal.corrections(told, own.outcomes(rows, columns, horizon))
    np.testing.assert_allclose(trained.calibrated().r, held, atol=1e-6)  # rounded, as a run writes it down


# -- tables in, tables out ------------------------------------------------------------------------------------------


def test_columns_types_and_the_time_zone_come_back():
    frame = shops().select(
        pl.col("date").cast(pl.Datetime("ms")).dt.replace_time_zone("America/New_York"),
        pl.col("shop").cast(pl.Categorical),
        pl.col("sold").cast(pl.Float32),
    )
    got = Forecaster(**QUICK).fit(frame).predict(3)
    assert got.schema["date"] == frame.schema["date"]
    assert got.schema["shop"] == frame.schema["shop"]
    assert got.columns == ["date", "shop", "sold", "sold_lo_80", "sold_hi_80", "sold_lo_95", "sold_hi_95"]
    assert got["sold"].dtype == pl.Float32
    assert got["date"].dt.hour().unique().to_list() == [0]
    assert (np.diff(got.select("sold_lo_95", "sold_lo_80", "sold", "sold_hi_80", "sold_hi_95").to_numpy()) >= 0).all()


def test_pandas_arrow_and_numpy_come_back_as_they_came(plain):
    pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    frame = shops().select("date", "shop", "sold")
    expected = Forecaster(**QUICK).fit(frame).predict()
    fitted = Forecaster(**QUICK).fit(
        table.give_back(frame.with_columns(pl.col("date").cast(pl.Datetime("us"))), "pandas")
    )
    got = fitted.predict()
    assert isinstance(got, pandas.DataFrame)
    np.testing.assert_allclose(got["sold"], expected["sold"], rtol=1e-6)
    got = plain.predict(data=frame.to_arrow())
    assert isinstance(got, pyarrow.Table)
    assert got.column_names == expected.columns
    array = frame.filter(shop="east")["sold"].fill_null(float("nan")).to_numpy()
    one = Forecaster(**QUICK).fit(array).predict(4)
    assert isinstance(one, np.ndarray)
    assert one.shape == (4,)
    assert Forecaster(**QUICK).fit(np.stack([array, array[::-1]], axis=1)).predict(4).shape == (4, 2)


def test_arrays_are_carried_on_row_by_row():
    array = np.sin(np.arange(90) * 2 * np.pi / 7) + 0.1 * np.random.default_rng(0).normal(size=90)
    model = Forecaster(**QUICK).fit(array[:80])
    whole = model.predict(data=array)
    for value in array[80:]:
        model.update({"y": value})
    np.testing.assert_allclose(model.predict(), whole, rtol=1e-4, atol=1e-4)


def test_nixtlas_names_and_counted_steps():
    frame = pl.DataFrame({"unique_id": ["a"] * 60, "ds": range(60), "y": np.sin(np.arange(60) / 3)})
    got = Forecaster(**QUICK).fit(frame).predict(2)
    assert got.columns[:3] == ["unique_id", "ds", "y"]
    assert got["ds"].to_list() == [60, 61]


def test_a_single_short_series_and_many_series():
    short = pl.DataFrame(
        {"date": [START + timedelta(days=k) for k in range(12)], "y": [float(k % 5) for k in range(12)]}
    )
    got = Forecaster(epochs=2, hidden=4).fit(short).predict()
    assert got.height == 2
    many = pl.concat(shops(40, names=(f"s{k:04}",), seed=k).select("date", "shop", "sold") for k in range(500))
    got = Forecaster(epochs=0.01, hidden=4, horizon=3).fit(many).predict()
    assert got.height == 1500
    assert np.isfinite(numbers(got)).all()


# -- refusals -------------------------------------------------------------------------------------------------------


def test_refusals(model, plain, tmp_path):
    with pytest.raises(RunError, match="has not learnt anything yet: call fit"):
        Forecaster().predict()
    with pytest.raises(
        DataError, match=r"needs price, known in advance, up to 2024-05-06; the table has it of east up to 2024-04-29, "
    ):
        model.predict()
    with pytest.raises(DataError, match="A horizon is a number of steps, 1 or more, not 0"):
        plain.predict(0)
    with pytest.raises(DataError, match=r"trained with the columns date, shop, sold; the table lacks shop"):
        plain.predict(data=shops().select("date", "sold"))
    with pytest.raises(DataError, match="this table ends where training ended, or before"):
        plain.backtest(shops(60).select("date", "shop", "sold"))
    with pytest.raises(DataError, match=r"stamps are off the frequency \(daily\)"):
        plain.predict(data=shops().select(pl.col("date").cast(pl.Datetime) + pl.duration(hours=7), "shop", "sold"))
    with pytest.raises(RunError, match="is not a run"):
        Forecaster.load(tmp_path)


def test_a_forecast_that_goes_too_far_is_refused_before_it_begins(plain):
    with pytest.raises(DataError, match="100,000 steps ahead at most, and not beyond the year 9999: 100,001 steps"):
        plain.predict(100_001)
    carried = copy.copy(plain)
    carried.update({"date": START + timedelta(days=STEPS), "shop": "east", "sold": 20.0})
    with pytest.raises(DataError, match="100,000 steps ahead at most"):
        carried.predict(10**12)
    years = pl.DataFrame({"date": [date(1960 + k, 1, 1) for k in range(60)], "y": np.sin(np.arange(60))})
    yearly = Forecaster(**QUICK | {"horizon": 3}).fit(years)
    assert yearly.predict(20)["date"][-1] == date(2039, 1, 1)
    with pytest.raises(DataError, match="not beyond the year 9999: 9,000 steps are too many"):
        yearly.predict(9000)


def test_what_is_fed_back_tells_how_far_it_is(plain):
    """Steps of all series, up to the whole; a forecast within the horizon takes no time to speak of."""
    trained, heard = plain.trained, []
    inputs = trained.inputs(trained.history())
    rows, columns = np.array([90, 100, 110]), np.array([0, 1, 0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predicting, "ORIGINS", predicting.PATHS)  # one origin after another
        quantiles_at(trained.network, inputs, rows, columns, 20, progress=lambda *told: heard.append(told))
    assert heard == [(done, 60) for done in (14, 20, 34, 40, 54, 60)]
    quantiles_at(trained.network, inputs, rows, columns, 7, progress=lambda *_: pytest.fail("there is nothing to tell"))


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"horizon": 2.5}, "^horizon must be a whole number, 1 or more, not 2.5"),
        ({"horizon": 0}, "^horizon must be 1 or more, not 0"),
        ({"hidden": "4"}, "^hidden must be a whole number, 1 or more, not 4"),
        ({"season": 3.5}, "^A season is a whole number of steps, 2 or more .0: none., not 3.5"),
        ({"season": (7, -7)}, "^A season is a whole number of steps, 2 or more .0: none., not -7"),
        ({"seed": 0.5}, "^The seed must be a whole number from 0"),
    ],
)
def test_numbers_that_cannot_be_are_refused(chosen, words):
    with pytest.raises(DataError, match=words):
        Forecaster(**chosen).fit(shops())


def test_numpys_whole_numbers_are_whole_numbers():
    chosen: dict[str, Any] = {"horizon": np.int64(7), "season": np.int32(7), "hidden": np.int64(4)}
    got = Forecaster(**QUICK | chosen).fit(shops().select("date", "shop", "sold")).predict()
    assert got.height == 2 * 7


def test_a_table_without_rows_is_refused(plain):
    frame = shops().select("date", "shop", "sold").head(0)
    with pytest.raises(DataError, match=r"The table has columns \(date, shop, sold\) and no rows: there is nothing to"):
        Forecaster().fit(frame)
    for ask in (lambda: plain.predict(data=frame), lambda: plain.backtest(frame)):
        with pytest.raises(DataError, match="The table has no value of sold in any row"):
            ask()


@pytest.mark.parametrize("column", ["sold", "price", "warmth"])
def test_an_infinite_value_is_refused_wherever_it_stands(model, column):
    """Neither missing nor a number to learn from: as a classifier of sequences says it."""
    frame, day = shops(), START + timedelta(days=40)
    here = (pl.col("date") == day) & (pl.col("shop") == "west")
    spoilt = frame.with_columns(pl.when(here).then(-np.inf).otherwise(pl.col(column).cast(pl.Float64)).alias(column))
    words = f"The column '{column}' has an infinite value at {day}, west. Leave it empty if it is not known"
    with pytest.raises(DataError, match=words):
        Forecaster(known="price", target="sold", **QUICK).fit(spoilt)
    with pytest.raises(DataError, match=words):
        model.predict(data=with_plan(spoilt))
    with pytest.raises(DataError, match=words):
        copy.copy(model).update(spoilt.filter(here))
    with pytest.raises(DataError, match="The column 'y' has an infinite value in row 8. Leave"):
        Forecaster(**QUICK).fit(np.where(np.arange(60) == 7, np.inf, np.sin(np.arange(60))))
    plan = with_plan(frame).filter(pl.col("region").is_null()).select("date", "shop", pl.lit(np.inf).alias("price"))
    with pytest.raises(DataError, match="The column 'price' has an infinite value at 2024-04-30, east"):
        model.predict(future=plan)


def test_a_backtest_says_what_training_had_of_the_values_it_judges(plain):
    """Held out is what chose the model and corrected its intervals, whichever way it is handed in."""
    frame, longer = (shops(steps).select("date", "shop", "sold") for steps in (STEPS, STEPS + 30))
    own = plain.backtest()
    assert own.judged_on.endswith(", held out in training")
    again = plain.backtest(frame.sample(fraction=1.0, shuffle=True, seed=1))
    assert again.judged_on == own.judged_on
    assert_frame_equal(again.forecasts, own.forecasts, check_exact=True)
    south = shops(names=("south",)).select("date", "shop", "sold")
    assert plain.backtest(south).judged_on.endswith(", new to the model")
    new = plain.backtest(longer, start=STEPS)
    assert new.judged_on.endswith(", new to the model")
    for table_, start, classes in (
        (longer, None, ("held out", "new")),
        (pl.concat([frame, south]), None, ("held out", "new")),
        (longer, 10, ("learnt from", "held out", "new")),
        (frame, 10, ("learnt from", "held out")),
    ):
        said = plain.backtest(table_, start=start).judged_on
        parts = re.findall(r"(\d+)% of them (learnt from|held out|new) ", said)
        assert tuple(name for _, name in parts) == classes, said
        assert abs(sum(int(share) for share, _ in parts) - 100) <= 1


@pytest.mark.parametrize("wrong", [0, -1, 2.5, True, "7"])
def test_numbers_of_steps_are_checked_wherever_they_are_given(plain, wrong):
    def said(what: str) -> str:
        return f"A {what} is a number of steps, 1 or more, not {re.escape(repr(wrong))}"

    for ask in (lambda: plain.backtest(horizon=wrong), lambda: plain.plot(wrong)):
        with pytest.raises(DataError, match=said("horizon")):
            ask()
    with pytest.raises(DataError, match=said("stride")):
        plain.backtest(stride=wrong)
    if isinstance(wrong, int):
        carried = copy.copy(plain)
        carried.update({"date": START + timedelta(days=STEPS), "shop": "east", "sold": 20.0})
        for fitted in (plain, carried):
            with pytest.raises(DataError, match=said("horizon")):
                fitted.predict(wrong)


def test_a_backtest_starts_at_a_time_or_so_many_steps_after_the_first(plain):
    expected = plain.backtest(start=60).forecasts
    day = START + timedelta(days=60)
    assert expected["date"].min() == day
    noon = datetime.combine(day, datetime.min.time()) - timedelta(hours=12)  # between two steps: the later
    for start in (str(day), day, noon, np.datetime64(day), {"date": day}, np.int64(60)):
        assert_frame_equal(plain.backtest(start=start).forecasts, expected, check_exact=True)
    among = "the values of this table go from 2024-01-01 to 2024-04-29, 120 steps, and .* is not among them"
    for start in (-1, 120, 20240701, "2025-01-01", "2023-12-31"):
        with pytest.raises(DataError, match=among):
            plain.backtest(start=start)
    for start, words in (
        ("July", "The time column 'date' holds 'July', which is no time like the others"),
        (
            2.5,
            r"A backtest starts at a time as it stands under date, or so many steps after the first value .*not at 2",
        ),
        (True, "A backtest starts at a time .* not at True"),
    ):
        with pytest.raises(DataError, match=words):
            plain.backtest(start=start)
    counted = Forecaster(**QUICK).fit(np.sin(np.arange(90) * 2 * np.pi / 7))
    with pytest.raises(
        DataError, match="A backtest starts so many steps after the first value .*, not at '2024-07-01'"
    ):
        counted.backtest(start="2024-07-01")


def test_months_in_columns_of_their_own_start_a_backtest():
    frame = pl.DataFrame(
        {"year": [2015 + k // 12 for k in range(72)], "month": [1 + k % 12 for k in range(72)], "y": np.sin(range(72))}
    )
    fitted = Forecaster(**QUICK | {"horizon": 3}).fit(frame)
    expected = fitted.backtest(start=60).forecasts
    assert_frame_equal(fitted.backtest(start={"year": 2020, "month": 1}).forecasts, expected)
    with pytest.raises(DataError, match="The table lacks its time column 'month'; it has year"):
        fitted.backtest(start={"year": 2020})
    with pytest.raises(DataError, match="do not make times|must have a value|lacks its time column"):
        fitted.backtest(start="2020-01-01")


@pytest.mark.parametrize("later", [0, 5])
def test_a_newer_table_alone_is_judged_in_the_units_of_training(plain, later):
    """What a naive forecast scores at the same origins is the same, whether the table reaches back or not."""
    whole = shops(STEPS + 40).select("date", "shop", "sold")
    newer = whole.filter(pl.col("date") >= START + timedelta(days=STEPS + later))
    got, expected = plain.backtest(newer), plain.backtest(whole, start=STEPS + later + 2)
    origins = [result.forecasts.select("origin_date", "series", "actual") for result in (got, expected)]
    assert_frame_equal(*origins)
    assert got.scores["naive"] == expected.scores["naive"]
    assert got.scores["naive"].width_80 > 0
    assert got.scores["carousel"].mase / got.scores["carousel"].mae == pytest.approx(
        expected.scores["carousel"].mase / expected.scores["carousel"].mae, rel=0.1
    )  # two series, each with a unit of its own
    mixed = plain.backtest(pl.concat([newer, newer.filter(shop="east").with_columns(shop=pl.lit("south"))]))
    assert 0 < mixed.scores["naive"].mase < np.inf
    strange = plain.backtest(newer.filter(shop="east").with_columns(shop=pl.lit("south")))
    strange.plot()
    assert re.fullmatch(r"naive +-( +[\d.]+){2}( +-){3}", strange.lines()[2])
    assert len({len(line) for line in strange.lines()}) == 1
    south = strange.table
    assert south["mae"].null_count() == 0
    assert south["mase"].null_count() == south.height
    assert south["coverage_80"].is_null().to_list() == [False] + [True] * (south.height - 1)


def test_rows_without_a_time_are_known_by_their_values():
    array = np.sin(np.arange(90) * 2 * np.pi / 7) + 0.1 * np.random.default_rng(0).normal(size=90)
    fitted = Forecaster(**QUICK).fit(array)
    assert fitted.backtest(array).judged_on.endswith(", held out in training")
    assert fitted.backtest(array[::-1].copy()).judged_on.endswith(", new to the model")
    assert re.search("held out .* new to the model$", fitted.backtest(np.append(array, array[:20])).judged_on)
    unseen = fitted.backtest(np.append(np.full(85, np.nan), array)).scores
    assert np.isfinite(unseen["carousel"].coverage_80)
    assert np.isnan(unseen["naive"].coverage_80)


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        (
            1.0,
            "is level with the best baseline, naive: their mean absolute errors are alike; use naive, or",
        ),
        (0.996, "is level with the best baseline, naive: their"),
        (1.0049, "is level with the best baseline, naive: their"),
        (0.97, "is better than the best baseline, naive: its mean absolute error is 3% lower$"),
        (1.2, "loses to the best baseline, naive: its mean absolute error is 20% higher; use naive, or train longer"),
    ],
)
def test_a_verdict_never_speaks_of_nothing_in_a_hundred(ours, words):
    scores = {name: Scores(*[mae] * 8) for name, mae in (("carousel", ours), ("drift", 2.0), ("naive", 1.0))}
    said = Backtest(scores, {}, pl.DataFrame(), 1, 1, 1, "").verdict()
    assert re.search(words, said)


def test_the_public_name_and_silence(capsys):
    assert carousel.Forecaster is Forecaster
    fitted = Forecaster(**QUICK).fit(shops(60).select("date", "shop", "sold"))
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    assert not list(Path.cwd().glob("carousel-*"))
    for words in ("time: date", "series told apart by shop", "2 series of", "seasons: 7", "95 % intervals held"):
        assert words in fitted.describe()


# -- scikit-learn ---------------------------------------------------------------------------------------------------


def test_parameters():
    model = Forecaster(horizon=3, known=["price"])
    assert model.get_params()["known"] == ["price"]
    assert model.set_params(hidden=5).hidden == 5
    assert repr(model) == "Forecaster(horizon=3, known=['price'], hidden=5)"
    with pytest.raises(ValueError, match="Forecaster has no parameter 'units'"):
        model.set_params(units=3)


def test_scikit_learns_clone_and_grid_search():
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

    days = pandas.date_range("2024-01-01", periods=90, freq="D")
    frame = pandas.DataFrame({"ds": days, "y": np.sin(np.arange(90) * 2 * np.pi / 7) + 0.01 * np.arange(90)})
    assert clone(Forecaster(hidden=5)).get_params() == Forecaster(hidden=5).get_params()
    search = GridSearchCV(
        Forecaster(epochs=1, horizon=4), {"hidden": [2, 4]}, cv=TimeSeriesSplit(2, test_size=8), error_score="raise"
    )
    search.fit(frame)
    with pytest.raises(DataError, match="split by time"):
        GridSearchCV(Forecaster(epochs=1, horizon=4), {"hidden": [2]}, cv=3, error_score="raise").fit(frame)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(search.best_estimator_.predict()) == 4


def test_a_score_is_of_what_comes_after_all_that_was_fitted():
    whole = shops(STEPS + 20).select("date", "shop", "sold").sort("date")
    day = START + timedelta(days=STEPS)
    before, after = whole.filter(pl.col("date") < day), whole.filter(pl.col("date") >= day)
    fitted = Forecaster(**QUICK).fit(before)
    expected = fitted.backtest(whole, start=STEPS).scores["carousel"].mase
    assert fitted.score(after) == -expected
    assert fitted.score(after.drop("sold"), after["sold"]) == -expected
    numbered = Forecaster(**QUICK).fit(before.with_columns(shop=(pl.col("shop") == "east").cast(pl.Int64)))
    ragged = Forecaster(**QUICK).fit(before[:-1])  # a split by rows may cut through a day
    assert fitted.score(after[1:]) != fitted.score(after)
    assert np.isfinite(ragged.score(pl.concat([before[-1:], after])))
    after_fit = "scored on what comes after the data that it was fitted on, whose last value of east is at 2024-04-29"
    for table_ in (before, whole, shops(STEPS).select("date", "shop", "sold")[:20]):
        with pytest.raises(DataError, match=rf"{after_fit}; row 1 of .* at 2024-01-01.* cv=TimeSeriesSplit\(\)"):
            fitted.score(table_)
    with pytest.raises(DataError, match="Scoring needs values later than all that was fitted, and this table has none"):
        fitted.score(before.with_columns(shop=pl.lit("south")))
    with pytest.raises(DataError, match="trained with the columns date, shop, sold; the table lacks sold"):
        fitted.score(after.drop("sold"))
    assert fitted.score(after.with_columns(pl.col("date").cast(pl.String))) == -expected
    with pytest.raises(DataError, match="What is scored must have columns of the types fitted"):
        numbered.score(after)


def test_a_score_of_rows_without_a_time_is_of_those_that_follow():
    array = np.sin(np.arange(100) * 2 * np.pi / 7) + 0.1 * np.random.default_rng(0).normal(size=100)
    fitted = Forecaster(**QUICK).fit(np.append(np.full(6, np.nan), array[:80]))
    whole = np.append(np.full(6, np.nan), array)
    assert fitted.score(array[80:]) == -fitted.backtest(whole, start=80).scores["carousel"].mase


# -- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", [False, True])
def test_after_an_update_the_picture_is_of_what_predict_says_then(log):
    """Up to the value that came, in the units of the data; each series where it ends."""
    fitted = Forecaster(**QUICK, log=log).fit(shops().select("date", "shop", "sold"))
    before = fitted.plot(5).axes
    rows = shops(STEPS + 1).select("date", "shop", "sold").filter(date=START + timedelta(days=STEPS), shop="west")
    fitted.update(rows)
    after, told = fitted.plot(5).axes, fitted.predict(5)
    assert len(before) == len(after) == 2
    for shop, was, now in zip(("east", "west"), before, after, strict=True):
        seen, median, _ = now.get_lines()
        mine = told.filter(shop=shop)
        np.testing.assert_allclose(median.get_ydata()[-5:], mine["sold"], rtol=1e-5)
        assert median.get_xdata()[-1].astype("datetime64[D]") == np.datetime64(mine["date"][-1])
        observed = seen.get_ydata()[np.isfinite(seen.get_ydata())]
        old = was.get_lines()[0].get_ydata()
        old = np.concatenate([old[np.isfinite(old)], rows["sold"] if shop == "west" else []])
        assert len(observed) > 10
        np.testing.assert_allclose(observed, old[-len(observed) :], rtol=1e-6)


def test_pictures(plain, tmp_path):
    figure = plain.plot(5)
    assert figure.axes[0].get_legend_handles_labels()[1] == ["observed", "95 % interval", "80 % interval", "forecast"]
    result = plain.backtest(stride=3)
    assert set(result.by_step) == {"carousel", "naive", "seasonal naive", "drift", "theta"}
    assert result.table["model"].to_list()[0] == "carousel"
    result.plot().savefig(tmp_path / "backtest.png")
    assert (tmp_path / "backtest.png").stat().st_size > 10_000
