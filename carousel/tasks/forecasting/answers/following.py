"""Corrects the intervals of forecasts made after training, by the errors that were known at the time.

`Correction` says how one error moves r. Here the forecasts from every step since training ended are made again, series
by series, and their errors move r in the order in which they became known: the forecast from origin t is judged when
step t + horizon has been observed. A stream does the same as its observations arrive.
"""

from collections import deque
from collections.abc import Iterator

import numpy as np

from carousel.tasks.forecasting.network.inputs import NetworkInputs
from carousel.tasks.forecasting.network.predicting import absolute, actual_after, quantiles_at
from carousel.tasks.forecasting.network.trained import TrainedForecaster
from carousel.tasks.forecasting.scoring import conformal

AT_ONCE = 20_000  # forecasts


def corrections_at(
    trained: TrainedForecaster, inputs: NetworkInputs, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """r of each interval, step and origin, (pairs, horizon, origins), moved by the values observed up to each origin.

    For a network that forecasts by sample paths, r stays as training left it: making its forecasts again at every
    step would take too long.
    """
    correction = trained.calibrated()
    r = np.repeat(correction.r[..., None], len(rows), axis=2)
    if trained.network.autoregressive:
        return r
    first, wait = max(0, trained.split.end - 1 - inputs.panel.first), trained.horizon
    moved = np.flatnonzero(rows - wait >= first)
    if not len(moved):
        return r
    last = int(rows[moved].max())
    lanes = np.unique(columns[moved])
    for some in np.array_split(lanes, min(len(lanes), -(-len(lanes) * (last + 1 - first) // AT_ONCE))):
        now = np.repeat(correction.r[..., None], len(some), axis=2)
        used: deque[np.ndarray] = deque()
        judged = _errors(trained, inputs, some, first, last + 1 - wait)
        mine = moved[np.isin(columns[moved], some)]
        mine = mine[np.argsort(rows[mine], kind="stable")]
        ends = np.searchsorted(rows[mine], np.arange(first, last + 2))
        for row in range(first, last + 1):
            if row - wait >= first:
                now = correction.moved(now, used.popleft(), next(judged))
            used.append(now)
            here = mine[ends[row - first] : ends[row - first + 1]]
            r[..., here] = now[..., np.searchsorted(some, columns[here])]
    return r


def _errors(
    trained: TrainedForecaster, inputs: NetworkInputs, some: np.ndarray, first: int, last: int
) -> Iterator[np.ndarray]:
    """E (pairs, horizon, columns) of the forecasts from each row of time before `last`; nan before a column begins."""
    at_a_time = max(1, AT_ONCE // len(some))
    for start in range(first, last, at_a_time):
        rows = np.repeat(np.arange(start, min(start + at_a_time, last)), len(some))
        columns = np.tile(some, len(rows) // len(some))
        begun = rows >= inputs.panel.begin[columns]
        found = np.full((len(conformal.PAIRS), trained.horizon, len(rows)), np.nan)
        if begun.any():
            of = rows[begun], columns[begun]
            quantiles = absolute(inputs, quantiles_at(trained.network, inputs, *of, trained.horizon), *of)
            found[..., begun] = conformal.errors(quantiles, actual_after(inputs, *of, trained.horizon))
        yield from found.reshape(*found.shape[:2], -1, len(some)).transpose(2, 0, 1, 3)
