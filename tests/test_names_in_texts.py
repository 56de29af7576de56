"""Messages and docstrings name what there is: `carousel.export.to_onnx(...)` in an advice can be typed."""

from __future__ import annotations

import ast
import importlib
import re
import warnings
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "carousel"
NAME = re.compile(r"(?<!torch\.ops\.)\bcarousel(?:\.[A-Za-z_]\w*)+")  # those are torch's


@cache
def exists(name: str) -> bool:
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            for part in parts[count:]:
                found = getattr(found, part, None)
        return found is not None
    return False


def test_names_of_ours_in_texts_exist():
    wrong = []
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                names = NAME.findall(node.value)
                wrong += [f"{file.relative_to(PACKAGE)}:{node.lineno}: {name}" for name in names if not exists(name)]
    assert not wrong


def test_a_name_that_is_not_there_is_found():
    assert exists("carousel.export.to_onnx")
    assert exists("carousel.tasks.pairs")
    assert not exists("carousel.to_onnx")
    assert not exists("carousel.export.to_cobol")
