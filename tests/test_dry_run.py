"""`carousel train DATA --dry-run` says all that a training would decide, and leaves nothing behind."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from carousel.cli import app
from carousel.errors import CarouselError
from carousel.tasks.catalogue import prepare
from carousel.training.progress import Quiet

SMALL = ["--hidden", "4", "--epochs", "2", "--threads", "1"]


def carousel(*words: object) -> None:
    app([str(word) for word in words], result_action="return_value")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with data of every task, in which the command is typed."""
    chance = np.random.default_rng(0)
    (tmp_path / "clouds.txt").write_text("The clouds are in the sky. The fish are in the sea. " * 60)
    days = [date(2024, 1, 1) + timedelta(days=k) for k in range(120)]
    sold = 10 + 3 * np.sin(np.arange(120) * 2 * np.pi / 7) + chance.normal(size=120)
    pl.DataFrame({"day": days, "sold": sold.round(2)}).write_csv(tmp_path / "sales.csv")
    rows = [
        {"text": f"a {word} film {k}", "label": label} for k in range(20) for word, label in (("good", 1), ("bad", 0))
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "reviews.csv")
    for label in ("up", "down"):
        (tmp_path / "moves" / label).mkdir(parents=True)
        for k in range(6):
            walk = chance.normal(size=20).cumsum()
            pl.DataFrame({"x": walk}).write_csv(tmp_path / "moves" / label / f"{k}.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


DECIDED = {
    "sales.csv": [
        "taken for a table with a time column (day), to train forecasting",
        "time: day (--time)",
        "target: sold (--target)",
        "120 rows: 1 series of 120 values, daily, 2024-01-01 to 2024-04-29",
        "seasons: 7 (--season)",
        "steps to learn from, the last ",
        "model: encoder-decoder, GRU(reset='after'), 1 x 4 units",
    ],
    "reviews.csv": [
        "to train classification",
        "table of 40 rows: every row is a text; classes from 'label'",
        "40 sequences of 2 classes (0: 20, 1: 20)",
        "5 networks vote",
        "model: gru, 1 x 4 units",
    ],
    "moves": ["2 folders, named by class, of tables", "12 sequences of 2 classes (down: 6, up: 6)"],
    "clouds.txt": ["to train language", "clouds.txt: text, 3,120 bytes; 3,120 chars", "model: lstm, 1 x 4 units"],
}


def below(folder: Path) -> dict[Path, bytes | None]:
    return {one: one.read_bytes() if one.is_file() else None for one in folder.rglob("*")}


@pytest.mark.parametrize("data", DECIDED)
def test_all_is_said_and_nothing_written(place, capsys, data):
    before = below(place)
    carousel("train", data, "--dry-run", *SMALL)
    said = capsys.readouterr().out
    for words in (*DECIDED[data], "would train for ", " 2.0 times over the training part", "nothing was trained"):
        assert words in said, words
    assert below(place) == before


def test_a_training_says_the_same_and_lasts_as_long(place, capsys):
    for data in DECIDED:
        carousel("train", data, "--dry-run", *SMALL)
        *decided, long, _ = capsys.readouterr().out.splitlines()
        carousel("train", data, "--out", place / f"{data}-run", *SMALL)
        said = capsys.readouterr().out
        for line in decided:
            assert line in said, line
        steps = long.removeprefix("would train for ").split(" steps")[0]
        assert f"{steps} steps, 2.0 times" in said


@pytest.mark.usefixtures("place")
def test_what_is_decided_is_data_in_python():
    task, prepared = prepare([Path("sales.csv")], None, {"horizon": 5, "epochs": 3}, Quiet())
    assert task.__name__ == "carousel.tasks.forecasting.task"
    assert prepared.roles.targets == ("sold",)
    assert prepared.roles.time.names == ("day",)
    assert prepared.seasons == (7,)
    assert (prepared.frequency.unit, prepared.horizon, prepared.settings.epochs) == ("day", 5, 3)
    _, prepared = prepare([Path("reviews.csv")], None, {}, Quiet())
    assert prepared.classes == (0, 1)
    assert prepared.members == 5


def test_a_dry_run_refuses_what_a_training_would(place):
    (place / "taken").mkdir()
    (place / "taken" / "notes").write_text("mine")
    with pytest.raises(CarouselError, match="taken already holds something else"):
        carousel("train", "sales.csv", "--dry-run", "--out", "taken")
    with pytest.raises(CarouselError, match="There is no file none.csv"):
        carousel("train", "none.csv", "--dry-run")
    with pytest.raises(CarouselError, match="--dry-run says what a new run would be; --resume goes on with one"):
        carousel("train", "--resume", "taken", "--dry-run")


@pytest.mark.usefixtures("place")
def test_the_time_of_a_training_by_the_clock_is_said(capsys):
    carousel("train", "clouds.txt", "--dry-run", "--minutes", "2", "--hidden", "4")
    assert "would train for 2:00" in capsys.readouterr().out
