"""Everything that Carousel prints goes through here, so that no file and no model can control a terminal.

Names of files, columns and classes, and what models of bytes write, may hold escape sequences that move the cursor,
recolour or retitle a terminal, and marks that turn the order of letters round, so that a name reads as another.
"""

from __future__ import annotations

import sys
from shutil import get_terminal_size
from typing import TextIO
from unicodedata import category

# Marks, embeddings, overrides and isolates of direction (Unicode Standard Annex 9, section 2).
DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Control characters, halves of a character (of a file name that is no text), separators of lines and of paragraphs.
OBEYED = frozenset({"Cc", "Cs", "Zl", "Zp"})


def printable(text: object) -> str:
    """The text, with each control character replaced by a dot. Line breaks and tabs stay."""
    signs = str(text)
    if signs.isascii() and signs.isprintable():
        return signs
    return "".join("·" if _is_obeyed(sign) else sign for sign in signs)


def _is_obeyed(sign: str) -> bool:
    return sign in DIRECTION or (category(sign) in OBEYED and sign not in "\n\t")


def write(text: object, stream: TextIO | None = None, *, exact: bool = False) -> None:
    """Writes `printable(text)` at once, to standard output unless a stream is given.

    exact: text that is the result itself (what a model wrote) reaches a file or a pipe as it is.
    A character that the stream's encoding lacks becomes a question mark.
    """
    stream = stream or sys.stdout
    signs = str(text) if exact and not stream.isatty() else printable(text)
    encoding = stream.encoding or "utf-8"
    stream.write(signs.encode(encoding, "replace").decode(encoding))
    stream.flush()


def write_line(line: object) -> None:
    """Writes a line to standard output."""
    write(f"{line}\n")


def page_width() -> int:
    """How many characters a line of standard output may have: the terminal's own width, and 160 where there is none."""
    return max(100, get_terminal_size().columns) if sys.stdout.isatty() else 160
