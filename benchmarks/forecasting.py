"""Forecasts of public series beside naive ones: errors, and what intervals hold, on time that no training has seen.

    python benchmarks/forecasting.py                        # everything, a quarter of an hour or so on one core
    python benchmarks/forecasting.py airline co2            # some
    python benchmarks/forecasting.py --form autoregressive --markdown

Each set is cut once. What comes before the cut is trained on (its last tenth is held out, to choose the model and
correct its intervals); then forecasts are made from one origin after another behind the cut, by the same weights, and
scored by `carousel.tasks.forecasting.metrics`, which the tests hold to plain computations. NeuralForecast's LSTM, where
it is installed, is trained on the same rows and asked at the same origins.
"""

import argparse
import tempfile
import time
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl

from carousel.tasks import table
from carousel.tasks.forecasting import Backtest, Forecaster
from carousel.tasks.forecasting.metrics import INTERVALS

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True)
class Set:
    """`cut`: rows to train on, counted from the end where below 0; `end`: rows of the file that are used."""

    file: str
    cut: int
    horizon: int
    stride: int = 1
    target: str | None = None
    end: int | None = None


SETS = {
    "airline": Set("univariate-series/airline-passengers.csv", -24, 12),
    "sunspots": Set("univariate-series/monthly-sunspots.csv", -564, 12),
    "temperature": Set("univariate-series/daily-min-temperatures.csv", -365, 7),
    "co2": Set("univariate-series/mauna-loa-co2.csv", -120, 12),
    # The usual split: 12 months of 30 days to train, 4 to validate, 4 to test.
    "etth1 OT": Set("etth1/ETTh1.csv", 11_520, 24, 4, "OT", 14_400),
    "etth1 all": Set("etth1/ETTh1.csv", 11_520, 24, 12, None, 14_400),
    "pm2.5": Set("beijing-pm25/pollution.csv", -8_760, 24, 12, "pm2.5"),
}


def run(name: str, form: str, out: Path, **settings: float) -> tuple[Backtest, float]:
    """The backtest behind the cut, and the seconds that training took."""
    chosen = SETS[name]
    frame = table.read(DATA / chosen.file)[: chosen.end]
    before = time.perf_counter()
    model = Forecaster(chosen.horizon, target=chosen.target, form=form, threads=1, **settings)
    model.fit(frame[: chosen.cut], out=out)
    seconds = time.perf_counter() - before
    start = chosen.cut if chosen.cut > 0 else len(frame) + chosen.cut
    return model.backtest(frame, stride=chosen.stride, start=start), seconds


def rows_of(name: str, result: Backtest, seconds: float) -> list[list[str]]:
    """Of the table: the set's name once, each model's figures below."""
    lines = []
    for number, (model, s) in enumerate(result.scores.items()):
        first = [f"{name}, {SETS[name].horizon} steps", f"{result.forecasts.height // result.horizon:,}"]
        figures = [f"{s.mase:.3f}", f"{s.rmse:.4g}", f"{s.mae:.4g}", f"{s.wql:.4f}"]
        held = [f"{100 * s.coverage_80:.1f}", f"{100 * s.coverage_95:.1f}"]
        took = f"{seconds:.0f}" if number == 0 else ""
        lines.append([*(first if number == 0 else ["", ""]), model, *figures, *held, took])
    return lines


def standardised(frame: pl.DataFrame, result: Backtest) -> str:
    """MSE and MAE on columns standardised by the first 8,640 rows: the units of the literature on ETTh1."""
    told = result.forecasts.drop_nulls("actual")
    errors = []
    for series in told["series"].unique():
        column = frame[str(series)][:8640]
        mine = told.filter(pl.col("series") == series)
        errors.append(((mine["actual"] - mine["forecast"]) / column.std(ddof=0)).to_numpy())
    every = np.concatenate(errors)
    return f"standardised MSE {np.mean(every**2):.3f}, MAE {np.mean(np.abs(every)):.3f}"


def neuralforecast(name: str) -> str:
    """The scores of NeuralForecast's LSTM with quantile outputs, in a line; of origins that a whole horizon follows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from neuralforecast import NeuralForecast
        from neuralforecast.losses.pytorch import MQLoss
        from neuralforecast.models import LSTM

    chosen = SETS[name]
    frame = table.read(DATA / chosen.file)[: chosen.end]
    target = chosen.target or frame.columns[-1]
    long = frame.select(
        unique_id=pl.lit("a"), ds=pl.int_range(pl.len()), y=pl.col(target).forward_fill().backward_fill()
    )
    start = chosen.cut if chosen.cut > 0 else len(frame) + chosen.cut
    before = time.perf_counter()
    model = LSTM(h=chosen.horizon, loss=MQLoss(level=[80, 95]), max_steps=600, scaler_type="robust")
    forecaster = NeuralForecast(models=[model], freq=1)
    told = forecaster.cross_validation(long, n_windows=None, test_size=len(frame) - start, step_size=chosen.stride)
    y, middle = told["y"].to_numpy(), told["LSTM-median"].to_numpy()
    held = [((y >= told[f"LSTM-lo-{k}"].to_numpy()) & (y <= told[f"LSTM-hi-{k}"].to_numpy())).mean() for k in INTERVALS]
    return (
        f"NeuralForecast LSTM: RMSE {np.sqrt(np.mean((y - middle) ** 2)):.4g}, MAE {np.mean(np.abs(y - middle)):.4g}, "
        f"in 80 % {held[0]:.1%}, in 95 % {held[1]:.1%}, {time.perf_counter() - before:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}; all without any")
    parser.add_argument("--form", default="encoder-decoder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--pictures", type=Path, help="a folder for a picture of each backtest")
    asked = parser.parse_args()
    names = [name for name in SETS if not asked.sets or any(name.startswith(part) for part in asked.sets)]
    head = ["set", "forecasts", "model", "MASE", "RMSE", "MAE", "WQL", "in 80 %", "in 95 %", "seconds"]
    widths = [22, 9, 14, 6, 9, 9, 7, 7, 7, 7]

    def show(cells: list[str]) -> None:
        line = (
            " | ".join(cells) if asked.markdown else "  ".join(f"{c:<{w}}" for c, w in zip(cells, widths, strict=True))
        )
        print(f"| {line} |" if asked.markdown else line, flush=True)

    show(head)
    if asked.markdown:
        print("|" + "---|" * len(head))
    notes = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            result, seconds = run(name, asked.form, Path(folder) / name, seed=asked.seed)
        for row in rows_of(name, result, seconds):
            show(row)
        if asked.pictures:
            asked.pictures.mkdir(parents=True, exist_ok=True)
            result.plot().savefig(asked.pictures / f"{name.replace(' ', '-')}.png", dpi=110)
        if name.startswith("etth1"):
            notes.append(f"{name}: {standardised(table.read(DATA / SETS[name].file), result)}")
        if find_spec("neuralforecast") and name != "etth1 all":
            notes.append(f"{name}: {neuralforecast(name)}")
    print("\n".join(["", *notes]))
    if not find_spec("neuralforecast"):
        print("NeuralForecast is not installed: no comparison with it.")


if __name__ == "__main__":
    main()
