"""Reports the progress of long work."""

from __future__ import annotations

import time
from collections.abc import Callable

EVERY = 5.0  # seconds


class ProgressLines:
    """Calls `report` every few seconds with the number of `total` that is done: "1,200 of 20,000 steps"."""

    def __init__(self, report: Callable[[str], None], total: int, what: str) -> None:
        self._report, self._total, self._what = report, total, what
        self._told = time.monotonic()

    def done(self, count: int) -> None:
        if time.monotonic() - self._told >= EVERY:
            self._report(f"{count:,} of {self._total:,} {self._what}")
            self._told = time.monotonic()
