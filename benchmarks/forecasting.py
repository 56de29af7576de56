"""Forecasts of public series beside naive ones: errors, and what intervals hold, on time that no training has seen.

    python benchmarks/forecasting.py                        # everything, a quarter of an hour or so on one core
    python benchmarks/forecasting.py airline co2            # some
    python benchmarks/forecasting.py --form autoregressive --markdown
    python benchmarks/forecasting.py --peers                # beside NeuralForecast and Darts, what is installed of them
    python benchmarks/forecasting.py --seeds 0 1 2 --peers-python peers/bin/python      # beside classical forecasts

Each set is cut once. What comes before the cut is trained on (its last tenth, or two horizons where that is more, is
held out, to choose the model and correct its intervals); then forecasts are made from one origin after another behind
the cut, by the same weights, and scored by `carousel.tasks.forecasting.scoring.metrics`, which the tests hold to plain
computations. Peers are those of `forecasting_peers.py`.

Classical forecasts are fitted again to all that comes before each origin; ours are not. They run in an environment of
their own with statsforecast (`forecasting_classical_peers.py`), for the sets of one series that name a season: at every
origin of a short series, at origins a horizon apart of a long one. AutoARIMA fits short ones alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from carousel.tasks import table
from carousel.tasks.forecasting import Backtest, Forecaster
from carousel.tasks.forecasting.answers.backtesting import OURS, backtest
from carousel.tasks.forecasting.scoring.metrics import INTERVALS, LEVELS, Scores

if TYPE_CHECKING:
    import forecasting_peers

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True)
class Set:
    """`cut`: rows to train on, counted from the end where below 0; `end`: rows of the file that are used; `season`:
    steps of the season that classical forecasts are told."""

    file: str
    cut: int
    horizon: int
    stride: int = 1
    target: str | None = None
    end: int | None = None
    season: int | None = None


SHORT = 200  # rows of a series for which every fit is quick
CLASSICAL = ("AutoARIMA", "AutoETS", "AutoTheta")

SETS = {
    "airline": Set("univariate-series/airline-passengers.csv", -24, 12, season=12),
    "sunspots": Set("univariate-series/monthly-sunspots.csv", -564, 12, season=12),
    "temperature": Set("univariate-series/daily-min-temperatures.csv", -365, 7, season=7),
    "co2": Set("univariate-series/mauna-loa-co2.csv", -120, 12, season=12),
    # The usual split: 12 months of 30 days to train, 4 to validate, 4 to test.
    "etth1 OT": Set("etth1/ETTh1.csv", 11_520, 24, 4, "OT", 14_400),
    "etth1 all": Set("etth1/ETTh1.csv", 11_520, 24, 12, None, 14_400),
    "pm2.5": Set("beijing-pm25/pollution.csv", -8_760, 24, 12, "pm2.5"),
}


def run(name: str, form: str, out: Path, **settings: float) -> tuple[Backtest, Backtest, float]:
    """The backtest behind the cut; the same with intervals that stay as training calibrated them; and the seconds that
    training took."""
    chosen = SETS[name]
    frame = table.read(DATA / chosen.file)[: chosen.end]
    before = time.perf_counter()
    model = Forecaster(chosen.horizon, target=chosen.target, form=form, threads=1, **settings)
    model.fit(frame[: chosen.cut], out=out)
    seconds = time.perf_counter() - before
    start = chosen.cut if chosen.cut > 0 else len(frame) + chosen.cut
    result = model.backtest(frame, stride=chosen.stride, start=start)
    trained = model.trained
    still = replace(trained, split=replace(trained.split, end=trained.split.end + len(frame)))  # nothing comes after it
    inputs = trained.inputs(frame)
    fixed = backtest(still, inputs, horizon=chosen.horizon, stride=chosen.stride, start=start, own_data=False)
    return result, fixed, seconds


def rows_of(name: str, result: Backtest, fixed: Backtest, seconds: float) -> list[list[str]]:
    """Of the table: the set's name once, each model's figures below."""
    count = f"{result.forecasts.height // result.horizon:,}"
    scores = dict(result.scores)
    lines = [
        [f"{name}, {SETS[name].horizon} steps", count, "**carousel**", *figures_of(scores.pop(OURS)), f"{seconds:.0f}"]
    ]
    as_trained = figures_of(fixed.scores[OURS])
    lines.append(["", "", "*its intervals as trained*", "", "", "", *as_trained[3:], ""])
    return lines + [["", "", model, *figures_of(s), ""] for model, s in scores.items()]


def figures_of(s: Scores) -> list[str]:
    held = [f"{100 * s.coverage_80:.1f}", f"{100 * s.coverage_95:.1f}"]
    return [f"{s.mase:.3f}", f"{s.rmse:.4g}", f"{s.mae:.4g}", f"{s.wql:.4f}", *held]


def standardised(frame: pl.DataFrame, result: Backtest) -> str:
    """MSE and MAE on columns standardised by the first 8,640 rows: the units of the literature on ETTh1."""
    quantiles = result.forecasts.drop_nulls("actual")
    errors = []
    for series in quantiles["series"].unique():
        column = frame[str(series)][:8640]
        mine = quantiles.filter(pl.col("series") == series)
        errors.append(((mine["actual"] - mine["forecast"]) / column.std(ddof=0)).to_numpy())
    every = np.concatenate(errors)
    return f"standardised MSE {np.mean(every**2):.3f}, MAE {np.mean(np.abs(every)):.3f}"


@dataclass(frozen=True)
class Comparison:
    """judged (horizon, origins): what both forecast and came; ours (those, 5), actual (those)."""

    task: "forecasting_peers.Task"
    title: str
    judged: np.ndarray
    ours: np.ndarray
    actual: np.ndarray


def compared(name: str, result: Backtest, stride: int, seed: int) -> Comparison:
    """Our backtest at the origins that a whole horizon follows, for peers to answer from too."""
    import forecasting_peers

    chosen = SETS[name]
    frame = table.read(DATA / chosen.file)[: chosen.end]
    targets = [name for name in frame.columns if name in set(result.forecasts["series"])]
    if chosen.target:
        targets = [chosen.target]
    clock = [column.removeprefix("origin_") for column in result.forecasts.columns if column.startswith("origin_")]
    past = [column for column in frame.columns if column not in (*targets, *clock, "No")]
    first = (chosen.cut if chosen.cut > 0 else len(frame) + chosen.cut) - 1
    task = forecasting_peers.task_of(
        frame, targets, past, first=first, stride=stride, horizon=chosen.horizon, levels=LEVELS, seed=seed
    )
    ours, actual = aligned(result.forecasts, frame.select(clock), targets, task)
    judged = np.isfinite(ours[..., 0]) & np.isfinite(actual)
    return Comparison(task, f"{name}, {int(judged[0].sum()):,}", judged, ours[judged], actual[judged])


def beside(name: str, result: Backtest, seconds: float, seed: int) -> list[list[str]]:
    """The figures of our backtest and of each library's LSTM that is installed, on the same forecasts."""
    import forecasting_peers

    both = compared(name, result, SETS[name].stride, seed)
    lines = [peer_row(both.title, "**carousel**", both.ours, both.actual, seconds)]
    wanted = [LEVELS.index(0.5), *INTERVALS[80], *INTERVALS[95]]
    for peer, (package, forecast) in forecasting_peers.PEERS.items():
        if find_spec(package):
            before = time.perf_counter()
            quantiles = forecast(both.task)[..., wanted]
            lines.append(peer_row("", peer, quantiles[both.judged], both.actual, time.perf_counter() - before))
    return lines


