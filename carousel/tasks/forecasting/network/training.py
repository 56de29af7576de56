"""The training of a forecaster: batches, losses and calibrated intervals from the series that a run folder holds."""

import numpy as np
import torch

from carousel.models.quantile_forecaster import QuantileForecaster
from carousel.tasks.forecasting.network import anchor
from carousel.tasks.forecasting.network.examples import TrainingStretches
from carousel.tasks.forecasting.network.inputs import NetworkInputs, relative
from carousel.tasks.forecasting.network.predicting import absolute, actual_after, quantiles_at
from carousel.tasks.forecasting.network.preparation import VALIDATED_ON, Prepared, batches_of, network_of
from carousel.tasks.forecasting.network.trained import CALIBRATED_ON, TrainedForecaster, held_out, stored_series
from carousel.tasks.forecasting.scoring import conformal
from carousel.tasks.forecasting.scoring.baselines import baselines
from carousel.tasks.forecasting.scoring.metrics import INTERVALS, LEVELS, MEDIAN, mean_quantile_loss
from carousel.tasks.forecasting.table.panel import Panel
from carousel.training.building import build
from carousel.training.measure import Measure
from carousel.training.run_folder import RunFolder
from carousel.training.task_run import Judgement, TaskRun


class ForecastingRun(TaskRun):
    """A training of a forecaster on the series in a run folder.

    inputs: the series as the network reads them, where a new run has them in memory; else they are read again."""

    measure = validation_measure = Measure("example", quantity="quantile loss")

    network: QuantileForecaster

    def __init__(self, folder: RunFolder, inputs: NetworkInputs | None = None) -> None:
        trained = TrainedForecaster.planned(folder)
        reading = trained.reading
        self.inputs = inputs or NetworkInputs(Panel.build(stored_series(folder), reading.layout), reading)
        self.settings = settings = trained.settings
        self.horizon, self.until = trained.horizon, trained.split.rows(self.inputs.panel)
        model, device = folder.model(folder.config()), settings.torch_device
        self.network = build(folder, lambda: network_of(model, settings), trained=False).to(device)
        self.recurrent = self.network.encoder
        assert settings.context is not None
        examples = TrainingStretches(
            self.inputs, until=self.until, context=settings.context, horizon=self.horizon, device=device
        )
        _start_from_anchor(self.network, self.inputs, examples, settings.seed)
        self.batches = batches_of(examples, settings)
        self._rows, self._columns = held_out(self.inputs, self.until, VALIDATED_ON, self.network)
        self._actual = self.inputs.outcomes(self._rows, self._columns, self.horizon)
        self.baseline = best_baseline(self.inputs, self.until, trained.season, self._rows, self._columns, self.horizon)

    def validate(self) -> float:
        """The mean quantile loss on the held-out part. Each forecast is made from the whole history before it."""
        quantiles = quantiles_at(self.network, self.inputs, self._rows, self._columns, self.horizon)
        return mean_quantile_loss(quantiles, self._actual)

    def judge(self) -> Judgement:
        """Judges the model on the held-out part, and corrects its intervals by that part."""
        inputs, horizon, (name, figure) = self.inputs, self.horizon, self.baseline
        rows, columns = held_out(inputs, self.until, CALIBRATED_ON, self.network)
        quantiles = quantiles_at(self.network, inputs, rows, columns, horizon)
        loss = mean_quantile_loss(quantiles, inputs.outcomes(rows, columns, horizon))
        # Intervals are judged and corrected in the units of the data: a small step of a logarithm may be a large one.
        quantiles, actual = (
            absolute(inputs, quantiles, rows, columns),
            actual_after(inputs, rows, columns, horizon),
        )
        crossed = conformal.crossed(quantiles, actual, rows)
        coverage = {
            level: {"told": _coverage(quantiles, actual, level), "corrected": _coverage(crossed, actual, level)}
            for level in INTERVALS
        }
        record = {
            "final": loss,
            "origins": len(rows),
            "correction": conformal.Correction.fit(quantiles, actual).to_json(),
            "coverage": {f"{level}": held for level, held in coverage.items()},
        }
        return Judgement(
            record,
            (
                f"best model: {loss:.4f} quantile loss on the held-out part; {name}: {figure:.4f}",
                *(
                    f"{level} % intervals held {held['told']:.0%} of the actual values as the network made them, and "
                    f"{held['corrected']:.0%} once they were corrected; {level}% is right (each half of the held-out "
                    f"part was corrected by the errors in the other)"
                    for level, held in coverage.items()
                ),
            ),
        )


def open_run(folder: RunFolder, prepared: Prepared | None = None) -> ForecastingRun:
    """See `carousel.training.task_run.OpenRun`."""
    return ForecastingRun(folder, None if prepared is None else prepared.inputs)


def best_baseline(
    inputs: NetworkInputs, until: int, season: int, rows: np.ndarray, columns: np.ndarray, horizon: int
) -> tuple[str, float]:
    """The best baseline after origins at these rows and columns: its name, and its quantile loss in scales."""
    actual, now = inputs.outcomes(rows, columns, horizon), inputs.look(rows, columns)(0)
    losses = {}
    for baseline in baselines(inputs.values, training=inputs.values[:until], season=season):
        quantiles = baseline.quantiles(rows, columns, horizon, np.array(LEVELS))
        # A series that begins later has no errors from which intervals could be made: only its median is judged.
        quantiles = np.where(np.isfinite(quantiles), quantiles, quantiles[..., [MEDIAN]])
        in_scales = relative(quantiles.transpose(2, 0, 1), now).transpose(1, 2, 0)
        losses[baseline.name] = mean_quantile_loss(in_scales, actual)
    return min(losses.items(), key=lambda item: item[1])


def _start_from_anchor(
    network: QuantileForecaster, inputs: NetworkInputs, examples: TrainingStretches, seed: int
) -> None:
    """Sets the linear forecast that the network begins with and learns to correct; see `anchor`."""
    rows, columns = examples.at(np.arange(examples.count))
    origins = anchor.Origins(inputs, rows, columns, until=examples.until, horizon=network.at_once, seed=seed)
    fitted = anchor.fit(origins, np.array(LEVELS))
    network.set_anchor(torch.from_numpy(fitted.weights).float(), torch.from_numpy(fitted.quantiles).float())


def _coverage(quantiles: np.ndarray, actual: np.ndarray, level: int) -> float:
    """The share of the observed actual values that lie in the interval of this level, in per cent."""
    observed = np.isfinite(actual)
    low, high = INTERVALS[level]
    return float(((actual >= quantiles[..., low]) & (actual <= quantiles[..., high]))[observed].mean())
