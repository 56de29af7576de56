"""Measures of forecasts: the forecast after each step, the surprise of actual values, and the influence of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from carousel.insight import input_influence
from carousel.models.quantile_forecaster import quantile_loss
from carousel.page.analysis import Measure
from carousel.tasks.forecasting.answers.forecast import forecast_at
from carousel.tasks.forecasting.network.inputs import NetworkInputs
from carousel.tasks.forecasting.network.predicting import absolute, on_device
from carousel.tasks.forecasting.network.trained import TrainedForecaster
from carousel.tasks.forecasting.scoring.metrics import LEVELS, MEDIAN


@dataclass(frozen=True)
class Stretch:
    """The steps that are shown: rows of time of one column of values. hx: the states before the first step."""

    inputs: NetworkInputs
    column: int
    rows: np.ndarray
    hx: tuple[Tensor, ...] | None

    @property
    def columns(self) -> np.ndarray:
        return np.full(len(self.rows), self.column)


def forecasts(trained: TrainedForecaster, stretch: Stretch) -> tuple[np.ndarray, np.ndarray]:
    """The forecasts after each step: quantiles (T, horizon, levels), equal to those of `Forecaster.predict` for the
    history up to that step, and the linear forecast (T, horizon). NaN where a needed covariate is unknown."""
    network, inputs = trained.network, stretch.inputs
    rows, columns, horizon = stretch.rows, stretch.columns, trained.horizon
    quantiles = forecast_at(trained, inputs, rows, columns, horizon)
    at_once = min(horizon, network.at_once)
    with torch.no_grad():
        origins, ahead = inputs.at_origins(rows, columns), inputs.ahead(rows, columns, at_once)
        anchor = network.linear(on_device(network, origins), on_device(network, ahead)).double().cpu().numpy()
    linear = np.full((horizon, len(rows)), np.nan)
    linear[:at_once] = absolute(inputs, anchor[..., None], rows, columns)[..., 0]
    unknown = beyond_known(inputs, rows, stretch.column, horizon)
    quantiles[unknown] = linear[unknown] = np.nan
    return quantiles.transpose(1, 0, 2), linear.T


def beyond_known(inputs: NetworkInputs, rows: np.ndarray, column: int, horizon: int) -> np.ndarray:
    """(horizon, T) bool: True for steps ahead that need covariates which the table does not have."""
    panel = inputs.panel
    if not panel.known.shape[2]:
        return np.zeros((horizon, len(rows)), bool)
    return rows + np.arange(1, horizon + 1)[:, None] >= panel.known_until[panel.owner[column]]


def forecast_before(quantiles: np.ndarray) -> np.ndarray:
    """The quantiles of each step in the forecast one step before, (T, levels); NaN for the first step."""
    return np.concatenate([np.full((1, quantiles.shape[2]), np.nan), quantiles[:-1, 0]])


def level_of(actual: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """The level p of each actual value (T) among its quantiles (T, levels), interpolated linearly between the levels.

    Beyond the outermost quantile it is the outermost level. NaN without value or forecast, or if all quantiles are
    equal.
    """
    level = np.full(len(actual), np.nan)
    for t in np.flatnonzero(np.isfinite(actual) & np.isfinite(quantiles).all(1)):
        if quantiles[t, -1] > quantiles[t, 0]:
            level[t] = np.interp(actual[t], quantiles[t], LEVELS)
    return level


def surprise_of(level: np.ndarray) -> np.ndarray:
    """-log2(2 min(p, 1 - p)) bits: 0 at the median, 1 if half of all values lie further out."""
    return -np.log2(2 * np.minimum(level, 1 - level)) + 0.0


def quantiles_in_scales(
    trained: TrainedForecaster,
    stretch: Stretch,
    steps: Tensor,
    x: Tensor,
    hx: Any = None,
    *,
    at: Sequence[int] | None = None,
) -> Tensor:
    """The quantiles that the network decodes at once after each step of `at`, (W, B, steps ahead * levels), relative to
    the series' level there and in units of its scale; zeros at other steps. Differentiable with respect to x.

    x: (W, B, step), the inputs at `steps`, (W, B) or (W), which are indices of the stretch's steps.
    """
    network, inputs = trained.network, stretch.inputs
    output, _, recorded = network.encoder(x, hx, return_states=True)
    states = list(recorded.values())
    # An explicit tensor for the last layer's output, whose gradient is the reference for gradients further back.
    states[0] = torch.cat([states[0][:-1], output[None]])
    chosen = list(range(len(x))) if at is None else list(at)
    picked = tuple(s[:, chosen].flatten(1, 2) for s in states)
    which = steps.reshape(len(x), -1)[chosen].flatten().numpy()
    rows, columns = stretch.rows[which], stretch.columns[which]
    ahead = inputs.ahead(rows, columns, network.at_once)
    quantiles = network.decode(picked, on_device(network, inputs.at_origins(rows, columns)), on_device(network, ahead))
    found = quantiles.permute(1, 0, 2).reshape(len(chosen), x.shape[1], -1)
    if at is None:
        return found
    return x.new_zeros(len(x), *found.shape[1:]).index_copy(0, torch.tensor(chosen, device=x.device), found)


def measure_of(trained: TrainedForecaster, stretch: Stretch, x: Tensor) -> Measure:
    """|d m_t / d x_s|, where x_s is the input of step s.

    m_t is the median of the forecast after step t, averaged over the steps that are decoded at once.
    """

    def median(quantiles: Tensor) -> Tensor:
        return quantiles.unflatten(-1, (-1, len(LEVELS)))[..., MEDIAN].mean(-1)

    def measure(steps: Tensor, hx: Any, at: Sequence[int]) -> Tensor:
        module: Callable[..., Tensor] = partial(quantiles_in_scales, trained, stretch, steps, at=at)
        return input_influence(module, x[steps, 0], hx, at=at, of=median, layer=trained.network.encoder).norms

    return measure


def losses_of(trained: TrainedForecaster, stretch: Stretch, quantiles: Tensor) -> Tensor:
    """The quantile loss of the forecast after each step, (T, 1)."""
    network = trained.network
    actual = on_device(network, stretch.inputs.outcomes(stretch.rows, stretch.columns, network.at_once).T)
    levels = torch.tensor(LEVELS, device=quantiles.device, dtype=quantiles.dtype)
    return quantile_loss(quantiles.unflatten(-1, (-1, len(LEVELS))), actual[:, None], levels, dim=-1)
