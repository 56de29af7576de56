"""docs/tables.md: every row of its tables is read as it says."""

import ast
import re
from pathlib import Path

import pytest

from carousel.errors import DataError
from carousel.tasks import table
from carousel.tasks.table import reading

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "tables.md").read_text(encoding="utf-8")
SIGNS = {"commas": ",", "semicolons": ";", "tabs": "\t", "bars": "|"}


def rows_under(title: str) -> list[list[str]]:
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    lines = [line for line in section[1].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def check(file: Path, promised: str, read) -> None:
    if promised.startswith("refused: "):
        with pytest.raises(DataError, match=re.escape(promised.removeprefix("refused: "))):
            read(table.read(file))
    else:
        assert read(table.read(file)) == ast.literal_eval(promised.strip("`"))


@pytest.mark.parametrize(("separator", "cells", "promised"), rows_under("Numbers"))
def test_numbers(tmp_path, separator, cells, promised):
    sign = SIGNS[separator]
    lines = [f"name{sign}x", *(f"row{k}{sign}{cell}" for k, cell in enumerate(re.findall("`([^`]*)`", cells)))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    check(tmp_path / "t.csv", promised, lambda frame: frame["x"].to_list())


@pytest.mark.parametrize(("what", "content", "promised"), rows_under("Lines"))
def test_lines(tmp_path, what, content, promised):  # noqa: ARG001 (what names the row)
    (tmp_path / "t.csv").write_text(content.strip("`").replace("↵", "\n").replace("⇥", "\t"), encoding="utf-8")
    check(tmp_path / "t.csv", promised, lambda frame: frame.to_dict(as_series=False))


def test_files():
    named = {fate: re.findall("`([^`]*)`", endings) for endings, fate in rows_under("Files")}
    assert {*named["read"], *named["unpacked and read"]} == {*reading.TEXT, *reading.BINARY}
    assert set(named["read as a table where the lines look like one"]) <= set(reading.MAYBE)
    for ending in named["refused, with how a table comes out of it"]:
        assert reading.foreign(Path(f"t{ending}")), ending
