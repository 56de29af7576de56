"""The marks that people write where a number is missing."""

import polars as pl

# In lower case. They mean a missing value in a column whose other values are numbers, and themselves in a column of
# texts: NA may be Namibia there, and None a class.
MARKS = (
    *("na", "n/a", "#n/a", "#na", "<na>", "n.a.", "n.a", "nan", "-nan", "nat", "null", "(null)", "none", "nil", r"\n"),
    *("?", "??", "???", "-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "*", "**"),
    *("missing", "no data", "nodata", "no value", "not available", "unavailable", "not applicable", "unknown"),
    *("undefined", "empty", "blank", "nd", "n.d.", "n.d", "n/d"),
    *("#value!", "#div/0!", "#ref!", "#num!", "#null!", "#name?", "#error!"),
)


def are_marks(texts: pl.Series) -> pl.Series:
    return texts.str.to_lowercase().is_in(MARKS)


def counted(texts: pl.Series, most: int = 4) -> str:
    """'?' (212), 'nil' (3) and 2 other marks."""
    counts = texts.value_counts(sort=True)
    rows = list(counts.iter_rows())
    shown = ", ".join(f"{mark!r} ({count:,})" for mark, count in rows[:most])
    return shown + (f" and {len(rows) - most} other marks" if len(rows) > most else "")
