"""How a table is read, as a run records it in its config.json."""

from dataclasses import asdict, replace
from typing import Any

from carousel.tasks.forecasting.network.inputs import TableReading
from carousel.tasks.forecasting.network.signals import Recipe
from carousel.tasks.forecasting.network.smoothing import Rates
from carousel.tasks.forecasting.network.transform import LogTransform, Transform
from carousel.tasks.forecasting.table.covariates import Encoder
from carousel.tasks.forecasting.table.frequency import Frequency
from carousel.tasks.forecasting.table.panel import Layout
from carousel.tasks.forecasting.table.roles import Roles


def reading_to_json(reading: TableReading) -> dict[str, Any]:
    """The entry "reading" of config.json, in numbers, texts and containers of them."""
    layout = reading.layout
    return {
        "roles": layout.roles.to_json(),
        "frequency": asdict(layout.frequency),
        "averaged": layout.averaged,
        "nearest": layout.nearest,
        "late": layout.late,
        "narrow": list(layout.narrow),
        **{kind: [e.to_json() for e in getattr(layout, kind)] for kind in ("known", "past", "static")},
        "recipe": asdict(reading.recipe),
        "logs": reading.transform.logs,
        "floors": reading.transform.floors,
        "names": list(reading.names),
    }


def reading_from_json(saved: dict[str, Any]) -> TableReading:
    """The reading again. Raises LookupError, TypeError or ValueError for what `reading_to_json` cannot have made."""
    encoders = {k: tuple(Encoder.from_json(e) for e in saved[k]) for k in ("known", "past", "static")}
    roles, frequency = Roles.from_json(saved["roles"]), Frequency.from_json(saved["frequency"])
    layout = Layout(
        roles,
        frequency,
        encoders["known"],
        encoders["past"],
        encoders["static"],
        averaged=saved["averaged"],
        nearest=saved.get("nearest", False),  # earlier runs lack this entry and the next one
        late=saved.get("late", 0),
        narrow=tuple(saved["narrow"]),
    )
    recipe = Recipe(**saved["recipe"] | {"seasons": tuple(saved["recipe"]["seasons"])})
    if recipe.smoothing is not None:
        recipe = replace(recipe, smoothing=Rates.of(recipe.smoothing))
    return TableReading(
        layout,
        recipe,
        Transform([None if log is None else LogTransform(*log) for log in saved["logs"]], saved.get("floors")),
        tuple(saved["names"]),
    )
