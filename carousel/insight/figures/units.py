"""Pictures of units: gates over time, time scales, and text coloured by a unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from carousel.errors import DataError
from carousel.insight.border import check_index
from carousel.insight.figures.canvas import COLOURS, ONE_WAY, TWO_WAYS, canvas, label_steps
from carousel.insight.gates import Gates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 80  # characters in a line of text


def gates_over_time(
    gates: Gates,
    name: str,
    place: int = -1,
    row: int = 0,
    units: Sequence[int] | None = None,
    labels: Sequence[str] | None = None,
) -> Figure:
    """One gate or state of every unit at every step of one sequence, with the slowest units on top.

    gates: from `read_gates`. name: the gate or state to draw. place: the scan, an index of `gates.places`.
    row: the index of the sequence in the batch.
    units: the units to draw, in this order. Default: all, by time scale.
    labels: one for each step, such as its character. Default: the numbers of the steps.
    Raises DataError for an unknown value, place, row or unit.
    """
    values = gates.of(name, place)
    values = values[:, check_index("row", row, values.shape[1])]  # (T, H)
    count = values.shape[1]
    if units is not None and (isinstance(units, str) or not isinstance(units, Iterable)):
        raise DataError(f"units= must be a list of units, such as [0, 1], not {units!r}.")
    chosen = (
        _order(gates, place, count) if units is None else torch.tensor([check_index("unit", u, count) for u in units])
    )
    if not len(chosen):
        raise DataError("units= must name at least one unit.")
    colours, low, high = _range(values, gates.bounds[name])
    figure, axes = canvas(max(7, min(16, len(values) / 8)), max(3, min(9, 1.5 + 0.12 * len(chosen))))
    image = axes.imshow(
        values[:, chosen].t().numpy(), aspect="auto", cmap=colours, vmin=low, vmax=high, interpolation="nearest"
    )
    label_steps(axes, labels, len(values))
    if len(chosen) <= 40:
        axes.set_yticks(range(len(chosen)), [str(int(unit)) for unit in chosen], fontsize=7)
    else:
        axes.set_yticks([])
    axes.set_ylabel("unit" if units is not None else "unit, slowest first")
    axes.set_title(f"{name} over time: {gates.places[place]}")
    figure.colorbar(image, ax=axes, label=name)
    return figure


def units_by_timescale(gates: Gates, place: int = -1) -> Figure:
    """The time scale of every unit, slowest first, on a logarithmic axis, and the number of steps of the data.

    gates: from `read_gates`. place: the scan, an index of `gates.places`.
    Raises DataError for an unknown place, and TooShort as `Gates.timescales` does.
    """
    times = gates.timescales(place).sort(descending=True).values
    known = gates.keeps and not gates.hooks
    kind = f"time constant of {next(reversed(gates.keeps))}" if known else "autocorrelation time"
    figure, axes = canvas()
    # A time scale of 0 or infinity has no place on the axis. The picture says how many there are.
    shown = torch.where((times > 0) & times.isfinite(), times, torch.nan)
    axes.plot(range(len(times)), shown.numpy(), color=COLOURS[0], marker="o", markersize=3, linewidth=1)
    steps = gates.timeline.steps
    axes.axhline(steps, color=COLOURS[1], linestyle="--", linewidth=1, label=f"steps looked at: {steps}")
    left_out = int(shown.isnan().sum())
    axes.set_yscale("log")
    axes.set_xlabel("unit, slowest first" + (f" ({left_out} of 0 or infinite time not drawn)" if left_out else ""))
    axes.set_ylabel(f"{kind}, steps")
    middle = times.nanmedian().item()
    axes.set_title(f"Time scales of {len(times)} units, {gates.places[place]}: half are above {middle:.3g} steps")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return figure


def coloured_text(text: str, values: Any, title: str = "", bounds: tuple[float, float] | None = None) -> Figure:
    """A text in which the colour behind each character shows a unit's value (Karpathy, Johnson & Li 2015).

    text: any text, at least one character. values: (T), one for each character.
    title: what stands above the picture; "" for nothing.
    bounds: the values of the two ends of the colours. Default: from the values.
    Raises DataError for a wrong number of values.
    """
    held = torch.as_tensor(values).detach().double().cpu()
    if held.shape != (len(text),) or not text:
        raise DataError(f"There must be a value for each of the {len(text)} characters, not {tuple(held.shape)}.")
    rows: list[list[int]] = [[]]
    for index, character in enumerate(text):
        rows[-1].append(index)
        if character == "\n" or len(rows[-1]) == COLUMNS:
            rows.append([])
    rows = [row for row in rows if row]
    width = max(map(len, rows))
    grid = torch.full((len(rows), width), torch.nan, dtype=torch.float64)
    for line, row in enumerate(rows):
        grid[line, : len(row)] = held[row]
    colours, low, high = _range(held, bounds)
    figure, axes = canvas(max(6, 0.115 * width + 1.2), max(1.6, 0.24 * len(rows) + 0.7))
    image = axes.imshow(grid.numpy(), aspect="auto", cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    dark = image.to_rgba(held.numpy())[:, :3] @ (0.299, 0.587, 0.114) < 0.5
    for line, row in enumerate(rows):
        for column, index in enumerate(row):
            character = {"\n": "↵", "\t": "→", "$": r"\$"}.get(text[index], text[index])
            drawn = axes.text(
                column, line, character, ha="center", va="center", fontsize=8, fontfamily="monospace",
                color="white" if dark[index] else "black",
            )  # fmt: skip
            # It lies inside the axes, so the layout need not measure it, which would take most of the time.
            drawn.set_in_layout(False)
    axes.set_axis_off()
    if title:
        axes.set_title(title)
    figure.colorbar(image, ax=axes, pad=0.01)
    return figure


def _range(values: Tensor, bounds: tuple[float, float] | None) -> tuple[str, float, float]:
    """A colour map for values, and the values of its two ends, with 0 in the middle if values have both signs."""
    if bounds is None:
        size = torch.where(values.isfinite(), values.abs(), 0.0).max().item() or 1.0
        bounds = (-size, size) if (values < 0).any() else (0.0, size)
    return TWO_WAYS if bounds[0] < 0 < bounds[1] else ONE_WAY, *bounds


def _order(gates: Gates, place: int, units: int) -> Tensor:
    order = gates.by_timescale(place)
    # A projected state has a different number of units than the state that gates keep.
    return order if len(order) == units else torch.arange(units)
