"""Text files of the UCR archive: no header, a case a line, its class first, then its values.

    1.0000000e+00  -6.4789e-01  -6.4199e-01       (2015 and before: white space, or commas)
    1\t-0.648\t-0.642\tNaN                          (2018: tabs; NaN is a missing value, at the end padding)

Nothing in such a file says what it is, so it is read as one only where every line fits.
"""

import re
from pathlib import Path

import numpy as np

from carousel.errors import DataError
from carousel.tasks.sequences.examples import Examples, Label, plain
from carousel.tasks.sequences.values import held, without_padding
from carousel.tasks.table import listed

ENDINGS = (".txt", ".tsv", ".csv")
FEW = 2  # values after the class: no series
FEWEST = 8  # with fewer, a table of features without names is as likely
LOOKED_AT = 50  # lines, to recognise a file
MISSING = ("nan", "?", "na", "")
WORD = re.compile(r"[^\W\d]\w*", re.ASCII)


def is_ucr(path: Path) -> bool:
    """May the first lines of a file be cases with their class first? Reads them alone. Lines that may as well be rows
    of a table without names are among them: `read_ucr` refuses these."""
    if not path.name.lower().endswith(ENDINGS) or not path.is_file():
        return False
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [line for line, _ in zip(file, range(LOOKED_AT), strict=False)]
    except (OSError, UnicodeDecodeError):
        return False
    rows = [_fields(line) for line in lines if line.strip()]
    if not rows or len({len(row) for row in rows}) != 1 or len(rows[0]) <= FEW:
        return False
    if rows[0] == list(map(str, range(len(rows[0])))):
        return False  # the names that pandas gives to columns without
    return all(_is_class(row[0]) and all(map(_is_value, row[1:])) for row in rows)


def read_ucr(path: Path, *, asked: bool = False) -> Examples:
    """The cases of a file that `is_ucr`, named `file:line`. asked: a trained model is asked about them, so that they
    need not be many. Raises DataError, with the line, where one does not fit."""
    items: list[np.ndarray] = []
    labels: list[Label] = []
    names: list[str] = []
    rows: list[list[str]] = []
    for number, line in enumerate(path.read_text("utf-8-sig", errors="replace").split("\n"), start=1):
        if not line.strip():
            continue
        where, fields = f"{path}, line {number}", _fields(line)
        rows.append(fields)
        width = len(rows[0])
        if width <= FEWEST:
            raise DataError(
                f"{path} holds lines of {width} numbers and no names: they may be a class and a series of {width - 1} "
                f"steps, or a row of a table. Write a line of names above them: label,t0,t1,t2,... for series."
            )
        if len(fields) != width:
            raise DataError(
                f"{where}: every line must have a class and {width - 1} values, as the first has; this one has "
                f"{len(fields)} fields. Shorter series end in NaN."
            )
        if not _is_class(fields[0]):
            raise DataError(f"{where}: a line must begin with its class, not with {fields[0][:40]!r}.")
        wrong = next((field for field in fields[1:] if not _is_value(field)), None)
        if wrong is not None:
            raise DataError(f"{where}: {wrong[:40]!r} is no number. A missing value is written NaN.")
        values = np.array([np.nan if field.lower() in MISSING else float(field) for field in fields[1:]])
        if np.isinf(values).any():
            raise DataError(
                f"{where}: a value is infinite, at step {int(np.isinf(values).argmax())}. A missing value "
                f"is written NaN."
            )
        labels.append(fields[0] if WORD.fullmatch(fields[0]) else plain(float(fields[0])))
        items.append(without_padding(values[:, None]))
        names.append(f"{path.name}:{number}")
    if not asked and not _tells_apart(rows):
        raise DataError(
            f"{path} holds lines of numbers and no names, and its first numbers "
            f"({listed([row[0] for row in rows], 4)}) do "
            f"not look like classes, which stand there in the UCR archive. Write a line of names above them: "
            f"label,t0,t1,t2,... for series."
        )
    steps = len(rows[0]) - 1
    said = f"{path.name}: {len(items):,} lines without column names, read as their class and then {steps:,} steps"
    return Examples("series", held(items), names, labels, channels=("value",), said=(said,))


def _fields(line: str) -> list[str]:
    line = line.strip("\r\n")
    sign = next((sign for sign in ("\t", ",") if sign in line), None)
    if sign is None:
        return line.split()
    fields = [field.strip() for field in line.split(sign)]
    return fields[:-1] if fields[-1] == "" and len(fields) > FEW + 1 else fields


def _is_class(text: str) -> bool:
    """Whether a text can be a class: a whole number, also in the form 1.0000000e+00, or a word other than a mark of a
    missing value."""
    try:
        return float(text).is_integer()
    except (ValueError, OverflowError):
        return WORD.fullmatch(text) is not None and text.lower() not in MISSING


def _is_value(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.lower() in MISSING
    return True


def _tells_apart(rows: list[list[str]]) -> bool:
    """Whether the first column has classes, and not values as the other columns. Classes repeat. Where all values are
    whole numbers, a class must be one of few."""
    classes = {row[0] for row in rows}
    repeats = len(classes) < len(rows)
    broken = any(
        "." in field or "e" in field.lower() for row in rows for field in row[1:] if field.lower() not in MISSING
    )
    return repeats and (broken or (len(classes) <= 20 and 2 * len(classes) <= len(rows)))
