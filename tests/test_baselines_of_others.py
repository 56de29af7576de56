"""Baselines of libraries that may be installed beside Carousel (the extra `baselines`): how they are asked.

The libraries ask for another NumPy than the tests have. Stand-ins with their interface take their place here; what the
real ones answer stands in the benchmarks of classification and forecasting.
"""

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from carousel.tasks.classification import verdict
from carousel.tasks.forecasting.scoring import fitted
from carousel.tasks.forecasting.scoring.baselines import baselines
from carousel.tasks.forecasting.scoring.metrics import INTERVALS, LEVELS, MEDIAN


class LastValue:
    """The interface of a model of statsforecast: fit, then `forward` on other values. Forecasts the last value, one
    more at each step, with an interval of 80 % of two units at either side."""

    fitted_to: list[np.ndarray] = []

    def __init__(self, season_length: int) -> None:
        self.season_length = season_length

    def fit(self, y: np.ndarray) -> "LastValue":
        assert np.isfinite(y).all()
        self.fitted_to.append(y)
        return self

    def forward(self, y: np.ndarray, h: int, level: list[int]) -> dict[str, Any]:
        assert level == [80]
        assert np.isfinite(y).all()
        mean = y[-1] + np.arange(1, h + 1)
        return {"mean": mean, "lo-80": mean - 2, "hi-80": mean + 2}


class Fails(LastValue):
    def fit(self, y: np.ndarray) -> "LastValue":
        raise ZeroDivisionError(f"no variance in {len(y)} values")


@pytest.fixture
def statsforecast(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("statsforecast")
    module.models = ModuleType("statsforecast.models")
    module.models.AutoARIMA, module.models.AutoETS = LastValue, Fails
    module.__spec__ = sys.__spec__  # what find_spec asks for
    monkeypatch.setitem(sys.modules, "statsforecast", module)
    monkeypatch.setitem(sys.modules, "statsforecast.models", module.models)
    monkeypatch.setattr(LastValue, "fitted_to", [])


@pytest.mark.usefixtures("statsforecast")
def test_a_fitted_baseline_learns_from_the_training_part_and_forecasts_from_each_origin() -> None:
    values = np.random.default_rng(0).normal(size=(40, 2)).cumsum(0)
    values[:3, 1] = np.nan  # begins later
    values[20, 0] = np.nan  # a gap: the value before it stands there
    names = [one.name for one in baselines(values, training=values[:30], season=4)]
    assert names == ["naive", "seasonal naive", "drift", "theta", "AutoARIMA"], "AutoETS fails, and is left out"
    assert [len(y) for y in LastValue.fitted_to] == [30, 27]
    (model,) = fitted.fitted(values, training=values[:30], season=4)
    rows, columns = np.array([20, 33]), np.array([0, 1])
    quantiles = model.quantiles(rows, columns, 3, np.array(LEVELS))
    now = np.array([values[19, 0], values[33, 1]])
    np.testing.assert_allclose(quantiles[..., MEDIAN], now + np.array([[1], [2], [3]]), atol=1e-12)
    low, high = INTERVALS[80]
    np.testing.assert_allclose(quantiles[..., high] - quantiles[..., low], 4, atol=1e-12)


@pytest.mark.usefixtures("statsforecast")
def test_a_fitted_baseline_of_a_later_table_goes_on_from_the_training_part() -> None:
    values = np.arange(40.0)[:, None] ** 2
    (model,) = fitted.fitted(values[25:], training=values[:30], season=1, offset=25)
    quantiles = model.quantiles(np.array([0, 10]), np.array([0, 0]), 1, np.array([0.5]))
    np.testing.assert_allclose(quantiles[0, :, 0], [25**2 + 1, 35**2 + 1])


@pytest.mark.usefixtures("statsforecast")
@pytest.mark.parametrize(
    ("values", "season"),
    [(np.zeros((3_000, 1)), 12), (np.zeros((100, 1)), 60), (np.zeros((20, 1)), 12), (np.full((100, 1), np.nan), 1)],
    ids=["too many values", "too long a season", "not two seasons", "nothing was observed"],
)
def test_what_would_take_minutes_or_cannot_be_fitted_is_left_out(values: np.ndarray, season: int) -> None:
    assert not list(fitted.fitted(values, training=values, season=season))


def test_mini_rocket_learns_each_part_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Nearest:
        def __init__(self, random_state: int) -> None:
            assert random_state == 7

        def fit(self, x: np.ndarray, y: np.ndarray) -> "Nearest":
            asked.append(x.shape)
            self.x, self.y = x, y
            return self

        def predict(self, x: np.ndarray) -> np.ndarray:
            apart = np.square(x[:, None] - self.x).sum((2, 3))
            return np.asarray(self.y[apart.argmin(1)])

    module = ModuleType("aeon.classification.convolution_based")
    module.MiniRocketClassifier = Nearest
    for name in ("aeon", "aeon.classification"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    truth = np.arange(9) % 3
    values = [np.full((10 + k, 2), 10.0 * label) for k, label in enumerate(truth)]
    folds = np.array([0, 0, 0, 1, 1, 1, -1, -1, -1])
    answers = verdict.mini_rocket(values, truth, folds, seed=7)
    assert asked == [(6, 2, 18), (6, 2, 18)], "channels before steps, filled with zeros to the longest"
    assert answers[:6].tolist() == truth[:6].tolist()
    assert answers[6:].tolist() == [-1, -1, -1]
