"""docs/forecasting.md: its tables, its commands and options exist."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from carousel.cli import app
from carousel.tasks.forecasting.table.roles import find_roles
from carousel.tasks.forecasting.table.stamps import recognise
from carousel.tasks.forecasting.table.wide import long_form

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "forecasting.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["train", "forecast", "backtest"])
def test_its_options_exist(command):
    options = {name for argument in app[command].assemble_argument_collection() for name in argument.names}
    lines = re.findall(rf"^carousel {command} ([^#\n]*)", PAGE, flags=re.MULTILINE)
    assert lines
    for line in lines:
        assert set(re.findall(r"--[a-z-]+", line)) <= options
    if command == "train":
        text = re.sub(r"^carousel .*$|^python .*$", "", PAGE, flags=re.MULTILINE)
        assert set(re.findall(r"`(--[a-z-]+)", text)) <= options | {"--future"}


def rows_below(head: str) -> list[list[str]]:
    """The rows of the table whose head begins so, without the marks of code."""
    lines = PAGE.split(f"\n| {head}", maxsplit=1)[1].split("\n")[2:]
    found = lines[: next(k for k, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in found]


@pytest.mark.parametrize(("written", "meant"), rows_below("written | read as |"))
def test_its_times_are_read_as_it_says(written, meant):
    text = not written.isdigit()
    frame = pl.DataFrame({"date": [written]} if text else {"date": [int(written)]})
    found = recognise(frame, "date")
    stamps = found.parse(frame)
    assert (
        str(stamps[0].astype("datetime64[us]").astype("datetime64[m]")).replace("T", " ").removesuffix(" 00:00")
        == meant
    )
    assert found.restore(stamps)["date"].to_list() == frame["date"].to_list()


ROWS = 24 * 20
START = datetime(2024, 1, 1)


def column(name: str, names: list[str], groups: int) -> list:
    """Values that a column of this name would have, one group of rows after another."""
    each = range(ROWS)
    hourly = bool({"hour", "clock", "stamp"} & set(names))
    at = [START + (timedelta(hours=k) if hourly else timedelta(days=k)) for k in each]
    if "week" in names:
        at = [START + timedelta(weeks=k) for k in each]
    made: dict[str, list] = {
        "date": [t.date() for t in at],
        "stamp": at,
        "clock": [t.strftime("%H:%M") for t in at],
        "week": [t.isocalendar().week for t in at],
        "year": [t.isocalendar().year if "week" in names else t.year for t in at],
        "month": [t.month for t in at],
        "day": [t.day for t in at],
        "hour": [t.hour for t in at],
    }
    if "quarter" in names:
        made |= {"year": [1900 + k // 4 for k in each], "quarter": [k % 4 + 1 for k in each]}
    own = {"shop": list("ab"), "store": [1, 1, 2, 2], "dept": [5, 6, 5, 6], "size": [90, 90, 80, 80]}
    if name in own:
        return [own[name][group] for group in range(groups) for _ in each]
    values = np.random.default_rng(len(name)).normal(size=ROWS * groups).round(3).tolist()
    return made[name] * groups if name in made else values


@pytest.mark.parametrize(("columns", "time", "series", "target"), rows_below("columns | time | series | target |"))
def test_its_columns_are_taken_for_what_it_says(columns, time, series, target):
    names = columns.split(",")
    if names[-1] == "...":
        first, second = names[1], names[2]
        times = {
            "2024-01-01": [str((START + timedelta(days=k)).date()) for k in range(40)],
            "1960": [str(1960 + k) for k in range(40)],
            "d_1": [f"d_{k + 1}" for k in range(40)],
        }[first]
        assert times[1] == second
        wide = pl.DataFrame({names[0]: ["a", "b"]} | {t: [float(k), k + 1.0] for k, t in enumerate(times)})
        frame, _ = long_form(wide)
    else:
        groups = 4 if "dept" in names else 2 if "shop" in names else 1
        frame = pl.DataFrame({name: column(name, names, groups) for name in names})
    roles, _ = find_roles(frame, merge=False)
    assert ",".join(roles.time.names) == time
    assert ",".join(roles.id) == series
    assert ",".join(roles.targets) == target
