"""The commands: train, forecast, backtest, evaluate, on a table as people have it."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from carousel.cli import app
from carousel.errors import CarouselError
from carousel.tasks.catalogue import task_for
from carousel.tasks.forecasting import task

QUICK = ["--epochs", "2", "--hidden", "4", "--threads", "1"]


def carousel(*words: object) -> None:
    app([str(word) for word in words], result_action="return_value")


def sales(days: int) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    dates = [(date(2024, 1, 1) + timedelta(days=k)).strftime("%d.%m.%Y") for k in range(days)]
    y = 10 + 3 * np.sin(np.arange(200) * 2 * np.pi / 7) + rng.normal(size=200)
    price = rng.integers(1, 3, size=200)
    return pl.DataFrame({"day": dates, "sold": y[:days].round(2), "price": price[:days]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("shop")
    sales(120).write_csv(path / "sales.csv")
    carousel("train", path / "sales.csv", "--target", "sold", "--horizon", 7, *QUICK, "--out", path / "run")
    return path


def test_training_says_what_it_decided_and_what_to_type_next(folder, capsys):
    carousel("train", folder / "sales.csv", "--horizon", 5, *QUICK, "--out", folder / "said")
    said = capsys.readouterr().out
    for words in (
        "taken for a table of series to forecast (--horizon), to train forecasting",
        "time: day (--time)",
        "target: sold (--target",
        "past covariates: price (--past; what is known in advance: --known)",
        "120 rows: 1 series of 120 values, daily, 01.01.2024 to 29.04.2024",
        "seasons: 7 (--season); horizon: 5 steps (--horizon)",
        "a naive baseline to beat:",
        "95 % intervals held",
        "seasonal naive",
        "carousel forecast",
    ):
        assert words in said, words
    names = {path.name for path in (folder / "said").iterdir()}
    assert {"curve.png", "backtest.png", "forecast.png", "series.parquet", "config.json"} <= names


def test_a_training_of_some_minutes_says_so(folder, capsys):
    quick = ["--minutes", "0.02", "--hidden", "4", "--threads", "1"]
    carousel("train", folder / "sales.csv", "--target", "sold", "--horizon", 7, *quick, "--out", folder / "timed")
    assert "training for 0:01; its first" in capsys.readouterr().out


def test_forecast_to_the_screen_and_to_files(folder, capsys):
    carousel("forecast", folder / "run", "--horizon", 3)
    lines = capsys.readouterr().out.strip().split("\n")
    assert lines[0] == "day,sold,sold_lo_80,sold_hi_80,sold_lo_95,sold_hi_95"
    assert [line.split(",")[0] for line in lines[1:]] == ["30.04.2024", "01.05.2024", "02.05.2024"]
    carousel("forecast", folder / "run", "--out", folder / "f.parquet", "--plot", folder / "f.png")
    frame = pl.read_parquet(folder / "f.parquet")
    assert frame.height == 7
    assert (folder / "f.png").stat().st_size > 10_000
    carousel("forecast", folder / "run", "--horizon", 9)
    said = capsys.readouterr().err
    assert "trained for 7 steps: beyond them its own forecasts are fed back" in said
    assert said.endswith("To do better: carousel train ... --horizon 9\n")
    carousel("forecast", folder / "run", "--horizon", 100, "--out", folder / "far.csv")
    assert "100 steps are 14 times as far: expect what is usual there" in capsys.readouterr().err


def test_a_newer_table_is_gone_on_from_and_backtested(folder, capsys):
    sales(140).write_csv(folder / "newer.csv")
    carousel("forecast", folder / "run", folder / "newer.csv", "--horizon", 1)
    assert "\n20.05.2024," in capsys.readouterr().out
    carousel("backtest", folder / "run", folder / "newer.csv", "--stride", 2, "--out", folder / "b.csv")
    said = capsys.readouterr().out
    assert "new to the model" in said
    assert "in 95 %" in said
    assert pl.read_csv(folder / "b.csv").columns[:4] == ["origin_day", "day", "series", "step"]
    carousel("evaluate", folder / "run", "--out", folder / "judged")
    assert {path.name for path in (folder / "judged").iterdir()} == {"scores.csv", "forecasts.csv", "backtest.png"}
    own = (
        capsys.readouterr()
        .out.replace("scores.csv, forecasts.csv, backtest.png: ", "")
        .replace(f"{folder / 'judged'}\n", "")
    )
    assert "held out in training" in own
    carousel("evaluate", folder / "run", folder / "sales.csv")
    assert capsys.readouterr().out == own


def test_what_a_finished_run_says_to_resume(folder, capsys):
    carousel("train", "--resume", folder / "run")
    assert "has finished: there is nothing left to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["train", "sales.csv", "--target", "profit", "--task", "forecasting"],
            "--target names 'profit', which is no column",
        ),
        (["train", "sales.csv", "--time", "price,sold"], "columns called year, month"),
        (["train", "sales.csv", "--horizon", "100"], "A horizon of 100 steps needs a series of 300 or more"),
        (
            ["train", "sales.csv", "--level", "word", "--task", "forecasting"],
            "--level is an option of the task .*language",
        ),
        (["train", "empty.csv", "--task", "forecasting"], "empty.csv is empty"),
        (["forecast", "nowhere"], "nowhere is not a run"),
        (["forecast", "run", "--horizon", "0"], "1 or more, not 0"),
        (["forecast", "run", "other.csv"], "trained with the columns day, sold, price; the table lacks sold, price"),
        (["backtest", "run", "--stride", "0"], "A stride is a number of steps, 1 or more, not 0"),
        (["forecast", "run", "--out", "f.xls"], "f.xls ends in none of .csv, .tsv"),
        (["forecast", "run", "--plot", "f.gif"], "f.gif ends in none of .png, .svg, .pdf"),
        (["forecast", "run", "--out", "nodir/f.csv"], "f.csv cannot be written: there is no folder nodir"),
        (["forecast", "run", "--plot", "nodir/f.png"], "f.png cannot be written: there is no folder nodir"),
        (["forecast", "run", "--out", "judged.csv"], "judged.csv cannot be written: it is a folder"),
        (["backtest", "run", "--plot", "nodir/f.png"], "f.png cannot be written: there is no folder nodir"),
        (["backtest", "run", "--out", "nodir/f.csv"], "f.csv cannot be written: there is no folder nodir"),
        (["evaluate", "run", "--out", "empty.csv/judged"], "No files can be written in .*empty.csv is no folder"),
    ],
)
def test_refusals(folder, monkeypatch, capsys, words, message):
    monkeypatch.chdir(folder)
    (folder / "judged.csv").mkdir(exist_ok=True)
    (folder / "empty.csv").write_text("")
    sales(20).select("day").write_csv(folder / "other.csv")
    with pytest.raises(CarouselError, match=message):
        carousel(*words, *(["--out", "new"] if words[0] == "train" else []))
    assert not (folder / "new").exists()
    assert words[0] == "train" or not capsys.readouterr().out  # refused before work starts


def test_what_is_recognised(tmp_path):
    sales(20).write_csv(tmp_path / "sales.csv")
    pl.DataFrame({"text": ["good", "bad"], "stars": [5, 1]}).write_csv(tmp_path / "reviews.csv")
    (tmp_path / "poem.txt").write_text("2024-01-01, 5\n")
    assert task.recognize([tmp_path / "sales.csv"], {}) == "a table with a time column (day)"
    assert task.recognize([tmp_path / "sales.csv"], {"target": ["price"]}) == "a table of series to forecast (--target)"
    slips = sales(20).with_columns(pl.col("sold").cast(pl.String))
    timed, slipped = "a table with a time column (day)", "a table of series with slips in it"
    for mark, with_price, alone in (("?", timed, timed), ("oops", timed, slipped)):  # price is a target still
        slips[3, "sold"] = mark
        slips.write_csv(tmp_path / "slips.csv")
        assert task.recognize([tmp_path / "slips.csv"], {}) == with_price
        slips.drop("price").write_csv(tmp_path / "slips.csv")
        assert task.recognize([tmp_path / "slips.csv"], {}) == alone
    for name in ("reviews.csv", "poem.txt", "none.csv"):
        assert task.recognize([tmp_path / name], {}) is None


def test_a_column_of_numbers_alone_is_forecast_with_counted_steps(tmp_path):
    sales(40).select("sold").write_csv(tmp_path / "sold.csv")
    assert task_for([tmp_path / "sold.csv"], {}) == (
        "forecasting",
        "one column of numbers (sold), whose rows are steps in time",
    )
    carousel("train", tmp_path / "sold.csv", "--horizon", 2, *QUICK, "--out", tmp_path / "run")
    carousel("backtest", tmp_path / "run", "--out", tmp_path / "b.csv")
    assert pl.read_csv(tmp_path / "b.csv").columns[:4] == ["origin_step", "step", "series", "steps_ahead"]
    carousel("forecast", tmp_path / "run", "--out", tmp_path / "f.csv")
    assert pl.read_csv(tmp_path / "f.csv")["step"].to_list() == [40, 41]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("names.csv", "a,b\nfoo,1\nbar,2\n", r"do not say what to learn: a \(text, like 'foo'\), b \(numbers\)"),
        ("bare.csv", "2024-01-01,50.1\n2024-01-02,50.2\n", "begins with numbers.*write a line of names above"),
        (
            "bare.tsv",
            "a fine, long film\tpos\na dull one\tneg\n",
            r"a fine, long film \(text.*first row must name",
        ),
        ("more.csv", "day,y\n2024-01-01,5\n2024-01-02,5,6\n", "line 3 has 3 fields, and the first has 2"),
        ("empty.csv", "day,y\n2024-01-01,\n2024-01-02,\n", r"day \(text, like '2024-01-01'\), y \(empty\).*--target"),
        ("head.csv", "day,y\n", r"column names \(day, y\) and no rows below"),
        ("two.csv", "a,b\n1.5,2\n2.5,9\n", r"a \(numbers\), b \(numbers\).*rows that are steps"),
    ],
)
def test_a_table_that_is_not_understood_is_refused_and_not_taken_for_text(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(CarouselError, match=f"(?s){message}.*--task language"):
        carousel("train", tmp_path / name, *QUICK, "--out", tmp_path / "run")
    (tmp_path / "poem.txt").write_text(text)
    with pytest.raises(CarouselError, match=f"{name} is a table, and .*poem.txt is none"):
        carousel("train", tmp_path / "poem.txt", tmp_path / name, *QUICK, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_numbers_that_can_be_read_in_two_ways_are_refused_until_one_is_told(tmp_path, capsys):
    (tmp_path / "sales.csv").write_text("day,y\n" + "".join(f'2024-01-{k},"1,0{k}"\n' for k in range(10, 31)))
    command = ["train", tmp_path / "sales.csv", "--dry-run", *QUICK]
    for more in ([], ["--target", "y"]):
        with pytest.raises(
            CarouselError, match=r"'y' can be read in two ways: '1,010' is 1.010 .*\(--decimal ,\), and"
        ):
            carousel(*command, *more)
    for more, said in ((["--thousands", ","], "'1,010' is 1010"), (["--decimal", ","], "'1,010' is 1.01")):
        carousel(*command, *more)
        assert said in capsys.readouterr().out


def test_a_run_remembers_the_signs_that_it_was_told_and_a_command_may_say_others(tmp_path):
    def days(first: int, last: int) -> str:
        return "day;y\n" + "".join(
            f"{date(2024, 1, 1) + timedelta(k)};1,{100 + 7 * k % 90}\n" for k in range(first, last)
        )

    (tmp_path / "old.csv").write_text(days(0, 60))
    (tmp_path / "new.csv").write_text(days(0, 70))
    run, out = tmp_path / "run", tmp_path / "f.csv"
    carousel("train", tmp_path / "old.csv", "--thousands", ",", "--horizon", 2, *QUICK, "--out", run)
    for more, least, most in (([], 900, 1300), (["--decimal", ","], 0, 900)):
        carousel("forecast", run, tmp_path / "new.csv", *more, "--out", out)
        assert least < pl.read_csv(out)["y"][0] < most
    carousel("backtest", run, tmp_path / "new.csv", "--out", out)
    assert 900 < pl.read_csv(out)["actual"].min() < 1300
    for command in ("train", "forecast", "backtest", "predict", "evaluate", "inspect"):
        names = {name for argument in app[command].assemble_argument_collection() for name in argument.names}
        assert {"--decimal", "--thousands"} <= names


def test_a_table_is_learnt_as_text_where_that_is_asked_for(tmp_path):
    (tmp_path / "names.csv").write_text("a,b\n" + "foo,1\nbar,2\n" * 100)
    carousel("train", tmp_path / "names.csv", "--task", "language", *QUICK, "--out", tmp_path / "run")
    assert (tmp_path / "run" / "model.safetensors").exists()
