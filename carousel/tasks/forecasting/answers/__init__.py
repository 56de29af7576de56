"""The answers of a trained forecaster: forecasts, backtests, streams of new values, and their charts."""
