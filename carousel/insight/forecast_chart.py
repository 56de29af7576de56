"""Pictures of forecasts (history, median and intervals) and of backtests."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from carousel.insight.shown import in_a_picture

# Okabe & Ito's palette, which colour-blind readers can distinguish; baselines also differ in their dashes.
OURS, ACTUAL = "#0072B2", "#333333"
BASELINES = {
    "naive": ("#D55E00", "--"),
    "seasonal naive": ("#009E73", "-."),
    "drift": ("#CC79A7", ":"),
    "theta": ("#E69F00", (0, (5, 1))),
}
ROOM = 0.6  # of the range of values, which an interval may take above and below it
BANDS = {95: 0.15, 80: 0.22}  # per cent: opacity; the narrower band lies on the wider


def forecast_figure(series: Sequence[Mapping[str, Any]], *, title: str = "") -> Any:
    """A matplotlib figure with a panel for each series.

    Each series has `name`; `x` and `y`, the observed values; and `forecasts`, each with `x`, `median` and `bands`,
    {80: (low, high), 95: ...}. One with `below` has that text under its panel.
    """
    figure = _figure(len(series))
    panels = figure.subplots(len(series), 1, squeeze=False)[:, 0]
    for axes, one in zip(panels, series, strict=True):
        _draw(axes, one)
    _say_all(figure, panels[0])
    if title:
        figure.suptitle(in_a_picture(title), fontsize=12, x=0.01, ha="left")
    return figure


def backtest_figure(
    series: Sequence[Mapping[str, Any]],
    by_step: Mapping[str, Sequence[float]],
    coverage: Mapping[str, tuple[float, float]],
    *,
    title: str = "",
) -> Any:
    """As `forecast_figure`, with two more panels.

    by_step: the mean absolute error at each step ahead, of the model (the first name) and its baselines.
    coverage: the share of actual values inside the intervals of 80 and 95 %, by name.
    """
    figure = _figure(len(series) + 1)
    grid = figure.add_gridspec(len(series) + 1, 2, width_ratios=(3, 2))
    panels = [figure.add_subplot(grid[row, :]) for row in range(len(series))]
    for axes, one in zip(panels, series, strict=True):
        _draw(axes, one)
    _say_all(figure, panels[0])
    errors = figure.add_subplot(grid[-1, 0])
    for number, (name, values) in enumerate(by_step.items()):
        color, dashes = BASELINES.get(name, (OURS, "-"))
        steps = range(1, len(values) + 1)
        mark = "o" if len(values) < 3 else None
        width = 1.4 if number else 2.4
        errors.plot(steps, values, linestyle=dashes, color=color, linewidth=width, label=name, marker=mark)
    errors.set_xlabel("steps ahead")
    errors.set_ylabel("mean absolute error")
    errors.set_ylim(bottom=0)
    errors.grid(alpha=0.25)
    errors.legend(frameon=False, fontsize=9)
    _draw_coverage(figure.add_subplot(grid[-1, 1]), coverage)
    if title:
        figure.suptitle(in_a_picture(title), fontsize=12, x=0.01, ha="left")
    return figure


def _figure(rows: int) -> Any:
    # A late import, because matplotlib takes most of a second.
    from carousel.insight.picture import picture

    return picture(10, 2.2 + 2.4 * rows)


def _draw(axes: Any, one: Mapping[str, Any]) -> None:
    axes.plot(one["x"], one["y"], color=ACTUAL, linewidth=1.1, label="observed")
    for number, forecast in enumerate(one["forecasts"]):
        for band, opacity in BANDS.items():
            low, high = forecast["bands"][band]
            axes.fill_between(
                forecast["x"],
                low,
                high,
                color=OURS,
                alpha=opacity,
                linewidth=0,
                label=f"{band} % interval" if number == 0 else None,
            )
        axes.plot(
            forecast["x"], forecast["median"], color=OURS, linewidth=1.8, label="forecast" if number == 0 else None
        )
        axes.axvline(forecast["x"][0], color=ACTUAL, linewidth=0.6, alpha=0.35, linestyle=":")
    _fit(axes, one)
    axes.set_title(in_a_picture(one["name"]), fontsize=10, loc="right")
    if "below" in one:
        axes.set_xlabel(in_a_picture(one["below"]), fontsize=9)
    axes.grid(alpha=0.25)
    axes.margins(x=0.01)


def _fit(axes: Any, one: Mapping[str, Any]) -> None:
    """Chooses the vertical axis by the values and the medians, so that one very wide interval does not flatten them."""
    drawn = np.concatenate([np.ravel(one["y"]), *(np.ravel(forecast["median"]) for forecast in one["forecasts"])])
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return
    low, high = float(drawn.min()), float(drawn.max())
    room = ROOM * (high - low or abs(high) or 1.0)
    bottom, top = axes.get_ylim()
    if bottom < low - room or top > high + room:
        axes.set_ylim(max(bottom, low - room), min(top, high + room))
        axes.annotate("intervals go on beyond the picture", (0.99, 0.02), xycoords="axes fraction", ha="right",
                      fontsize=8, color=ACTUAL)  # fmt: skip


def _say_all(figure: Any, axes: Any) -> None:
    """The legend above the pictures, where it covers no line."""
    figure.legend(*_legend(axes), loc="outside upper right", frameon=False, ncols=4, fontsize=9)


def _draw_coverage(axes: Any, coverage: Mapping[str, tuple[float, float]]) -> None:
    names = list(coverage)[::-1]
    for at, (name, held) in enumerate((name, coverage[name]) for name in names):
        color = BASELINES.get(name, (OURS, "-"))[0]
        for level, mark, part in zip((80, 95), ("o", "s"), held, strict=True):
            axes.plot(100 * part, at, mark, color=color, markersize=8, label=f"{level} %" if at == 0 else None)
    for level in (80, 95):
        axes.axvline(level, color=ACTUAL, linewidth=1, linestyle="--", alpha=0.6)
        axes.annotate(
            f"{level} %", (level, len(names) - 0.45), ha="center", fontsize=8, color=ACTUAL, backgroundcolor="white"
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.2)
    axes.set_xlim(min([60, *(100 * part - 5 for held in coverage.values() for part in held if part == part)]), 102)
    axes.set_xlabel("per cent held: ● by 80 %, ■ by 95 % intervals")
    axes.grid(alpha=0.25, axis="x")


def _legend(axes: Any) -> tuple[list[Any], list[str]]:
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(
        range(len(labels)), key=lambda k: ["observed", "forecast", "80 % interval", "95 % interval"].index(labels[k])
    )
    return [handles[k] for k in order], [labels[k] for k in order]
