"""Runs that an earlier version wrote still open, and answer as they answered then."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import carousel
from carousel.training.progress import Quiet

BEFORE = Path(__file__).parent / "runs_before"

# The answers of the version that wrote the runs.
FORECAST = {
    "sales": [110.6878948, 91.3380671, 81.4999970, 86.3609988, 100.0172835, 116.6399945, 121.5111046],
    "sales_lo_80": [110.6680747, 91.3203529, 81.4822123, 86.3427120, 99.9996459, 116.6197410, 121.4896957],
    "sales_hi_95": [110.7140004, 91.3641726, 81.5261026, 86.3871648, 100.0433892, 116.6661001, 121.5384015],
}
FIRST_PROBABILITIES = [[0.4284008541, 0.5715991327], [0.4381822629, 0.5618177429], [0.4373538363, 0.5626461503]]
NATS = 3.1098


@pytest.fixture
def runs(tmp_path) -> Path:
    return shutil.copytree(BEFORE, tmp_path / "runs")


def test_a_forecaster_of_before_forecasts_as_it_did(runs):
    frame = carousel.Forecaster.load(runs / "sales").predict()
    assert frame["date"].to_list()[0] == "2021-03-22"
    for name, values in FORECAST.items():
        np.testing.assert_allclose(frame[name].to_numpy(), values, rtol=1e-5)


def test_a_classifier_of_before_answers_as_it_did(runs):
    model = carousel.SequenceClassifier.load(runs / "movements")
    found = model.predict_proba(runs / "movements.csv")
    np.testing.assert_allclose(np.asarray(found)[:3], FIRST_PROBABILITIES, rtol=1e-4)


def test_a_language_model_of_before_judges_as_it_did(runs):
    model = carousel.LanguageModel.load(runs / "words")
    assert model.evaluate(runs / "words.txt").nats_per_character == pytest.approx(NATS, abs=2e-4)
    assert len(model.generate("the ", length=20, seed=1)) == 20


def test_a_stopped_run_of_before_goes_on(runs):
    """Also one whose plan leaves little to do: the settings that it lacks have the values that it was trained by."""
    config = json.loads((runs / "stopped" / "config.json").read_text())
    assert "sha256" not in config
    steps = [json.loads(line)["step"] for line in (runs / "stopped" / "log.jsonl").read_text().splitlines()]

    class StopSoon(Quiet):
        def __init__(self):
            self.ticks = 0

        def tick(self, status):  # noqa: ARG002
            self.ticks += 1
            if self.ticks == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carousel.Forecaster.resume(runs / "stopped", report=StopSoon())
    model = carousel.Forecaster.load(runs / "stopped")
    assert isinstance(model.predict(), pl.DataFrame)
    assert steps
