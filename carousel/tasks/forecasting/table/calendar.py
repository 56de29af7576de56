"""The calendar as numbers: waves of the day, the week and the year, at any stamps, known as far ahead as one likes."""

import numpy as np

from carousel.tasks.forecasting.table.durations import DAY
from carousel.tasks.forecasting.table.frequency import MONDAY, Frequency, local

YEAR = 365.2425 * DAY
WAVES = {"day": 3, "week": 3, "year": 2}  # how many: the wave itself, half of it, a third of it


def cycles(frequency: Frequency) -> tuple[str, ...]:
    """The cycles of the calendar (day, week, year, ...) that a frequency passes through in several steps."""
    if frequency.unit == "integer":
        return ()
    if frequency.unit == "month":
        return ("year",) if frequency.step < 12 else ()
    several = frequency.unit == "open" and len({at % DAY for at in frequency.week}) > 1
    if several or (frequency.unit == "clock" and frequency.step < DAY):
        return ("day", "week", "year")
    return (
        ("year",) if frequency.unit == "week" or (frequency.unit == "day" and frequency.step >= 7) else ("week", "year")
    )


def width(frequency: Frequency) -> int:
    return sum(2 * WAVES[cycle] for cycle in cycles(frequency))


def features(frequency: Frequency, indices: np.ndarray) -> np.ndarray:
    """Sine and cosine of 2π k x, x the part of the cycle gone by on the local clock, k = 1, 2, ...: (stamps, width)."""
    found = cycles(frequency)
    if not found:
        return np.zeros((len(indices), 0), np.float32)
    clock = local(frequency.stamps(indices), frequency.zone).astype(np.float64)
    part = {"day": clock / DAY, "week": (clock / DAY - MONDAY) / 7, "year": clock / YEAR}
    waves = [2 * np.pi * (k + 1) * part[cycle] for cycle in found for k in range(WAVES[cycle])]
    return np.stack([turn(wave) for wave in waves for turn in (np.sin, np.cos)], axis=1).astype(np.float32)
