"""A forecaster as it is exported."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from carousel.errors import DataError
from carousel.export.answering import Answer
from carousel.models.quantile_forecaster import quantile_loss
from carousel.tasks.forecasting.network.predicting import network_inputs
from carousel.tasks.forecasting.network.trained import TrainedForecaster, held_out
from carousel.tasks.forecasting.scoring.metrics import LEVELS
from carousel.tasks.portable import Figures, Portable
from carousel.training.run_folder import RunFolder

ORIGINS, STEPS = 64, 2048  # that a loss is measured on, and the steps before one that are read


def portable(folder: RunFolder) -> Portable:
    trained = TrainedForecaster.of(folder)
    network = trained.network

    def judge(answer: Answer, data: Sequence[Path]) -> Figures:
        if len(data) > 1:
            raise DataError("exporting a forecaster: a loss is measured on one table; name one")
        inputs = trained.inputs(trained.read_history(data[0]) if data else trained.history())
        until = 1 if data else trained.split.rows(inputs.panel)
        rows, columns = held_out(inputs, until, ORIGINS, network)
        first = np.maximum(inputs.panel.begin[columns], rows - STEPS + 1)
        lengths = rows - first + 1
        at = np.minimum(first + np.arange(lengths.max(initial=1))[:, None], rows)
        given = {
            "history": network_inputs(network, inputs, at, np.broadcast_to(columns, at.shape)),
            "lengths": lengths.astype(np.int64),
            "origin": inputs.at_origins(rows, columns),
            "ahead": inputs.ahead(rows, columns, network.at_once),
        }
        actual = torch.from_numpy(inputs.outcomes(rows, columns, network.at_once))
        quantiles = torch.from_numpy(answer(given)[0])
        return {"quantile loss, in scales": float(quantile_loss(quantiles, actual, torch.tensor(LEVELS)))}

    config = folder.config()
    preprocessing = {
        "reading": config["reading"],
        "levels": list(LEVELS),
        "horizon": trained.horizon,
        "form": network.form,
        "correction": None if trained.correction is None else trained.correction.to_json(),
        "meaning": "history, origin and ahead are the features that carousel.tasks.forecasting.network.inputs computes "
        "of a table that is read so; quantiles are in scales from the level of the series at the origin",
    }
    return Portable(network, preprocessing, judge)
