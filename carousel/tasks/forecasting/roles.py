"""Which column of a table is what: time, series, target, covariate. Found, or as told; and said."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from carousel.errors import DataError
from carousel.tasks.forecasting.stamps import Slip, TimeColumn, parts_in, recognise
from carousel.tasks.table import listed

TIMES = (
    "ds",
    "date",
    "datetime",
    "timestamp",
    "time",
    "month",
    "day",
    "week",
    "quarter",
    "year",
    "period",
    "step",
    "t",
)
SERIES = ("unique_id", "series_id", "series", "item_id", "id", "item", "store", "shop", "sku", "product", "symbol")
TARGETS = ("y", "target", "value", "sales", "demand", "sold", "units", "quantity", "count")
MOST_CATEGORIES = 50  # a column of more different texts is names or remarks, not a category


@dataclass(frozen=True)
class Roles:
    """`id`: columns that together name a series; `targets`: each is forecast; covariates: `known` ahead, `past` (known
    up to now), `static` (one value a series).
    """

    time: TimeColumn
    id: tuple[str, ...]
    targets: tuple[str, ...]
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    order: tuple[str, ...] = ()  # of all columns in the table

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that a table must have to be forecast, in the order of the one trained on."""
        names = (*self.time.names, *self.id, *self.targets, *self.known, *self.past, *self.static)
        return tuple(sorted(names, key=lambda name: self.order.index(name)))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "Roles":
        lists = {name: tuple(saved[name]) for name in ("id", "targets", "known", "past", "static", "order")}
        time = saved["time"]
        return cls(TimeColumn(**time | {"names": tuple(time["names"])}), **lists)

    def check(self, frame: pl.DataFrame) -> None:
        """Raises DataError where a table lacks one of the columns, a target is text, or a number is infinite."""
        if missing := [name for name in self.needed if name not in frame.columns]:
            raise DataError(
                f"This model was trained with the columns {listed(self.needed, 20)}; the table lacks {listed(missing)}."
            )
        _require_numbers(frame, self.targets)
        self.refuse_infinite(frame, (*self.targets, *self.known, *self.past, *self.static))

    def refuse_infinite(self, frame: pl.DataFrame, names: Sequence[str]) -> None:
        """Raises DataError where one of these columns has an infinite value: what it means only its author knows."""
        for name in names:
            if frame.schema[name].is_float() and (infinite := frame[name].is_infinite().fill_null(False)).any():
                row, keys = int(infinite.arg_max() or 0), (*self.time.names, *self.id)
                at = f" at {', '.join(str(frame[key][row]) for key in keys)}" if keys else f" in row {row + 1}"
                raise DataError(f"The column {name!r} has an infinite value{at}. Leave it empty if it is not known.")


def find_roles(
    frame: pl.DataFrame,
    *,
    time: Sequence[str] = (),
    id: Sequence[str] = (),
    target: Sequence[str] = (),
    known: Sequence[str] = (),
    past: Sequence[str] = (),
    static: Sequence[str] = (),
) -> tuple[Roles, list[str]]:
    """The roles of a table's columns, and what to say of them. What is given is taken; the rest is found:

    time: dates, times or texts that read as such, by type and then by name; year, month, ... in columns of their own;
        whole numbers under a name that says so. Without any, rows are steps.
    id: where stamps repeat, the columns that tell the repetitions apart; and any column called unique_id.
    target: a column called y, target, ...; or the only column of numbers; or all of them: a wide table.
    past: the other columns of numbers and categories, as nothing is known of their future. static: those with one value
        a series.

    Raises DataError for names that are no columns, or are given two roles, and for targets that are not numbers.
    """
    given = {"time": time, "id": id, "target": target, "known": known, "past": past, "static": static}
    _check_given(frame, given)
    said: list[str] = []
    taken = {name for names in given.values() for name in names}
    when = _time(frame, time, taken, said)
    rest = [name for name in frame.columns if name not in taken and name not in when.names]
    series = tuple(id) or _series(frame, when, rest, said)
    rest = [name for name in rest if name not in series]
    targets = tuple(target) or _targets(frame, rest, said)
    _require_numbers(frame, targets)
    rest = [name for name in rest if name not in targets]
    more_static, more_past, unused = _covariates(frame, series, rest)
    if more_past:
        said.append(f"past covariates: {listed(more_past)} (--past; what is known in advance: --known)")
    if more_static:
        said.append(f"static, one value a series: {listed(more_static)} (--static)")
    if unused:
        said.append("not used: " + listed([f"{name} ({why})" for name, why in unused.items()]))
    past, static = (*past, *more_past), (*static, *more_static)
    return Roles(when, series, targets, tuple(known), past, static, tuple(frame.columns)), said


