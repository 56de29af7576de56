"""The page of a forecaster that reads a series: the forecast after each step of the history.

The steps are those of the scan over the history: of the encoder in the form encoder-decoder, whose state the decoder
starts from; of the only scan in the form autoregressive.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch

from carousel.errors import DataError
from carousel.insight import gradient_flow, read_gates
from carousel.insight.forecast_chart import forecast_figure
from carousel.models.quantile_forecaster import QuantileForecaster
from carousel.page import analysis, pictures
from carousel.page.moments import Influence, Moments, Quantiles, Signals
from carousel.page.moments import Steps as PageSteps
from carousel.page.readers import Drawings, Report, number_of, require_equations
from carousel.page.readers.forecast_measures import (
    Stretch,
    forecast_before,
    forecasts,
    level_of,
    losses_of,
    measure_of,
    quantiles_in_scales,
    surprise_of,
)
from carousel.page.readers.typed import Typing
from carousel.page.scans import scans
from carousel.tasks import table
from carousel.tasks.files import require_existing
from carousel.tasks.forecasting.answers.charts import drawn
from carousel.tasks.forecasting.forecaster import Forecaster
from carousel.tasks.forecasting.network.inputs import NetworkInputs
from carousel.tasks.forecasting.network.predicting import network_inputs, on_device, states_at
from carousel.tasks.forecasting.network.trained import TrainedForecaster
from carousel.tasks.forecasting.scoring.metrics import LEVELS
from carousel.tasks.gaps import forward_filled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Model = Forecaster
SHOWN = tuple(LEVELS.index(level) for level in (0.025, 0.1, 0.5, 0.9, 0.975))  # indices of the quantiles that are shown
PICTURED = 8  # outputs in the picture of influence
LATEST = 5  # forecasts in their picture


@dataclass(frozen=True)
class Chosen:
    """A table, one of its series, and the number of last steps to show. run: the run that was trained on the table."""

    frame: pl.DataFrame
    item: str | int | None
    steps: int
    said: str
    run: Path | None = None


class Reader:
    """See `carousel.page.readers.Reader`."""

    task = "forecasting"

    def __init__(self, model: Forecaster) -> None:
        self.model, self.run = model, model.run if model.kept else None
        self.trained: TrainedForecaster = model.trained
        require_equations(self.trained.network.encoder)

    def choose(self, data: Any, *, item: str | int | None, steps: int) -> Chosen:
        chosen = self._named(data, item, steps)
        span_of(self.trained.inputs(chosen.frame), item)
        return chosen

    def _named(self, data: Any, item: str | int | None, steps: int) -> Chosen:
        if data is None:
            said = f"the end of the data that {self.run.resolve().name if self.run else 'it'} was trained on"
            return Chosen(self.trained.history(), item, steps, said, self.trained.run)
        said = "the data that were given"
        if isinstance(data, str | Path):
            path = Path(data)
            require_existing([path])
            if not table.looks_like_table(path):
                raise DataError(
                    f"A forecaster reads a table of series (.csv, .tsv, .parquet, .arrow), and {path.name} is none."
                )
            data, said = path, path.name
        return Chosen(self.trained.read(data), item, steps, said)

    def examine(self, name: str, chosen: Chosen, report: Report) -> tuple[Moments, Drawings]:
        return examine(self.trained, name, chosen, report)

    def typing(self) -> Typing:
        raise DataError(
            "Nothing can be typed for a forecaster: --live is for runs that read text, language models and classifiers "
            "of texts. Leave it out to write the page as a file."
        )


def examine(
    trained: TrainedForecaster, name: str, chosen: Chosen, report: Report = lambda _: None
) -> tuple[Moments, Drawings]:
    """All that a page shows of one forecaster and series, and its pictures."""
    network, encoder = trained.network.eval(), trained.network.encoder
    stretch = stretch_of(trained, chosen)
    inputs, rows, columns = stretch.inputs, stretch.rows, stretch.columns
    steps, series = len(rows), inputs.panel.name(stretch.column)
    report(f"{name}: {steps:,} steps of {series}, {encoder.num_layers} x {encoder.hidden_size} units")
    x = on_device(network, network_inputs(network, inputs, rows[:, None], columns[:, None]))
    hx = stretch.hx or encoder.fresh_states(1)
    told_scans, _, after = scans(encoder, x[:, 0], hx, np.arange(steps))
    report(f"{name}: a forecast from each step, {trained.horizon} ahead")
    quantiles, linear = forecasts(trained, stretch)
    times = times_of(trained, inputs, np.arange(rows[0], rows[-1] + 1 + trained.horizon), stretch.column)
    reads = signals_of(trained, stretch, times[:steps])
    level = level_of(inputs.panel.values[rows, stretch.column], forecast_before(quantiles))
    expects = Quantiles(
        levels=tuple(LEVELS[k] for k in SHOWN),
        quantiles=quantiles[..., list(SHOWN)],
        linear=linear,
        times=times[steps:],
        surprise=surprise_of(level),
        level=level,
    )
    report(f"{name}: what moved each forecast, over the last {min(analysis.BACK, steps)} steps")
    measure = measure_of(trained, stretch, x)
    states = analysis.states_of(hx, after)
    shares = analysis.influence(measure, steps, states, report=lambda line: report(f"{name}: {line}"))
    report(f"{name}: gates and gradients")
    initial = hx if len(hx) > 1 else hx[0]
    gates = read_gates(encoder, x, initial)
    timescales, too_short = analysis.timescales_of(gates)
    lags = analysis.lags_for(steps)
    outputs = torch.arange(steps)
    forecast_loss = partial(losses_of, trained, stretch)
    flow = gradient_flow(
        partial(quantiles_in_scales, trained, stretch, outputs),
        x,
        initial,
        loss=forecast_loss,
        lags=lags,
        layer=encoder,
    )
    curves, refusals = analysis.curves_of(flow)
    report(f"{name}: what is wrong with it, units that follow the series")
    findings, too_little = analysis.findings(
        gates.places, partial(quantiles_in_scales, trained, stretch, outputs), x, initial,
        loss=forecast_loss, window=trained.settings.context, lags=lags, layer=encoder,
    )  # fmt: skip
    moments = Moments(
        name=name,
        subject="series",
        unit="step",
        summary=(
            f"What the network does at each of {steps:,} steps of the series {series}, and what it forecasts from "
            f"each for the {trained.horizon} steps ahead."
        ),
        about=_about(trained, chosen, series, steps),
        steps=PageSteps(reads, expects, told_scans),
        influence=Influence(shares, "the forecast"),
        timescales=timescales,
        flow=curves,
        properties=analysis.followers(_marks(reads), gates),
        findings=findings,
        notes={
            "expects": _said_of_forecast(trained, quantiles),
            "influence": [
                "What moves the forecast: the gradient of the median, averaged over the steps ahead, by what the "
                "network read at each step. What the linear forecast sees for itself is not counted."
            ],
            "units": [_said_of_scan(network), *too_short],
            "flow": [
                f"The quantile loss of the forecast from a step, over the {network.at_once} steps ahead that are "
                f"decoded at once, followed back through the scan over the history.",
                *refusals,
            ],
            "findings": too_little,
        },
    )
    drawings = pictures.of_network(gates, flow) | {
        "influence": partial(pictures.influence_at_end, shares, reads.times, PICTURED),
        "signals": partial(pictures.signals_over_time, reads),
        "forecast": partial(_picture, name, stretch, quantiles),
    }
    return moments, drawings


# -- inputs -----------------------------------------------------------------------------------------------


def stretch_of(trained: TrainedForecaster, chosen: Chosen) -> Stretch:
    """The last steps of the chosen series. Raises DataError if it does not exist or is too short."""
    inputs = trained.inputs(chosen.frame)
    column, begin, end = span_of(inputs, chosen.item)
    first = max(begin, end - chosen.steps)
    hx = None
    if first > begin:
        before = states_at(trained.network, inputs, np.array([first - 1]), np.array([column]))
        hx = tuple(state.clone() for state in before)
    return Stretch(inputs, column, np.arange(first, end), hx)


def span_of(inputs: NetworkInputs, item: str | int | None) -> tuple[int, int, int]:
    """The column of the chosen series, the row of its first step, and the row after its last step."""
    panel = inputs.panel
    names = [panel.name(column) for column in range(panel.values.shape[1])]
    column = number_of(item, names, "series")
    begin, end = int(panel.begin[column]), int(panel.end[panel.owner[column]])
    if end - begin < 2:
        raise DataError(
            f"A page shows at least two steps, and the series {names[column]} has {max(0, end - begin)}. Choose "
            f"another with --item: a name, or a number from 0 to {len(names) - 1}."
        )
    return column, begin, end


def times_of(trained: TrainedForecaster, inputs: NetworkInputs, rows: np.ndarray, column: int) -> list[str]:
    """The times of these rows of a column of values, in the form of the data's time columns."""
    stamps = trained.reading.layout.roles.time.restore(inputs.panel.stamps(rows, inputs.panel.owner[column]))
    if not stamps.width:
        return [f"row {row + 1}" for row in rows]
    words = ["-".join(map(str, row)) for row in stamps.rows()]
    # If the time of day is midnight at every step, it is left out.
    said_by_none = next((end for end in (" 00:00:00", ":00") if all(word.endswith(end) for word in words)), "")
    return [word.removesuffix(said_by_none) for word in words]


