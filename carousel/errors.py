"""The errors Carousel raises on purpose: what was being done, what must hold, what was found, what to try."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from shlex import quote
from typing import Any

__all__ = ["CarouselError", "DataError", "ProgramError", "RunError"]  # what users catch; the rest is for messages


class CarouselError(Exception):
    """Something the caller can put right. The command line prints its message and no traceback."""


class ProgramError(CarouselError):
    """A cell's step is outside the language that engines run (see `carousel.program.ops`)."""


class DataError(CarouselError, ValueError):
    """A file or a value given as data cannot be used as it is."""


class RunError(CarouselError):
    """A run folder cannot be read, written or resumed."""


# -- options, as whoever reads the message gives them ---------------------------------------------------------------

SETTING_OF = {"lr": "learning_rate", "validation": "validation_share"}  # flags whose settings have longer names

_IN_PYTHON: ContextVar[bool | None] = ContextVar("in_python", default=None)


@contextmanager
def speaking(*, python: bool) -> Iterator[None]:
    """Inside, and in what a function so decorated does, messages name options as a Python call has them, or as the
    command line has them. The outermost decides: the command line calls what a Python user can call too."""
    token = _IN_PYTHON.set(python) if _IN_PYTHON.get() is None else None
    try:
        yield
    finally:
        if token is not None:
            _IN_PYTHON.reset(token)


def option(setting: str, value: Any = None) -> str:
    """A setting as it is given, for a message: --label or label=; with a value, --axes NCT or axes='NCT'."""
    if _IN_PYTHON.get():
        return f"{setting}=" if value is None else f"{setting}={value!r}"
    flags = {setting: flag for flag, setting in SETTING_OF.items()}
    typed = "--" + flags.get(setting, setting).replace("_", "-")
    if isinstance(value, bool):
        return typed if value else typed.replace("--", "--no-", 1)
    return typed if value is None else f"{typed} {quote(str(value))}"
