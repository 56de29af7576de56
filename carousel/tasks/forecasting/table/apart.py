"""Finds the columns that distinguish the series of a long table: no series has two rows of one stamp, and each is
whole."""

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.forecasting.table.stamps import TEXTS, TwoReadings, words_in
from carousel.tasks.forecasting.table.time_column import TimeColumn
from carousel.tasks.table import listed

SERIES = (
    *("unique_id", "series_id", "series", "item_id", "id", "item", "store", "shop", "sku", "product", "symbol"),
    *("ticker", "country", "region", "city", "state", "dept", "department", "station", "sensor", "device", "site"),
    *("meter", "customer", "user", "subject", "patient", "trial", "entity", "household", "file"),
)
WHEN = {"time", "hour", "date", "timestamp", "datetime", "minute", "clock"}  # words for a part of the time, no series
FILE = "file"  # the column of the name of each row's file, where several are read
FEW = 0.05  # of the rows may repeat a stamp: slips
WHOLE = 0.6  # of the stamps from a series' first to its last: with so many it stands whole
NAMED_WHOLE = 0.25  # under a name that says so
AS_WHOLE = 0.1  # of those: two groupings that differ by less are as good as each other


def find_ids(
    frame: pl.DataFrame, when: TimeColumn, rest: Sequence[str], said: list[str], *, merge: bool
) -> tuple[str, ...]:
    """The columns that distinguish series; () for one series. A usual name speaks for a column, and so do whole series.

    Raises DataError where more than one row of twenty repeats a stamp and no columns distinguish these rows, or only
    columns that divide the series into fragments. With `merge` such rows may be merged.
    """
    if when.kind == "rows":
        return ()
    stamped = frame.with_columns(pl.Series("__stamp__", when.parse(frame)))
    if stamped.height == stamped["__stamp__"].n_unique():
        return _following(frame, rest, said)
    stamped = stamped.unique(maintain_order=True)  # a row that stands twice, word for word, says nothing twice
    repeated = _repetitions(stamped, ())
    if not repeated:
        said.append(f"{frame.height - stamped.height:,} rows stand twice, word for word: each counts once")
        return _following(frame, rest, said)
    found = _best(stamped, rest)
    if found is not None and _stands(stamped, found):
        said.append(f"series told apart by {', '.join(found)} ({option('id')}): {_words(stamped, found)}")
        return found
    if merge or repeated <= FEW * stamped.height:
        return ()
    raise DataError(_refusal(stamped, when, rest, found, repeated))


def require_apart(frame: pl.DataFrame, when: TimeColumn, series: Sequence[str], rest: Sequence[str] = ()) -> None:
    """Raises DataError where more than one row of twenty repeats a time of its series. Rows that are equal in all
    columns do not count. rest: columns that might distinguish them."""
    if when.kind == "rows":
        return
    stamped = frame.with_columns(pl.Series("__stamp__", when.parse(frame))).unique(maintain_order=True)
    repeated = _repetitions(stamped, series)
    if repeated <= FEW * stamped.height:
        return
    others = [
        name
        for name in rest
        if name not in series and _names(stamped[name]) and _repetitions(stamped, (*series, name)) <= repeated / 2
    ]
    whose = f" of the same {', '.join(series)}" if series else ""
    raise DataError(
        f"{repeated:,} of {stamped.height:,} rows repeat a time ({when.label}){whose}. "
        + (
            f"They differ in {listed(others)}: {option('id', ','.join((*series, others[0])))} makes these series. "
            if others
            else ""
        )
        + f"If rows of one time are to be averaged: {option('frequency', '1h')}, or d, w, mo."
    )


# -- inside ---------------------------------------------------------------------------------------------------------


def _following(frame: pl.DataFrame, rest: Sequence[str], said: list[str]) -> tuple[str, ...]:
    """Of stamps that never repeat: series that follow each other, under a name that says so. A name of its own in each
    row is no series'."""
    several = [
        n for n in _usual(rest, SERIES[:11]) if frame[n].dtype in TEXTS and 2 * frame[n].n_unique() <= frame.height
    ]
    if several and frame[several[0]].n_unique() > 1:
        said.append(f"series told apart by {several[0]} ({option('id')})")
    return tuple(several[:1])


def _usual(names: Iterable[str], known: Sequence[str]) -> list[str]:
    return sorted((name for name in names if name.lower() in known), key=lambda name: known.index(name.lower()))


def _named(names: Iterable[str]) -> bool:
    return all(name.lower() in SERIES or bool(words_in(name) & {*SERIES, "name", "code"}) for name in names)


def _best(stamped: pl.DataFrame, rest: Sequence[str]) -> tuple[str, ...] | None:
    """The fewest columns that leave hardly a repetition; of several such, those that are named so, then those that
    leave the series whole. Raises DataError where two are as good as each other and make different series."""
    most = stamped.height / 2
    rest = [n for n in rest if not words_in(n) & WHEN and stamped[n].n_unique() <= most]
    usual = _usual(rest, SERIES)
    texts = [n for n in rest if stamped[n].dtype in (*TEXTS, pl.Boolean)]
    whole = [n for n in rest if _whole(stamped[n]) and n not in usual]
    doubtful = None
    for candidates in ([*usual, *texts], [*usual, *texts, *whole]):
        names = list(dict.fromkeys(name for name in candidates if stamped[name].n_unique() > 1))
        for size in range(1, 5):
            sets = [some for some in _sets(stamped, names, size) if _repetitions(stamped, some) <= _allowed(stamped)]
            if sets:
                likeliest = _likeliest(stamped, sets)
                if _stands(stamped, likeliest):
                    return likeliest
                doubtful = doubtful or likeliest
                break
    return doubtful


