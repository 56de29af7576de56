"""The Theta baseline against its original definition, and its season."""

import numpy as np
import pytest

from carousel.tasks.forecasting.scoring.theta import Theta, season_of


def by_theta_lines(z: np.ndarray, alpha: float, horizon: int) -> list[float]:
    """Half the straight line through the series, half the exponential smoothing of the line with twice its curvature
    (Assimakopoulos & Nikolopoulos 2000)."""
    t = np.arange(1, len(z) + 1)
    slope, start = np.polyfit(t, z, 1)
    curved = 2 * z - (start + slope * t)
    level = curved[0]
    for value in curved[1:]:
        level = alpha * value + (1 - alpha) * level
    return [(start + slope * (len(z) + h) + level) / 2 for h in range(1, horizon + 1)]


def test_theta_is_the_mean_of_its_two_lines() -> None:
    chance = np.random.default_rng(0)
    values = np.cumsum(chance.normal(0.3, 1, (40, 3)), 0)
    found = Theta(values, training=values[:30], season=1)
    rows, columns = np.array([29, 35, 39]), np.array([0, 1, 2])
    told = found.points(rows, columns, 4)
    for k, (row, column) in enumerate(zip(rows, columns, strict=True)):
        wanted = by_theta_lines(values[: row + 1, column], found.alpha[column], 4)
        np.testing.assert_allclose(told[:, k], wanted)


@pytest.mark.parametrize("by_ratio", [True, False])
@pytest.mark.parametrize("begin", [0, 5])
def test_a_season_goes_on_wherever_a_table_begins(by_ratio: bool, begin: int) -> None:
    indices = np.array([0.5, 1.0, 1.2, 1.3]) if by_ratio else np.array([-30.0, 5.0, 10.0, 15.0])
    whole = np.tile(indices, 12) * 20 if by_ratio else np.tile(indices, 12) + 20
    values = whole[:, None]
    assert season_of(values[:30], 4).by_ratio.tolist() == [by_ratio]
    found = Theta(values[begin:40], training=values[:30], season=4, offset=begin)
    told = found.points(np.array([39 - begin]), np.array([0]), 8)
    np.testing.assert_allclose(told[:, 0], whole[40:48])


def test_noise_has_no_season_and_what_is_missing_changes_nothing() -> None:
    noise = np.random.default_rng(3).normal(100, 1, (60, 1))
    assert (season_of(noise, 7).indices == 0).all()
    gaps = np.insert(noise, [10, 20], np.nan, axis=0)
    plain, holed = Theta(noise, training=noise[:40], season=1), Theta(gaps, training=gaps[:42], season=1)
    np.testing.assert_allclose(holed.level[-1, 0], plain.level[-1, 0])
    assert holed.count[-1, 0] == 60
    empty = Theta(noise, training=np.full((5, 1), np.nan), season=7)
    assert np.isfinite(empty.points(np.array([59]), np.array([0]), 3)).all()
