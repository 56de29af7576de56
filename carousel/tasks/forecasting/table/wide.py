"""Tables with a row for each series and a column for each time, made long: a row for each series and time."""

import re
from itertools import combinations

import numpy as np
import polars as pl

from carousel.errors import DataError
from carousel.tasks.forecasting.table import dates
from carousel.tasks.forecasting.table.frequency_search import regularity
from carousel.tasks.forecasting.table.stamps import TEXTS, YEARS
from carousel.tasks.forecasting.table.times import find_time
from carousel.tasks.table import listed

FEWEST = 5  # columns of times, and half of all, for a table to be wide
YEAR = re.compile(r"(\d{4})(?: \[YR\d{4}\])?")  # 1960, and as the World Bank writes it: 1960 [YR1960]
COUNTED = re.compile(r"(d|day|w|week|m|month|q|h|hour|t|step|period)_?(\d+)", re.IGNORECASE)


def long_form(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The table in long form and lines that report it; the table itself where its column names are no times.

    The names must be times of one kind, regular and in order, above columns of numbers, and no other column may hold a
    time. The other columns name the series. Raises DataError where a column of a time holds texts, or two rows are of
    the same series.
    """
    found = _times(frame.columns)
    if found is None or len(found) < max(FEWEST, frame.width / 2):
        return frame, []
    rest = [name for name in frame.columns if name not in found and (name.strip() or frame[name].count())]
    if rest and find_time(frame.select(rest)).kind != "rows":
        return frame, []
    for name in found:
        if frame[name].dtype in TEXTS and frame[name].count():
            bad = frame[name].drop_nulls()[0]
            raise DataError(
                f"The names of the columns are times ({found_words(list(found))}), so each row is a series; but the "
                f"column {name!r} holds {bad!r}, which is no number."
            )
    ids = _ids(frame, rest)
    time, value = _free("date", rest), _free("value", rest)
    numbers = frame.with_columns(pl.col(list(found)).cast(pl.Float64), pl.col(ids).fill_null(""))
    long = numbers.unpivot(list(found), index=rest, variable_name=time, value_name=value)
    long = long.with_columns(pl.col(time).replace_strict(found))
    which = f"told apart by {', '.join(ids)}" if ids else "one"
    return long, [
        f"each row is a series ({which}), each of {len(found):,} columns a time ({found_words(list(found))}): read as "
        f"the columns {time} and {value}"
    ]


def found_words(names: list[str]) -> str:
    return f"{names[0]} to {names[-1]}"


def _times(names: list[str]) -> dict[str, str | int] | None:
    """The columns whose names are times, and the time of each, as it is to be written; None where they are none."""
    if len(names) < FEWEST:
        return None
    years: dict[str, str | int] = {name: int(match[1]) for name in names if (match := YEAR.fullmatch(name.strip()))}
    if len(years) >= FEWEST:
        in_order = [int(year) for year in years.values()]
        return years if _even(in_order) and YEARS[0] <= min(in_order) <= YEARS[1] else None
    counted = {name: int(match[2]) for name in names if (match := COUNTED.fullmatch(name.strip()))}
    prefixes = {match[1] for name in counted if (match := COUNTED.fullmatch(name.strip()))}
    if len(counted) >= 2 * FEWEST:
        return dict(counted) if len(prefixes) == 1 and _even(list(counted.values())) else None
    texts = pl.Series("name", [name.strip() for name in names])
    for example in (texts[-1], texts[len(texts) // 2]):
        for form in dates.forms_of(pl.Series([example])):
            moments = dates.read(texts, form)
            if moments.count() < max(FEWEST, len(names) / 2):
                continue
            stamps = moments.drop_nulls().dt.epoch("us").to_numpy()
            steps = np.diff(stamps)
            if regularity(stamps) >= 0.8 and ((steps > 0).all() or (steps < 0).all()):
                return {name: name.strip() for name, moment in zip(names, moments, strict=True) if moment is not None}
    return None


def _even(numbers: list[int]) -> bool:
    return len({int(step) for step in np.diff(numbers)}) == 1 and numbers[0] != numbers[1]


def _ids(frame: pl.DataFrame, rest: list[str]) -> list[str]:
    """The fewest columns of texts that no two rows share."""
    texts = [name for name in rest if frame[name].dtype in TEXTS]
    if frame.height == 1:
        return []
    for size in range(1, min(4, len(texts)) + 1):
        for names in combinations(texts, size):
            if frame.select(names).n_unique() == frame.height:
                return list(names)
    raise DataError(
        f"The names of the columns are times, so each row is a series; but no column names the {frame.height:,} "
        f"series: {f'rows share their {listed(texts)}' if texts else 'there is no column of names'}."
    )


def _free(name: str, taken: list[str]) -> str:
    return name if name not in taken else _free(f"{name}_", taken)
