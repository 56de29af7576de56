"""Forecasting: what comes next in series of numbers, with how sure that is."""

from carousel.tasks.forecasting.answers.backtesting import Backtest
from carousel.tasks.forecasting.forecaster import Forecaster
from carousel.tasks.forecasting.settings import Settings

__all__ = ["Backtest", "Forecaster", "Settings"]
