"""Missing values, filled with earlier ones."""

import numpy as np


def forward_filled(values: np.ndarray, *, season: int = 1) -> np.ndarray:
    """A copy of values (T, ...) in which each NaN at step t has the latest value at t - m, t - 2m, ..., m = `season`.

    A NaN without such a value stays."""
    steps = -(-len(values) // season) * season
    padded = np.full((steps, *values.shape[1:]), np.nan, values.dtype)
    padded[: len(values)] = values
    phases = padded.reshape(-1, season, *values.shape[1:])
    cycles = np.arange(len(phases)).reshape(-1, *[1] * values.ndim)
    latest = np.maximum.accumulate(np.where(np.isnan(phases), 0, cycles), axis=0)
    return np.take_along_axis(phases, latest, 0).reshape(padded.shape)[: len(values)]
