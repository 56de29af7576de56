"""The page's views as PNG files, for reports and slides. They are figures of `carousel.insight`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from carousel.errors import RunError
from carousel.insight import Gates, GradientFlow, InputInfluence, MemoryUse, TooShort, figures
from carousel.insight.figures.canvas import COLOURS, DASHES, MOST_LABELS, ONE_WAY, canvas, label_steps
from carousel.insight.saving import save
from carousel.insight.shown import in_a_picture
from carousel.page.moments import Signals

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_pictures(folder: Path, prefix: str, drawings: Mapping[str, Callable[[], Figure]]) -> list[Path]:
    """Writes each picture into the folder and replaces earlier ones. Raises CarouselError if it cannot write.

    If the sequence is too short for a measure, its picture is left out, and the page says why.
    """
    written = []
    for name, draw in drawings.items():
        path = folder / f"{prefix}{name}.png"
        try:
            path.unlink(missing_ok=True)
        except OSError as problem:
            raise RunError(f"{path} could not be written: {problem.strerror}. Choose another --out.") from None
        with contextlib.suppress(TooShort):
            save(draw(), path)
            written.append(path)
    return written


def influence_at_end(norms: np.ndarray, labels: Sequence[str], outputs: int, at: np.ndarray | None = None) -> Figure:
    """The influence of the last hundred steps on the predictions after the last `outputs` of them.

    norms: (N, lags), for the N steps `at`, or for every step. labels: (T).
    """
    steps, back = len(labels), norms.shape[1]
    at = np.arange(steps) if at is None else at
    begin = max(0, steps - MOST_LABELS)
    rows = np.flatnonzero(at >= max(begin, steps - outputs))
    found = torch.zeros(len(rows), steps, 1)
    for place, row in enumerate(rows):
        t = int(at[row])
        reach = min(back, t + 1)
        found[place, t + 1 - reach : t + 1, 0] = torch.from_numpy(norms[row, :reach]).flip(0)
    return figures.influence(
        InputInfluence(torch.from_numpy(at[rows]) - begin, found[:, begin:]), labels=labels[begin:]
    )


def classes_over_time(
    names: Sequence[str], probability: np.ndarray, truth: int | None, labels: Sequence[str]
) -> Figure:
    """The probabilities of classes after each step: of those that were likely at some step, and of the true class."""
    figure, axes = canvas()
    chosen = np.argsort(-probability.max(0), kind="stable")[: len(DASHES)].tolist()
    if truth is not None and truth not in chosen:
        chosen[-1] = truth
    for index, k in enumerate(chosen):
        label = in_a_picture(f"{names[k]}, which it is" if k == truth else names[k])
        axes.plot(probability[:, k], color=COLOURS[index], linestyle=DASHES[index], label=label)
    axes.set_ylim(0, 1)
    label_steps(axes, labels if len(labels) <= MOST_LABELS else None, len(labels), name="read up to step")
    axes.tick_params("x", labelrotation=60 if len(labels) <= MOST_LABELS else 0)
    axes.set_ylabel("probability")
    axes.set_title("To which class it belongs, as far as it was read")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=9)
    return figure


def signals_over_time(reads: Signals) -> Figure:
    """The signals over time: a line for each channel, or one image of channels that are alike or too many."""
    count = len(reads.names)
    if not reads.as_lines:
        figure, axes = canvas(10, 4)
        values = reads.values if reads.alike else _in_own_span(reads.values)
        image = axes.imshow(values.T, aspect="auto", origin="lower", cmap=ONE_WAY, interpolation="nearest")
        every = max(1, count // 8)
        axes.set_yticks(range(0, count, every), [in_a_picture(name) for name in reads.names[::every]])
        figure.colorbar(image, ax=axes, label="" if reads.alike else "of each channel's own span")
        panels = [axes]
    else:
        figure, grid = canvas(10, 1.4 + 1.3 * count, nrows=count, sharex=True, squeeze=False)
        panels = list(grid[:, 0])
        for k, (axes, name) in enumerate(zip(panels, reads.names, strict=True)):
            axes.plot(reads.values[:, k], color=COLOURS[0])
            axes.set_title(in_a_picture(name), fontsize=10, loc="right")
            axes.grid(alpha=0.25)
    every = max(1, len(reads.times) // 8)
    panels[-1].set_xticks(range(0, len(reads.times), every), [in_a_picture(time) for time in reads.times[::every]])
    figure.suptitle("What was read")
    return figure


def _in_own_span(values: np.ndarray) -> np.ndarray:
    """Each channel scaled to the range from 0, its minimum, to 1, its maximum."""
    seen = np.isfinite(values)
    low = np.min(values, axis=0, where=seen, initial=np.inf)
    high = np.max(values, axis=0, where=seen, initial=-np.inf)
    return (values - low) / np.where(high > low, high - low, 1)


def of_network(gates: Gates, flow: GradientFlow) -> dict[str, Callable[[], Figure]]:
    """The pictures that every network has: gates over time, time scales, and gradients by lag if there are any; of a
    memory what stands in it, and where its heads read and write.

    They show the last layer, in its forward direction.
    """
    forward = max(k for k, place in enumerate(gates.places) if not place.endswith("reverse"))
    drawings: dict[str, Callable[[], Figure]] = {
        "timescales": partial(figures.units_by_timescale, gates, forward),
        **{
            f"{name}-over-time": partial(figures.gates_over_time, gates, name, forward)
            for name, values in gates.values.items()
            if values.dim() == 4
        },
    }
    memory = {name: gates.values[name] for name in gates.states if gates.values[name].dim() > 4}
    use = MemoryUse(memory, gates.states, gates.places, gates.timeline)
    for name in use.memories:
        drawings[f"{name}-over-time"] = partial(figures.memory_over_time, use, name, place=forward)
    if use.heads:
        drawings["weightings-over-time"] = partial(figures.weightings_over_time, use, place=forward)
    if any((flow.by_lag(state, forward) > 0).any() for state in flow.states):
        drawings["gradient-by-lag"] = partial(figures.gradient_by_lag, flow, place=forward)
    return drawings
