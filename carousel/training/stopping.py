"""Ctrl-C and SIGTERM, turned into a wish that is granted at the end of a step."""

import signal
import threading
from types import FrameType
from typing import Any


class StopWish:
    """While in this context, the first SIGINT or SIGTERM sets `.signal` and interrupts nothing.

    A second one acts as it always does, for whoever cannot wait. Outside the main thread, where Python does not
    let signals be caught, nothing changes.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopWish":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._wish)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _wish(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def raise_if_any(self, message: str) -> None:
        """KeyboardInterrupt after SIGINT, SystemExit(143) after SIGTERM: what the caller's program expects."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt(message)
        if self.signal is not None:
            raise SystemExit(128 + self.signal)
