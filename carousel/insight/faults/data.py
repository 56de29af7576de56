"""Faults of data: inputs that are not scaled, a window shorter than their memory, too few data to judge."""

from __future__ import annotations

import math
from collections.abc import Iterator

from carousel.insight.evidence import Evidence, Finding
from carousel.insight.refusal import TooShort


def inputs_unscaled(e: Evidence) -> Iterator[Finding]:
    """The layer's inputs are much larger or smaller than 1, or its channels differ much in size."""
    x = e.input
    size = x.square().mean(0).sqrt()
    largest, smallest = size.max().item(), size[size > 0].min().item() if (size > 0).any() else 0.0
    advice = "subtract each channel's mean and divide by its standard deviation, both of the training part"
    if largest > 10 or largest < 0.01:
        channel = int(size.argmax())
        yield Finding(
            "inputs-unscaled",
            "inputs are not scaled",
            f"the root mean square of channel {channel} is {largest:.3g} (mean {x[:, channel].mean():.3g}), where "
            f"weights begin as if it were about 1",
            advice,
            {"largest": largest, "smallest": smallest},
        )
    elif largest > 100 * smallest:
        yield Finding(
            "inputs-unscaled",
            "inputs are not of one scale",
            f"the root mean squares of the channels differ by {largest / smallest if smallest else math.inf:.3g} "
            f"({smallest:.3g} to {largest:.3g}), so that the small ones are hardly seen",
            advice,
            {"largest": largest, "smallest": smallest},
        )


def window_too_short(e: Evidence) -> Iterator[Finding]:
    """The window of backpropagation, or the data itself, is shorter than the memory of the data."""
    window = e.window or e.steps
    cut_off = e.measured is not None and e.measured.cut_off
    if window < e.remember or (cut_off and window <= e.steps):
        needed = 2 * e.remember
        yield Finding(
            "window-too-short",
            "the window is shorter than the data's memory",
            f"a window has {window} steps, and {e.source}",
            f"windows of {needed} steps or more; where memory is short, checkpoint='auto' or "
            f"truncated(layer, ..., every=, over={needed}); for numbers with a trend, their differences",
            {"window": window, "memory": e.remember},
        )


def cannot_be_told(e: Evidence) -> Iterator[Finding]:
    """Reports what the diagnosis could not judge, since an empty list means that all faults were judged."""
    if e.memory_is_unknown:
        yield Finding(
            "cannot-be-told",
            "how far back the data reach cannot be measured",
            "sequences differ in length or begin anew, and padding is no data: whether gradients, gates and the window "
            "reach far enough was not judged",
            "memory=, as many steps as you know the data to reach back",
        )
    if e.measurable and e.gates.hooks and e.gates.keeps:
        yield Finding(
            "cannot-be-told",
            "how long gates hold a state cannot be measured",
            f"{' and '.join(e.gates.hooks)} may change it before each step, and whether gates are shut was not judged",
            "a diagnosis without hooks, or with keep= and add=, which are taken into account",
        )
    if e.measurable and not any(reach is not None for reach in e.reaches.values()):
        try:
            e.flow.decay()
            why = "the lags measured are too few"
        except TooShort as refusal:
            why = str(refusal).rstrip(".")
        yield Finding(
            "cannot-be-told",
            "how far back gradients reach cannot be measured",
            why,
            "longer sequences, more of them, or a loss that reads the layer at later steps (loss=)",
        )
