"""From a table to a finished run: everything between the data and the training loop."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from carousel.models.quantile_forecaster import QuantileForecaster
from carousel.tasks import table
from carousel.tasks.forecasting.network import anchor
from carousel.tasks.forecasting.network.examples import TrainingStretches
from carousel.tasks.forecasting.network.inputs import NetworkInputs, relative
from carousel.tasks.forecasting.network.predicting import absolute, actual_after, quantiles_at
from carousel.tasks.forecasting.network.preparation import VALIDATED_ON, batches_of, network_of, prepare
from carousel.tasks.forecasting.network.trained import (
    CALIBRATED_ON,
    SERIES,
    TrainedForecaster,
    held_out,
    reading_to_json,
    stored_series,
)  # fmt: skip
from carousel.tasks.forecasting.scoring import conformal
from carousel.tasks.forecasting.scoring.baselines import baselines
from carousel.tasks.forecasting.scoring.metrics import INTERVALS, LEVELS, MEDIAN, mean_quantile_loss
from carousel.tasks.forecasting.settings import Settings
from carousel.tasks.forecasting.table.panel import Panel
from carousel.training.building import build
from carousel.training.loop import Loop
from carousel.training.measure import Measure
from carousel.training.progress import Report
from carousel.training.run import Run
from carousel.training.run_cell import hash_of
from carousel.training.run_folder import RunFolder
from carousel.training.session import (
    announce_start,
    carry_out,
    draw_curve,
    record_final,
    require_space_for,
    versions,
)

MEASURE = Measure("example", quantity="quantile loss")


def train(
    frame: pl.DataFrame, settings: Settings, *, out: Path, sources: Sequence[Any], report: Report, kept: bool = True
) -> Path:
    """A new run, from a table to the end of its budget. Returns its folder. kept: it stays there when the forecaster
    goes, so that it can be gone on with."""
    RunFolder.require_unused(out)
    prepared = prepare(frame, settings, report)
    settings = prepared.settings
    torch.set_num_threads(settings.threads or torch.get_num_threads())
    require_space_for(network_of(prepared.model, settings), out)
    folder = RunFolder.create(out, kept=kept, cell=settings.cell)
    try:
        table.write(prepared.frame, out / SERIES)
        folder.write_config(
            {
                "task": "forecasting",
                "versions": versions(),
                "settings": asdict(settings),
                "sources": list(sources),
                "model": prepared.model,
                "reading": reading_to_json(prepared.reading),
                "horizon": prepared.horizon,
                "until": prepared.split.until,
                "end": prepared.split.end,
                **hash_of(settings.cell),
            },
            data=[SERIES],
        )
    except BaseException:
        folder.discard(SERIES)
        raise
    _continue_run(folder, prepared.inputs, report, resuming=False)
    return out


def continue_run(folder: RunFolder, report: Report, *, resuming: bool) -> None:
    """Train from where the folder stands to the end, then calibrate the best model's intervals."""
    reading = TrainedForecaster.planned(folder).reading
    inputs = NetworkInputs(Panel.build(stored_series(folder), reading.layout), reading)
    _continue_run(folder, inputs, report, resuming=resuming)


def _continue_run(folder: RunFolder, inputs: NetworkInputs, report: Report, *, resuming: bool) -> None:
    config = folder.config()
    trained = TrainedForecaster.planned(folder)
    settings, horizon, model = trained.settings, trained.horizon, folder.model(config)
    until = trained.split.rows(inputs.panel)
    network = build(folder, lambda: network_of(model, settings), trained=False).to(settings.torch_device)
    assert settings.context is not None
    device = settings.torch_device
    examples = TrainingStretches(inputs, until=until, context=settings.context, horizon=horizon, device=device)
    _start_from_anchor(network, inputs, examples, settings.seed)
    loop = Loop(network, batches_of(examples, settings), peak_rate=settings.learning_rate, device=device)

    rows, columns = held_out(inputs, until, VALIDATED_ON, network)
    baseline = best_baseline(inputs, until, trained.season, rows, columns, horizon)
    report.begin(MEASURE, baseline)
    run = Run(
        loop,
        folder,
        settings.budget,
        validate=_validator(network, inputs, rows, columns, horizon),
        sample=lambda _: None,
        planned=_planner(settings, report),
        measure=MEASURE,
        validation_measure=MEASURE,
        report=report,
    )
    if not resuming:
        words = f"{baseline[0]}, {baseline[1]:.3f} quantile loss"
        announce_start(folder, settings, network.encoder.explain(), words, report)
    carry_out(run, report, resuming=resuming)
    _conclude(folder, network, inputs, until, horizon, baseline, report)


