"""Intervals that hold what they promise: conformalised quantile regression.

On held-out time, for the interval [lo, hi] around the median m that the network tells at step h,

    E = max(lo - y, y - hi) / w,  w = (hi - lo) / 2         how far outside y was, in halves of the interval
    r_h = the ⌈(n + 1)(1 - α)⌉-th smallest E of step h

and the interval becomes [lo - r_h w, hi + r_h w], without passing m. Were the held-out errors and those to come
exchangeable, it would hold y with a probability of at least 1 - α. Time is not exchangeable: `backtest` says what was
held. Where a step has few errors, those of the steps next to it count as well.

Source: Romano, Patterson & Candès, Conformalized Quantile Regression (NeurIPS 2019), with errors relative to the
interval, as in their section 5 on Izbicki et al.'s and Sesia & Candès' variants.
"""

from collections.abc import Sequence

import numpy as np

from carousel.tasks.forecasting.metrics import LEVELS, MEDIAN

PAIRS = [(k, len(LEVELS) - 1 - k) for k in range(MEDIAN)]  # outermost first
ENOUGH = 4.0  # errors for each that may fall outside


def corrections(told: np.ndarray, came: np.ndarray) -> np.ndarray:
    """(pairs, horizon): r_h of each interval, from told (horizon, origins, levels) and came (horizon, origins)."""
    horizon = len(told)
    found = np.zeros((len(PAIRS), horizon))
    middle = told[..., MEDIAN]
    seen = np.isfinite(came) & np.isfinite(middle)
    for pair, (low, high) in enumerate(PAIRS):
        alpha = 2 * LEVELS[low]
        with np.errstate(invalid="ignore", divide="ignore"):
            outside = np.maximum(told[..., low] - came, came - told[..., high])
            errors = np.where(seen, outside / _half(told, low, high), np.nan)
        for h in range(horizon):
            found[pair, h] = _quantile(_neighbours(errors, h, int(np.ceil(ENOUGH / alpha))), alpha)
    return found


def corrected(told: np.ndarray, correction: np.ndarray) -> np.ndarray:
    """The same quantiles with their intervals corrected; beyond the steps that were, by the last step's correction.

    An inner interval stays within an outer one.
    """
    steps = np.minimum(np.arange(len(told)), correction.shape[1] - 1)
    middle = told[..., MEDIAN]
    out = told.copy()
    down = up = np.zeros_like(middle)
    for pair, (low, high) in reversed(list(enumerate(PAIRS))):
        moved = correction[pair, steps][:, None] * _half(told, low, high)
        down = np.maximum(down, middle - told[..., low] + moved)
        up = np.maximum(up, told[..., high] - middle + moved)
        out[..., low], out[..., high] = middle - down, middle + up
    return out


def crossed(told: np.ndarray, came: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Each half of the held-out origins corrected by the other half's errors, so that none is judged by itself."""
    early = rows <= np.median(rows)
    if early.all() or not early.any():
        return told
    out = np.empty_like(told)
    for half in (early, ~early):
        out[:, half] = corrected(told[:, half], corrections(told[:, ~half], came[:, ~half]))
    return out


def _half(told: np.ndarray, low: int, high: int) -> np.ndarray:
    return (told[..., high] - told[..., low]) / 2


def _neighbours(errors: np.ndarray, h: int, enough: int) -> np.ndarray:
    for reach in range(len(errors)):
        near = errors[max(0, h - reach) : h + reach + 1]
        near = near[np.isfinite(near)]
        if len(near) >= enough:
            return near
    return errors[np.isfinite(errors)]


def _quantile(errors: np.ndarray, alpha: float) -> float:
    """The finite-sample quantile; the largest error where there are too few; 0 without any."""
    if not len(errors):
        return 0.0
    rank = min(len(errors), int(np.ceil((len(errors) + 1) * (1 - alpha))))
    return float(np.sort(errors)[rank - 1])


def to_json(correction: np.ndarray) -> list[list[float]]:
    return [[round(float(r), 6) for r in row] for row in correction]


def from_json(saved: Sequence[Sequence[float]]) -> np.ndarray:
    return np.array(saved, dtype=np.float64)
