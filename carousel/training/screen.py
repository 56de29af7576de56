"""The report of a training that redraws a table on a terminal."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from carousel.training.measure import Measure
from carousel.training.progress import Speed, Status, time_left
from carousel.training.terminal import printable

SAMPLE_LINES = 6  # of a sample on the screen, so that the table keeps its height


class Screen:
    """A report that redraws a table on the terminal, at most four times a second. It has no thread of its own, which
    would compete with the training."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live: Live | None = None
        self._drawn = 0.0
        self._speed = Speed()
        self._pace: float | None = None
        self._first: Status | None = None
        self._sample: str | None = None
        self._samples = ""
        self._measure = Measure()
        self._baseline: tuple[str, float] | None = None

    def begin(self, measure: Measure, baseline: tuple[str, float] | None, *, samples: str = "") -> None:
        self._measure, self._baseline, self._samples = measure, baseline, samples

    def say(self, line: str) -> None:
        self._console.print(printable(line), highlight=False, markup=False)

    def tick(self, status: Callable[[], Status]) -> None:
        if time.monotonic() - self._drawn >= 0.25:
            self._draw(status())

    def validated(self, status: Status, sample: str | None) -> None:
        self._sample = sample
        self._draw(status)

    def pause(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self, status: Status) -> None:
        self._drawn = time.monotonic()
        self._first = self._first or status
        self._pace = self._speed.update(status, status.tokens / self._measure.tokens_per_unit) or self._pace
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=False)
            self._live.start()
        self._live.update(self._picture(status), refresh=True)

    def _picture(self, status: Status) -> Group:
        unit = self._measure.unit
        total = f" of {status.steps:,}" if status.steps else ""
        speed = f"{self._pace:,.0f} {unit}s/s" if self._pace else ""
        assert self._first is not None
        head = f"step {status.step:,}{total}   epoch {status.epoch:.2f}   {speed}   {time_left(status, self._first)}"
        table = Table(box=None, padding=(0, 2))
        table.add_column("")
        for name in self._measure.names:
            table.add_column(name, justify="right")
        rows = [("training", status.train), ("validation", status.validation), ("  best so far", status.best)]
        if self._baseline:
            rows.append(self._baseline)
        for name, loss in rows:
            table.add_row(Text(printable(name)), *(() if loss is None else self._measure.figures(loss)))
        parts: list[Any] = [
            Text(head),
            # The bar ends without a line break; the padding adds it, so that the table's heads have their own line.
            Padding(ProgressBar(total=status.steps or 1, completed=status.step if status.steps else 0)),
        ]
        parts.append(table)
        if self._sample:
            text = "\n".join(printable(self._sample).split("\n")[:SAMPLE_LINES])
            parts += [Text(printable(f"{self._samples}:"), style="dim")] if self._samples else []
            parts.append(Text(text, style="cyan"))
        return Group(*parts)
