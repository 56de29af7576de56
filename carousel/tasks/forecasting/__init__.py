"""Forecasting: what comes next in series of numbers, with intervals."""

from typing import TYPE_CHECKING

from carousel.lazy import importer
from carousel.tasks.forecasting.settings import Settings

if TYPE_CHECKING:
    from carousel.tasks.forecasting.answers.backtesting import Backtest
    from carousel.tasks.forecasting.forecaster import Forecaster

__all__ = ["Backtest", "Forecaster", "Settings"]

__getattr__ = importer(
    __name__,
    {
        "Backtest": "carousel.tasks.forecasting.answers.backtesting",
        "Forecaster": "carousel.tasks.forecasting.forecaster",
    },
)
