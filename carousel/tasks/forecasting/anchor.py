"""The anchor: a linear forecast, fitted in closed form, that the network starts from.

For each step ahead h, over origins of the training part,

    anchor_h = naive_h + w_h · x_h,    w_h = argmin Σ (came - naive_h - w·x_h)² + λ n |w|²

x_h: the last values, the seasonal ones, the calendar, known covariates, and 1, whose weight is free. naive_h: the best
of the level, the last value, the value a season ago, and that moved by the change since (as in the airline model of Box
& Jenkins). λ, one for all h, is what does best on the last fifth of the origins; without bound, it leaves the naive
forecast and its mean error.
"""

from dataclasses import dataclass

import numpy as np

from carousel.tasks.forecasting.inputs import Inputs

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, np.inf)
MOST_ORIGINS = 20_000
FEW = 20  # errors of a step ahead: with fewer, those of all steps count
FURTHEST = 10.0  # scales: an outcome that far from the anchor is an accident, not to be learnt from


@dataclass(frozen=True)
class Anchor:
    weights: np.ndarray  # (H, origin + ahead + 1)
    quantiles: np.ndarray  # (H, levels), of what came less the anchor
    penalty: float


def fit(
    inputs: Inputs, rows: np.ndarray, columns: np.ndarray, *, until: int, horizon: int, levels: np.ndarray, seed: int
) -> Anchor:
    """From origins (rows of time, columns of values), and what came before row `until`."""
    chosen = np.random.default_rng(seed).permutation(len(rows))[:MOST_ORIGINS]
    chosen = chosen[np.argsort(rows[chosen], kind="stable")]
    rows, columns = rows[chosen], columns[chosen]
    origins, ahead = inputs.at_origins(rows, columns), inputs.ahead(rows, columns, horizon)
    came = inputs.outcomes(rows, columns, horizon)
    came[rows + np.arange(1, horizon + 1)[:, None] >= until] = np.nan
    width = origins.shape[1] + ahead.shape[2] + 1
    # What began before the last fifth and ends in it belongs to neither part.
    border = rows[int(0.8 * (len(rows) - 1))] if len(rows) else 0
    late = np.broadcast_to(rows > border, came.shape)
    early = rows + np.arange(1, horizon + 1)[:, None] <= border
    candidates = _naive(inputs, width)
    weights = np.zeros((len(PENALTIES), horizon, width))
    final = np.zeros((len(PENALTIES), horizon, width))
    errors: list[list[np.ndarray]] = [[] for _ in PENALTIES]
    for h in range(horizon):
        x = np.concatenate([origins, ahead[h], np.ones((len(rows), 1))], axis=1).astype(np.float64)
        y = came[h].astype(np.float64)
        seen = np.isfinite(y)
        first, last = seen & early[h], seen & late[h]
        for fitted, part in ((weights, first), (final, seen)):
            naive = _best(candidates, x[part], y[part])
            for k, correction in enumerate(_ridge(x[part], (y - x @ naive)[part])):
                fitted[k, h] = naive + correction
        for k in range(len(PENALTIES)):
            errors[k].append((y - x @ weights[k, h])[last if last.sum() >= 8 else seen])
    losses = [np.abs(np.concatenate(of)).mean() if sum(map(len, of)) else 0.0 for of in errors]
    best = int(np.argmin(losses))
    pooled = np.concatenate(errors[best]) if errors[best] else np.zeros(1)
    quantiles = [_spread(of if len(of) >= FEW else pooled, levels) for of in errors[best]]
    return Anchor(final[best], np.array(quantiles), PENALTIES[best])


def _spread(errors: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Quantiles of errors; of few, as if they were as likely the other way round."""
    if not len(errors):
        return levels - 0.5
    if len(errors) >= 5 * FEW:
        return np.quantile(errors, levels)
    return np.sign(levels - 0.5) * np.quantile(np.abs(errors), np.abs(2 * levels - 1))


def _naive(inputs: Inputs, width: int) -> np.ndarray:
    """Weights that make naive forecasts: (candidates, width)."""
    reading = inputs.reading
    rows = [np.zeros(width), np.eye(width)[0]]
    for k in range(len(reading.recipe.seasons)):
        before_then = reading.origin_width + 2 * k
        before_now = reading.recipe.lags + 1 + k
        rows.append(np.eye(width)[before_then])
        rows.append(np.eye(width)[before_then] + np.eye(width)[0] - np.eye(width)[before_now])
    return np.array(rows)


def _best(candidates: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The candidate whose errors spread least around their mean."""
    if not len(y):
        return candidates[1]
    errors = y[:, None] - x @ candidates.T
    return candidates[np.abs(errors - errors.mean(axis=0)).mean(axis=0).argmin()]


def _ridge(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """The solutions for each of the penalties; the last column of x is 1, and its weight goes free."""
    if not len(y):
        return [np.zeros(x.shape[1])] * len(PENALTIES)
    mean, level = x[:, :-1].mean(axis=0), float(y.mean())
    centred = x[:, :-1] - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(y))
    projected = vectors.T @ (centred.T @ (y - level).clip(-FURTHEST, FURTHEST) / len(y))
    solutions = []
    for penalty in PENALTIES:
        w = vectors @ (projected / (values.clip(0) + penalty))
        solutions.append(np.append(w, level - mean @ w))
    return solutions