def _stands(stamped: pl.DataFrame, names: tuple[str, ...]) -> bool:
    return found_whole(stamped, names) >= (NAMED_WHOLE if _named(names) else WHOLE)


def _allowed(stamped: pl.DataFrame) -> float:
    """A few repetitions may be left; but not half of those that there are."""
    return min(FEW * stamped.height, 0.5 * _repetitions(stamped, ()))


def _sets(stamped: pl.DataFrame, names: list[str], size: int) -> list[tuple[str, ...]]:
    """All sets of so many columns. Where these are many, only sets with the columns that distinguish most rows."""
    if size > 1 and len(names) > 8:
        names = sorted(names, key=lambda name: _repetitions(stamped, (name,)))[:8]
    return list(combinations(names, size))


def _likeliest(stamped: pl.DataFrame, sets: list[tuple[str, ...]]) -> tuple[str, ...]:
    ranked = sorted(sets, key=lambda some: (not _named(some), -found_whole(stamped, some)))
    best = ranked[0]
    for other in ranked[1:]:
        if _named(best) != _named(other) or found_whole(stamped, best) - found_whole(stamped, other) > AS_WHOLE:
            continue
        if found_whole(stamped, best) < WHOLE or _repetitions(stamped, other) > _repetitions(stamped, best):
            continue
        if not _same(stamped, best, other):
            raise TwoReadings(
                f"Rows repeat a time, and two readings tell them apart as well as each other: by {', '.join(best)} "
                f"({_words(stamped, best)}) or by {', '.join(other)} ({_words(stamped, other)}). Say which: "
                f"{option('id', ','.join(best))} or {option('id', ','.join(other))}."
            )
    return best


def _same(stamped: pl.DataFrame, one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two sets of columns make the same series."""
    together = stamped.select({*one, *other}).n_unique()
    return together == stamped.select(one).n_unique() == stamped.select(other).n_unique()


def _whole(column: pl.Series) -> bool:
    if column.dtype.is_integer():
        return True
    return column.dtype.is_float() and bool((column == column.round()).all()) and not column.null_count()


def _names(column: pl.Series) -> bool:
    """Might a column name something? One of decimal numbers is measured."""
    return column.dtype in (*TEXTS, pl.Boolean) or _whole(column)


def _repetitions(stamped: pl.DataFrame, names: Sequence[str]) -> int:
    return stamped.height - stamped.select("__stamp__", *names).n_unique()


def found_whole(stamped: pl.DataFrame, names: Sequence[str]) -> float:
    """How whole the series are: the share of the possible stamps between the first and the last of each that it has.
    Possible are the stamps of all series, or those by its own commonest step, as series may have times of their own."""
    ranks = np.unique(stamped["__stamp__"].to_numpy(), return_inverse=True)[1]
    rows = stamped.select(*names, "__stamp__").with_columns(pl.Series("__rank__", ranks)).unique()
    series = (
        rows.sort("__stamp__")
        .group_by(names)
        .agg(
            pl.len().alias("rows"),
            (pl.col("__rank__").max() - pl.col("__rank__").min() + 1).alias("possible"),
            (pl.col("__stamp__").max() - pl.col("__stamp__").min()).alias("span"),
            pl.col("__stamp__").diff().drop_nulls().mode().min().alias("step"),
        )
    )
    long = series.filter(pl.col("rows") > 1)
    alone = series.height - long.height
    if not long.height:
        return 0.0
    held = float(long["rows"].sum())
    of_all = held / (float(long["possible"].sum()) + alone)
    own = held / (float((long["span"] / long["step"] + 1).sum()) + alone)
    return max(of_all, min(1.0, own))


def _words(stamped: pl.DataFrame, names: Sequence[str]) -> str:
    lengths = stamped.group_by(names).len()["len"]
    low, high = int(lengths.min()), int(lengths.max())  # type: ignore[arg-type]
    return f"{len(lengths):,} series of {low:,}{f' to {high:,}' if high != low else ''} rows"


def _refusal(
    stamped: pl.DataFrame, when: TimeColumn, rest: Sequence[str], found: tuple[str, ...] | None, repeated: int
) -> str:
    first = stamped.filter(pl.col("__stamp__").is_duplicated()).select(when.names)[0]
    example = ", ".join(map(str, first.row(0)))
    said = f"{repeated:,} of {stamped.height:,} rows repeat a time ({when.label}; the first is {example}), and "
    if found is not None:
        share = found_whole(stamped, found)
        which = (
            f"{', '.join(found)} would tell them apart, but make {_words(stamped, found)}, which have {share:.0%} of "
            f"the times between their first and last. If these are series: {option('id', ','.join(found))}. "
        )
    else:
        others = [n for n in rest if _names(stamped[n]) and _repetitions(stamped, (n,)) < repeated / 2]
        which = "no column tells them apart. " if not others else f"no column of names does; {listed(others)} would. "
    return (
        f"{said}{which}If another column belongs to the time: {option('time', f'{when.names[0]},NAME')}. If rows of "
        f"one time are to be averaged: {option('frequency', '1h')}, or d, w, mo."
    )
