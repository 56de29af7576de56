"""The pages of the reference: one for each public package, with the names that docs/api.md lists."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent
FOLDER = DOCS / "reference"


def public() -> dict[str, tuple[str, list[str]]]:
    """(what it has, its names) of every package in the table of docs/api.md."""
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(carousel[\w.]*)` \| (.*?) \| (.*) \|$", page, flags=re.MULTILINE)
    return {package: (about, re.findall(r"`(\w+)`", names)) for package, about, names in rows}


def page(package: str, about: str, names: list[str], homes: dict[int, str]) -> str:
    """The Markdown of a package's page. What a name is decides which directive shows it.

    homes: the full name under which each object stands already, by `id`: two packages may offer one object, and it is
        described once.
    """
    module = importlib.import_module(package)
    parts = [f"# {package}", "", about, ""]
    for name in names:
        value = getattr(module, name)
        if inspect.ismodule(value):
            parts += [f"- `{name}`: [{value.__name__}]({value.__name__}.md)", ""] if value.__name__ in public() else []
            continue
        kind = "autoclass" if inspect.isclass(value) else "autofunction" if callable(value) else "autodata"
        home = homes.setdefault(id(value), f"{package}.{name}")
        if home != f"{package}.{name}":
            parts += [f"- `{name}`: {{py:obj}}`{home}`", ""]
        else:
            parts += ["```{eval-rst}", f".. {kind}:: {package}.{name}", "```", ""]
    return "\n".join(parts)


def write() -> None:
    """Writes docs/reference/, which git ignores; a page that has not changed keeps its date."""
    FOLDER.mkdir(exist_ok=True)
    homes: dict[int, str] = {}
    pages = {f"{package}.md": page(package, *row, homes) for package, row in public().items()}
    listed = "\n".join(name.removesuffix(".md") for name in pages)
    pages["index.md"] = f"# Reference\n\nEvery public name, from its docstring.\n\n```{{toctree}}\n{listed}\n```\n"
    for old in FOLDER.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        if not (FOLDER / name).exists() or (FOLDER / name).read_text(encoding="utf-8") != text:
            (FOLDER / name).write_text(text, encoding="utf-8")


def setup(_app: Any) -> dict[str, bool]:
    """Sphinx calls this: pages are written before it looks for sources."""
    write()
    return {"parallel_read_safe": True}
