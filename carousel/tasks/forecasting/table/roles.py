"""Decides which columns of a table are the time, the ids, the targets and the covariates, as the user says, else by
names and types. The choice is reported."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.forecasting.scoring.metrics import INTERVALS
from carousel.tasks.forecasting.table.apart import FILE, find_ids, require_apart
from carousel.tasks.forecasting.table.stamps import FormatError, TwoReadings, words_in
from carousel.tasks.forecasting.table.time_column import TimeColumn
from carousel.tasks.forecasting.table.times import declared_time, find_time, repeating, says_when
from carousel.tasks.table import listed

TARGETS = ("y", "target", "value", "sales", "demand", "sold", "units", "quantity", "count", "cnt")
EPOCHS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
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
    def named(self) -> tuple[str, ...]:
        """The columns that say when and which."""
        return (*self.time.names, *self.id)

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
        return cls(TimeColumn.from_json(saved["time"]), **lists)

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
    date_format: str | None = None,
    merge: bool = True,
) -> tuple[Roles, list[str]]:
    """The roles of a table's columns, and what to say of them. What is given is taken; the rest is found:

    time: see `find_time`; `date_format` says how its texts or numbers are read.
    id: where stamps repeat, the columns that tell the repetitions apart: see `find_ids`; and any called unique_id.
    target: a column called y, target, ...; or the only column of numbers; or all of them: a wide table.
    past: the other columns of numbers and categories, as nothing is known of their future. static: those with one value
        a series.
    merge: rows of one stamp that nothing tells apart may be merged, however many there are.

    Raises DataError for names that are no columns, or are given two roles, for targets that are not numbers, and where
    two readings are as likely as each other.
    """
    given = {"time": time, "id": id, "target": target, "known": known, "past": past, "static": static}
    _check_given(frame, given)
    said: list[str] = []
    taken = {name for names in given.values() for name in names}
    when = _time(frame, time, taken, date_format, said)
    rest = [name for name in frame.columns if name not in taken and name not in when.names]
    again = repeating(frame.select(*when.names, *rest), when)
    rest = [name for name in rest if name not in again]
    series = tuple(id) or find_ids(frame, when, rest, said, merge=merge)
    if id and not merge:
        require_apart(frame, when, series, rest)
    rest = [name for name in rest if name not in series]
    targets = tuple(target) or _targets(frame, series, rest, said)
    _require_numbers(frame, targets)
    _refuse_collisions(when, series, targets)
    rest = [name for name in rest if name not in targets]
    more_static, more_past, unused = _covariates(frame, series, rest)
    unused = again | unused
    if more_past:
        said.append(
            f"past covariates: {listed(more_past)} ({option('past')}; what is known in advance: {option('known')})"
        )
    if more_static:
        said.append(f"static, one value a series: {listed(more_static)} ({option('static')})")
    if unused:
        said.append("not used: " + listed([f"{name} ({why})" for name, why in unused.items()]))
    past, static = (*past, *more_past), (*static, *more_static)
    return Roles(when, series, targets, tuple(known), past, static, tuple(frame.columns)), said


def refuse_nearly_numbers(frame: pl.DataFrame, roles: Roles) -> None:
    """Raises FormatError for a column without a role that has numbers and a few texts. Without an error it would be
    left out, or read as categories."""
    _require_numbers(
        frame, [name for name in frame.columns if name not in roles.named and _mostly_numbers(frame[name])]
    )


def _check_given(frame: pl.DataFrame, given: dict[str, Sequence[str]]) -> None:
    owner: dict[str, str] = {}
    for role, names in given.items():
        for name in names:
            if name not in frame.columns:
                raise DataError(
                    f"{option(role)} names {name!r}, which is no column. There are: {listed(frame.columns, 20)}."
                )
            if name in owner:
                raise DataError(f"The column {name!r} cannot be both {owner[name]} and {role}: name it once.")
            owner[name] = role


# -- time -----------------------------------------------------------------------------------------------------------


def _time(
    frame: pl.DataFrame, given: Sequence[str], taken: set[str], date_format: str | None, said: list[str]
) -> TimeColumn:
    choice: list[str] = []
    if given:
        found = declared_time(frame, tuple(given), date_format, choice)
    else:
        found = find_time(frame.select([name for name in frame.columns if name not in taken]), date_format, choice)
        written = f", read as {found.format}" if found.kind == "text" else ""
        written = f", {EPOCHS[found.format]} since 1970" if found.kind == "epoch" and found.format else written
        said.append(f"time: {found.label} ({option('time')}){written}")
    said.extend(choice)
    return found


# -- targets --------------------------------------------------------------------------------------------------------


def _refuse_collisions(when: TimeColumn, series: Sequence[str], targets: Sequence[str]) -> None:
    """Raises DataError where a column of the forecast would have the name of another."""
    for target in targets:
        for end in (f"{target}_{side}_{interval}" for interval in sorted(INTERVALS) for side in ("lo", "hi")):
            if end not in (*targets, *series, *when.names):
                continue
            way = f"forecast one of them: {option('target', target)}" if end in targets else "rename that column"
            raise TwoReadings(
                f"A forecast of {target!r} has a column {end!r}, an end of its interval, and the table has one of that "
                f"name, which the forecast would have too. Please {way}."
            )


def _targets(frame: pl.DataFrame, series: tuple[str, ...], rest: list[str], said: list[str]) -> tuple[str, ...]:
    numeric = [name for name in rest if frame[name].dtype.is_numeric() and not says_when(name) and not is_index(name)]
    numbers = [name for name in numeric if name.lower() in TARGETS or not _counts_rows(frame[name])]
    several = bool(series) and frame.select(series).n_unique() > 1
    numbers = [name for name in numbers if frame[name].drop_nulls().n_unique() > 1] or numbers
    if several and len(numbers) > 1:  # what has one value a series is no target
        numbers = [name for name in numbers if not _one_a_series(frame, series, name)] or numbers
    if not numbers:
        _require_numbers(frame, [name for name in rest if _mostly_numbers(frame[name])])
        if numeric:
            raise DataError(
                f"A forecast needs a column of numbers as its target; {listed(numeric)} counts 1, 2, 3, ... like the "
                f"number of a row. If that is what you want forecast: {option('target', numeric[0])}."
            )
        texts = listed([f"{name} ({frame[name].dtype})" for name in rest]) or "nothing else"
        raise DataError(f"A forecast needs a column of numbers as its target; beside time and series there is {texts}.")
    hinted = sorted((n for n in numbers if n.lower() in TARGETS), key=lambda name: TARGETS.index(name.lower()))
    if not hinted:
        hinted = [name for name in numbers if words_in(name) & set(TARGETS)]
        hinted = hinted if len(hinted) == 1 else []
    if several and len(numbers) > 1 and not hinted:
        raise TwoReadings(
            f"The table has {frame.select(series).n_unique():,} series (by {', '.join(series)}), and several columns "
            f"of numbers: {listed(numbers)}. Which is forecast? {option('target', numbers[0])}, with the others as "
            f"covariates; or all of them: {option('target', ','.join(numbers))}."
        )
    targets = tuple(hinted[:1] or numbers)
    others = [name for name in numbers if name not in targets]
    what = "target" if len(targets) == 1 else "targets, a series each"
    how = option("target") if len(targets) == 1 and not others else f"{option('target', 'NAME')} to forecast another"
    if len(targets) > 1:
        how = f"{option('target', 'NAME')} to forecast one, with the others as covariates"
    said.append(f"{what}: {listed(targets)} ({how})")
    return targets


def is_index(name: str) -> bool:
    """Whether a column has the name under which pandas writes an index without a name."""
    return name.startswith(("__index_level_", "Unnamed: 0"))


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
            raise (FormatError if _mostly_numbers(column) else DataError)(
                f"A target must be numbers, and the column {name!r} holds {what}.{commas} Choose another with "
                f"{option('target')}, or mark missing values by an empty field or NA."
            )


# -- covariates -----------------------------------------------------------------------------------------------------


def _covariates(
    frame: pl.DataFrame, series: tuple[str, ...], rest: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, str]]:
    """(static, past, unused): the roles of the columns that have no other, and for each unused column the reason."""
    static, past, unused = [], [], {}
    several = bool(series) and frame.select(series).n_unique() > 1
    for name in rest:
        column = frame[name]
        values = column.n_unique()
        if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.String, pl.Categorical, pl.Enum)):
            unused[name] = str(column.dtype)
        elif name == FILE:
            unused[name] = "the file of the row"
        elif is_index(name):
            unused[name] = "the index of a pandas frame"
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
