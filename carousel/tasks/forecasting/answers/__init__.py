"""What a trained forecaster is asked for: forecasts, backtests, streams of new values, and their charts."""
