"""Forecasts of a trained network: quantiles from any origins, any number of steps ahead."""

from collections.abc import Sequence

import numpy as np
import torch

from carousel.models.quantile_forecaster import QuantileForecaster, States
from carousel.tasks.forecasting.network.inputs import NetworkInputs, ahead_signals, origin_signals, step_signals
from carousel.tasks.forecasting.network.signals import LEVEL, SCALE, Tail
from carousel.tasks.forecasting.scoring import conformal
from carousel.tasks.forecasting.scoring.metrics import LEVELS
from carousel.training.progress import Progress, silent

PATHS = 100  # sample paths of each origin, where forecasts are fed back
STEPS, COLUMNS, ORIGINS = 1024, 256, 4096  # at once


def network_inputs(
    network: QuantileForecaster, inputs: NetworkInputs, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """The inputs of the scan over the history, (..., step). For an autoregressive network they include the features
    of the next step."""
    steps = inputs.at_steps(rows, columns)
    if network.autoregressive:
        steps = np.concatenate([steps, inputs.ahead(rows, columns, 1)[0]], axis=-1)
    return steps


@torch.inference_mode()
def states_at(network: QuantileForecaster, inputs: NetworkInputs, rows: np.ndarray, columns: np.ndarray) -> States:
    """The states after these steps of these columns, each (layers, origins, hidden). The scan begins at the
    column's first value."""
    order = np.unique(columns)
    found: list[list[torch.Tensor]] = []
    indices: list[np.ndarray] = []
    last = int(rows.max(initial=0))
    for some in np.array_split(order, max(1, -(-len(order) // COLUMNS))):
        state: States | None = None
        wanted = np.flatnonzero(np.isin(columns, some))
        begin = int(min(inputs.panel.begin[some].min(), rows[wanted].min()))  # a column without a value never begins
        for start in range(begin, last + 1, STEPS):
            at = np.arange(start, min(start + STEPS, last + 1))[:, None]
            began = at >= inputs.panel.begin[some]
            x = network_inputs(network, inputs, np.broadcast_to(at, began.shape), some)
            mask = None if began.all() else on_device(network, began)
            states = network.encode(on_device(network, x), mask, state)
            state = tuple(s[:, -1] for s in states)
            here = wanted[(rows[wanted] >= start) & (rows[wanted] < start + STEPS)]
            if len(here):
                lane = np.searchsorted(some, columns[here])
                found.append([s[:, rows[here] - start, lane] for s in states])
                indices.append(here)
    back = torch.from_numpy(np.argsort(np.concatenate(indices), kind="stable"))
    return tuple(torch.cat(parts, dim=1)[:, back] for parts in zip(*found, strict=True))


@torch.inference_mode()
def quantiles_at(
    network: QuantileForecaster,
    inputs: NetworkInputs,
    rows: np.ndarray,
    columns: np.ndarray,
    horizon: int,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> np.ndarray:
    """Quantiles (horizon, origins, levels) after these origins, in scales from their levels; float64. `progress` is
    called for the steps that are fed back, which take long."""
    was_training = network.training
    network.eval()
    states = states_at(network, inputs, rows, columns)
    quantiles = []
    at_a_time = ORIGINS if horizon <= network.at_once else max(1, ORIGINS // PATHS)
    for start in range(0, len(rows), at_a_time):
        some = slice(start, start + at_a_time)

        def heard(steps: int, _: int, before: int = start * horizon, origins: int = len(rows[some])) -> None:
            progress(before + steps * origins, len(rows) * horizon)

        mine = tuple(s[:, some] for s in states)
        quantiles.append(quantiles_after(network, inputs, mine, rows[some], columns[some], horizon, seed, heard))
    network.train(was_training)
    return np.concatenate(quantiles, axis=1)


def quantiles_after(
    network: QuantileForecaster,
    inputs: NetworkInputs,
    state: States,
    rows: np.ndarray,
    columns: np.ndarray,
    horizon: int,
    seed: int,
    progress: Progress = silent,
) -> np.ndarray:
    first = min(horizon, network.at_once)
    quantiles = decode(network, state, inputs.at_origins(rows, columns), inputs.ahead(rows, columns, first))
    if horizon == first:
        return quantiles
    return np.concatenate(
        [quantiles, _fed_back(network, inputs, state, rows, columns, quantiles, horizon, seed, progress)]
    )


@torch.inference_mode()
def decode(network: QuantileForecaster, state: States, origins: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    return network.decode(state, on_device(network, origins), on_device(network, ahead)).double().cpu().numpy()


def on_device(network: QuantileForecaster, array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(network.anchor.device)


def _fed_back(
    network: QuantileForecaster,
    inputs: NetworkInputs,
    state: States,
    rows: np.ndarray,
    columns: np.ndarray,
    quantiles: np.ndarray,
    horizon: int,
    seed: int,
    progress: Progress,
) -> np.ndarray:
    """Forecasts beyond the steps decoded at once, (further steps, origins, levels). From each origin PATHS sample paths
    are drawn, each block of steps at one probability level, and fed back as if observed; the forecasts that follow are
    averaged over the paths.

    The same seed draws the same paths, whichever other origins there are.
    """
    rng = np.random.default_rng(seed)
    origins, recipe = len(rows), inputs.recipe
    scale = inputs.look(rows, columns)(0)
    level, scale = scale[:, LEVEL], scale[:, SCALE]
    rows, columns = np.repeat(rows, PATHS), np.repeat(columns, PATHS)
    state = tuple(s.repeat_interleave(PATHS, dim=1) for s in state)
    origin_rows, tail = rows, inputs.tail(rows, columns)
    block = np.repeat(quantiles, PATHS, axis=1)
    mixed: list[np.ndarray] = []
    while len(quantiles) + len(mixed) < horizon:
        # Strata: the paths of an origin stand for equal parts of the probability. One draw serves all origins.
        probability = np.tile((rng.permutation(PATHS) + rng.random(PATHS)) / PATHS, origins)
        now = tail.look(0)
        values = now[:, LEVEL] + now[:, SCALE] * drawn(block, probability)
        steps = []
        for value in values:
            tail.step(value)
            rows = rows + 1
            own = step_signals(tail.look, recipe)
            steps.append(_later_inputs(network, inputs, own, tail, rows, columns, origin_rows))
        states = network.encode(on_device(network, np.stack(steps)), None, state)
        state = tuple(s[:, -1] for s in states)
        count = min(network.at_once, horizon - len(quantiles) - len(mixed))
        ahead = np.stack([ahead_signals(tail.look, recipe, h) for h in range(1, count + 1)])
        block = decode(
            network,
            state,
            origin_signals(tail.look, recipe).astype(np.float32),
            inputs.with_known(ahead, rows, columns),
        )
        now = tail.look(0)
        absolute = now[:, LEVEL, None] + now[:, SCALE, None] * block
        shared = (absolute.reshape(count, origins, PATHS, -1) - level[:, None, None]) / np.where(scale > 0, scale, 1)[
            :, None, None
        ]
        mixed += list(mixture(shared))
        progress(len(quantiles) + len(mixed), horizon)
    return np.stack(mixed)


def _later_inputs(
    network: QuantileForecaster,
    inputs: NetworkInputs,
    own: np.ndarray,
    tail: Tail,
    rows: np.ndarray,
    columns: np.ndarray,
    origin_rows: np.ndarray,
) -> np.ndarray:
    """The inputs of a step after the origin: past covariates keep their values at the origin."""
    steps = inputs.with_covariates(own, rows, columns, origin_rows)
    if network.autoregressive:
        ahead = ahead_signals(tail.look, inputs.recipe, 1)
        steps = np.concatenate([steps, inputs.with_known(ahead[None], rows, columns)[0]], axis=-1)
    return steps


def drawn(quantiles: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """The quantile at a probability, (steps, rows), of quantiles (steps, rows, levels): linear between the levels, and
    beyond the outermost levels continued with the same slope up to 0 and 1."""
    levels = np.array(LEVELS)
    above = np.clip(np.searchsorted(levels, probability), 1, len(levels) - 1)
    part = (probability - levels[above - 1]) / (levels[above] - levels[above - 1])
    lower = np.take_along_axis(quantiles, (above - 1)[None, :, None], axis=2)[..., 0]
    upper = np.take_along_axis(quantiles, above[None, :, None], axis=2)[..., 0]
    return lower + part * (upper - lower)


def mixture(quantiles: np.ndarray, levels: Sequence[float] = LEVELS) -> np.ndarray:
    """Quantiles (..., levels) of the mixture of equally likely (..., paths, levels): each quantile has the weight of
    the probability around its level."""
    edges = np.concatenate([[0.0], (np.array(levels)[1:] + np.array(levels)[:-1]) / 2, [1.0]])
    weights = np.broadcast_to(np.diff(edges) / quantiles.shape[-2], quantiles.shape).reshape(*quantiles.shape[:-2], -1)
    values = quantiles.reshape(*quantiles.shape[:-2], -1)
    order = values.argsort(axis=-1, kind="stable")
    values = np.take_along_axis(values, order, axis=-1)
    summed = np.take_along_axis(weights, order, axis=-1).cumsum(axis=-1)
    centres = summed - np.take_along_axis(weights, order, axis=-1) / 2
    out = np.empty((*values.shape[:-1], len(levels)))
    for index in np.ndindex(values.shape[:-1]):
        out[index] = np.interp(levels, centres[index], values[index])
    return out


def absolute(inputs: NetworkInputs, quantiles: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Quantiles in scales from the levels, (..., origins, levels), in the units of the data. A series that has been
    constant is forecast as constant; one without a value is NaN."""
    now = inputs.look(rows, columns)(0)
    values = now[:, LEVEL, None] + np.where(now[:, SCALE, None] > 0, now[:, SCALE, None] * quantiles, 0.0)
    return inputs.reading.transform.backward(values, columns, axis=1)


def actual_after(inputs: NetworkInputs, rows: np.ndarray, columns: np.ndarray, horizon: int) -> np.ndarray:
    """The actual values after these origins, (horizon, origins), in the units of the data; NaN where no value was
    observed, and for a series that had been constant."""
    actual = inputs.outcomes(rows, columns, horizon)
    return np.where(np.isfinite(actual), absolute(inputs, actual[..., None], rows, columns)[..., 0], np.nan)


def corrected(inputs: NetworkInputs, quantiles: np.ndarray, r: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Quantiles (horizon, origins, levels), in the units of the data, with intervals corrected by r, and none below 0
    for series that are never negative."""
    return floored(inputs, conformal.corrected(quantiles, r), columns)


def floored(inputs: NetworkInputs, quantiles: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.where(inputs.floored[columns][:, None], np.maximum(quantiles, 0.0), quantiles)
