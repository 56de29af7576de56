"""How many threads a training computes with: measured at its start, since threads that compete are slower than one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from carousel.errors import option
from carousel.layers import LSTM
from carousel.training.settings import TrainingSettings

STEPS, ROWS, MOST_UNITS, REPEATS = 16, 32, 256, 5  # of the layer that is timed, and how often it runs
GAIN = 0.9  # more threads are chosen where they take at most this part of the time


def choose_threads(settings: TrainingSettings, say: Callable[[str], None]) -> int:
    """The number of threads to train with.

    settings: their `threads` decide where they are given. With `epochs`, nothing is measured, so that the same settings
    give the same model: torch's number is used. Otherwise a layer of as many units is timed with 1 thread and with
    torch's number, in turn. say: called with the line that reports the measurement.
    """
    most = torch.get_num_threads()
    if settings.threads is not None or settings.epochs is not None or most == 1:
        return settings.threads or most
    seconds = measure(min(settings.hidden or MOST_UNITS, MOST_UNITS), (1, most))
    chosen = most if seconds[most] < GAIN * seconds[1] else 1
    figures = ", ".join(f"{1000 * took:.0f} ms with {n}" for n, took in seconds.items())
    say(f"threads: {chosen}, as a layer takes {figures} ({option('threads')})")
    return chosen


def measure(units: int, counts: tuple[int, ...]) -> dict[int, float]:
    """The median seconds of a forward and backward pass of a layer with each number of threads."""
    with torch.random.fork_rng(devices=[]):
        layer = LSTM(units, units)
        x = torch.randn(STEPS, ROWS, units)
    before = torch.get_num_threads()
    found: dict[int, list[float]] = {count: [] for count in counts}
    try:
        for repeat in range(REPEATS + 1):
            for count in counts:  # in turn, so that what else the machine does meets all alike
                torch.set_num_threads(count)
                begin = time.perf_counter()
                layer(x)[0].sum().backward()
                if repeat:  # the first pass makes plans and memory ready
                    found[count].append(time.perf_counter() - begin)
    finally:
        torch.set_num_threads(before)
    return {count: statistics.median(took) for count, took in found.items()}
