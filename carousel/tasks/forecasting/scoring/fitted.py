"""AutoARIMA and AutoETS of statsforecast (the extra `baselines`): what people use for one short series.

Each is fitted to the training part of a series once, as the network is, and goes on from there with the values that
came since. Its quantiles are those of a normal distribution as wide as its own interval of 80 %.
Source: Hyndman & Khandakar (Journal of Statistical Software 27, 2008); Hyndman et al. (International Journal of
Forecasting 18, 2002).
"""

import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from statistics import NormalDist
from typing import Any

import numpy as np

from carousel.tasks.gaps import forward_filled

MODELS = ("AutoARIMA", "AutoETS")
MOST_VALUES = 2_000  # of all series: they are fitted one by one, in seconds each
LONGEST_SEASON = 24  # steps: of a longer one a fit takes minutes
WIDTH = 2 * NormalDist().inv_cdf(0.9)  # deviations that an interval of 80 % is wide


class Fitted:
    """One model, fitted to the training part of each series. See `Baseline` for the arguments.

    Raises ValueError where a series has too few values, or where the model cannot be fitted to it.
    """

    def __init__(self, name: str, values: np.ndarray, *, training: np.ndarray, season: int, offset: int = 0) -> None:
        from statsforecast import models

        self.name = name
        self.history = forward_filled(np.concatenate([training[:offset], values]))
        self.offset = offset
        learnt = forward_filled(training)
        self.begin = np.isfinite(learnt).argmax(axis=0)
        self.models: list[Any] = []
        for column, begin in enumerate(self.begin):
            if len(learnt) - begin < 2 * season + 2 or not np.isfinite(learnt[-1, column]):
                raise ValueError(f"{name} needs two seasons of each series")
            model = getattr(models, name)(season_length=season)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    self.models.append(model.fit(learnt[begin:, column]))
                    _moments(model, learnt[begin:, column], 1)
            except Exception as error:  # whatever another library raises, a baseline is not worth a training
                raise ValueError(f"{name} cannot be fitted to series {column}: {error}") from error

    def quantiles(self, rows: np.ndarray, columns: np.ndarray, horizon: int, levels: np.ndarray) -> np.ndarray:
        """The quantiles of the steps after each origin, (horizon, origins, levels)."""
        deviations = np.array([NormalDist().inv_cdf(level) for level in levels])
        found = np.empty((horizon, len(rows), len(levels)))
        for k, (row, column) in enumerate(zip(rows, columns, strict=True)):
            seen = self.history[self.begin[column] : self.offset + row + 1, column]
            mean, deviation = _moments(self.models[column], seen, horizon)
            found[:, k] = mean[:, None] + deviation[:, None] * deviations
        return found


def _moments(model: Any, seen: np.ndarray, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the standard deviation of each of the next steps, (horizon) each."""
    forecast = model.forward(y=seen, h=horizon, level=[80])
    low, high = (np.asarray(forecast[end], np.float64) for end in ("lo-80", "hi-80"))
    return np.asarray(forecast["mean"], np.float64), (high - low) / WIDTH


def fitted(values: np.ndarray, *, training: np.ndarray, season: int, offset: int = 0) -> Iterator[Fitted]:
    """The models that can be fitted to these series; none without statsforecast, or where it would take minutes."""
    if training.size > MOST_VALUES or values.size > MOST_VALUES or season > LONGEST_SEASON:
        return
    if find_spec("statsforecast") is None:
        return
    for name in MODELS:
        try:
            yield Fitted(name, values, training=training, season=season, offset=offset)
        except ValueError:
            continue
