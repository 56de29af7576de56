"""The course: what lectures on recurrent networks state, as lessons that measure it.

Each lesson is a script, `01_loop.py` and so on: its docstring is the text, its `main` measures. `lesson` has what they
share, `learning` how their networks learn. `carousel course` lists and runs them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from carousel.errors import DataError

if TYPE_CHECKING:
    from carousel.course.lesson import Lesson

__all__ = ["main_of", "scripts", "title_of"]


def scripts() -> dict[int, Path]:
    """The lessons in order: {number: script}."""
    return {int(script.name[:2]): script for script in sorted(Path(__file__).parent.glob("[0-9][0-9]_*.py"))}


def title_of(script: Path) -> str:
    """The first line of a lesson's text, with its number."""
    return str(ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))).partition("\n")[0]


def main_of(number: int) -> Callable[[Lesson], None]:
    """The function that measures a lesson. Raises DataError for a number that no lesson has."""
    found = scripts()
    if number not in found:
        raise DataError(
            f"There is no lesson {number}: there are {min(found)} to {max(found)}. carousel course lists them."
        )
    main: Callable[[Lesson], None] = import_module(f"carousel.course.{found[number].stem}").main
    return main
