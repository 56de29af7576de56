"""The contents of the site: README is its first page, and what stands beside it is listed in contents.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

CONTENTS = Path(__file__).with_name("contents.md")
# README's picture for light and for dark pages, as places that keep repositories show it.
PICTURE = re.compile(
    r'<a href="(?P<page>[^"]+)"><picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="(?P<dark>[^"]+)">'
    r'\s*<img alt="(?P<alt>[^"]+)" src="(?P<light>[^"]+)">\s*</picture></a>'
)


def with_pictures(text: str) -> str:
    """The text with two images in place of README's picture, of which the site's theme shows one."""
    shown = "".join(rf"[![\g<alt>](\g<{look}>){{.only-{look}}}](\g<page>)" for look in ("light", "dark"))
    return PICTURE.sub(shown, text)


def _add(_app: Any, name: str, source: list[str]) -> None:
    if name == "README":
        source[0] = with_pictures(source[0]) + CONTENTS.read_text(encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls this: README gets its list of contents as it is read, and stays as it is where others read it."""
    app.connect("source-read", _add)
    return {"parallel_read_safe": True}
