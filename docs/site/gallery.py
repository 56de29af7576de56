"""The gallery of the site: every picture of the pages, under what the page says of it, with a way to that page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent
PAGE = DOCS / "gallery.md"
PICTURE = re.compile(r"^!\[([^\]]*)\]\(([^)]+\.png)\)$", re.MULTILINE)
HEAD = "# Gallery\n\nEvery picture of these pages. Its own page names the command or the script that drew it.\n"


def gallery() -> str:
    """The Markdown of the gallery, made of all other pages."""
    parts = [HEAD]
    for page in sorted(DOCS.glob("**/*.md")):
        text = page.read_text(encoding="utf-8")
        pictures = PICTURE.findall(text)
        if page == PAGE or not pictures:
            continue
        here = page.relative_to(DOCS)
        title = text.partition("\n")[0].removeprefix("# ")
        parts.append(f"## [{title}]({here.as_posix()})\n")
        parts += [f"![{about}]({(here.parent / name).as_posix()})\n\n*{about}*\n" for about, name in pictures]
    return "\n".join(parts)


def setup(_app: Any) -> dict[str, bool]:
    """Sphinx calls this: the page is written before it looks for sources. Git ignores it."""
    text = gallery()
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        PAGE.write_text(text, encoding="utf-8")
    return {"parallel_read_safe": True}
