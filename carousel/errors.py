"""Carousel's errors. A message says what was being done, what must hold, what was found, and what to try."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from shlex import quote
from typing import Any

__all__ = ["CarouselError", "DataError", "ProgramError", "RunError"]  # for users; the other names are for messages


class CarouselError(Exception):
    """An error that the caller can correct. The command line prints its message without a traceback."""


class ProgramError(CarouselError):
    """A cell's step is outside the language that engines can run (see `carousel.program.ops`)."""


class DataError(CarouselError, ValueError):
    """A file or a value cannot be used as data."""


class RunError(CarouselError):
    """A run folder cannot be read, written or resumed."""


# -- names of options in messages -----------------------------------------------------------------------------------

SETTING_OF = {"lr": "learning_rate", "validation": "validation_share"}  # flags whose settings have longer names

_IN_PYTHON: ContextVar[bool | None] = ContextVar("in_python", default=None)


@contextmanager
def speaking(*, python: bool) -> Iterator[None]:
    """A context manager or decorator: inside, messages name options as Python does, or as the command line does.

    The outermost one decides, because the command line calls functions for Python users.
    """
    token = _IN_PYTHON.set(python) if _IN_PYTHON.get() is None else None
    try:
        yield
    finally:
        if token is not None:
            _IN_PYTHON.reset(token)


def option(setting: str, value: Any = None) -> str:
    """The name of a setting in a message: --label or label=; with a value: --axes NCT or axes='NCT'."""
    if _IN_PYTHON.get():
        return f"{setting}=" if value is None else f"{setting}={value!r}"
    flags = {setting: flag for flag, setting in SETTING_OF.items()}
    typed = "--" + flags.get(setting, setting).replace("_", "-")
    if isinstance(value, bool):
        return typed if value else typed.replace("--", "--no-", 1)
    return typed if value is None else f"{typed} {quote(str(value))}"
