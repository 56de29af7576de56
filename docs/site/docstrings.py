"""Carousel's docstrings as reStructuredText, which is what Sphinx reads.

A docstring is plain text of four kinds of block, each told by its first line:

    a paragraph          begins at the margin;
    an item              `name: what it is`, `first, second: what they are`; its further lines are indented, or not;
    lines as they stand  (equations, code) are indented, after a blank line or after a line that ends in a colon;
    a list               begins with "- ".

Nothing in it is markup but `code` between backticks, so stars, bars and underscores mean themselves.
"""

from __future__ import annotations

import re
from typing import Any

ITEM = re.compile(r"^(?P<names>[A-Za-z_*][\w.*]*(?:, [A-Za-z_*][\w.*]*)*): (?P<text>\S.*)$")


def to_rst(lines: list[str]) -> list[str]:
    """The same text in reStructuredText. `lines` have no common indentation."""
    written: list[str] = []
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
        elif lines[at].startswith(" "):
            at = _as_they_stand(lines, at, written)
        else:
            at = _text(lines, at, written)
    return written


def _as_they_stand(lines: list[str], at: int, written: list[str]) -> int:
    """An indented block goes on over blank lines, to the next line at the margin."""
    end = at
    while end < len(lines) and (not lines[end].strip() or lines[end].startswith(" ")):
        end += 1
    block = lines[at:end]
    while not block[-1].strip():
        block.pop()
    written += ["::", "", *(f"    {line}" for line in block), ""]
    return end


def _text(lines: list[str], at: int, written: list[str]) -> int:
    """A paragraph, or an item with its further lines; it ends at a blank line, or where the next item begins."""
    item = ITEM.match(lines[at])
    bullet = lines[at].startswith("- ")
    parts = [item["text"] if item else lines[at].removeprefix("- ")]
    at += 1
    while at < len(lines) and lines[at].strip() and not ITEM.match(lines[at]) and not lines[at].startswith("- "):
        if lines[at].startswith(" ") and not (item or bullet):
            break  # equations right below a sentence
        parts.append(lines[at].strip())
        at += 1
    text = escaped(" ".join(parts))
    if item:
        written += [f"- **{escaped(item['names'])}**: {text}"]
    elif bullet:
        written += [f"- {text}"]
    else:
        written += [text]
    written.append("")
    return at


def escaped(text: str) -> str:
    """The text with `code` as a literal, and with every sign that would be markup as itself."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(f"``{piece[1:-1]}``" if piece.startswith("`") else _plain(piece) for piece in pieces)


def _plain(text: str) -> str:
    return re.sub(r"([\\*|`_])", r"\\\1", text)


def _process(_app: Any, _what: str, _name: str, _thing: Any, _options: Any, lines: list[str]) -> None:
    lines[:] = to_rst(lines)


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this: every docstring of the reference passes through `to_rst`."""
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}
