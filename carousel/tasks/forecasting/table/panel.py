"""A table of series on one grid of time: what all the rest of forecasting computes with."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.forecasting.table import covariates
from carousel.tasks.forecasting.table.covariates import Encoder
from carousel.tasks.forecasting.table.frequency import Frequency
from carousel.tasks.forecasting.table.frequency_search import find, named
from carousel.tasks.forecasting.table.roles import Roles
from carousel.tasks.table import listed

MOST_NUMBERS = 400_000_000  # of values and covariates on the grid; 3 GB


@dataclass(frozen=True)
class Layout:
    """How a table becomes a panel, fixed in training: the roles of its columns, the frequency, the encodings."""

    roles: Roles
    frequency: Frequency
    known: tuple[Encoder, ...] = ()
    past: tuple[Encoder, ...] = ()
    static: tuple[Encoder, ...] = ()
    averaged: bool = False  # the user named the frequency, and rows may lie between its stamps
    nearest: bool = False  # and then count for the nearest stamp, not for the one before
    late: int = 0  # microseconds that rows usually lie after their stamp
    narrow: tuple[str, ...] = ()  # targets in float32, as their forecasts are to be

    @classmethod
    def fit(cls, frame: pl.DataFrame, roles: Roles, frequency: str | None = None) -> "Layout":
        """All but the encodings of covariates. Raises DataError for irregular stamps."""
        roles.check(frame)
        stamps, zone = roles.time.parse(frame), roles.time.zone
        counts = roles.time.counts
        close, late = False, 0
        if frequency is not None:
            found = named(frequency, stamps, zone, counts=counts)
            owner = _owner(frame, roles, _ids(frame, roles))
            close, late = found.is_close(stamps, owner)
        else:
            owner = _owner(frame, roles, _ids(frame, roles))
            keyed = pl.DataFrame({"series": owner, "stamp": stamps}).unique().sort("series", "stamp")
            found = find(
                [g["stamp"].to_numpy() for _, g in keyed.group_by("series", maintain_order=True)], zone, counts=counts
            )
        narrow = tuple(name for name in roles.targets if frame[name].dtype == pl.Float32)
        return cls(roles, found, averaged=frequency is not None, nearest=close, late=late, narrow=narrow)

    def encoding(self, frame: pl.DataFrame, until: int) -> "Layout":
        """The layout with covariates encoded by the rows before the index `until`. The held-out part does not take
        part."""
        before = frame.filter(pl.Series(self.indices(frame) < until))
        known, past, static = (
            tuple(Encoder.fit(before[name]) for name in names)
            for names in (self.roles.known, self.roles.past, self.roles.static)
        )
        return replace(self, known=known, past=past, static=static)

    def indices(self, frame: pl.DataFrame, known: dict[tuple[Any, ...], int] | None = None) -> np.ndarray:
        """The index of the stamp of each row. Raises DataError for stamps off the frequency, unless the user named one:
        rows between its stamps count for the nearest where there is about one row a stamp, else for the stamp before.
        `known`: the shifts of series that have rows elsewhere, by their ids."""
        stamps = self.roles.time.parse(frame)
        indices = self.frequency.indices(stamps)
        if self.nearest:
            return self.frequency.nearest(stamps, self.late)
        shifts = self.frequency.shifts(stamps)
        off = self.frequency.stamps(indices, shifts) != stamps
        if self.frequency.own:
            off |= shifts != self._shifts_of_series(frame, shifts, known or {})
        if off.any() and not self.averaged:
            shown = frame.select(self.roles.time.names).row(int(off.argmax()))
            raise DataError(
                f"{off.sum():,} of {len(stamps):,} stamps are off the frequency ({self.frequency.words}), the "
                f"first of them {', '.join(map(str, shown))}: correct them, or name a frequency to average them "
                f"into ({option('frequency')})."
            )
        return indices

    def _shifts_of_series(
        self, frame: pl.DataFrame, shifts: np.ndarray, known: dict[tuple[Any, ...], int]
    ) -> np.ndarray:
        """For each row, the shift that its series has elsewhere, or in its first row here."""
        of = dict(known)
        keys = frame.select(self.roles.id).rows()
        return np.array([of.setdefault(key, int(shift)) for key, shift in zip(keys, shifts, strict=True)])


@dataclass(frozen=True)
class Panel:
    """T stamps, I series, each with ids of its own, Q targets each: N = I * Q columns of values, target
    after target within a series. Nothing observed is NaN.
    """

    layout: Layout
    first: int  # the index of the stamp of row 0
    ids: pl.DataFrame  # (I, id columns), sorted
    shifts: np.ndarray  # (I,) days of each series after the first day of a step, where it has days of its own
    values: np.ndarray  # (T, N) float64
    begin: np.ndarray  # (N,) row of the first observation; T where there is none
    end: np.ndarray  # (I,) one after the row of the last observation of any target
    known: np.ndarray  # (T + further rows that only covariates have, I, width) float32
    given: np.ndarray  # (rows of `known`, I): has a row in the table, which lacks nothing that is known in advance
    past: np.ndarray  # (T, I, width) float32
    static: np.ndarray  # (I, width) float32
    duplicates: int  # rows whose series and stamp another row had: averaged
    merged: int  # rows averaged with another row of the same series and stamp, of a frequency that the user named
    moved: int  # rows that a frequency that was named put to another time
    furthest: float  # how far, in microseconds or counted steps, the furthest of them
    gaps: int  # stamps between the first and the last row of a series without a row: missing

    @property
    def steps(self) -> int:
        return len(self.values)

    @property
    def targets(self) -> int:
        return len(self.layout.roles.targets)

    @property
    def owner(self) -> np.ndarray:
        """The number of the series that each column of values belongs to, (N,)."""
        return np.repeat(np.arange(len(self.end)), self.targets)

    @property
    def known_until(self) -> np.ndarray:
        """The first row from `end` on whose covariates are not given, (I,), one for each series."""
        missing = ~self.given & (np.arange(len(self.given))[:, None] >= self.end)
        return np.where(missing.any(axis=0), missing.argmax(axis=0), np.maximum(len(self.given), self.end))

    def stamps(self, rows: np.ndarray, series: np.ndarray | int | None = None) -> np.ndarray:
        """The stamps of these rows of the grid. series: whose stamps they are, one for each row or one for all."""
        shifts = 0 if series is None else self.shifts[series]
        return self.layout.frequency.stamps(np.asarray(rows) + self.first, shifts)

    def between(self) -> np.ndarray:
        """The first and the last stamp that have a value."""
        filled = np.flatnonzero(self.end > 0)
        begin = self.begin.reshape(-1, self.targets).min(axis=1)
        return np.array([self.stamps(begin[filled], filled).min(), self.stamps(self.end[filled] - 1, filled).max()])

    def name(self, column: int) -> str:
        """The name of a column of values: "north, sales"."""
        series, target = divmod(column, self.targets)
        parts = [str(part) for part in (self.ids.row(series) if self.layout.roles.id else ())]
        return ", ".join([*parts, *([self.layout.roles.targets[target]] if self.targets > 1 or not parts else [])])

    @classmethod
    def build(cls, frame: pl.DataFrame, layout: Layout) -> "Panel":
        """Raises DataError for a table that lacks columns, has no value of any target, or leaves the frequency."""
        roles = layout.roles
        roles.check(frame)
        indices = layout.indices(frame)
        shifts = layout.frequency.shifts(roles.time.parse(frame))
        ids = _ids(frame, roles)
        targets = pl.DataFrame([_number(frame[name]) for name in roles.targets])
        owner = _owner(frame, roles, ids)
        rows = pl.DataFrame({"__index__": indices, "__owner__": owner})
        table = pl.concat([rows, targets, frame.select(*roles.known, *roles.past)], how="horizontal")
        merged, repeated = _merge(table), rows.height - rows.unique().height
        away = np.abs(layout.frequency.stamps(indices) - roles.time.parse(frame)) if layout.averaged else np.zeros(0)
        observed = merged.filter(pl.any_horizontal(*(pl.col(name).is_not_null() for name in targets.columns)))
        if not observed.height:
            raise DataError(
                f"The table has no value of {listed(roles.targets)} in any row: there is nothing to forecast."
            )
        first, last = int(observed["__index__"].min()), int(observed["__index__"].max())  # type: ignore[arg-type]
        steps, furthest = last - first + 1, max(last, int(merged["__index__"].max())) - first + 1  # type: ignore[arg-type]
        series = ids.height
        widths = [covariates.width(part) for part in (layout.known, layout.past)]
        _require_room(steps, series, len(roles.targets) + widths[0] + widths[1], layout)

        merged = merged.filter(pl.col("__index__") >= first)
        row, of = merged["__index__"].to_numpy() - first, merged["__owner__"].to_numpy()
        inside = row < steps
        numbers = merged.select(targets.columns).cast(pl.Float64).fill_null(np.nan).to_numpy()
        values = _on_grid(
            numbers[inside], row[inside], of[inside], steps, np.full((series, len(roles.targets)), np.nan)
        )
        known = covariates.encode(layout.known, merged)
        past = covariates.encode(layout.past, merged)[inside]
        nothing = [np.tile(covariates.absent(part), (series, 1)) for part in (layout.known, layout.past)]

        seen = np.isfinite(values)
        begin = np.where(seen.any(axis=0), seen.argmax(axis=0), steps).reshape(-1)
        seen = seen.any(axis=2)
        end = np.where(seen.any(axis=0), steps - seen[::-1].argmax(axis=0), 0)
        complete = covariates.complete(layout.known, merged)[:, None]
        shift = np.zeros(series, np.int64)
        shift[owner] = shifts  # which are the same in all rows of a series
        return cls(
            layout=layout,
            first=first,
            ids=ids,
            shifts=shift,
            values=values.reshape(steps, -1),
            begin=begin,
            end=end,
            known=_on_grid(known, row, of, furthest, nothing[0]),
            given=_on_grid(complete, row, of, furthest, np.zeros((series, 1), bool))[..., 0],
            past=_on_grid(past, row[inside], of[inside], steps, nothing[1]),
            static=_static(frame, roles, layout, owner, series),
            duplicates=0 if layout.averaged else repeated,
            merged=repeated if layout.averaged else 0,
            moved=int((away > 0).sum()),
            furthest=float(away.max(initial=0)),
            gaps=_gaps(row[inside], of[inside], series),
        )


def _on_grid(values: np.ndarray, row: np.ndarray, of: np.ndarray, steps: int, nothing: np.ndarray) -> np.ndarray:
    """A grid of values, (steps, series, width): the given values where a series has a row, and elsewhere `nothing`,
    (series, width).
    """
    grid = np.broadcast_to(nothing, (steps, *nothing.shape)).copy()
    grid[row, of] = values
    return grid


def _gaps(row: np.ndarray, of: np.ndarray, series: int) -> int:
    """How many stamps between the first and the last row of its series have no row. Each stamp has one row at most."""
    first, last = np.full(series, np.iinfo(np.int64).max), np.full(series, -1)
    np.minimum.at(first, of, row)
    np.maximum.at(last, of, row)
    rows = np.bincount(of, minlength=series)
    return int((last - first + 1 - rows)[rows > 0].sum())


def _ids(frame: pl.DataFrame, roles: Roles) -> pl.DataFrame:
    if not roles.id:
        return pl.DataFrame({"series": [0]})
    ids = frame.select(roles.id)
    for column in ids:
        if column.null_count():
            row = int(column.is_null().arg_max() or 0) + 1
            raise DataError(f"The column {column.name!r} names the series, and has no value in row {row}.")
    return ids.unique().sort(roles.id)


def _owner(frame: pl.DataFrame, roles: Roles, ids: pl.DataFrame) -> np.ndarray:
    if not roles.id:
        return np.zeros(frame.height, np.int64)
    numbered = ids.with_row_index("__series__")
    return (
        frame.select(roles.id)
        .join(numbered, on=list(roles.id), how="left", maintain_order="left")["__series__"]
        .to_numpy()
        .astype(np.int64)
    )


def _number(column: pl.Series) -> pl.Series:
    """NaN is missing, as what is empty."""
    numbers = column.cast(pl.Float64)
    return numbers.set(numbers.is_nan(), None).alias(f"target {column.name}")


def _merge(table: pl.DataFrame) -> pl.DataFrame:
    """One row for each series and stamp: numbers averaged, of several texts the last in the alphabet."""
    merging = []
    for name in table.columns[2:]:
        numeric = table[name].dtype.is_numeric() or table[name].dtype == pl.Boolean
        merging.append(pl.col(name).cast(pl.Float64).mean() if numeric else pl.col(name).max())
    return table.group_by("__index__", "__owner__").agg(merging).sort("__index__", "__owner__")


def _static(frame: pl.DataFrame, roles: Roles, layout: Layout, owner: np.ndarray, series: int) -> np.ndarray:
    if not roles.static:
        return np.zeros((series, 0), np.float32)
    owned = frame.select(roles.static).with_columns(pl.Series("__series__", owner))
    aggregated = owned.group_by("__series__").agg(pl.col(name).drop_nulls().max() for name in roles.static)
    return covariates.encode(layout.static, aggregated.sort("__series__"))


def _require_room(steps: int, series: int, numbers: int, layout: Layout) -> None:
    if steps * series * numbers > MOST_NUMBERS:
        raise DataError(
            f"{series:,} series on {steps:,} stamps ({layout.frequency.words}) with {numbers} numbers each are "
            f"more than memory should hold. Train on fewer series, a shorter time, or a coarser frequency "
            f"({option('frequency')})."
        )
