"""Ctrl-C and SIGTERM stop a training at the end of a step."""

import signal
import threading
from types import FrameType
from typing import Any


class StopWish:
    """In this context the first SIGINT or SIGTERM sets `.signal` and interrupts nothing.

    A second one acts as usual, for a user who does not want to wait. Outside the main thread, where Python cannot
    catch signals, nothing changes.
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
        """Raises KeyboardInterrupt after SIGINT, SystemExit(143) after SIGTERM, as the signal would have done."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt(message)
        if self.signal is not None:
            raise SystemExit(128 + self.signal)