def beside_classical(name: str, result: Backtest, seconds: float, seed: int, python: str) -> list[list[str]]:
    """The figures of our backtest and of classical forecasts that are fitted again at each origin."""
    chosen = SETS[name]
    if chosen.season is None:
        return []
    short = len(table.read(DATA / chosen.file)) <= SHORT
    both = compared(name, result, chosen.stride if short else chosen.horizon, seed)
    lines = [peer_row(f"{both.title}, seed {seed}", "**carousel**", both.ours, both.actual, seconds)]
    if seed:
        return lines  # classical forecasts draw nothing
    for model in CLASSICAL if short else CLASSICAL[1:]:
        quantiles, took = classical(both.task, chosen.season, model, python)
        lines.append(peer_row("", model, quantiles[both.judged], both.actual, took))
    return lines


def classical(task: "forecasting_peers.Task", season: int, model: str, python: str) -> tuple[np.ndarray, float]:
    """Quantiles (horizon, origins, 5) that a model of statsforecast tells in an environment of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "series.npz"
        np.savez(file, values=task.values[:, 0], rows=task.rows, horizon=task.horizon, season=season)
        script = Path(__file__).with_name("forecasting_classical_peers.py")
        command = [python, str(script), str(file), model]
        answer = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    told = json.loads(answer.stdout.splitlines()[-1])
    return np.array(told["quantiles"]), told["seconds"]


def aligned(
    forecasts: pl.DataFrame, clock: pl.DataFrame, targets: list[str], task: "forecasting_peers.Task"
) -> tuple[np.ndarray, np.ndarray]:
    """Medians and ends of intervals (horizon, origins, 5), and what came, in the order of the peers' forecasts."""
    rows = clock.with_row_index("row").rename({name: f"origin_{name}" for name in clock.columns})
    places = pl.DataFrame({"row": task.rows, "place": np.arange(len(task.rows))}, schema_overrides={"row": pl.UInt32})
    found = forecasts.join(rows, on=[f"origin_{name}" for name in clock.columns]).join(places, on="row")
    column = np.zeros(len(found), int)
    if len(targets) > 1:
        column = np.array([targets.index(name) for name in found["series"]])
    at = found["step"].to_numpy() - 1, found["place"].to_numpy() * len(targets) + column
    ours = np.full((task.horizon, len(task.rows) * len(targets), 5), np.nan)
    actual = np.full(ours.shape[:2], np.nan)
    ours[at] = found.select("forecast", "lo_80", "hi_80", "lo_95", "hi_95").to_numpy()
    actual[at] = found["actual"].fill_null(np.nan).to_numpy()
    return ours, actual


