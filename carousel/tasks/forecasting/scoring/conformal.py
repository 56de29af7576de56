"""Intervals with the promised coverage: conformalised quantile regression, updated as observations arrive.

On held-out time, for the interval [lo, hi] around the median m that the network forecasts at step h, in the units of
the data (so that what is learnt as a logarithm is corrected by a sum, and not by powers),

    E = max(lo - y, y - hi) / w,  w = (hi - lo) / 2         how far outside y was, in halves of the interval
    r_h = the quantile (n' + 1)(1 - α) / n' of the n errors E of step h,  n' = 2 n / H

and the interval becomes [lo - r_h w, hi + r_h w], without passing m. Were the held-out errors and those to come
exchangeable, it would hold y with a probability of at least 1 - α. H, the horizon, is how many forecasts in a row have
steps in common, so that n of them tell as much as fewer would that stand apart: two of each H (and the 0.3 below) did
best at cuts within the training parts of the benchmark's sets. Where a step has few errors, those of the steps next to
it count as well.

Time is not exchangeable. So each forecast made after training updates r as soon as all its steps have been observed:

    r_h ← r_h + g_h (1 if E > the r_h it was corrected by, else -α)      g_h = 0.3 / H mean |E + 1| on the held-out time

so that r rises with each y outside and sinks a little with each inside, until they are as rare as promised. Whatever
comes, the part outside tends to α: after T forecasts judged, whose |E| and first r are within b, it differs by at most
(2 b / g_h + H) / T, as r cannot leave ± (b + g_h H): what was corrected by an r beyond b moves it back within H steps.

Sources: Romano, Patterson & Candès, Conformalized Quantile Regression (NeurIPS 2019), with errors relative to the
interval, as in their section 5 on Izbicki et al.'s and Sesia & Candès' variants; Angelopoulos, Candès & Tibshirani,
Conformal PID Control for Time Series Prediction (NeurIPS 2023), quantile tracking, after Gibbs & Candès, Adaptive
Conformal Inference Under Distribution Shift (NeurIPS 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from carousel.tasks.forecasting.scoring.metrics import LEVELS, MEDIAN

PAIRS = [(k, len(LEVELS) - 1 - k) for k in range(MEDIAN)]  # outermost first
ALPHAS = np.array([2 * LEVELS[low] for low, _ in PAIRS])  # the part that may lie outside
ENOUGH = 4.0  # errors for each that may fall outside
APART = 2  # of a horizon's forecasts: as many as stand apart
BETWEEN, LEAST = 0.1, 0.01  # of what is told between two ends, stretched as the interval is: so much stays at least
GAIN = 0.3  # of the size of errors: how far those of a horizon's forecasts, all outside, move r


@dataclass(frozen=True)
class Correction:
    """The correction of a network's intervals: r of each interval and step ahead, (pairs, horizon), and how far one
    error moves it."""

    r: np.ndarray
    gain: np.ndarray

    @classmethod
    def fit(cls, quantiles: np.ndarray, actual: np.ndarray) -> Correction:
        """The correction fitted to quantiles (horizon, origins, levels) and actual values (horizon, origins) of
        held-out time."""
        sizes = np.abs(errors(quantiles, actual) + 1)
        seen = np.isfinite(sizes)
        overall = np.where(seen, sizes, 0).sum(axis=(1, 2)) / np.maximum(1, seen.sum(axis=(1, 2)))
        counts = seen.sum(axis=2)
        own = np.where(seen, sizes, 0).sum(axis=2) / np.maximum(1, counts)
        return cls(
            corrections(quantiles, actual), GAIN / len(quantiles) * np.where(counts >= ENOUGH, own, overall[:, None])
        )

    def moved(self, r: np.ndarray, used: np.ndarray, found: np.ndarray) -> np.ndarray:
        """r (pairs, horizon, series) after these errors of forecasts that were corrected by `used`; nan: not seen."""
        step = self.gain[..., None] * ((found > used) - ALPHAS[:, None, None])
        return r + np.where(np.isfinite(found), step, 0.0)

    def to_json(self) -> dict[str, Any]:
        return {name: np.round(getattr(self, name), 6).tolist() for name in ("r", "gain")}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Correction:
        """Raises ValueError, KeyError or TypeError for what `to_json` has not written."""
        r, gain = (np.array(saved[name], dtype=np.float64) for name in ("r", "gain"))
        if r.shape != gain.shape or r.ndim != 2 or len(r) != len(PAIRS) or not np.isfinite([r, gain]).all():
            raise ValueError("a correction is a finite number for each interval and step ahead")
        return cls(r, gain)


def errors(quantiles: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """E of each interval, (pairs, horizon, origins); NaN where no value was observed."""
    seen = np.isfinite(actual) & np.isfinite(quantiles[..., MEDIAN])
    found = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for low, high in PAIRS:
            outside = np.maximum(quantiles[..., low] - actual, actual - quantiles[..., high])
            found.append(np.where(seen, outside / _half(quantiles, low, high), np.nan))
    return np.stack(found)


def corrections(quantiles: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """The correction r_h of each interval at each step ahead, (pairs, horizon).

    quantiles: (horizon, origins, levels). actual: (horizon, origins), NaN where there is no value.
    """
    horizon = len(quantiles)
    found = np.zeros((len(PAIRS), horizon))
    for pair, (alpha, mine) in enumerate(zip(ALPHAS, errors(quantiles, actual), strict=True)):
        for h in range(horizon):
            found[pair, h] = _quantile(_neighbours(mine, h, int(np.ceil(ENOUGH / alpha))), alpha, horizon)
    return found


def corrected(quantiles: np.ndarray, r: np.ndarray) -> np.ndarray:
    """The same quantiles with their intervals corrected by r, (pairs, horizon) or (pairs, horizon, origins); beyond the
    steps that it has, by that of the last.

    An inner interval stays within an outer one, and no two ends meet: where the corrections would have them so (too few
    errors tell the intervals apart, or all lie deep inside them), a part of the
    distance between the quantiles of the network stays.
    """
    steps = np.minimum(np.arange(len(quantiles)), r.shape[1] - 1)
    r = r if r.ndim == 3 else r[..., None]
    middle = quantiles[..., MEDIAN]
    out = quantiles.copy()
    down = up = np.zeros_like(middle)
    for pair, (low, high) in reversed(list(enumerate(PAIRS))):
        moved = r[pair, steps] * _half(quantiles, low, high)
        apart = BETWEEN * np.maximum(1 + r[pair, steps], LEAST)
        down = np.maximum(
            down + apart * (quantiles[..., low + 1] - quantiles[..., low]), middle - quantiles[..., low] + moved
        )
        up = np.maximum(
            up + apart * (quantiles[..., high] - quantiles[..., high - 1]), quantiles[..., high] - middle + moved
        )
        out[..., low], out[..., high] = middle - down, middle + up
    return out


def crossed(quantiles: np.ndarray, actual: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Quantiles whose intervals in each half of the held-out time are corrected by the actual values of the other half,
    so that no value judges an interval that it has corrected. Forecasts from origins near the middle have steps in
    both halves."""
    later = rows + np.arange(1, len(quantiles) + 1)[:, None]
    seen = np.isfinite(actual)
    early = later <= np.median(later[seen]) if seen.any() else np.ones(later.shape, bool)
    if not (seen & ~early).any():
        return quantiles
    by_late, by_early = (
        corrected(quantiles, corrections(quantiles, np.where(half, actual, np.nan))) for half in (~early, early)
    )
    return np.where(early[..., None], by_late, by_early)


def _half(quantiles: np.ndarray, low: int, high: int) -> np.ndarray:
    return (quantiles[..., high] - quantiles[..., low]) / 2


def _neighbours(of: np.ndarray, h: int, enough: int) -> np.ndarray:
    for reach in range(len(of)):
        near = of[max(0, h - reach) : h + reach + 1]
        near = near[np.isfinite(near)]
        if len(near) >= enough:
            return near
    return of[np.isfinite(of)]


def _quantile(of: np.ndarray, alpha: float, horizon: int) -> float:
    """The finite-sample quantile; the largest error where there are too few; 0 without any."""
    if not len(of):
        return 0.0
    apart = max(1.0, min(len(of), APART * len(of) / horizon))
    rank = min(len(of), int(np.ceil(len(of) * (apart + 1) * (1 - alpha) / apart)))
    return float(np.sort(of)[rank - 1])
