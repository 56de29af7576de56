"""The text of a table becomes names and cells: separators, lines above the names, ragged rows."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from carousel.errors import DataError
from carousel.tasks.table.missing import MARKS
from carousel.tasks.table.numbers import signs_of_reader

SEPARATORS = (",", ";", "\t", "|")
NAMES_OF = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
SAMPLE = 200  # lines that the separator and the names are found in
DATE_OR_NUMBER = re.compile(r"[+-]?\d[\d .,:/TQWZ+-]*")
NUMBER = re.compile(r"[+\-\u2212]?[\d.,' \u00a0]*\d[\d.,]*([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Sheet:
    """The cells of a table as texts, a column for each name; `lines`: the line of the file that each row ends in."""

    names: list[str]
    cells: pl.DataFrame
    lines: Sequence[int]
    separator: str


def split(content: bytes, where: str, *, tabs: bool, say: Callable[[str], None], most: int | None = None) -> Sheet:
    """The cells of a text in UTF-8. tabs: the name of the file says that tabs separate. most: no more rows than that.

    What stands above the names, and empty rows below the last, is left out and said. Raises DataError where there is
    no line of names, where a row has more fields or fewer, and where a quote does not end.
    """
    content = _line_ends(content)
    lines = content.decode().split("\n")
    if not content.strip():
        raise DataError(f"{where} is empty: a table needs a line of column names, and rows below it.")
    begin, separator = _said_by_excel(lines)
    top = _first_row(lines, begin)
    separator = separator or _separator(lines[top : top + SAMPLE], tabs)
    sign = separator
    if separator == " ":
        lines = [re.sub(r"[ \t]+", "\t", line.strip()) for line in lines]
        content, separator = "\n".join(lines).encode(), "\t"
    rows = _Rows(content, separator, where)
    header = _names_row(rows, top, where, say)
    return replace(_cells(rows, header, where, say, most), separator=sign)


def _line_ends(content: bytes) -> bytes:
    content = content.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n")
    return content.replace(b"\r", b"\n") if b"\n" not in content or b'"' not in content else content


def _said_by_excel(lines: list[str]) -> tuple[int, str | None]:
    """`sep=;` in the first line says what separates."""
    found = re.fullmatch(r'"?sep=(.)"?', lines[0].strip("\n"), re.IGNORECASE)
    return (1, found[1]) if found else (0, None)


def _first_row(lines: list[str], begin: int) -> int:
    """The first line that is neither blank nor a comment, unless the comment is all that names the columns."""
    top = begin
    while top < len(lines) and (not lines[top].strip() or lines[top].lstrip()[:1] in "#%"):
        top += 1
    return top if top < len(lines) else begin


def _separator(sample: list[str], tabs: bool) -> str:
    """The sign that splits most lines into as many fields, two at least, that are most often numbers or dates."""
    lines = [line for line in sample if line.strip()]
    if tabs and any("\t" in line for line in lines):
        return "\t"
    best, chosen = (0.0, 0.0, 0), ","
    for sign in SEPARATORS:
        score = _score(lines, sign)
        if score > best:
            best, chosen = score, sign
    if best[0] < 0.5 and _score(lines, " ") > (0.9, 0.5, 0):
        return " "
    if signs_of_reader().decimal == "," and chosen == "," and "," not in lines[0]:
        return ";"  # one column of decimal commas
    return chosen


def _score(lines: list[str], sign: str) -> tuple[float, float, int]:
    rows = [line.split() if sign == " " else _fields(line, sign) for line in lines]
    widths = [len(row) for row in rows]
    usual = max(set(widths), key=lambda width: (width > 1, widths.count(width)))
    if usual < 2:
        return (0.0, 0.0, 0)
    alike = [row for row in rows if len(row) == usual]
    fields = [field for row in alike for field in row]
    typed = sum(map(_is_typed, fields)) / len(fields)
    return (round(len(alike) / len(rows) + typed, 2), typed, usual)


def _fields(line: str, separator: str) -> list[str]:
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [""])]
    except csv.Error:
        return [field.strip().strip('"').strip() for field in line.split(separator)]


def _is_typed(field: str) -> bool:
    """Whether a field is a number, a date, or a mark of a missing value."""
    return bool(NUMBER.fullmatch(field) or DATE_OR_NUMBER.fullmatch(field)) or field.lower() in MARKS


def are_rows(text: str) -> bool:
    """Do nearly all lines of a text have as many fields, two at least, of which many are numbers or dates? Or are there
    hardly any words but numbers, or as many tabs or bars in each line, as prose has not?"""
    lines = [line for line in text.splitlines() if line.strip() and line.lstrip()[:1] not in "#%"][: SAMPLE + 1]
    if len(lines) < 4:
        return False
    body = lines[1:]
    words = [word for line in body for word in re.split(r"[\s,;|]+", line.strip())]
    if sum(map(_is_typed, words)) >= 0.9 * len(words):
        return True
    for sign in (*SEPARATORS, " "):
        alike, typed, _ = _score(body, sign)
        if alike - typed >= 0.9 and (typed >= 0.3 or (sign in "\t|" and alike - typed >= 0.95)):
            return True
    return False


class _Rows:
    """The rows of a text: how many fields each has, and the line that it ends in (counted from 1)."""

    def __init__(self, content: bytes, separator: str, where: str) -> None:
        self.separator, self.where = separator, where
        text = content.decode()
        self.lines = text.split("\n")
        self.parsed: list[list[str]] | None = None  # where some are in quotes
        self.ends: Sequence[int] = range(1, len(self.lines) + 1)
        if '"' in text:
            self.parsed, self.ends = self._parse(text)
            self.widths = [
                len(row) if any(field.strip(" ") for field in row) or len(row) > 1 else 0 for row in self.parsed
            ]
        else:
            self.widths = [line.count(separator) + 1 if line.strip(" ") else 0 for line in self.lines]

    def _parse(self, text: str) -> tuple[list[list[str]], list[int]]:
        rows, ends = [], []
        # A blank between a separator and a quote is no part of either.
        blanks = re.search(rf'(^|\{self.separator}) +"', text, re.MULTILINE) is not None
        reader = csv.reader(
            io.StringIO(text, newline="\n"), delimiter=self.separator, strict=True, skipinitialspace=blanks
        )
        limit = csv.field_size_limit(len(text))
        try:
            for row in reader:
                rows.append(row)
                ends.append(reader.line_num)
        except csv.Error as problem:
            what = "a quote begins and does not end" if "end of data" in str(problem) else str(problem)
            raise DataError(
                f"{self.where} cannot be read as a table: in line {(ends or [0])[-1] + 1:,} {what}. A quote within a "
                f'field in quotes is written twice: "".'
            ) from None
        finally:
            csv.field_size_limit(limit)
        return rows, ends

    def line(self, row: int) -> str:
        begin = self.ends[row - 1] if row else 0
        return "\n".join(self.lines[begin : self.ends[row]])

    def fields(self, row: int) -> list[str]:
        fields = self.parsed[row] if self.parsed is not None else self.lines[row].split(self.separator)
        return [field.strip() for field in fields]

    def cells(self, kept: Sequence[int], width: int) -> pl.DataFrame:
        """The fields of these rows as texts, null where there is nothing."""
        names = [f"column_{k}" for k in range(1, width + 1)]
        if width == 1:
            cells = [self.fields(k)[0] or None if self.widths[k] else None for k in kept]
            return pl.DataFrame({names[0]: pl.Series(names[0], cells, dtype=pl.String)})
        if self.parsed is not None:
            rows = [[field or None for field in self.parsed[k]] for k in kept]
            columns = zip(*rows, strict=True)
            return pl.DataFrame(
                {name: pl.Series(name, column, dtype=pl.String) for name, column in zip(names, columns, strict=True)}
            )
        body = "\n".join(self.lines[k] for k in kept) + "\n"
        return pl.read_csv(
            io.BytesIO(body.encode()),
            has_header=False,
            separator=self.separator,
            infer_schema=False,
            quote_char=None,
            new_columns=names,
        )


def _names_row(rows: _Rows, top: int, where: str, say: Callable[[str], None]) -> int:
    """The row of names: the first with as many fields as most rows have, if its fields can be names."""
    first = next((k for k, end in enumerate(rows.ends) if end > top and rows.widths[k]), 0)
    there = [k for k in range(first, len(rows.widths)) if rows.widths[k]]
    sample = there[:SAMPLE]
    counts: dict[int, int] = {}
    for k in sample:
        counts[rows.widths[k]] = counts.get(rows.widths[k], 0) + 1
    usual = max(counts, key=lambda width: (counts[width], width == rows.widths[first]))
    header = next(k for k in sample if rows.widths[k] == usual)
    below = next((k for k in there if k > header and rows.widths[k] == usual), None)
    names = rows.fields(header)
    comment = header - 1
    if comment >= 0 and below is not None and _commented(rows.line(comment), rows.separator, usual):
        texts_alone = not any(_is_typed(field) for k in sample for field in rows.fields(k))
        if texts_alone or not are_names(names, rows.fields(below)):
            return comment
    if below is not None and not are_names(names, rows.fields(below)):
        if header != first:  # rows have another number of fields than the line that must be the names
            _refuse_ragged(rows, first, where)
        raise DataError(
            f"{where} begins with numbers ({_listed(names)}), and a table needs a line of column names first. If these "
            f"are values, write a line of names above them; if they are names, put a letter before each number."
        )
    above = [rows.line(k).strip() for k in range(header) if rows.line(k).strip()]
    above = [line for line in above if not re.fullmatch(r'"?sep=."?', line, re.IGNORECASE)]
    if above:
        shown = " / ".join(line.strip(rows.separator + ' "')[:60] for line in above[:2])
        more = f" and {len(above) - 2} more lines" if len(above) > 2 else ""
        say(f"left out, as it stands above the names: {shown}{more}")
    return header


def _commented(line: str, separator: str, width: int) -> bool:
    """Whether a line is a comment that names as many columns as the table has."""
    return line.lstrip()[:1] in ("#", "%") and len(_fields(line.lstrip("#% \t"), separator)) == width


def _cells(rows: _Rows, header: int, where: str, say: Callable[[str], None], most: int | None) -> Sheet:
    separator, width = rows.separator, rows.widths[header]
    names = rows.fields(header)
    if rows.line(header).lstrip()[:1] in "#%" and rows.line(header).strip():
        names = _fields(rows.line(header).lstrip("#% \t"), separator)
        width = len(names)
    last = len(rows.widths) - 1
    while last > header and (not rows.widths[last] or not rows.line(last).strip(separator + ' "\t')):
        last -= 1
    empty = sum(1 for k in range(last + 1, len(rows.widths)) if rows.widths[k] > 1)
    if empty:
        say(f"left out, as they are empty: the last {empty:,} row{'s' * (empty > 1)}")
    begin = header + 1
    begin += _units(rows, begin, last, width, say)
    _refuse_ragged(rows, header, where, last, width)
    if last < begin:
        raise DataError(f"{where} has column names ({_listed(names)}) and no rows below them.")
    # A blank line is a missing value of a single column, and nothing in any other table.
    kept = [k for k in range(begin, last + 1) if rows.widths[k] or width == 1]
    if blank := last + 1 - begin - len(kept):
        say(f"left out, as they are blank: {blank:,} line{'s' * (blank > 1)} between the rows")
    kept = kept[:most]
    cells = rows.cells(kept, width)
    assert cells.height == len(kept), "the rows were counted before they were read"
    return Sheet(names, cells, [rows.ends[k] for k in kept], separator)


def _units(rows: _Rows, begin: int, last: int, width: int, say: Callable[[str], None]) -> int:
    """How many rows below the names hold units or more names: texts in all columns that are numbers or dates below."""
    if width < 2 or begin > last or any(_is_typed(word) and word.lower() not in MARKS for word in rows.fields(begin)):
        return 0
    for count in (1, 2):
        sample = [rows.fields(k) for k in range(begin + count, min(last + 1, begin + count + SAMPLE)) if rows.widths[k]]
        sample = [row for row in sample if len(row) == width]
        above = [rows.fields(k) for k in range(begin, begin + count) if begin + count <= last]
        if len(sample) < 3 or not above or any(len(row) != width for row in above):
            return 0
        there = {k: [row[k] for row in sample if row[k]] for k in range(width)}
        values = [k for k, cells in there.items() if cells and sum(map(_is_typed, cells)) >= 0.9 * len(cells)]
        texts = [k for k in range(width) if k not in values]
        if values and all(_is_words(row, values, texts) for row in above):
            shown = " / ".join(rows.line(k)[:60] for k in range(begin, begin + count))
            say(f"left out, as they are units or further names: {shown}")
            return count
    return 0


def _is_words(row: list[str], values: list[int], texts: list[int]) -> bool:
    """No row of data: words where numbers should be, in every such column, and nothing elsewhere."""
    words = [row[k] for k in values if row[k]]
    return (
        not any(_is_typed(word) and word.lower() not in MARKS for word in words)
        and any(word.lower() not in MARKS for word in words)
        and not any(row[k] for k in texts)
    )


def _refuse_ragged(rows: _Rows, header: int, where: str, last: int | None = None, width: int | None = None) -> None:
    width = rows.widths[header] if width is None else width
    for k in range(header + 1, len(rows.widths) if last is None else last + 1):
        found = rows.widths[k]
        if found in (width, 0):
            continue
        named = "the first has" if header == 0 else f"the names in line {rows.ends[header]:,} are"
        raise DataError(
            f"{where} cannot be read as a table: line {rows.ends[k]:,} has {found} field{'s' * (found > 1)}, and "
            f"{named} {width}. A field with the separator {rows.separator!r} in it stands in quotes."
        )


def are_names(first: Sequence[str], below: Sequence[str]) -> bool:
    """Is this line one of column names? It is where it has no number. Where it has some, they are names if they count
    0, 1, 2, ... as pandas writes columns without names (with an empty name before them, or three at least), if they
    are five years or more one after the other, beside a word, or if a
    word stands above a date or number. The values of a row stand above the like of them."""
    numbers = [name for name in first if _is_number(name)]
    if any(_is_date(name) and _is_date(value) for name, value in zip(first, below, strict=False)):
        return False
    if not numbers:
        return True
    if numbers == list(map(str, range(len(numbers)))) and (first[0] == "" or len(numbers) > 2):
        return True
    if len(numbers) >= 5 and all(re.fullmatch(r"1[5-9]\d\d|2[01]\d\d", name) for name in numbers):
        years = [int(name) for name in numbers]  # 1960, 1961, ...: a column for each year
        if not _is_number(first[0]) and years == list(range(years[0], years[0] + len(years))):
            return True
    words = [name[:1].isalpha() and not _is_number(name) for name in first]
    dated = [word and DATE_OR_NUMBER.fullmatch(value) for word, value in zip(words, below, strict=False)]
    return len(set(first)) == len(first) and any(dated)


def _is_date(text: str) -> bool:
    return bool(DATE_OR_NUMBER.fullmatch(text)) and not _is_number(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
