"""Reads the description of a cell from its docstring. All files of the catalogue write it in the same form:

    The first line names it.

        f  = sigmoid(W_f x + b_f + U_f h + c_f)     the equations, indented
        ...

    Use: what it is for.
    Reading: the chosen reading, if the paper and its authors' code differ, or the paper leaves a choice.
    Fidelity: "as in the paper", "as in the authors' code", or "simplified, ...", and how.
    Source: authors, title, place, year; the equations' numbers.

Text between the equations and the first of these words is about options.
"""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass
from functools import cache

from carousel.cells.cell import Cell
from carousel.cells.facts import Fact

PARTS = ("Use", "Reading", "Fidelity", "Source", "Sources")
_PART = re.compile(rf"^({'|'.join(PARTS)}):\s*", re.MULTILINE)
_YEAR = re.compile(r"(?<![\w:.])(?:19|20)\d\d(?![\w.])")

__all__ = ["Description", "describe"]


@dataclass(frozen=True)
class Description:
    """A cell in words, read from its docstring. Texts that the docstring does not have are "".

    name: of the catalogue. cell: the cell itself. family: the first line about its folder. title: its first line.
    equations: those of its docstring. options: what it says of options. use: what the cell is for.
    reading: which reading was chosen where the sources leave a choice. fidelity: how near it is to the paper.
    source: the papers. facts: what is true of it whatever its weights are.
    """

    name: str
    cell: Cell
    family: str
    title: str
    equations: str
    options: str
    use: str
    reading: str
    fidelity: str
    source: str
    facts: tuple[Fact, ...]

    @property
    def year(self) -> int | None:
        """The year of the first source, or None if it names none."""
        found = _YEAR.search(self.source)
        return int(found[0]) if found else None

    @property
    def authors(self) -> str:
        """The authors of the first source, only the first of three or more; without authors, its title."""
        named, _, title = self.source.partition('"')
        if not named:
            return title.partition('"')[0].rstrip(",.")
        people = named.strip(" ,").replace(" & ", ", ").split(", ")
        return " & ".join(people) if len(people) < 3 else f"{people[0]} et al."


@cache
def describe(name: str, cell: Cell) -> Description:
    """The description of a cell, read from the docstring of its class.

    name: its name in the catalogue, or `my_cells.py:MyCell`. cell: the cell.
    """
    text = inspect.cleandoc(type(cell).__doc__ or "")
    body, *rest = _PART.split(text)
    parts = {key: _one_line(value) for key, value in zip(rest[::2], rest[1::2], strict=True)}
    title, _, body = body.partition("\n")
    blocks = [block.strip("\n") for block in body.split("\n\n") if block.strip()]
    equations = [block for block in blocks if block.startswith("    ")]
    options = [block for block in blocks if not block.startswith("    ")]
    return Description(
        name=name,
        cell=cell,
        family=_family(cell),
        title=title.rstrip("."),
        equations=inspect.cleandoc("\n" + "\n\n".join(equations)),
        options="\n\n".join(options),
        use=parts.get("Use", ""),
        reading=parts.get("Reading", ""),
        fidelity=parts.get("Fidelity", ""),
        source=parts.get("Source", parts.get("Sources", "")),
        facts=tuple(cell.facts),
    )


def _family(cell: Cell) -> str:
    """The first line of the docstring of the cell's folder; "" for a cell outside the catalogue."""
    package, _, _ = type(cell).__module__.rpartition(".")
    if not package.startswith("carousel.cells."):
        return ""
    return (importlib.import_module(package).__doc__ or "").partition("\n")[0]


def _one_line(text: str) -> str:
    return " ".join(text.split())
