"""docs/forecasting.md: its Python prints what it says, and its commands and options exist."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from carousel.cli import app

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "forecasting.md").read_text(encoding="utf-8")
PYTHON = "".join(re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL))


def test_its_python_prints_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(PYTHON, "docs/forecasting.md", "exec"), {})
    assert printed.getvalue().splitlines() == re.findall(r"^# > (.*)$", PYTHON, flags=re.MULTILINE)


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