def _check_given(frame: pl.DataFrame, given: dict[str, Sequence[str]]) -> None:
    owner: dict[str, str] = {}
    for role, names in given.items():
        for name in names:
            if name not in frame.columns:
                raise DataError(f"--{role} names {name!r}, which is no column. There are: {listed(frame.columns, 20)}.")
            if name in owner:
                raise DataError(f"The column {name!r} cannot be both {owner[name]} and {role}: name it once.")
            owner[name] = role


# -- time -----------------------------------------------------------------------------------------------------------


def _time(frame: pl.DataFrame, given: Sequence[str], taken: set[str], said: list[str]) -> TimeColumn:
    if given:
        found = _declared_time(frame, tuple(given))
    else:
        found = find_time(frame.select([name for name in frame.columns if name not in taken]))
        said.append(f"time: {found.label} (--time)")
    return found


def _declared_time(frame: pl.DataFrame, names: tuple[str, ...]) -> TimeColumn:
    if len(names) > 1:
        parts = parts_in(names)
        if parts is None or set(parts) != set(names):
            raise DataError(
                f"Time is one column, or columns called year, month, day, hour, ...; not {', '.join(names)}."
            )
        return TimeColumn(parts, "parts")
    found = recognise(frame, names[0])
    if found is None:
        column = frame[names[0]].drop_nulls()
        example = repr(column[0]) if len(column) else "nothing"
        raise DataError(
            f"The column {names[0]!r} holds {example}, which reads as no time. Dates are written like 2024-03-31, "
            f"times like 2024-03-31 14:00, months like 2024-03, quarters like 2024Q1; steps are whole numbers."
        )
    return found


def find_time(frame: pl.DataFrame) -> TimeColumn:
    """The column that tells the time: see `find_roles`."""
    named = sorted(
        (name for name in frame.columns if name.lower() in TIMES), key=lambda name: TIMES.index(name.lower())
    )
    if parts := parts_in(frame.columns):
        return TimeColumn(parts, "parts")
    for name in (*named, *frame.columns):
        found = recognise(frame, name)
        if found is not None and (found.kind != "integer" or name in named):
            return found
    return TimeColumn((), "rows")


# -- series and targets ---------------------------------------------------------------------------------------------


def _series(frame: pl.DataFrame, when: TimeColumn, rest: list[str], said: list[str]) -> tuple[str, ...]:
    named = sorted((name for name in rest if name.lower() in SERIES), key=lambda name: SERIES.index(name.lower()))
    if when.kind == "rows":
        return ()
    stamps = pl.Series("__stamp__", when.parse(frame))
    repeated = len(stamps) - stamps.n_unique()
    if not repeated:  # one series, or several that follow each other; a name of its own in each row is no series'
        several = [n for n in named if frame[n].dtype == pl.String and 2 * frame[n].n_unique() <= frame.height]
        if several:
            said.append(f"series told apart by {several[0]} (--id)")
        return tuple(several[:1])
    texts = [name for name in rest if frame[name].dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)]
    whole = [name for name in rest if frame[name].dtype.is_integer() and name in named]
    candidates = list(dict.fromkeys([*named, *texts, *whole]))
    stamped = frame.with_columns(stamps)
    best: tuple[int, tuple[str, ...]] = (repeated, ())
    for name in candidates:
        left = _repetitions(stamped, (name,))
        best = min(best, (left, (name,)), key=lambda option: option[0])
    grown = True
    while best[0] and grown:  # no column tells all apart: add the one that helps most
        options = [
            (_repetitions(stamped, (*best[1], name)), (*best[1], name)) for name in candidates if name not in best[1]
        ]
        grown = bool(options) and min(options)[0] < best[0]
        best = min(options) if grown else best
    if best[0] <= 0.5 * repeated and best[1]:
        said.append(f"series told apart by {', '.join(best[1])} (--id)")
        return best[1]
    return ()


