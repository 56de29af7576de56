"""The means and deviations by which a network scales the numbers that it reads."""

from collections.abc import Iterable

import numpy as np


def mean_and_scale(sequences: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the standard deviation of each channel over all steps of these sequences, (T, inputs) each.

    A channel that never changes has the scale 1. Without a step the means are 0 and the scales 1. Both results have the
    shape (inputs,) and are float64, because float32 cannot show changes of 1 in numbers near 10⁹.
    """
    steps = np.concatenate(list(sequences))
    if not len(steps):
        return np.zeros(steps.shape[1]), np.ones(steps.shape[1])
    largest = np.abs(steps).max(0)
    unit = np.where(largest > 0, largest, 1.0)  # squares of large numbers must not overflow
    rounding = 10 * np.finfo(steps.dtype).eps  # rounding alone can give a constant channel this deviation
    deviation = (steps / unit).std(0, dtype=np.float64)
    mean = (steps / unit).mean(0, dtype=np.float64) * unit
    return mean, np.where(deviation <= rounding, 1.0, deviation * unit)
