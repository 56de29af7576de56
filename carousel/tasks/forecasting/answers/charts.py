"""Forecasts as `carousel.insight.forecast_chart` draws them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from carousel.tasks.forecasting.answers.forecast import ends
from carousel.tasks.forecasting.network.inputs import NetworkInputs
from carousel.tasks.forecasting.scoring.metrics import INTERVALS, MEDIAN
from carousel.tasks.forecasting.table.frequency import local
from carousel.tasks.table import listed

SHOWN = 4  # series in a picture
NAMED = 6  # of the others, those that it names


def pictures(inputs: NetworkInputs, quantiles: np.ndarray) -> list[dict[str, Any]]:
    """The data of a chart of up to four series and their forecast, (horizon, N, levels)."""
    rows, columns = ends(inputs)
    columns = columns[inputs.panel.end[inputs.panel.owner] > 0]
    shown = []
    for column in columns[:SHOWN]:
        begin = max(int(inputs.panel.begin[column]), rows[column] - max(4 * len(quantiles), 60))
        before = np.arange(begin, rows[column] + 1)
        shown.append(
            {
                "name": inputs.panel.name(int(column)),
                "x": axis(inputs, before, int(column)),
                "y": inputs.panel.values[before, column],
                "forecasts": [drawn(inputs, int(rows[column]), int(column), quantiles[:, column])],
            }
        )
    return naming(shown, [inputs.panel.name(int(column)) for column in columns[SHOWN:]])


def naming(shown: list[dict[str, Any]], left_out: Sequence[str]) -> list[dict[str, Any]]:
    """The same pictures, the last of which also says which series are not shown."""
    if shown and left_out:
        shown[-1]["below"] = f"not shown: {listed(left_out, NAMED)}"
    return shown


def drawn(inputs: NetworkInputs, row: int, column: int, quantiles: np.ndarray) -> dict[str, Any]:
    """A forecast (horizon, levels) of a column of values from this row as charts draw it."""
    return {
        "x": axis(inputs, row + np.arange(1, len(quantiles) + 1), column),
        "median": quantiles[:, MEDIAN],
        "bands": {name: (quantiles[:, low], quantiles[:, high]) for name, (low, high) in INTERVALS.items()},
    }


def axis(inputs: NetworkInputs, rows: np.ndarray, column: int) -> np.ndarray:
    """Rows of a column of values as what a chart's axis shows: times, or numbers where time is counted."""
    layout = inputs.panel.layout
    stamps = inputs.panel.stamps(rows, inputs.panel.owner[column])
    return stamps if layout.roles.time.counts else local(stamps, layout.frequency.zone).astype("datetime64[us]")