def peer_row(first: str, model: str, quantiles: np.ndarray, actual: np.ndarray, seconds: float) -> list[str]:
    """Of told (forecasts, 5): median and ends. The score of an interval [l, u] that promises 1 - a is
    u - l + 2/a (l - y if y < l) + 2/a (y - u if y > u), the less the better (Gneiting & Raftery 2007, section 6.2)."""
    median, *ends = quantiles.T
    figures = [f"{np.sqrt(np.mean((actual - median) ** 2)):.4g}", f"{np.mean(np.abs(actual - median)):.4g}"]
    for share, low, high in ((0.2, *ends[:2]), (0.05, *ends[2:])):
        outside = np.maximum(0, low - actual) + np.maximum(0, actual - high)
        figures += [f"{100 * np.mean(outside == 0):.1f}", f"{np.mean(high - low + 2 / share * outside):.4g}"]
    return [first, model, *figures, f"{seconds:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}; all without any")
    parser.add_argument("--form", default="encoder-decoder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--peers", action="store_true", help="a second table, beside NeuralForecast and Darts")
    parser.add_argument("--peers-python", metavar="PYTHON", help="the Python of an environment with statsforecast")
    parser.add_argument("--pictures", type=Path, help="a folder for a picture of each backtest")
    asked = parser.parse_args()
    names = [name for name in SETS if not asked.sets or any(name.startswith(part) for part in asked.sets)]
    lines, beside_lines, classical_lines, notes = [], [], [], []
    for name, seed in product(names, asked.seeds):
        with tempfile.TemporaryDirectory() as folder:
            result, fixed, seconds = run(name, asked.form, Path(folder) / name, seed=seed)
        lines += rows_of(name, result, fixed, seconds)
        if len(asked.seeds) > 1:
            mae = result.scores[OURS].mae
            print(f"{name}, seed {seed}: MAE {mae:.4g} after {seconds:.0f} s", file=sys.stderr, flush=True)
        if asked.pictures:
            asked.pictures.mkdir(parents=True, exist_ok=True)
            result.plot().savefig(asked.pictures / f"{name.replace(' ', '-')}.png", dpi=110)
        if name.startswith("etth1"):
            notes.append(f"{name}, seed {seed}: {standardised(table.read(DATA / SETS[name].file), result)}")
        if asked.peers:
            beside_lines += beside(name, result, seconds, seed)
        if asked.peers_python:
            classical_lines += beside_classical(name, result, seconds, seed, asked.peers_python)
    head = ["set", "forecasts", "model", "MASE", "RMSE", "MAE", "WQL", "in 80 %", "in 95 %", "seconds"]
    show([head, *lines], asked.markdown)
    print("\n".join(["", *notes]))
    head = ["set, forecasts", "model", "RMSE", "MAE", "in 80 %", "its score", "in 95 %", "its score", "seconds"]
    if asked.peers:
        import forecasting_peers

        for peer, (package, _) in forecasting_peers.PEERS.items():
            if not find_spec(package):
                print(f"{peer}: {package} is not installed")
        show([head, *beside_lines], asked.markdown)
    if classical_lines:
        show([head, *classical_lines], asked.markdown)


def show(rows: list[list[str]], markdown: bool) -> None:
    if markdown:
        lines = [f"| {' | '.join(row)} |" for row in rows]
        lines.insert(1, "|" + "---|" * len(rows[0]))
    else:
        rows = [[cell.strip("*") for cell in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows]
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
