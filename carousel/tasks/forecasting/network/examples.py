"""The examples of a training: stretches of history, each with the values to forecast after several of its steps."""

import numpy as np
import torch
from torch import nn

from carousel.models.quantile_forecaster import QuantileForecaster, quantile_loss
from carousel.tasks.forecasting.network.inputs import NetworkInputs
from carousel.tasks.forecasting.network.predicting import network_inputs
from carousel.tasks.forecasting.scoring.metrics import LEVELS

ORIGINS = 4  # in a stretch, evenly spread over its later half


class TrainingStretches:
    """Examples by number. Each number stands for a column and a last origin, which may be any step after the column's
    first value and before `until`, where the training part ends. The stretch is the `context` steps up to its last
    origin; steps before the column's first value are masked.
    """

    def __init__(self, inputs: NetworkInputs, *, until: int, context: int, horizon: int, device: torch.device) -> None:
        self.inputs, self.until, self.context, self.horizon, self.device = inputs, until, context, horizon, device
        self.begin = inputs.panel.begin + warm_up(inputs, until)
        lengths = np.maximum(0, until - 1 - self.begin)
        self.ends = np.cumsum(lengths)
        self.starts = self.ends - lengths
        self.levels = torch.tensor(LEVELS, device=device)

    @property
    def count(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def at(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The last origins (rows of time) and the columns that these numbers stand for."""
        columns = np.searchsorted(self.ends, numbers, side="right")
        return self.begin[columns] + numbers - self.starts[columns], columns

    def loss(self, model: nn.Module, numbers: torch.Tensor) -> torch.Tensor:
        """The mean quantile loss at the origins of these stretches, in scales of the series there."""
        assert isinstance(model, QuantileForecaster)
        last, columns = self.at(numbers.numpy())
        rows = last + np.arange(1 - self.context, 1)[:, None]
        began = rows >= self.inputs.panel.begin[columns]
        steps = network_inputs(model, self.inputs, rows, columns)
        states = model.encode(self._tensor(steps), None if began.all() else self._tensor(began))
        gap = 1 if model.autoregressive else max(1, self.context // (2 * ORIGINS))
        count = self.context // 2 if model.autoregressive else ORIGINS
        back = np.minimum(gap * np.arange(count), self.context - 1)
        # Origins of all stretches side by side: the first of each, the second of each, ...
        picked = tuple(s[:, self.context - 1 - back].flatten(1, 2) for s in states)
        origins, of = (last - back[:, None]).reshape(-1), np.tile(columns, count)
        ahead = self.inputs.ahead(origins, of, model.at_once)
        actual = self.inputs.outcomes(origins, of, model.at_once)
        later = origins + np.arange(1, model.at_once + 1)[:, None]
        actual[(later >= self.until) | (origins < self.begin[of])] = np.nan
        quantiles = model.decode(picked, self._tensor(self.inputs.at_origins(origins, of)), self._tensor(ahead))
        return quantile_loss(quantiles, self._tensor(actual), self.levels)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def warm_up(inputs: NetworkInputs, until: int) -> np.ndarray:
    """How many steps after its first value each column may have its first origin, (N,), so that its level and scale
    rest on enough values: one season, or a quarter of the training part where that is shorter, and one step at least.
    """
    usual = min(inputs.recipe.seasons, default=12)
    return np.clip((until - inputs.panel.begin) // 4, 1, usual)
