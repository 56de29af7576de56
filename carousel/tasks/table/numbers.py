"""How the numbers of a text column are written, found by evidence over the whole column and the whole file.

    1234.5    1,234.5    12,34,567.5    1.234,5    1 234,5    1'234.5

A comma or a point with exactly three digits behind it and one to three before may be either sign: `1,026` is 1.026
with a decimal comma, and 1026 with commas between thousands. What tells the two apart is, in this order: what the
reader was told; another value of the column; the other columns of the file. Where nothing does, nothing is guessed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import polars as pl

from carousel.errors import DataError, option

DECIMALS = (".", ",")
THOUSANDS = (",", ".", " ", "'")
SPACES = "[ \u00a0\u2009\u202f]"  # what stands between thousands may be no-break, thin, or both
QUOTES = "['\u2019]"
# Whoever separates fields by commas, or by blanks, writes decimal points, unless a value says otherwise. Semicolons,
# tabs and bars say nothing: they are the separators of those who write decimal commas too.
DOT_IS_DECIMAL_WITH = (",", " ")


@dataclass(frozen=True)
class Signs:
    """What stands before decimals and between thousands; None: to be found ("" for thousands: nothing).

    Raises DataError for other signs, and for one sign that is to be both."""

    decimal: str | None = None
    thousands: str | None = None

    def __post_init__(self) -> None:
        for name, there in (("decimal", DECIMALS), ("thousands", THOUSANDS)):
            given = getattr(self, name)
            if given not in (None, "", *there):
                signs = " or ".join(map(repr, there))
                raise DataError(f"The sign {option(name)} of numbers is {signs}, not {given!r}.")
        if self.decimal is not None and self.decimal == self.thousands:
            raise DataError(
                f"One sign cannot stand both before decimals and between thousands, and {self.decimal!r} is given for "
                f"both ({option('decimal')}, {option('thousands')})."
            )

    @property
    def words(self) -> str:
        names = {".": "points", ",": "commas", " ": "spaces", "'": "apostrophes"}
        parts = [f"decimal {names[self.decimal]}"] if self.decimal == "," else []
        parts += [f"{names[self.thousands]} between thousands"] if self.thousands else []
        return " and ".join(parts)


_SIGNS: ContextVar[Signs | None] = ContextVar("signs_of_numbers", default=None)


@contextmanager
def numbers_written(decimal: str | None = None, thousands: str | None = None) -> Iterator[None]:
    """Inside, text tables are read with these signs. What was given further outside stays: the one who calls knows
    better than a run's settings."""
    inner = Signs(decimal, thousands)
    token = _SIGNS.set(inner if signs_of_reader() == Signs() else signs_of_reader())
    try:
        yield
    finally:
        _SIGNS.reset(token)


def signs_of_reader() -> Signs:
    """The signs of numbers that are set for the reader of a table; see `numbers_written`."""
    return _SIGNS.get() or Signs()


@dataclass(frozen=True)
class Ambiguous:
    """Numbers can be read in two ways, and no other value decides between them."""

    example: str
    sign: str

    @property
    def words(self) -> str:
        digits = self.example.replace(self.sign, "")
        decimal = self.example.replace(self.sign, ".")
        name = {",": "commas", ".": "points"}[self.sign]
        return (
            f"{self.example!r} is {decimal} if {name} stand before decimals ({option('decimal', self.sign)}), and "
            f"{digits} if they stand between thousands ({option('thousands', self.sign)}). No other value tells which"
        )


def find(values: pl.Series, given: Signs, *, decimal: str | None, separator: str) -> Signs | Ambiguous | None:
    """The signs of a column of texts, none of them missing; None where some are no numbers whatever the signs.

    given: what the reader was told. decimal: the sign that the other columns of the file have, where they agree.
    """
    spaced = _any(values, rf"\d{SPACES}\d")
    quoted = _any(values, rf"\d{QUOTES}\d")
    outside = " " if spaced else "'" if quoted else None
    if outside is not None:
        if given.thousands not in (None, outside):
            return None
        fitting = [Signs(sign, outside) for sign in DECIMALS if given.decimal in (None, sign)]
        fitting = [signs for signs in fitting if _fits(values, signs)]
        return fitting[0] if fitting else None
    options = [Signs(".", ","), Signs(",", ".")]
    if given.decimal is not None:
        options = [signs for signs in options if signs.decimal == given.decimal]
    if given.thousands is not None:
        options = [Signs(signs.decimal, given.thousands) for signs in options if signs.decimal != given.thousands]
    fitting = [signs for signs in options if _fits(values, signs)]
    if len(fitting) < 2:
        return _without_unused(values, fitting[0]) if fitting else None
    found = _weigh(values, decimal, separator)
    return _without_unused(values, found) if isinstance(found, Signs) else found


