"""Exponential smoothing against its recursion written out, in the signals of a series and beside the anchor."""

import numpy as np
import polars as pl
import pytest

from carousel.tasks.forecasting.network import smoothing
from carousel.tasks.forecasting.network.inputs import _smoothed
from carousel.tasks.forecasting.network.preparation import prepare
from carousel.tasks.forecasting.network.signals import Recipe, Tail, follow
from carousel.tasks.forecasting.settings import Settings
from carousel.training.progress import Lines

RATES = smoothing.Rates(0.3, 0.05, 0.2, 0.9)


def by_hand(y: list[float], m: int, ahead: int) -> float:
    """The docstring of `smoothing`, for one series that misses nothing, m steps a season (1: none)."""
    alpha, beta, gamma, phi = RATES
    level, trend = sum(y[:m]) / m, 0.0
    season = [value - level if m > 1 else 0.0 for value in y[:m]]
    for t in range(m, len(y)):
        expected, usual = level + phi * trend, season[t - m] if m > 1 else 0.0
        off = y[t] - expected - usual
        trend = phi * trend + alpha * max(beta, 1 / (t + 1 - m + 1)) * off
        level = expected + alpha * off
        season.append(usual + gamma * (1 - alpha) * off)
    then = season[len(y) + ahead - 1 - m * -(-ahead // m)] if m > 1 else 0.0
    return level + sum(phi**k for k in range(1, ahead + 1)) * trend + then


@pytest.mark.parametrize("m", [1, 4])
def test_the_signals_forecast_as_the_recursion_and_a_tail_carries_them_on(m: int) -> None:
    y = np.random.default_rng(0).normal(size=(23, 2)).cumsum(0)
    recipe = Recipe(span=36, seasons=(m,) if m > 1 else (), lags=3, smoothing=RATES)
    signals = follow(y, recipe)
    tail = Tail.before(recipe, follow(y[:20], recipe), np.array([19, 19]), np.array([0, 1]))
    for observed in y[20:]:
        tail.step(observed)
    for ahead in (1, 3, 4, 5, 9):
        expected = [by_hand(y[:, k].tolist(), m, ahead) for k in range(2)]
        found = _smoothed(lambda back: signals[len(y) - 1 - back], recipe, ahead)
        np.testing.assert_allclose(found, expected, rtol=1e-10)
        np.testing.assert_allclose(_smoothed(tail.look, recipe, ahead), expected, rtol=1e-10)


def test_what_is_missing_is_as_expected() -> None:
    y = np.random.default_rng(1).normal(size=(24, 1)).cumsum(0)
    recipe = Recipe(span=36, seasons=(4,), lags=3, smoothing=RATES)
    gone = np.concatenate([y, np.full((2, 1), np.nan)])
    before, after = follow(y, recipe), follow(gone, recipe)
    for ahead in (1, 2, 5):
        expected = _smoothed(lambda back: before[23 - back], recipe, ahead + 2)
        np.testing.assert_allclose(_smoothed(lambda back: after[25 - back], recipe, ahead), expected, rtol=1e-10)
    assert np.isfinite(_smoothed(lambda back: follow(np.full((3, 1), np.nan), recipe)[2 - min(back, 2)], recipe, 1))


def test_rates_of_a_run_are_rates() -> None:
    assert smoothing.Rates.of([0.1, 0.2, 0.3, 1]) == smoothing.Rates(0.1, 0.2, 0.3, 1.0)
    with pytest.raises(ValueError, match="numbers from 0 to 1"):
        smoothing.Rates.of([0.1, 0.2, 0.3, 7])


def months(count: int, season: bool) -> pl.DataFrame:
    """Growth, and a season in proportion to it; or a walk that remembers nothing."""
    chance, t = np.random.default_rng(0), np.arange(count)
    steady = 100 * np.exp(0.01 * t + 0.3 * np.sin(2 * np.pi * t / 12) + 0.01 * chance.normal(size=count))
    walk = 100 + chance.normal(size=count).cumsum()
    stamps = pl.datetime_range(pl.datetime(2000, 1, 1), pl.datetime(2100, 1, 1), "1mo", eager=True)[:count]
    return pl.DataFrame({"month": stamps.dt.date(), "y": steady if season else walk})


def test_a_short_series_with_trend_and_season_begins_with_smoothing_and_that_is_said() -> None:
    said: list[str] = []
    prepared = prepare(months(96, True), Settings(epochs=1), Lines(write=said.append))
    assert prepared.reading.recipe.smoothing is not None
    assert "exponential smoothing of level" in "\n".join(said)
    assert "multiplicative season of 12: error" in "\n".join(said)


def test_where_smoothing_is_not_clearly_better_it_is_left_out_and_that_is_said() -> None:
    said: list[str] = []
    prepared = prepare(months(96, False), Settings(epochs=1), Lines(write=said.append))
    assert prepared.reading.recipe.smoothing is None
    assert "exponential smoothing is left out: error" in "\n".join(said)


def test_a_long_series_is_read_as_it_was() -> None:
    prepared = prepare(months(700, True), Settings(epochs=1), Lines(write=lambda line: None))
    assert prepared.reading.recipe.smoothing is None
