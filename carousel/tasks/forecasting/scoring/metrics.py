"""How good forecasts are: MASE, RMSE, MAE, WQL and coverage.

    MAE    mean |y - f|, f the median
    RMSE   √ mean (y - f)²
    MASE   mean of |y - f| / s, s the mean absolute error of the seasonal naive forecast one season ahead, in the
           training part of the same series (season 1: of the last value)
    WQL    mean over p = 0.1, ..., 0.9 of 2 Σ max(p (y - q_p), (p - 1)(y - q_p)) / Σ |y|
    coverage   the part of y between the ends of an interval

Sources: Hyndman & Koehler (International Journal of Forecasting 22, 2006); WQL as in Amazon Forecast and GluonTS.
"""

from dataclasses import asdict, dataclass

import numpy as np

LEVELS = (0.025, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.975)
MEDIAN = LEVELS.index(0.5)
INTERVALS = {80: (LEVELS.index(0.1), LEVELS.index(0.9)), 95: (LEVELS.index(0.025), LEVELS.index(0.975))}  # per cent
DECILES = [k for k, level in enumerate(LEVELS) if 0.1 <= level <= 0.9]


@dataclass(frozen=True)
class Scores:
    """Each is NaN where it cannot be computed, as MASE of constant series and of series that training did not have.
    WQL, coverage and widths are averaged only over forecasts with quantiles."""

    mase: float
    rmse: float
    mae: float
    wql: float
    coverage_80: float
    coverage_95: float
    width_80: float  # mean width of the interval
    width_95: float

    def to_json(self) -> dict[str, float | None]:
        return {name: value if np.isfinite(value) else None for name, value in asdict(self).items()}


def score(quantiles: np.ndarray, actual: np.ndarray, unit: np.ndarray) -> Scores:
    """quantiles: (horizon, origins, levels); actual: (horizon, origins), NaN where no value was observed; unit:
    (origins,), s of MASE."""
    seen = np.isfinite(actual) & np.isfinite(quantiles[..., MEDIAN])
    if not seen.any():
        return Scores(*[np.nan] * 8)
    y, q = actual[seen], quantiles[seen]
    error = y - q[:, MEDIAN]
    scale = np.broadcast_to(unit, actual.shape)[seen]
    moving = np.isfinite(scale) & (scale > 0)
    whole = np.isfinite(q).all(axis=1)
    mase = float((np.abs(error[moving]) / scale[moving]).mean()) if moving.any() else np.nan
    rmse, mae = float(np.sqrt((error**2).mean())), float(np.abs(error).mean())
    if not whole.any():
        return Scores(mase, rmse, mae, *[np.nan] * 5)
    y, q = y[whole], q[whole]
    losses = pinball(y[:, None] - q[:, DECILES], np.array(LEVELS)[DECILES]).sum(axis=0)
    total = np.abs(y).sum()
    inside = {name: (y >= q[:, low]) & (y <= q[:, high]) for name, (low, high) in INTERVALS.items()}
    wide = {name: q[:, high] - q[:, low] for name, (low, high) in INTERVALS.items()}
    return Scores(
        mase=mase,
        rmse=rmse,
        mae=mae,
        wql=float((2 * losses / total).mean()) if total > 0 else np.nan,
        coverage_80=float(inside[80].mean()),
        coverage_95=float(inside[95].mean()),
        width_80=float(wide[80].mean()),
        width_95=float(wide[95].mean()),
    )


def pinball(error: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """max(p e, (p - 1) e) of errors e = y - q_p, (..., levels): it is least on average where q_p is the quantile."""
    return np.maximum(levels * error, (levels - 1) * error)


def mean_quantile_loss(quantiles: np.ndarray, actual: np.ndarray) -> float:
    """Twice the mean pinball loss of quantiles (..., levels) over the actual values (...) that are no NaN; 0 without
    any. The same as `carousel.models.quantile_forecaster.quantile_loss`, of arrays."""
    seen = np.isfinite(actual)
    error = actual[seen][:, None] - quantiles[seen]
    return float(2 * pinball(error, np.array(LEVELS)).mean()) if seen.any() else 0.0


def naive_error(values: np.ndarray, season: int) -> np.ndarray:
    """MASE's s of each column of (T, N) values; NaN where there are no two values to compare."""
    if len(values) <= season:
        season = 1
    change = np.abs(values[season:] - values[:-season])
    seen = np.isfinite(change)
    sums, counts = np.where(seen, change, 0).sum(axis=0), seen.sum(axis=0)
    return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
