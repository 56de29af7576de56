"""Everything that is decided before a forecaster is trained, from a table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import torch

from carousel.errors import DataError, option
from carousel.models.quantile_forecaster import QuantileForecaster
from carousel.tasks import table
from carousel.tasks.forecasting.network import choosing, planning
from carousel.tasks.forecasting.network.examples import TrainingStretches
from carousel.tasks.forecasting.network.inputs import NetworkInputs, TableReading
from carousel.tasks.forecasting.network.reading_json import reading_to_json
from carousel.tasks.forecasting.network.trained import SERIES, Split, held_out
from carousel.tasks.forecasting.network.transform import Transform
from carousel.tasks.forecasting.scoring.metrics import LEVELS
from carousel.tasks.forecasting.settings import LISTS, STEPS, Settings
from carousel.tasks.forecasting.table.frequency import Frequency
from carousel.tasks.forecasting.table.panel import Layout, Panel
from carousel.tasks.forecasting.table.roles import Roles, find_roles, refuse_nearly_numbers
from carousel.training.batches import ShuffledBatches
from carousel.training.building import naming_cell, parameter_count
from carousel.training.progress import Report
from carousel.training.run_cell import absolute_cell
from carousel.training.threads import choose_threads

VALIDATED_ON = 512  # origins at most, while training


@dataclass(frozen=True)
class Prepared:
    """Everything that is decided before a training (a `Preparation`), from the table and the settings.

    frame: the columns that are read. settings: every choice is made, except the steps of a training by the clock.
    sources: what the run records of the files that the table is from. model: the arguments of the network.
    """

    TASK: ClassVar[str] = "forecasting"
    DATA: ClassVar[str] = SERIES

    frame: pl.DataFrame
    settings: Settings
    inputs: NetworkInputs
    split: Split
    horizon: int
    model: dict[str, Any]
    steps_per_epoch: int
    sources: Sequence[Any] = ()

    @property
    def roles(self) -> Roles:
        return self.reading.layout.roles

    @property
    def frequency(self) -> Frequency:
        return self.reading.layout.frequency

    @property
    def seasons(self) -> tuple[int, ...]:
        return self.reading.recipe.seasons

    @property
    def reading(self) -> TableReading:
        return self.inputs.reading

    def network(self) -> QuantileForecaster:
        return network_of(self.model, self.settings)

    def write(self, folder: Path) -> dict[str, Any]:
        """Writes the columns that are read as a table."""
        table.write(self.frame, folder / SERIES)
        return {
            "sources": list(self.sources),
            "model": self.model,
            "reading": reading_to_json(self.reading),
            "horizon": self.horizon,
            "until": self.split.until,
            "end": self.split.end,
        }


def prepare(frame: pl.DataFrame, settings: Settings, report: Report, sources: Sequence[Any] = ()) -> Prepared:
    """Decides and reports what the columns are, the frequency, the seasons, the horizon and the network.

    Trains and writes nothing. Raises DataError where the table or a setting cannot be used."""
    if not frame.height:
        raise DataError(
            f"The table has columns ({table.listed(frame.columns)}) and no rows: there is nothing to learn."
        )
    given = {name: getattr(settings, name) for name in LISTS}
    roles, said = find_roles(frame, **given, date_format=settings.date_format, merge=settings.frequency is not None)
    refuse_nearly_numbers(frame, roles)
    layout = Layout.fit(frame, roles, settings.frequency)
    frame = frame.select(roles.needed)
    panel = Panel.build(frame, layout)
    for line in (*said, *planning.describe(panel, frame)):
        report.say(line)
    planning.require_enough(panel)

    horizon = planning.horizon_of(panel, settings)
    split = planning.split_of(panel, settings, horizon)
    until = split.rows(panel)
    seasons = planning.seasons_of(panel, settings, until)
    if roles.known or roles.past or roles.static:
        panel = Panel.build(frame, layout.encoding(frame, split.until))
    reading = planning.reading_for(panel, settings, seasons, until)
    smoothed = choosing.with_smoothing(panel, reading, until=until, horizon=horizon, seed=settings.seed)
    reading = smoothed.reading
    context = planning.context_of(settings, seasons, horizon, until)
    settings = _resolved(settings, choose_threads(settings, report.say), horizon, context)
    _announce_data(settings, panel, reading.transform, seasons, until, report)
    if smoothed.said:
        report.say(smoothed.said)

    inputs = NetworkInputs(panel, reading)
    examples = TrainingStretches(inputs, until=until, context=context, horizon=horizon, device=settings.torch_device)
    if not examples.count:
        raise DataError(
            f"A forecaster learns from series with two values or more before the held-out part, the last "
            f"{panel.steps - until} steps, and no series has them. Give a longer history, or hold out less "
            f"({option('validation_share', 0.05)})."
        )
    if settings.minutes is None and settings.epochs is None:
        settings = replace(settings, epochs=STEPS / -(-examples.count // min(settings.batch, examples.count)))
    settings = replace(settings, dropout=planning.dropout_of(settings, examples.count))
    model = {
        "step": reading.step_width,
        "origin": reading.origin_width,
        "ahead": reading.ahead_width,
        "horizon": horizon,
        "form": settings.form,
        "cell": settings.cell,
        "hidden": settings.hidden,
        "layers": settings.layers,
    }
    network = network_of(model, settings)
    rows, _ = held_out(inputs, until, VALIDATED_ON, network)
    if not len(rows):
        raise DataError(
            f"Every value of the held-out part, the last {panel.steps - until} steps, is missing: the model "
            f"could not be judged. Hold out more ({option('validation_share', 0.3)}), or leave the empty end away."
        )
    _announce_model(network, examples, report)
    steps_per_epoch = batches_of(examples, settings).steps_per_epoch
    return Prepared(frame, settings, inputs, split, horizon, model, steps_per_epoch, sources)


def _resolved(settings: Settings, threads: int, horizon: int, context: int) -> Settings:
    """The settings with the choices made that depend on the machine or on the data: a resumed run repeats them."""
    return replace(
        settings,
        cell=absolute_cell(settings.cell),
        horizon=horizon,
        context=context,
        device=str(settings.torch_device),
        threads=threads,
    )


def network_of(model: dict[str, Any], settings: Settings) -> QuantileForecaster:
    """The untrained network, with its initial weights. Raises DataError if a forecaster cannot use the cell."""
    torch.manual_seed(settings.seed)
    with naming_cell(settings.cell, "forecaster"):
        return QuantileForecaster(**model, levels=LEVELS, dropout=settings.dropout or 0.0)


def batches_of(examples: TrainingStretches, settings: Settings) -> ShuffledBatches:
    return ShuffledBatches(examples.count, settings.batch, examples.loss, seed=settings.seed)


def _announce_data(
    settings: Settings,
    panel: Panel,
    transform: Transform,
    seasons: tuple[int, ...],
    until: int,
    report: Report,
) -> None:
    found = " and ".join(map(str, seasons)) if seasons else "none"
    report.say(f"seasons: {found} ({option('season')}); horizon: {settings.horizon} steps ({option('horizon')})")
    targets = panel.layout.roles.targets
    if names := [name for name, log in zip(targets, transform.logs, strict=True) if log is not None]:
        report.say(
            f"learnt as logarithms: {table.listed(names)}, whose spread grows with the level ({option('log', False)})"
        )
    if names := [name for name, floor in zip(targets, transform.floors, strict=True) if floor]:
        report.say(f"never negative, so no forecast is: {table.listed(names)} ({option('allow_negative')})")
    report.say(
        f"the first {until:,} steps to learn from, the last {panel.steps - until:,} held out, to choose the model and "
        f"correct its intervals"
    )


def _announce_model(network: QuantileForecaster, examples: TrainingStretches, report: Report) -> None:
    encoder = network.encoder
    report.say(
        f"model: {network.form}, {encoder.cell}, {encoder.num_layers} x {encoder.hidden_size} units, "
        f"{parameter_count(network):,} parameters; {examples.count:,} stretches of {examples.context} steps"
    )
