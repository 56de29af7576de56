"""Other libraries' LSTMs on the sets of `forecasting.py`: trained on the same rows, asked at the same origins.

Each is a function of a `Task`, which returns quantiles (horizon, origins, levels) in the units of the data. Both get
what their makers provide for this: quantile outputs at our levels, scaling, past covariates (categories as columns of
0 and 1), a global model of all series; both read three horizons back, take batches of 32 stretches and 600 steps. They
cannot read missing values, which are filled by the last one before; scores are those of what was there.
"""

import logging
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

STEPS = 600
BATCH = 32


@dataclass(frozen=True)
class Task:
    """values (T, N) and covariates (T, K), without gaps; origins `first`, `first` + stride, ..., rows of time, as far
    as a whole horizon follows; nothing from row `first` + 1 on may be trained on."""

    values: np.ndarray
    covariates: np.ndarray
    first: int
    stride: int
    horizon: int
    levels: tuple[float, ...]
    seed: int

    @property
    def rows(self) -> np.ndarray:
        return np.arange(self.first, len(self.values) - self.horizon, self.stride)

    @property
    def tested(self) -> int:
        return len(self.values) - 1 - self.first


def task_of(frame: pl.DataFrame, targets: list[str], past: list[str], **rest: Any) -> Task:
    covariates = frame.select(past).to_dummies([name for name in past if frame[name].dtype == pl.String])

    def filled(table: pl.DataFrame) -> np.ndarray:
        return (
            table.cast(pl.Float64)
            .fill_nan(None)
            .fill_null(strategy="forward")
            .fill_null(strategy="backward")
            .to_numpy()
        )

    return Task(filled(frame.select(targets)), filled(covariates), **rest)


def neuralforecast_lstm(task: Task) -> np.ndarray:
    """NeuralForecast's LSTM: two recurrent layers of 128, `MQLoss`, robust scaling of each window."""
    _silence()
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MQLoss
    from neuralforecast.models import LSTM

    names = [f"x{k}" for k in range(task.covariates.shape[1])]
    long = pl.concat(
        pl.DataFrame({"unique_id": f"{k:03}", "ds": np.arange(len(task.values)), "y": task.values[:, k]}).hstack(
            pl.DataFrame(task.covariates, schema=names)
        )
        for k in range(task.values.shape[1])
    )
    model = LSTM(
        h=task.horizon,
        input_size=3 * task.horizon,
        loss=MQLoss(quantiles=list(task.levels)),
        max_steps=STEPS,
        batch_size=task.values.shape[1],  # series at a time: all; stretches of them:
        windows_batch_size=BATCH,
        scaler_type="robust",
        hist_exog_list=names or None,
        random_seed=task.seed,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    told = NeuralForecast(models=[model], freq=1).cross_validation(
        long, n_windows=None, test_size=task.tested, step_size=task.stride
    )
    outputs = [name for name in told.columns if name.startswith("LSTM")]
    told = told.sort("cutoff", "unique_id", "ds")
    shape = (len(task.rows), task.values.shape[1], task.horizon, len(task.levels))
    return (
        np.sort(told.select(outputs).to_numpy().reshape(shape), axis=-1)
        .transpose(2, 0, 1, 3)
        .reshape(task.horizon, -1, len(task.levels))
    )


def darts_lstm(task: Task) -> np.ndarray:
    """Darts' BlockRNNModel, an LSTM of 64 units (ours has as many), `QuantileRegression`, `Scaler`."""
    _silence()
    from darts import TimeSeries
    from darts.dataprocessing.transformers import Scaler
    from darts.models import BlockRNNModel
    from darts.utils.likelihood_models import QuantileRegression

    seen = task.first + 1
    every = [TimeSeries.from_values(column[:, None].astype(np.float32)) for column in task.values.T]
    scaler = Scaler()
    training = scaler.fit_transform([series[:seen] for series in every])
    whole = scaler.transform(every)
    past = None
    if task.covariates.shape[1]:
        covariates = TimeSeries.from_values(task.covariates.astype(np.float32))
        past = [Scaler().fit(covariates[:seen]).transform(covariates)] * len(every)
    model = BlockRNNModel(
        input_chunk_length=3 * task.horizon,
        output_chunk_length=task.horizon,
        model="LSTM",
        hidden_dim=64,
        likelihood=QuantileRegression(list(task.levels)),
        batch_size=BATCH,
        n_epochs=STEPS,  # more than the steps allow
        random_state=task.seed,
        pl_trainer_kwargs={
            "max_steps": STEPS,
            "accelerator": "cpu",
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": False,
        },
    )
    model.fit(training, past_covariates=None if past is None else [series[:seen] for series in past])
    told = model.historical_forecasts(
        whole,
        past_covariates=past,
        start=seen,
        start_format="value",
        forecast_horizon=task.horizon,
        stride=task.stride,
        retrain=False,
        last_points_only=False,
        predict_likelihood_parameters=True,
    )
    quantiles = []
    for one, series in zip(told, every, strict=True):
        low = series[:seen].values().min(), series[:seen].values().max()
        units = np.stack([forecast.values() for forecast in one])  # (origins, horizon, levels), of 0 to 1
        assert [forecast.start_time() for forecast in one] == list(task.rows + 1)
        quantiles.append(low[0] + units * (low[1] - low[0]))
    return (
        np.sort(np.stack(quantiles, axis=1), axis=-1).transpose(2, 0, 1, 3).reshape(task.horizon, -1, len(task.levels))
    )


def _silence() -> None:
    warnings.filterwarnings("ignore")
    for name in ("pytorch_lightning", "lightning", "lightning.pytorch", "darts"):
        logging.getLogger(name).setLevel(logging.ERROR)


PEERS = {
    "NeuralForecast LSTM": ("neuralforecast", neuralforecast_lstm),
    "Darts BlockRNN": ("darts", darts_lstm),
}