def convert(values: pl.Series, signs: Signs) -> pl.Series:
    """Texts with these signs as Int64, or Float64 where one has decimals; null where one is no number."""
    if signs.thousands:
        between = {" ": SPACES, "'": QUOTES}.get(signs.thousands, rf"\{signs.thousands}")
        values = values.str.replace_all(rf"(\d){between}(\d)", "${1}${2}").str.replace_all(
            rf"(\d){between}(\d)", "${1}${2}"
        )
    if signs.decimal == ",":
        values = values.str.replace(",", ".", literal=True)
    values = values.str.replace("\u2212", "-", literal=True)
    whole = values.cast(pl.Int64, strict=False)
    return whole if whole.null_count() == values.null_count() else values.cast(pl.Float64, strict=False)


def pattern(signs: Signs) -> str:
    """A regular expression of one number with these signs; thousands may also stand together."""
    point = rf"\{signs.decimal or '.'}"
    grouped = ""
    if signs.thousands == ",":  # by hundreds too, as in India: 12,34,567
        grouped = r"|[1-9]\d{0,2}(,\d{2,3})*,\d{3}"
    elif signs.thousands:
        between = {" ": SPACES, "'": QUOTES}.get(signs.thousands, rf"\{signs.thousands}")
        grouped = rf"|[1-9]\d{{0,2}}({between}\d{{3}})+"
    return rf"[+\-\u2212]?((\d+{grouped})({point}\d*)?|{point}\d+)([eE][+\-]?\d+)?"


INFINITE = r"(?i)^[+-]?inf(inity)?$"


def are_numbers(values: pl.Series, signs: Signs) -> pl.Series:
    return values.str.contains(f"^({pattern(signs)})$") | values.str.contains(INFINITE)


def _fits(values: pl.Series, signs: Signs) -> bool:
    return bool(are_numbers(values, signs).all())


def _any(values: pl.Series, expression: str) -> bool:
    return bool(values.str.contains(expression).any())


def _without_unused(values: pl.Series, signs: Signs) -> Signs:
    used = signs.thousands in (" ", "'") or (signs.thousands and _any(values, rf"\{signs.thousands}"))
    return signs if used else Signs(signs.decimal, "")


def _weigh(values: pl.Series, decimal: str | None, separator: str) -> Signs | Ambiguous:
    """Of values that fit both readings: whole numbers of digits alone, and some with one sign before three digits."""
    commas, dots = _any(values, ","), _any(values, r"\.")
    if not commas and not dots:
        return Signs(".", "")
    sign = "," if commas else "."
    as_decimal, as_thousands = Signs(sign, ""), Signs("." if commas else ",", sign)
    signed = values.filter(values.str.contains(rf"\{sign}"))
    if commas and dots:
        return Ambiguous(str(signed[0]), sign)
    if decimal is not None:
        return as_decimal if decimal == sign else as_thousands
    wholes = values.filter(~values.str.contains(rf"\{sign}")).str.replace_all(r"\D", "")
    longest = max(wholes.str.len_chars().to_list(), default=0)
    # Decimals are written alike (1,210 and 12,000) or without the zeros at their end (1,21 and 12). Whole numbers below
    # a thousand beside 1,210 fit neither; and whole hundreds beside 1,211 fit thousands.
    if longest == 3 or (0 < longest < 3 and _any(signed, "0$")):
        if sign == "," or separator not in DOT_IS_DECIMAL_WITH:
            return as_thousands
        return Ambiguous(str(signed[0]), sign)
    if sign == "." and separator in DOT_IS_DECIMAL_WITH:
        return as_decimal
    return Ambiguous(str(signed[0]), sign)


def agreed(found: Sequence[Signs | Ambiguous | None], columns: Sequence[pl.Series]) -> str | None:
    """The decimal sign of the columns whose own values tell it, where they agree; None where none does, or they
    differ."""
    signs = {
        one.decimal
        for one, column in zip(found, columns, strict=True)
        if isinstance(one, Signs) and (one.thousands in (",", ".") or _any(column, rf"\{one.decimal}"))
    }
    return signs.pop() if len(signs) == 1 else None
