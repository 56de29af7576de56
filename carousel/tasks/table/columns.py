"""Columns of texts become columns of numbers, where their values are numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from carousel.errors import DataError
from carousel.tasks.table.missing import are_marks, counted
from carousel.tasks.table.numbers import Ambiguous, Signs, agreed, are_numbers, convert, find, signs_of_reader

NAMED = 3  # values that a message shows
# Signs of money and shares, which may stand at every number of a column.
MONEY = (
    r"(US|A|C|HK|R)?\$|[\u20ac\u00a3\u00a5\u20b9\u20a9\u20bd\u20ba]|EUR|USD|GBP|CHF|JPY|CAD|AUD|SEK|NOK|DKK|kr|z\u0142"
)
UNITS = rf"(?P<unit>{MONEY}|%|\u2030)"
# 1.234 may be a thousand; 0.5, 12.75 and 1234.5 may not.
ONE_READING = r"^[+-]?0*\.|\.\d{0,2}$|\.\d{4}|\d{4}\.|[eE]"
NUMBER = r"[\d.,'\u2019 \u00a0\u2009\u202f]*\d[\d.,]*"


@dataclass(frozen=True)
class Cells:
    """A column as it stands in a file: its values and the lines that they stand in."""

    texts: pl.Series
    lines: Sequence[int]

    @property
    def name(self) -> str:
        return self.texts.name


@dataclass(frozen=True)
class _Column:
    """On the way to numbers: the values that are none of the marks, with the sign of their unit taken away."""

    cells: Cells
    texts: pl.Series  # blank values are null
    marked: pl.Series  # which are marks
    values: pl.Series  # neither blank nor marks
    distinct: pl.Series  # of the values, each once
    unit: str | None = None


def typed(
    columns: Sequence[Cells],
    *,
    where: str,
    separator: str,
    say: Callable[[str], None],
    lenient: bool = False,
    texts: Sequence[str] = (),
) -> list[pl.Series]:
    """The columns as numbers (Int64, Float64), Boolean or String, decided by all values of a column, and by the other
    columns where its own do not tell.

    where: the file, for messages. lenient: for a look at the head of a file, whose end may tell what the head does
    not: nothing is refused. Raises DataError where numbers can be read in two ways.
    texts: columns that stay texts where a number begins with zeros, as the class 01 is not 1.
    """
    given = signs_of_reader()
    made: dict[int, pl.Series] = {}
    open_: dict[int, _Column] = {}
    for number, cells in enumerate(columns):
        if cells.name in texts and _any(cells.texts, r"^\s*0\d+\s*$"):
            made[number] = _text(_prepared(cells), say)
            continue
        plain = _plain(cells, say) if given == Signs() else None
        if plain is not None:
            made[number] = plain
        else:
            open_[number] = _prepared(cells)
    # Which sign stands before decimals is told by the columns in which only one reading is possible.
    found = {k: _find(one, given, None, separator) for k, one in open_.items()}
    sure = [Signs(".", "") for series in made.values() if series.dtype == pl.Float64]
    values = [one.distinct for one in open_.values()]
    decimal = agreed([*found.values(), *sure], [*values, *[pl.Series(["."])] * len(sure)])
    for number, one in open_.items():
        signs = found[number]
        if isinstance(signs, Ambiguous):
            signs = _find(one, given, decimal, separator)
        if isinstance(signs, Ambiguous) and lenient:
            signs = Signs(signs.sign)
        if isinstance(signs, Ambiguous):
            row = int((one.cells.texts.str.strip_chars() == signs.example).arg_max() or 0)
            raise DataError(
                f"{where}: the column {one.cells.name!r} can be read in two ways: {signs.words} (line "
                f"{one.cells.lines[row]:,})."
            )
        numbers = None if signs is None else _numbers(one, signs, say)
        made[number] = _text(one, say) if numbers is None else numbers
    return [made[number] for number in range(len(columns))]


def not_numbers(column: pl.Series, given: Signs | None = None) -> pl.Series | None:
    """Of a column of texts more than half of which are numbers, written alike: which values are neither that nor
    missing. None for any other column."""
    if column.dtype != pl.String:
        return None
    texts = column.str.strip_chars()
    counts = texts.filter(texts.is_not_null() & (texts != "")).value_counts(name="rows")
    distinct, rows = counts.to_series(0), counts["rows"]
    total = int(rows.sum())
    fitting = [are_numbers(distinct, signs) for signs in _writings(given or Signs())]
    most = max(fitting, key=lambda fits: int(rows.filter(fits).sum()))
    number = int(rows.filter(most).sum())
    return texts.is_in(distinct.filter(~most).implode()) if 0.5 * total < number < total else None


def _writings(given: Signs) -> list[Signs]:
    both = [Signs(".", ","), Signs(",", "."), Signs(".", " "), Signs(",", " "), Signs(".", "'")]
    return [
        signs
        for signs in both
        if given.decimal in (None, signs.decimal) and given.thousands in (None, "", signs.thousands)
    ] or [given]


def _plain(cells: Cells, say: Callable[[str], None]) -> pl.Series | None:
    """The column, where its values are plain numbers that read in one way alone, and marks of missing ones: so are
    nearly all, and this is the quick way."""
    texts = cells.texts
    number = texts.cast(pl.Float64, strict=False)
    number = number.fill_nan(None)
    if not number.count():
        return None
    marks = texts.clear()
    if number.null_count() > texts.null_count():
        strange = texts.filter(number.is_null() & texts.is_not_null()).str.strip_chars()
        marks = strange.filter(strange != "")
        if not are_marks(marks.unique()).all():
            return None
    whole = texts.cast(pl.Int64, strict=False)
    if whole.null_count() == number.null_count():
        number = whole
    elif not _any(texts.filter(number.is_not_null()) if number.null_count() else texts, ONE_READING):
        return None
    _say_missing(cells.name, marks, say)
    return number


def _any(values: pl.Series, expression: str) -> bool:
    if len(values) > 1000 and values[:1000].str.contains(expression).any():
        return True
    return bool(values.str.contains(expression).any())


def _say_missing(name: str, marks: pl.Series, say: Callable[[str], None]) -> None:
    if len(marks):
        what = "value is missing" if len(marks) == 1 else "values are missing"
        say(f"{name}: {len(marks):,} {what}, written {counted(marks)}")


def _prepared(cells: Cells) -> _Column:
    texts = cells.texts.str.strip_chars()
    texts = texts.set(texts == "", None)
    distinct = texts.drop_nulls().unique(maintain_order=True)
    marked = texts.is_in(distinct.filter(are_marks(distinct)).implode()).fill_null(False)
    values = texts.filter(texts.is_not_null() & ~marked)
    unit, bare = _without_unit(values) if _has_unit(values[:1]) else (None, values)
    return _Column(cells, texts, marked, bare, bare.unique(maintain_order=True), unit)


def _has_unit(first: pl.Series) -> bool:
    return bool(first.str.contains(UNITS).any())


def _without_unit(values: pl.Series) -> tuple[str | None, pl.Series]:
    """Numbers without the sign that stands at every one of them: $ 5, -$5, 5 EUR, 5%."""
    minus = r"[+\-\u2212]?"
    for before, after in ((rf"^(?P<minus>{minus})\s*{UNITS}\s*", "$"), (r"^(?P<minus>)", rf"\s*{UNITS}$")):
        parts = values.str.extract_groups(rf"{before}(?P<number>{minus}{NUMBER}){after}").struct.unnest()
        if parts["unit"].null_count() == 0 and parts["unit"].n_unique() == 1:
            return str(parts["unit"][0]), parts["minus"] + parts["number"]
    return None, values


def _find(one: _Column, given: Signs, decimal: str | None, separator: str) -> Signs | Ambiguous | None:
    return find(one.distinct, given, decimal=decimal, separator=separator) if len(one.values) else None


def _numbers(one: _Column, signs: Signs, say: Callable[[str], None]) -> pl.Series | None:
    """The column as numbers; None for whole numbers beyond 64 bits."""
    name = one.cells.name
    if _any(one.distinct, r"^[+-]?\d{19,}$"):
        return None
    column = pl.Series(name, one.texts.set(one.marked, None))
    if one.unit is not None:
        column = pl.select(
            pl.when(column.is_null()).then(None).otherwise(_spread(one.values, column.is_not_null())).alias(name)
        ).to_series()
        say(f"{name}: read without the sign {one.unit!r} at each number: {one.texts.drop_nulls()[0]!r} is "
            f"{convert(one.values[:1], signs)[0]}")  # fmt: skip
    if signs.words:
        mark = signs.thousands or signs.decimal
        shown = one.distinct.filter(one.distinct.str.contains(_literal(mark or "")))[:1]
        say(f"{name}: {signs.words}: {shown[0]!r} is {convert(shown, signs)[0]}" if len(shown) else
            f"{name}: {signs.words}")  # fmt: skip
    _say_missing(name, one.texts.filter(one.marked), say)
    return convert(column, signs).alias(name)


def _spread(values: pl.Series, mask: pl.Series) -> pl.Series:
    """The values, one after another, in the rows where the mask is true."""
    number = (mask.cast(pl.Int64).cum_sum() - 1).clip(lower_bound=0)
    return values.gather(number)


def _literal(sign: str) -> str:
    return {" ": r"\d[ \u00a0\u2009\u202f]\d", "'": "['\u2019]"}.get(sign, rf"\{sign}")


def _text(one: _Column, say: Callable[[str], None]) -> pl.Series:
    """The column as it stands. It is said where most of it is numbers: then the rest is likely to be a slip."""
    raw, there = one.cells.texts, one.texts.drop_nulls()
    blank = one.texts.is_null()
    if (
        len(there)
        and len(one.distinct) < 5
        and one.distinct.str.contains("^(?i:true|false)$").all()
        and len(one.distinct)
    ):
        return (one.texts.str.to_lowercase() == "true").alias(raw.name)
    if not len(one.values) and len(there):  # marks alone: all missing where they say so in the words of programs
        programs = there.str.to_lowercase().is_in(["na", "n/a", "#n/a", "<na>", "nan", "-nan", "null"]).all()
        empty = pl.Series(raw.name, [None] * len(raw), dtype=pl.String)
        return empty if programs else _without_margin(raw.set(blank, None))
    strange = not_numbers(one.texts.set(one.marked, None), signs_of_reader())
    if strange is not None:
        rows = strange.arg_true()
        shown = ", ".join(f"{one.texts[row]!r} in line {one.cells.lines[row]:,}" for row in rows[:NAMED].to_list())
        more = f" and {len(rows) - NAMED:,} more" if len(rows) > NAMED else ""
        say(f"{raw.name} stays text, although most of it is numbers: {shown}{more}")
    return _without_margin(raw.set(blank, None))


def _without_margin(texts: pl.Series) -> pl.Series:
    """A blank that stands before (or behind) every value belongs to the file, as in `date, value`."""
    there = texts.drop_nulls()
    if len(there) and there.str.contains(r"^\s").all():
        texts = texts.str.strip_chars_start()
    if len(there) and there.str.contains(r"\s$").all():
        texts = texts.str.strip_chars_end()
    return texts
