"""A forecaster reading a series: after each step of its history, the forecast from there.

What is stepped through is the scan over the history: of the form encoder-decoder the encoder, whose state after a step
the decoder begins with; of the form autoregressive the one scan that there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from carousel.errors import DataError
from carousel.insight import gradient_flow, input_influence, read_gates
from carousel.insight.forecast_chart import forecast_figure
from carousel.models.quantile_forecaster import QuantileForecaster
from carousel.page import analysis, pictures
from carousel.page.analysis import Measure
from carousel.page.moments import Influence, Moments, Quantiles, Signals
from carousel.page.moments import Steps as PageSteps
from carousel.page.readers import Drawings, Report, number_of, require_equations
from carousel.page.readers.typed import Typing
from carousel.page.scans import scans
from carousel.tasks import table
from carousel.tasks.files import require_existing
from carousel.tasks.forecasting.charts import drawn
from carousel.tasks.forecasting.forecast import forecast_at
from carousel.tasks.forecasting.forecaster import Forecaster
from carousel.tasks.forecasting.inputs import Inputs
from carousel.tasks.forecasting.metrics import LEVELS, MEDIAN
from carousel.tasks.forecasting.predicting import absolute, network_inputs, on_device, states_at
from carousel.tasks.forecasting.trained import Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Model = Forecaster
SHOWN = tuple(LEVELS.index(level) for level in (0.025, 0.1, 0.5, 0.9, 0.975))  # of the quantiles told
PICTURED = 8  # outputs in the picture of influence
LATEST = 5  # forecasts in the picture of them


@dataclass(frozen=True)
class Chosen:
    """A table, which of its series, and how many of the last steps are shown. run: the one that was trained on it."""

    frame: pl.DataFrame
    item: str | int | None
    steps: int
    said: str
    run: Path | None = None


@dataclass(frozen=True)
class Stretch:
    """The steps that are shown: rows of time, one column of values. hx: the states before the first, as hx."""

    inputs: Inputs
    column: int
    rows: np.ndarray
    hx: tuple[Tensor, ...] | None

    @property
    def columns(self) -> np.ndarray:
        return np.full(len(self.rows), self.column)


class Reader:
    """See `carousel.page.readers.Reader`."""

    task = "forecasting"

    def __init__(self, model: Forecaster) -> None:
        self.model, self.run = model, model.run if model.kept else None
        self.trained: Trained = model.trained
        require_equations(self.trained.network.encoder)

    def choose(self, data: Any, *, item: str | int | None, steps: int) -> Chosen:
        if data is None:
            said = f"the end of the data that {self.run.resolve().name if self.run else 'it'} was trained on"
            return Chosen(self.trained.history(), item, steps, said, self.trained.run)
        said = "the data that were given"
        if isinstance(data, str | Path):
            path = Path(data)
            require_existing([path])
            if not table.is_table(path):
                raise DataError(
                    f"A forecaster reads a table of series (.csv, .tsv, .parquet, .arrow), and {path.name} is none."
                )
            data, said = path, path.name
        return Chosen(table.read(data), item, steps, said)

    def examine(self, name: str, chosen: Chosen, report: Report) -> tuple[Moments, Drawings]:
        return examine(self.trained, name, chosen, report)

    def typing(self) -> Typing:
        raise DataError(
            "Nothing can be typed for a forecaster: --live is for runs that read text, language models and classifiers "
            "of texts. Leave it out to write the page as a file."
        )


def examine(trained: Trained, name: str, chosen: Chosen, report: Report = lambda _: None) -> tuple[Moments, Drawings]:
    """Everything a page shows of one forecaster and series, and the pictures beside it."""
    network, encoder = trained.network.eval(), trained.network.encoder
    stretch = stretch_of(trained, chosen)
    inputs, rows, columns = stretch.inputs, stretch.rows, stretch.columns
    steps, series = len(rows), inputs.panel.name(stretch.column)
    report(f"{name}: {steps:,} steps of {series}, {encoder.num_layers} x {encoder.hidden_size} units")
    x = on_device(network, network_inputs(network, inputs, rows[:, None], columns[:, None]))
    hx = stretch.hx or encoder.fresh_states(1)
    told_scans, _, after = scans(encoder, x[:, 0], hx, np.arange(steps))
    report(f"{name}: a forecast from each step, {trained.horizon} ahead")
    told, linear = forecasts(trained, stretch)
    reads = signals_of(trained, stretch)
    level = level_of(inputs.panel.values[rows, stretch.column], told_before(told))
    expects = Quantiles(
        levels=tuple(LEVELS[k] for k in SHOWN),
        told=told[..., list(SHOWN)],
        linear=linear,
        times=times_of(trained, inputs, rows[-1] + np.arange(1, trained.horizon + 1)),
        surprise=surprise_of(level),
        level=level,
    )
    report(f"{name}: what moved each forecast, over the last {min(analysis.BACK, steps)} steps")
    measure = measure_of(trained, stretch, x)
    shares = analysis.influence(measure, steps, analysis.states_of(hx, after))
    report(f"{name}: gradients, timescales, units that follow the series")
    initial = hx if len(hx) > 1 else hx[0]
    gates = read_gates(encoder, x, initial)
    timescales, too_short = analysis.timescales_of(gates)
    lags = analysis.lags_for(steps)
    outputs = torch.arange(steps)
    forecast_loss = partial(losses_of, trained, stretch)
    flow = gradient_flow(
        partial(told_in_scales, trained, stretch, outputs), x, initial, loss=forecast_loss, lags=lags, layer=encoder
    )
    curves, untold = analysis.curves_of(flow)
    findings, too_little = analysis.findings(
        gates.places, partial(told_in_scales, trained, stretch, outputs), x, initial,
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
            "expects": _said_of_forecast(trained, told),
            "influence": [
                "What moves the forecast: the gradient of the median, averaged over the steps ahead, by what the "
                "network read at each step. What the linear forecast sees for itself is not counted."
            ],
            "units": [_said_of_scan(network), *too_short],
            "flow": [
                f"The quantile loss of the forecast from a step, over the {network.at_once} steps ahead that are told "
                f"at once, followed back through the scan over the history.",
                *untold,
            ],
            "findings": too_little,
        },
    )
    drawings = pictures.of_network(gates, flow) | {
        "influence": partial(pictures.influence_at_end, shares, reads.times, PICTURED),
        "signals": partial(pictures.signals_over_time, reads),
        "forecast": partial(_picture, name, stretch, told),
    }
    return moments, drawings


# -- what is read -----------------------------------------------------------------------------------------------


def stretch_of(trained: Trained, chosen: Chosen) -> Stretch:
    """The last steps of the series that is meant. Raises DataError where it is too short or there is none."""
    inputs = trained.inputs(chosen.frame)
    panel, network = inputs.panel, trained.network
    names = [panel.name(column) for column in range(panel.values.shape[1])]
    column = number_of(chosen.item, names, "series")
    begin, end = int(panel.begin[column]), int(panel.end[panel.owner[column]])
    if end - begin < 2:
        raise DataError(
            f"A page shows at least two steps, and the series {names[column]} has {max(0, end - begin)}. Choose "
            f"another with --item: a name, or a number from 0 to {len(names) - 1}."
        )
    first = max(begin, end - chosen.steps)
    hx = None
    if first > begin:
        hx = tuple(s.clone() for s in states_at(network, inputs, np.array([first - 1]), np.array([column])))
    return Stretch(inputs, column, np.arange(first, end), hx)


def times_of(trained: Trained, inputs: Inputs, rows: np.ndarray) -> list[str]:
    """What these steps are called in the columns of the data that tell the time."""
    stamps = trained.reading.layout.roles.time.restore(inputs.panel.stamps(rows))
    if not stamps.width:
        return [f"row {row + 1}" for row in rows]
    words = ["-".join(map(str, row)) for row in stamps.rows()]
    midnight = " 00:00:00"
    return [word.removesuffix(midnight) for word in words] if all(w.endswith(midnight) for w in words) else words


def signals_of(trained: Trained, stretch: Stretch) -> Signals:
    """The series itself, and beside it the covariates that are numbers, in their own units."""
    panel, rows = stretch.inputs.panel, stretch.rows
    owner, layout = panel.owner[stretch.column], panel.layout
    names, values = [panel.name(stretch.column)], [panel.values[rows, stretch.column]]
    for encoders, encoded in ((layout.known, panel.known), (layout.past, panel.past)):
        at = 0
        for encoder in encoders:
            if encoder.categories is None:
                numbers = encoded[rows, owner, at].astype(np.float64) * encoder.deviation + encoder.mean
                kept = 1e-6 * (abs(encoder.mean) + encoder.deviation)  # of single precision, in which they are read
                numbers = np.round(numbers / kept) * kept
                missing = encoded[rows, owner, at + 1] > 0 if encoder.flagged else np.zeros(len(rows), bool)
                names.append(encoder.name)
                values.append(np.where(missing, np.nan, numbers))
            at += encoder.width
    learnt = int(np.clip(trained.split.rows(panel) - rows[0], 0, len(rows)))
    return Signals(names, np.stack(values, 1), times_of(trained, stretch.inputs, rows), rows + panel.first, learnt)


# -- what is expected -------------------------------------------------------------------------------------------


def forecasts(trained: Trained, stretch: Stretch) -> tuple[np.ndarray, np.ndarray]:
    """From each step: quantiles (T, horizon, levels), as `Forecaster.predict` gives them of the history up to there,
    and the linear forecast alone (T, horizon); NaN where a covariate that must be known ahead is not."""
    network, inputs = trained.network, stretch.inputs
    rows, columns, horizon = stretch.rows, stretch.columns, trained.horizon
    told = forecast_at(trained, inputs, rows, columns, horizon)
    at_once = min(horizon, network.at_once)
    with torch.no_grad():
        origins, ahead = inputs.at_origins(rows, columns), inputs.ahead(rows, columns, at_once)
        anchor = network.linear(on_device(network, origins), on_device(network, ahead)).double().cpu().numpy()
    linear = np.full((horizon, len(rows)), np.nan)
    linear[:at_once] = absolute(inputs, anchor[..., None], rows, columns)[..., 0]
    unknown = beyond_known(inputs, rows, stretch.column, horizon)
    told[unknown] = linear[unknown] = np.nan
    return told.transpose(1, 0, 2), linear.T


def beyond_known(inputs: Inputs, rows: np.ndarray, column: int, horizon: int) -> np.ndarray:
    """(horizon, T): which steps ahead need covariates that the table does not have."""
    panel = inputs.panel
    if not panel.known.shape[2]:
        return np.zeros((horizon, len(rows)), bool)
    return rows + np.arange(1, horizon + 1)[:, None] >= panel.known_until[panel.owner[column]]


def told_before(told: np.ndarray) -> np.ndarray:
    """What was told of each step one step before, (T, levels); NaN for the first."""
    return np.concatenate([np.full((1, told.shape[2]), np.nan), told[:-1, 0]])


def level_of(came: np.ndarray, told: np.ndarray) -> np.ndarray:
    """At which level p of told (T, levels) what came (T) lay, straight between the levels; beyond the outermost, those.
    NaN where nothing came or nothing was told, or all levels are one."""
    level = np.full(len(came), np.nan)
    for t in np.flatnonzero(np.isfinite(came) & np.isfinite(told).all(1)):
        if told[t, -1] > told[t, 0]:
            level[t] = np.interp(came[t], told[t], LEVELS)
    return level


def surprise_of(level: np.ndarray) -> np.ndarray:
    """-log2(2 min(p, 1 - p)) bits: 0 at the median, 1 where half of all would lie further out."""
    return -np.log2(2 * np.minimum(level, 1 - level)) + 0.0


# -- gradients --------------------------------------------------------------------------------------------------


def told_in_scales(
    trained: Trained, stretch: Stretch, steps: Tensor, x: Tensor, hx: Any = None, *, at: Sequence[int] | None = None
) -> Tensor:
    """What the network tells at once after each of `at`, (W, B, steps ahead * levels), in scales from the series' level
    there; zeros at other steps. Differentiable by x.

    x: (W, B, step), what is read at the steps of the stretch that `steps`, (W, B) or (W), names.
    """
    network, inputs = trained.network, stretch.inputs
    output, _, recorded = network.encoder(x, hx, return_states=True)
    states = list(recorded.values())
    # The last layer's output, as itself: what arrives at it is what gradients further back are compared with.
    states[0] = torch.cat([states[0][:-1], output[None]])
    chosen = list(range(len(x))) if at is None else list(at)
    picked = tuple(s[:, chosen].flatten(1, 2) for s in states)
    which = steps.reshape(len(x), -1)[chosen].flatten().numpy()
    rows, columns = stretch.rows[which], stretch.columns[which]
    ahead = inputs.ahead(rows, columns, network.at_once)
    told = network.tell(picked, on_device(network, inputs.at_origins(rows, columns)), on_device(network, ahead))
    found = told.permute(1, 0, 2).reshape(len(chosen), x.shape[1], -1)
    if at is None:
        return found
    return x.new_zeros(len(x), *found.shape[1:]).index_copy(0, torch.tensor(chosen), found)


def measure_of(trained: Trained, stretch: Stretch, x: Tensor) -> Measure:
    """|d m_t / d x_s|: m_t, the median after step t averaged over the steps told at once; x_s, what was read at s."""

    def median(told: Tensor) -> Tensor:
        return told.unflatten(-1, (-1, len(LEVELS)))[..., MEDIAN].mean(-1)

    def measure(steps: Tensor, hx: Any, at: Sequence[int]) -> Tensor:
        module: Callable[..., Tensor] = partial(told_in_scales, trained, stretch, steps, at=at)
        return input_influence(module, x[steps, 0], hx, at=at, of=median, layer=trained.network.encoder).norms

    return measure


def losses_of(trained: Trained, stretch: Stretch, told: Tensor) -> Tensor:
    """The quantile loss of the forecast after each step, (T, 1): see `carousel.models.quantile_forecaster`."""
    network = trained.network
    came = on_device(network, stretch.inputs.outcomes(stretch.rows, stretch.columns, network.at_once).T)
    levels = torch.tensor(LEVELS, device=told.device, dtype=told.dtype)
    seen = torch.isfinite(came)
    error = torch.where(seen, came, 0.0)[:, None, :, None] - told.unflatten(-1, (-1, len(LEVELS)))
    loss = 2 * torch.maximum(levels * error, (levels - 1) * error).mean(-1)
    return torch.where(seen[:, None], loss, 0.0).sum(-1) / seen.sum(-1, keepdim=True).clamp_min(1)


# -- in words and pictures --------------------------------------------------------------------------------------


def _marks(reads: Signals) -> dict[str, np.ndarray]:
    """What units may be found to follow: each of the signals, and how the series changes."""
    marks = {}
    for name, values in zip(reads.names, reads.values.T, strict=True):
        marks[name] = _filled(values)
    marks[f"change of {reads.names[0]}"] = np.diff(
        _filled(reads.values[:, 0]), prepend=np.nan_to_num(reads.values[0, 0])
    )
    return marks


def _filled(values: np.ndarray) -> np.ndarray:
    """What is missing as it was last; nothing before the first."""
    seen = np.isfinite(values)
    if not seen.any():
        return np.zeros(len(values))
    latest = np.maximum.accumulate(np.where(seen, np.arange(len(values)), -1))
    return np.where(latest < 0, values[seen][0], values[np.maximum(latest, 0)])


def _said_of_forecast(trained: Trained, told: np.ndarray) -> list[str]:
    said = [
        "Surprise: p is the level of the forecast, told one step before, at which what came lay, straight between the "
        "levels told; −log₂(2 min(p, 1 − p)) is 0 bits at the median, 1 where half of all would lie further out, and "
        "4.3 at the ends of the 95 % interval and beyond them, where nothing is told."
    ]
    if np.isnan(told).any():
        names = ", ".join(trained.reading.layout.roles.known)
        said.append(
            f"Forecasts end where the table has no {names}, known in advance: add rows with them and without a target."
            if names
            else "There is no forecast where nothing had been seen."
        )
    return said


def _said_of_scan(network: QuantileForecaster) -> str:
    if network.autoregressive:
        return "What is shown is the scan over the history; the forecast is read off its state, and fed back."
    return (
        "What is shown is the encoder's scan over the history; the decoder begins each forecast with its state after "
        "the step."
    )


def _about(trained: Trained, chosen: Chosen, series: str, steps: int) -> list[tuple[str, str]]:
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


def _picture(name: str, stretch: Stretch, told: np.ndarray) -> Figure:
    """The series and its latest forecasts that do not overlap."""
    from carousel.tasks.forecasting.charts import axis

    horizon, rows = told.shape[1], stretch.rows
    origins = [k for k in range(len(rows) - 1, -1, -horizon) if np.isfinite(told[k]).all()][:LATEST][::-1]
    seen = rows[max(0, (origins[0] if origins else 0) - 4 * horizon) :]
    shown = {
        "name": stretch.inputs.panel.name(stretch.column),
        "x": axis(stretch.inputs, seen),
        "y": stretch.inputs.panel.values[seen, stretch.column],
        "forecasts": [drawn(stretch.inputs, int(rows[k]), told[k]) for k in origins],
    }
    return forecast_figure([shown], title=f"{name}: {horizon} steps ahead")
