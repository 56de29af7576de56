"""The bytes of a table become UTF-8. Another encoding is read where it can be recognised, and reported."""

import codecs
import re
import unicodedata
from pathlib import Path
from shlex import quote

from carousel.errors import DataError

MARKS = (  # of byte order, the longer first
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What Western tables hold besides letters, each sign where it stands: not between two letters, where it would be a
# letter of another encoding.
SIGNS = (
    "\u20ac\u2026\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u2122\u00a0\u00a1\u00a2\u00a3\u00a5\u00a7\u00a9\u00ab"
    "\u00ae\u00b0\u00b1\u00b2\u00b3\u00b4\u00b5\u00b7\u00b9\u00ba\u00bb\u00bc\u00bd\u00be\u00bf\u00d7\u00aa"
)
LONELY = "\u00a2\u00a3\u00a5\u00b1\u00b9\u00bc\u00bd\u00be\u00d7"  # of these, those that no letter adjoins
LETTERS = "\u0152\u0153"  # and those of Latin-1


def to_utf8(content: bytes, where: str) -> tuple[bytes, str | None]:
    """The content in UTF-8, without a byte order mark, and what to say of it. Raises DataError for bytes that are no
    text in an encoding that can be told, with the line, the byte and what to type."""
    if content.startswith(codecs.BOM_UTF8):
        content = content[len(codecs.BOM_UTF8) :]
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return _decoded(content[len(mark) :], encoding, where), f"read as {encoding.upper()}"
    if b"\0" in content[:4096] and (likely := _utf16(content[:4096])):
        return _decoded(content, likely, where), f"read as {likely.upper()}, which its zero bytes tell"
    if b"\0" in content:
        raise DataError(
            f"{where} cannot be read as a table: line {_line(content, content.index(0)):,} holds a zero byte, which no "
            f"text has. The file is damaged, or no text."
        )
    try:
        content.decode()
    except UnicodeDecodeError as problem:
        return _western(content, problem.start, where)
    return content, None


def _decoded(content: bytes, encoding: str, where: str) -> bytes:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as problem:
        raise DataError(
            f"{where} cannot be read as a table: it begins as {encoding.upper()}, and is none at byte "
            f"{problem.start:,} ({problem.reason})."
        ) from None
    if "\0" in text:
        raise DataError(f"{where} cannot be read as a table: it holds a zero character, which no text has.")
    return text.encode()


def _utf16(head: bytes) -> str | None:
    """The byte order of a text in UTF-16 without a mark; None if it is not UTF-16.

    In UTF-16, every second byte of a Latin text is zero: the second of each pair in LE, the first in BE.
    """
    first, second = head[::2].count(0), head[1::2].count(0)
    if second > 0.4 * len(head[1::2]) and not first:
        return "utf-16-le"
    return "utf-16-be" if first > 0.4 * len(head[::2]) and not second else None


def _western(content: bytes, start: int, where: str) -> tuple[bytes, str]:
    """As Windows-1252, of which Latin-1 is a part, where all beyond ASCII is letters of Western languages within words
    and the usual signs; other encodings give signs between letters, and letters in long rows."""
    line = _line(content, start)
    refusal = DataError(
        f"{where} is not UTF-8 text: byte 0x{content[start]:02X} at position {start:,}, in line {line:,}, and what "
        f"other encoding it is in cannot be told. Convert it, from the encoding that it was written in: "
        f"iconv -f CP1252 -t UTF-8 {quote(Path(where).name)} > new.csv"
    )
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        raise refusal from None
    beyond = sorted(set(re.findall(r"[^\x00-\x7f]", text)))
    if not all(sign in SIGNS or sign in LETTERS or (sign >= "\u00c0" and _is_letter(sign)) for sign in beyond):
        raise refusal
    inner = "".join(sign for sign in SIGNS if sign not in "\u2019\u00b4\u00b7\u2013\u2014\u00a0")
    letters = r"[^\W\d_]"
    alone = rf"{letters}[{LONELY}]|[{LONELY}]{letters}"
    if re.search(rf"{letters}[{re.escape(inner)}]{letters}|{alone}|[\u00c0-\u00ff]{{3}}", text):
        raise refusal
    word = re.search(r"[^\s,;\t|\"]*[^\x00-\x7f][^\s,;\t|\"]*", text)
    shown = word[0] if word else ""
    return text.encode(), f"read as Windows-1252 (Latin-1), as it is not UTF-8: {shown!r} in line {line:,}"


def _is_letter(sign: str) -> bool:
    return unicodedata.category(sign).startswith("L")


def _line(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1