def _conclude(
    folder: RunFolder,
    network: QuantileForecaster,
    inputs: NetworkInputs,
    until: int,
    horizon: int,
    baseline: tuple[str, float],
    report: Report,
) -> None:
    """Judge the best model on what was held out, correct its intervals by it, and write both down."""
    folder.load_into(network)
    rows, columns = held_out(inputs, until, CALIBRATED_ON, network)
    quantiles = quantiles_at(network, inputs, rows, columns, horizon)
    loss = mean_quantile_loss(quantiles, inputs.outcomes(rows, columns, horizon))
    # Intervals are judged and corrected in the units of the data: of a logarithm, a little more would soon be a lot.
    quantiles, actual = absolute(inputs, quantiles, rows, columns), actual_after(inputs, rows, columns, horizon)
    halves = conformal.crossed(quantiles, actual, rows)
    record_final(
        folder,
        final=loss,
        origins=len(rows),
        correction=conformal.Correction.fit(quantiles, actual).to_json(),
        coverage={
            f"{name}": {"told": _coverage(quantiles, actual, name), "corrected": _coverage(halves, actual, name)}
            for name in INTERVALS
        },
    )
    report.say(f"best model: {loss:.4f} quantile loss on the held-out part; {baseline[0]}: {baseline[1]:.4f}")
    for name in INTERVALS:
        report.say(
            f"{name} % intervals held {_coverage(quantiles, actual, name):.0%} of it as the network tells them, "
            f"{_coverage(halves, actual, name):.0%} corrected (each half of it by the other)"
        )
    draw_curve(folder, MEASURE, baseline, x_label="epochs (times over the training part)")


# -- the parts of a run -----------------------------------------------------------------------------------------


def _start_from_anchor(
    network: QuantileForecaster, inputs: NetworkInputs, examples: TrainingStretches, seed: int
) -> None:
    rows, columns = examples.at(np.arange(examples.count))
    origins = anchor.Origins(inputs, rows, columns, until=examples.until, horizon=network.at_once, seed=seed)
    found = anchor.fit(origins, np.array(LEVELS))
    network.set_anchor(torch.from_numpy(found.weights).float(), torch.from_numpy(found.quantiles).float())


def _validator(
    network: QuantileForecaster, inputs: NetworkInputs, rows: np.ndarray, columns: np.ndarray, horizon: int
) -> Callable[[], float]:
    """The mean quantile loss on the held-out part, each origin told from the whole history before it."""
    actual = inputs.outcomes(rows, columns, horizon)
    return lambda: mean_quantile_loss(quantiles_at(network, inputs, rows, columns, horizon), actual)


def best_baseline(
    inputs: NetworkInputs, until: int, season: int, rows: np.ndarray, columns: np.ndarray, horizon: int
) -> tuple[str, float]:
    """The best of the naive forecasts there, and its loss in the same scales."""
    actual, now = inputs.outcomes(rows, columns, horizon), inputs.look(rows, columns)(0)
    losses = {}
    for baseline in baselines(inputs.values, training=inputs.values[:until], season=season):
        quantiles = baseline.quantiles(rows, columns, horizon, np.array(LEVELS))
        # A series that began later has no errors to make intervals of: the point alone is judged.
        quantiles = np.where(np.isfinite(quantiles), quantiles, quantiles[..., [MEDIAN]])
        in_scales = relative(quantiles.transpose(2, 0, 1), now).transpose(1, 2, 0)
        losses[baseline.name] = mean_quantile_loss(in_scales, actual)
    return min(losses.items(), key=lambda item: item[1])


def _planner(settings: Settings, report: Report) -> Callable[[Loop], None]:
    def planned(loop: Loop) -> None:
        assert loop.plan is not None
        epochs = loop.plan.steps / loop.batches.steps_per_epoch
        report.say(
            f"{loop.plan.steps:,} steps, {epochs:.1f} times over the training part, dropout {settings.dropout:g}"
        )

    return planned


def _coverage(quantiles: np.ndarray, actual: np.ndarray, name: int) -> float:
    seen = np.isfinite(actual)
    low, high = INTERVALS[name]
    return float(((actual >= quantiles[..., low]) & (actual <= quantiles[..., high]))[seen].mean())


# -- what is said -----------------------------------------------------------------------------------------------