def _repetitions(stamped: pl.DataFrame, names: tuple[str, ...]) -> int:
    return stamped.height - stamped.select("__stamp__", *names).n_unique()


def _targets(frame: pl.DataFrame, rest: list[str], said: list[str]) -> tuple[str, ...]:
    numeric = [name for name in rest if frame[name].dtype.is_numeric()]
    numbers = [name for name in numeric if name.lower() in TARGETS or not _counts_rows(frame[name])]
    if not numbers:
        _require_numbers(frame, [name for name in rest if _mostly_numbers(frame[name])])
        if numeric:
            raise DataError(
                f"A forecast needs a column of numbers as its target; {listed(numeric)} counts 1, 2, 3, ... like the "
                f"number of a row. If that is what you want forecast: --target {numeric[0]}."
            )
        texts = listed([f"{name} ({frame[name].dtype})" for name in rest]) or "nothing else"
        raise DataError(f"A forecast needs a column of numbers as its target; beside time and series there is {texts}.")
    hinted = [name for name in numbers if name.lower() in TARGETS]
    hinted.sort(key=lambda name: TARGETS.index(name.lower()))
    targets = tuple(hinted[:1] or numbers)
    others = [name for name in numbers if name not in targets]
    what = "target" if len(targets) == 1 else "targets, a series each"
    how = "--target" if len(targets) == 1 and not others else "--target NAME to forecast another"
    if len(targets) > 1:
        how = "--target NAME to forecast one, with the others as covariates"
    said.append(f"{what}: {listed(targets)} ({how})")
    return targets


def _counts_rows(column: pl.Series) -> bool:
    """1, 2, 3, ...: a number of the row, which says nothing."""
    return (
        column.dtype.is_integer()
        and column.len() > 2
        and not column.null_count()
        and bool((column.diff()[1:] == 1).all())
    )


def _mostly_numbers(column: pl.Series) -> bool:
    """Texts of which more than half are numbers: the others are slips, or another way to say missing."""
    if column.dtype != pl.String:
        return False
    return _as_numbers(column).count() > 0.5 * column.count()


def _as_numbers(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        column = column.str.strip_chars().str.replace(",", ".", literal=True)
    return column.cast(pl.Float64, strict=False)


def _require_numbers(frame: pl.DataFrame, targets: Sequence[str]) -> None:
    for name in targets:
        column = frame[name]
        if column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
            continue
        bad = column.filter(_as_numbers(column).is_null() & column.is_not_null())
        if not len(bad):  # numbers, but for their commas
            bad = column.filter(column.cast(pl.Float64, strict=False).is_null() & column.is_not_null())
        if len(bad) or column.dtype != pl.String:
            what = f"{bad[0]!r}" if len(bad) else str(column.dtype)
            commas = " Write thousands without a comma." if len(bad) and "," in str(bad[0]) else ""
            raise (Slip if _mostly_numbers(column) else DataError)(
                f"A target must be numbers, and the column {name!r} holds {what}.{commas} Choose another with "
                f"--target, or mark missing values by an empty field or NA."
            )


# -- covariates -----------------------------------------------------------------------------------------------------


def _covariates(
    frame: pl.DataFrame, series: tuple[str, ...], rest: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, str]]:
    """(static, past, why unused) of the columns that have no other role."""
    static, past, unused = [], [], {}
    several = bool(series) and frame.select(series).n_unique() > 1
    for name in rest:
        column = frame[name]
        values = column.n_unique()
        if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.String, pl.Categorical, pl.Enum)):
            unused[name] = str(column.dtype)
        elif values == 1:
            unused[name] = "always the same"
        elif _counts_rows(column):
            unused[name] = "the number of the row"
        elif several and _one_a_series(frame, series, name):
            static.append(name)
        elif not column.dtype.is_numeric() and values > MOST_CATEGORIES:
            unused[name] = f"{values:,} different texts"
        else:
            past.append(name)
    return tuple(static), tuple(past), unused


def _one_a_series(frame: pl.DataFrame, series: tuple[str, ...], name: str) -> bool:
    return bool(frame.group_by(series).agg(pl.col(name).n_unique() == 1)[name].all())
