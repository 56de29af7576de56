"""The contents of the site: README is its first page, and what stands beside it is listed in contents.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CONTENTS = Path(__file__).with_name("contents.md")


def _add(_app: Any, name: str, source: list[str]) -> None:
    if name == "README":
        source[0] += CONTENTS.read_text(encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this: README gets its list of contents as it is read, and stays as it is where others read it."""
    app.connect("source-read", _add)
    return {"parallel_read_safe": True}
