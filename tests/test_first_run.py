"""What a person meets in the first run of each task: verdicts, proposals, refusals, and what a terminal shows."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from carousel.cli.forecast import for_people
from carousel.cli.train import train
from carousel.errors import DataError
from carousel.insight.forecast_chart import forecast_figure
from carousel.tasks.forecasting import Forecaster
from carousel.tasks.language.task import beginning
from carousel.training import threads
from carousel.training.measure import Measure
from carousel.training.progress import Lines, Status
from carousel.training.screen import Screen
from carousel.training.settings import TrainingSettings

STATUS = Status(step=5, steps=10, tokens=100, epoch=0.5, seconds=2.0, train=1.0, validation=2.0, best=2.0)


def test_the_live_table_has_its_heads_on_a_line_of_their_own():
    text = io.StringIO()
    screen = Screen(Console(file=text, force_terminal=True, width=100, color_system=None))
    screen.begin(Measure("char"), ("counts", 2.5))
    screen.validated(STATUS, None)
    screen.pause()
    heads = [line for line in text.getvalue().splitlines() if "nats/char" in line][-1]
    assert re.fullmatch(r"[\s\x1b\[0-9;A-Za-z?]*nats/char\s+bits/char\s*", heads)
    assert "━" not in heads


def test_the_heads_are_seen_on_a_real_terminal(tmp_path):
    script = tmp_path / "screen.py"
    script.write_text(
        "from carousel.training.progress import report_for, Status\nfrom carousel.training.measure import Measure\n"
        "report = report_for()\nreport.begin(Measure('char'), ('counts', 2.5))\n"
        f"report.validated({STATUS!r}, None)\nreport.pause()\n",
        encoding="utf-8",
    )
    leader, follower = pty.openpty()
    with subprocess.Popen([sys.executable, str(script)], stdout=follower, env=os.environ | {"TERM": "xterm"}) as run:
        os.close(follower)
        shown = b""
        try:
            while chunk := os.read(leader, 4096):
                shown += chunk
        except OSError:  # the terminal ends with its process
            pass
    os.close(leader)
    assert run.returncode == 0
    lines = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", shown).decode().splitlines()
    heads = [line.split() for line in lines if "nats" in line]  # the table is drawn anew at each update
    assert heads
    assert all(line == ["nats/char", "bits/char"] for line in heads)


def test_a_log_shows_a_short_sample_such_as_an_accuracy_and_no_text():
    lines: list[str] = []
    report = Lines(write=lines.append)
    report.begin(Measure("sequence"), None, samples="on the sequences held out")
    report.validated(STATUS, "accuracy 71.9%, macro-F1 70.1%")
    report.validated(STATUS, "a text that a model wrote. " * 5)
    assert lines[1] == "on the sequences held out: accuracy 71.9%, macro-F1 70.1%"
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("t der Umsatz\nDie Zahlen vom Montag sind gut.\nMehr nicht.", '"Die Zahlen vom Montag"'),
        ("half of a line goes on here", '"of a line goes"'),
        ("kurz", '"kurz"'),
        ("x\nit costs $5 a day now", "'it costs $5 a'"),
    ],
)
def test_the_proposed_beginning_is_of_the_text_itself(text, prompt):
    assert beginning(text) == prompt


def test_a_run_folder_is_no_data(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.json", "log.jsonl"):
        (run / name).write_text("{}")
    with pytest.raises(DataError, match=f"is the folder of a run, and no data.*carousel train --resume {run}"):
        train(run, quiet=True)


def test_a_forecast_on_a_terminal_is_a_short_table():
    frame = pl.DataFrame({"day": [f"2024-01-{d:02}" for d in range(1, 31)], "sales": [1234.5678, 0.123456] * 15})
    lines = for_people(frame).splitlines()
    assert lines[0].split() == ["day", "sales"]
    assert lines[1].split() == ["2024-01-01", "1,235"]
    assert lines[2].split() == ["2024-01-02", "0.1235"]
    assert lines[-1] == "... and 10 rows more"
    assert len(lines) == 22


def test_the_axis_of_a_picture_follows_the_values_and_not_one_wide_interval():
    x = np.arange(20)
    wide = (np.full(5, -1e6), np.full(5, 1e6))
    forecast = {"x": np.arange(20, 25), "median": np.full(5, 12.0), "bands": {80: wide, 95: wide}}
    figure = forecast_figure([{"name": "a", "x": x, "y": 10.0 + x % 5, "forecasts": [forecast]}])
    figure.savefig(io.BytesIO(), dpi=40)
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    assert 5 < low < 10
    assert 14 < high < 20
    assert "intervals go on beyond the picture" in [text.get_text() for text in axes.texts]
    assert axes.get_legend() is None  # it stands above the pictures
    assert len(figure.legends) == 1


def test_a_picture_names_the_series_that_it_does_not_show():
    steps = np.arange(30)
    frame = pl.concat(
        [pl.DataFrame({"step": steps, "shop": name, "y": 10.0 + (steps + k) % 5}) for k, name in enumerate("abcdef")]
    )
    model = Forecaster(horizon=2, epochs=1, time="step", hidden=4, verbose=False, threads=1).fit(frame)
    for figure in (model.plot(), model.backtest().plot()):
        below = [axes.get_xlabel() for axes in figure.axes]
        assert below[3] == "not shown: e, f"
        assert below[:3] == ["", "", ""]


def test_a_backtest_and_a_forecast_demand_known_covariates_alike():
    days = 80
    promo = (np.arange(days) % 5 == 0).astype(float)
    frame = pl.DataFrame({"step": np.arange(days), "y": 10 + 5 * promo, "promo": promo})
    model = Forecaster(horizon=5, epochs=1, known=("promo",), time="step", hidden=4, verbose=False, threads=1)
    model.fit(frame)
    result = model.backtest(frame)
    assert result.forecasts["step"].max() <= days - 1, "a forecast reaches beyond the covariates that are known"
    with pytest.raises(DataError, match="needs promo, known in advance"):
        model.backtest(frame, horizon=days)


def test_threads_are_measured_once_and_settings_switch_that_off(monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(threads.torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(threads, "measure", lambda units, counts: {1: 0.010, 4: 0.028})
    assert threads.choose_threads(TrainingSettings(), said.append) == 1
    assert said == [f"threads: 1, as a layer takes 10 ms with 1, 28 ms with 4 ({threads.option('threads')})"]
    monkeypatch.setattr(threads, "measure", lambda units, counts: {1: 0.010, 4: 0.004})
    assert threads.choose_threads(TrainingSettings(), said.append) == 4
    monkeypatch.setattr(threads, "measure", lambda units, counts: pytest.fail("nothing is to be measured"))
    assert threads.choose_threads(TrainingSettings(threads=3), said.append) == 3
    assert threads.choose_threads(TrainingSettings(epochs=2.0), said.append) == 4


def test_measuring_threads_leaves_torch_as_it_was():
    before = threads.torch.get_num_threads(), threads.torch.random.get_rng_state()
    found = threads.measure(8, (1, before[0]))
    assert set(found) == {1, before[0]}
    assert all(seconds > 0 for seconds in found.values())
    assert threads.torch.get_num_threads() == before[0]
    assert threads.torch.equal(threads.torch.random.get_rng_state(), before[1])
