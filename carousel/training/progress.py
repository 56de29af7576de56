"""Reports of how a training goes: as lines of text, or none; `screen.py` has the one for a terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from carousel.training.measure import Measure
from carousel.training.terminal import printable, write_line

if TYPE_CHECKING:
    from rich.console import Console

FIGURE = 60  # characters of a sample at most that is a figure, such as an accuracy, and stands in logs, too


@dataclass(frozen=True)
class Status:
    """Where a training stands. Losses are figures of its `Measure`, None while there is none yet."""

    step: int
    steps: int | None  # in the whole run, once that is fixed
    tokens: int
    epoch: float
    seconds: float
    train: float | None
    validation: float | None
    best: float | None


class Report(Protocol):
    """The object that a training reports to. Its methods are called in this order, those in the middle many times."""

    def begin(self, measure: Measure, baseline: tuple[str, float] | None, *, samples: str = "") -> None:
        """Called once, before the first training step.

        measure: the measure of all losses. baseline: the name and the figure of a naive model; None without one.
        samples: a title for the texts that `validated` is given.
        """

    def say(self, line: str) -> None:
        """Called with a line of text for the user.

        line: the text, which may come from a file: control characters in it are not yet replaced.
        """

    def tick(self, status: Callable[[], Status]) -> None:
        """Called after every training step.

        status: gives the current `Status`. Computing it takes time, so call it only to show it.
        """

    def validated(self, status: Status, sample: str | None) -> None:
        """Called after each validation.

        status: where the training stands. sample: a text that shows what the model does, or None.
        """

    def pause(self) -> None:
        """Called when training ends or is stopped."""


class Quiet(Report):
    """A report that shows nothing. Its methods are those of `Report`, and do nothing."""

    def begin(self, measure: Measure, baseline: tuple[str, float] | None, *, samples: str = "") -> None: ...

    def say(self, line: str) -> None: ...

    def tick(self, status: Callable[[], Status]) -> None: ...

    def validated(self, status: Status, sample: str | None) -> None: ...

    def pause(self) -> None: ...


class Speed:
    """How many units a second were read in the last ten seconds or so."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, float]] = deque()

    def update(self, status: Status, units: float) -> float | None:
        """Takes the units read so far. Returns the speed, None before two different times."""
        self._marks.append((status.seconds, units))
        while len(self._marks) > 2 and status.seconds - self._marks[0][0] > 10:
            self._marks.popleft()
        (start, first), (end, last) = self._marks[0], self._marks[-1]
        return (last - first) / (end - start) if end > start else None


def clock(seconds: float) -> str:
    """A duration in words: 83 -> "1:23", 3700 -> "1:01:40"."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def time_left(status: Status, first: Status) -> str:
    """The time left, from the speed since `first`, the status when this process began to train: "1:23 left"."""
    done = status.step - first.step
    if status.steps is None or done <= 0:
        return "timing the first steps"
    return clock((status.seconds - first.seconds) / done * (status.steps - status.step)) + " left"


class Lines:
    """A report in lines of text, for logs and pipes: one at each validation, and one every `every` seconds."""

    def __init__(self, every: float = 10.0, write: Callable[[str], Any] = write_line) -> None:
        self._every = every
        self._write = write
        self._shown = time.monotonic()
        self._speed = Speed()
        self._first: Status | None = None
        self._measure = Measure()
        self._baseline: tuple[str, float] | None = None
        self._samples = ""

    def begin(self, measure: Measure, baseline: tuple[str, float] | None, *, samples: str = "") -> None:
        self._measure, self._baseline, self._samples = measure, baseline, samples

    def say(self, line: str) -> None:
        self._write(printable(line))

    def tick(self, status: Callable[[], Status]) -> None:
        if time.monotonic() - self._shown >= self._every:
            self._line(status())

    def validated(self, status: Status, sample: str | None) -> None:
        self._line(status)
        if sample is not None and len(sample) <= FIGURE:
            self._write(printable(f"{self._samples}: {sample}" if self._samples else sample))

    def pause(self) -> None: ...

    def _line(self, status: Status) -> None:
        self._shown = time.monotonic()
        self._first = self._first or status
        unit = self._measure.unit
        speed = self._speed.update(status, status.tokens / self._measure.tokens_per_unit)
        parts = [f"step {status.step:,}" + (f" of {status.steps:,}" if status.steps else "")]
        parts.append(f"epoch {status.epoch:.2f}")
        if speed:
            parts.append(f"{speed:,.0f} {unit}s/s")
        for name, loss in (("train", status.train), ("validation", status.validation)):
            if loss is not None:
                parts.append(f"{name} {self._measure.words(loss)}")
        if self._baseline:
            parts.append(f"{self._baseline[0]} {self._baseline[1]:.3f}")
        parts.append(time_left(status, self._first))
        self._write(printable(" · ".join(parts)))


Progress = Callable[[int, int], None]  # called with how much is done, and how much there is in all


def silent(done: int, of: int) -> None:
    """A progress that shows nothing."""


@contextmanager
def meter(what: str, console: Console | None = None, *, after: float = 2.0) -> Iterator[Progress]:
    """A progress bar on standard error, for work other than training. Yields the function to call with the progress.

    The bar appears only on a terminal, after `after` seconds, is redrawn at most four times a second, and disappears at
    the end."""
    from rich.console import Console  # not above: who answers in a moment needs no bar
    from rich.markup import escape
    from rich.progress import Progress as Bar

    console = console or Console(stderr=True)
    bar = Bar(*Bar.get_default_columns(), console=console, auto_refresh=False, transient=True)
    due = time.monotonic() + after

    def update(done: int, of: int) -> None:
        nonlocal due
        if console.is_terminal and time.monotonic() >= due:
            due = time.monotonic() + 0.25
            if not bar.tasks:
                bar.start()
                bar.add_task(escape(printable(what)))
            bar.update(bar.tasks[0].id, completed=done, total=of, refresh=True)

    try:
        yield update
    finally:
        if bar.tasks:
            bar.stop()


def report_for(console: Console | None = None) -> Report:
    """The usual report: `Screen` on a terminal, `Lines` elsewhere."""
    from rich.console import Console

    from carousel.training.screen import Screen

    console = console or Console()
    return Screen(console) if console.is_terminal else Lines()
