# %% [markdown]
# # What comes next in a table
#
# `carousel train sales.csv` and `carousel forecast runs/sales` do the same on the command line.

# %%
from datetime import date, timedelta

import numpy as np
import polars as pl

import carousel

t = np.arange(200)
noise = np.random.default_rng(0).normal(size=200)
frame = pl.DataFrame(
    {
        "date": [date(2024, 1, 1) + timedelta(days=int(k)) for k in t],
        "sales": 50 + 0.1 * t + 8 * np.sin(2 * np.pi * t / 7) + noise,
    }
)
model = carousel.Forecaster(horizon=14, epochs=5, seed=0).fit(frame)
print(model.describe())

# %% [markdown]
# A median and two intervals for each of the next 14 days.

# %%
model.predict().head()

# %% [markdown]
# On the part of the data that training held out, beside naive forecasts.

# %%
model.backtest().table

# %%
model.plot()

# %% [markdown]
# New values go on where the history ended.

# %%
model.update({"date": "2024-07-19", "sales": 72.0}).predict(3)