def signals_of(trained: TrainedForecaster, stretch: Stretch, times: list[str]) -> Signals:
    """The series and its numeric covariates, in their own units."""
    panel, rows = stretch.inputs.panel, stretch.rows
    owner, layout = panel.owner[stretch.column], panel.layout
    names, values = [panel.name(stretch.column)], [panel.values[rows, stretch.column]]
    for encoders, encoded in ((layout.known, panel.known), (layout.past, panel.past)):
        at = 0
        for encoder in encoders:
            if encoder.categories is None:
                numbers = encoded[rows, owner, at].astype(np.float64) * encoder.deviation + encoder.mean
                # The precision of float32, in which the network reads them.
                kept = 1e-6 * (abs(encoder.mean) + encoder.deviation)
                numbers = np.round(numbers / kept) * kept
                missing = encoded[rows, owner, at + 1] > 0 if encoder.flagged else np.zeros(len(rows), bool)
                names.append(encoder.name)
                values.append(np.where(missing, np.nan, numbers))
            at += encoder.width
    learnt = int(np.clip(trained.split.rows(panel) - rows[0], 0, len(rows)))
    return Signals(names, np.stack(values, 1), times, rows + panel.first, learnt)


# -- in words and pictures --------------------------------------------------------------------------------------


def _marks(reads: Signals) -> dict[str, np.ndarray]:
    """The properties that units may follow: each signal, and the change of the series."""
    marks = {}
    for name, values in zip(reads.names, reads.values.T, strict=True):
        marks[name] = _filled(values)
    marks[f"change of {reads.names[0]}"] = np.diff(
        _filled(reads.values[:, 0]), prepend=np.nan_to_num(reads.values[0, 0])
    )
    return marks


