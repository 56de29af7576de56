"""The forecasting network: what it is given at each step, how it is trained, and the quantiles that it predicts."""
