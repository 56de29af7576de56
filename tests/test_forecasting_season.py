"""The season of counted steps: found to the step where there is one, and not found where there is none."""

import numpy as np
import pytest

from carousel.tasks.forecasting.network.season import CYCLES, shown_season

KINDS = ("wave", "pattern", "spike", "two waves")


def seasonal(kind: str, m: int, steps: int, chance: np.random.Generator) -> np.ndarray:
    """A season of m steps whose variance is about 1."""
    t = np.arange(steps)
    if kind == "wave":
        return np.sqrt(2) * np.sin(2 * np.pi * t / m + chance.uniform(0, 6))
    if kind == "two waves":
        return np.sin(2 * np.pi * t / m + chance.uniform(0, 6)) + np.sin(4 * np.pi * t / m + chance.uniform(0, 6))
    if kind == "spike":
        return np.sqrt(m) * (t % m == m // 2)
    pattern = chance.normal(size=m)
    return ((pattern - pattern.mean()) / pattern.std())[t % m]


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trend", ["none", "line", "bend"])
def test_a_season_is_found_to_the_step(kind, noise, trend):
    chance = np.random.default_rng([KINDS.index(kind), int(10 * noise), len(trend)])
    for m in (2 if kind == "pattern" else 3, 4, 7, 12, 25, 50, 101, 400 if noise else 200):
        steps = max(60, int(m * chance.uniform(CYCLES + 1, 8)))
        x = np.linspace(0, 1, steps)
        slow = {"none": 0, "line": 6 * x, "bend": 6 * x**2 - x}[trend]
        values = 100 + 5 * (seasonal(kind, m, steps, chance) + slow + noise * chance.normal(size=steps))
        found = shown_season(values[:, None])
        # A wave that noise hides is only known to a part of its length: that which it is off by in all the steps.
        near = round(m * m * noise / steps) if kind in ("wave", "two waves") and m > 100 else 0
        assert len(found) == 1, (m, steps)
        assert abs(found[0] - m) <= near, (m, steps, found)


def test_no_season_is_found_where_there_is_none():
    """White noise, what wanders, what wanders more, and what turns back: 200 series."""
    chance, found = np.random.default_rng(1), []
    for steps in (60, 150):
        for number in range(25):
            noise = chance.normal(size=steps)
            turning = np.zeros(steps)
            for t in range(1, steps):
                turning[t] = (0.9, -0.6)[number % 2] * turning[t - 1] + noise[t]
            found += [shown_season(y[:, None]) for y in (noise, noise.cumsum(), noise.cumsum().cumsum(), turning)]
    assert sum(map(bool, found)) <= 0.01 * len(found)


def test_repeating_the_season_found_is_as_good_as_repeating_the_best_on_time_held_out():
    chance = np.random.default_rng(2)
    for m in (5, 12, 24, 30, 48):
        values = seasonal("pattern", m, 8 * m, chance) + 0.3 * chance.normal(size=8 * m)
        past, later = values[: 6 * m], values[6 * m :]

        def error(season: int, past=past, later=later) -> float:
            return float(np.abs(later - past[-season:][np.arange(len(later)) % season]).mean())

        (found,) = shown_season(past[:, None])
        assert error(found) <= 1.05 * min(error(length) for length in range(2, 2 * m))


def test_a_season_is_that_of_all_series_and_gaps_are_bridged():
    chance = np.random.default_rng(3)
    several = np.stack([seasonal("pattern", 9, 120, chance) + chance.normal(size=120) for _ in range(6)], axis=1)
    several[chance.random(several.shape) < 0.1] = np.nan
    assert shown_season(several) == (9,)
    assert shown_season(np.full((50, 2), 3.0)) == ()
    assert shown_season(np.full((50, 1), np.nan)) == ()
    assert shown_season(several[:8]) == ()