def _filled(values: np.ndarray) -> np.ndarray:
    """The values (T,) without gaps: each gap has the latest value before it, or the first of all; 0 without any."""
    filled = forward_filled(values)
    known = filled[~np.isnan(filled)]
    return np.where(np.isnan(filled), known[0] if len(known) else 0.0, filled)


def _said_of_forecast(trained: TrainedForecaster, quantiles: np.ndarray) -> list[str]:
    said = [
        "Surprise: p is the level at which the actual value lies among the quantiles forecast one step before, "
        "interpolated linearly between their levels. −log₂(2 min(p, 1 − p)) is 0 bits at the median, 1 where half of "
        "all values would lie further out, and 4.3 at the ends of the 95 % interval and beyond them."
    ]
    if not trained.network.head.weight.any():
        said.append("No step of training improved on the linear forecast: the network adds nothing to it.")
    if np.isnan(quantiles).any():
        names = ", ".join(trained.reading.layout.roles.known)
        said.append(
            f"Forecasts end where the table has no {names}, known in advance: add rows with them and without a target."
            if names
            else "There is no forecast before the first value."
        )
    return said


def _said_of_scan(network: QuantileForecaster) -> str:
    if network.autoregressive:
        return "What is shown is the scan over the history; the forecast is read off its state, and fed back."
    return (
        "What is shown is the encoder's scan over the history; the decoder begins each forecast with its state after "
        "the step."
    )


def _about(trained: TrainedForecaster, chosen: Chosen, series: str, steps: int) -> list[tuple[str, str]]:
    network, layout = trained.network, trained.reading.layout
    encoder = network.encoder
    seasons = ", ".join(map(str, trained.reading.recipe.seasons)) or "none"
    covariates = [e.name for part in (layout.known, layout.past, layout.static) for e in part]
    held = "; intervals were corrected on the part that was held out" if chosen.run == trained.run else ""
    return [
        ("series", f"{series}, from {chosen.said}; its last {steps:,} steps"),
        ("network", f"{network.form}, {encoder.cell}, {encoder.num_layers} x {encoder.hidden_size} units"),
        (
            "reads",
            f"{encoder.input_size} numbers a step: the value from the level of the series and in its scale, its "
            f"change, the calendar{', ' + ', '.join(covariates) if covariates else ''}; seasons: {seasons}",
        ),
        ("forecasts", f"{trained.horizon} steps ahead, intervals of 80 and 95 %{held}"),
    ]


def _picture(name: str, stretch: Stretch, quantiles: np.ndarray) -> Figure:
    """A picture of the series and its latest forecasts that do not overlap."""
    from carousel.tasks.forecasting.answers.charts import axis

    horizon, rows = quantiles.shape[1], stretch.rows
    origins = [k for k in range(len(rows) - 1, -1, -horizon) if np.isfinite(quantiles[k]).all()][:LATEST][::-1]
    seen = rows[max(0, (origins[0] if origins else 0) - 4 * horizon) :]
    shown = {
        "name": stretch.inputs.panel.name(stretch.column),
        "x": axis(stretch.inputs, seen, stretch.column),
        "y": stretch.inputs.panel.values[seen, stretch.column],
        "forecasts": [drawn(stretch.inputs, int(rows[k]), stretch.column, quantiles[k]) for k in origins],
    }
    return forecast_figure([shown], title=f"{name}: {horizon} steps ahead")
