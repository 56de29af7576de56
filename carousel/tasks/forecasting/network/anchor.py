"""The anchor: a linear forecast, fitted in closed form, that the network starts from.

For each step ahead h, over origins of the training part,

    anchor_h = naive_h + w_h · x_h,    w_h = argmin Σ (y_h - naive_h - w·x_h)² + λ n |w|²

x_h: the last values, the seasonal ones, the calendar, known covariates, and 1. naive_h: the level, the last value, the
value a season ago, or that moved by the change since (as in the airline model of Box & Jenkins), or what exponential
smoothing forecasts (see `smoothing`). Without bound, λ leaves the naive forecast as it is.

Which naive forecast and which λ, one pair for all h, is found by rolling origins: what is fitted up to each of several
times is judged by the mean absolute error up to the next (Hyndman & Athanasopoulos, Forecasting: Principles and
Practice, 3rd edition, section 5.10). The errors made there are the anchor's spread. The weights are then fitted to all
origins.
"""

from dataclasses import dataclass

import numpy as np

from carousel.tasks.forecasting.network.inputs import NetworkInputs

PENALTIES = (np.inf, 10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4)  # the simplest first: it wins where nothing tells them apart
FOLDS = 8
FIRST_FOLD = 0.4  # of the origins come before the first time
MOST_ORIGINS = 20_000
FEW = 20  # errors of a step ahead: with fewer, those of all steps count
FURTHEST = 10.0  # scales: an outcome that far from the anchor is an accident, not to be learnt from


@dataclass(frozen=True)
class Choice:
    """A naive forecast (of `_naive`) and a penalty."""

    naive: int
    penalty: float


@dataclass(frozen=True)
class Anchor:
    weights: np.ndarray  # (H, origin + ahead + 1)
    quantiles: np.ndarray  # (H, levels), of the actual values minus the anchor
    choice: Choice
    loss: float  # mean absolute error over the rolling origins, in scales


class Origins:
    """The data of the regression: x (origins, width) and y (origins,) of each step ahead; y is NaN from `until` on."""

    def __init__(
        self, inputs: NetworkInputs, rows: np.ndarray, columns: np.ndarray, *, until: int, horizon: int, seed: int
    ) -> None:
        chosen = np.random.default_rng(seed).permutation(len(rows))[:MOST_ORIGINS]
        chosen = chosen[np.argsort(rows[chosen], kind="stable")]
        self.rows, columns = rows[chosen], columns[chosen]
        self.horizon = horizon
        self._origins = inputs.at_origins(self.rows, columns)
        self._ahead = inputs.ahead(self.rows, columns, horizon)
        self._actual = inputs.outcomes(self.rows, columns, horizon).astype(np.float64)
        self._actual[self.rows + np.arange(1, horizon + 1)[:, None] >= until] = np.nan
        self.naive = _naive(inputs, self._origins.shape[1] + self._ahead.shape[2] + 1)

    def of(self, h: int) -> tuple[np.ndarray, np.ndarray]:
        one = np.ones((len(self.rows), 1))
        return np.concatenate([self._origins, self._ahead[h], one], axis=1).astype(np.float64), self._actual[h]


def fit(origins: Origins, levels: np.ndarray) -> Anchor:
    """The anchor with the smallest loss in a rolling-origin validation, with the quantiles of its errors there."""
    borders = np.quantile(origins.rows, np.linspace(FIRST_FOLD, 1, FOLDS + 1), method="lower")
    judged_in = np.searchsorted(borders, origins.rows, side="left") - 1  # -1: before the first time
    losses = np.zeros((len(origins.naive), len(PENALTIES)))
    errors: list[list[np.ndarray]] = [[] for _ in range(origins.horizon)]
    for h in range(origins.horizon):
        x, y = origins.of(h)
        seen = np.isfinite(y)
        # What was seen by a border is learnt from in that fold and all later ones: sums grow from fold to fold.
        learnt_in = np.where(seen, np.searchsorted(borders, origins.rows + h + 1, side="left"), FOLDS)
        square, product, count = np.zeros((x.shape[1],) * 2), np.zeros((x.shape[1], len(origins.naive))), 0
        for fold in range(FOLDS):
            new = learnt_in == fold
            square += _square(x[new])
            product += _product(x[new], y[new], origins.naive)
            count += int(new.sum())
            judged = seen & (judged_in == fold)
            if not judged.any():
                continue
            weights = origins.naive[:, None] + _ridge(square, product, count)
            off = y[judged, None, None] - np.einsum("nw,cpw->ncp", x[judged], weights)
            losses += np.abs(off).sum(axis=0)
            errors[h].append(off)
    penalty, naive = np.unravel_index(np.argmin(losses.T), losses.T.shape)
    mine = [np.concatenate([off[:, naive, penalty] for off in folds]) if folds else np.zeros(0) for folds in errors]
    pooled = np.concatenate(mine)
    quantiles = [_spread(of if len(of) >= FEW else pooled, levels) for of in mine]
    choice = Choice(int(naive), PENALTIES[penalty])
    return Anchor(refit(origins, choice), np.array(quantiles), choice, float(losses.min() / max(1, len(pooled))))


def refit(origins: Origins, choice: Choice) -> np.ndarray:
    """The weights (H, width) of a choice that was made, fitted to all these origins."""
    which = PENALTIES.index(choice.penalty)
    weights = []
    for h in range(origins.horizon):
        x, y = origins.of(h)
        x, y = x[np.isfinite(y)], y[np.isfinite(y)]
        corrections = _ridge(_square(x), _product(x, y, origins.naive), len(y))
        weights.append(origins.naive[choice.naive] + corrections[choice.naive, which])
    return np.array(weights)


def _square(x: np.ndarray) -> np.ndarray:
    return x.T @ x


def _product(x: np.ndarray, y: np.ndarray, naive: np.ndarray) -> np.ndarray:
    """xᵀ e, (width, candidates). e: the errors of each candidate naive forecast, clipped to ±FURTHEST."""
    return x.T @ (y[:, None] - x @ naive.T).clip(-FURTHEST, FURTHEST)


def _ridge(square: np.ndarray, product: np.ndarray, count: int) -> np.ndarray:
    """The corrections (candidates, penalties, width) of the naive forecasts, from sums over `count` origins."""
    values, vectors = np.linalg.eigh(square / max(1, count))
    projected = vectors.T @ product / max(1, count)
    return np.stack([(vectors @ (projected / (values.clip(0) + p)[:, None])).T for p in PENALTIES], axis=1)


def _naive(inputs: NetworkInputs, width: int) -> np.ndarray:
    """Weights that make naive forecasts, the last value first: (candidates, width)."""
    reading = inputs.reading
    rows = [np.eye(width)[0], np.zeros(width)]
    for k in range(len(reading.recipe.seasons)):
        before_then = reading.origin_width + 2 * k
        before_now = reading.recipe.lags + 1 + k
        rows.append(np.eye(width)[before_then])
        rows.append(np.eye(width)[before_then] + np.eye(width)[0] - np.eye(width)[before_now])
    if reading.recipe.smoothing:
        rows.append(np.eye(width)[reading.origin_width + 2 * len(reading.recipe.seasons)])
    return np.array(rows)


def _spread(errors: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Quantiles of errors. Where there are few, those of a symmetric distribution: an error and its negative are taken
    to be equally likely."""
    if not len(errors):
        return levels - 0.5
    if len(errors) >= 5 * FEW:
        return np.quantile(errors, levels)
    return np.sign(levels - 0.5) * np.quantile(np.abs(errors), np.abs(2 * levels - 1))
