"""Facts of a cell that hold for all weights. A cell declares them beside its equations.

A test checks each fact for every cell that declares it (`tests/test_catalogue.py`), and `carousel cells NAME` prints
it. A name in a fact is that of a gate, of a vector or of a value in step. "where z = 1" means that the value z is
replaced by 1, whatever it is computed from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bounded:
    """A state stays in [low, high] if all states start within their declared bounds."""

    state: str
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g} <= {self.state} <= {self.high:g} stays true"


@dataclass(frozen=True)
class Keeps:
    """A state does not change at all if the named values are these numbers."""

    state: str
    where: Mapping[str, float] = field(hash=False)

    def __str__(self) -> str:
        return f"{self.state}' = {self.state} where {_listed(self.where)}"


@dataclass(frozen=True)
class SameAs:
    """The cell computes the same as another cell if parameters with the same name are equal.

    where: numbers for values of this cell. there: numbers for values of the other cell. letters: {name of a state,
    gate,
    vector or matrix of this cell: its name in the other cell}, if they differ.
    """

    cell: str
    where: Mapping[str, float] = field(hash=False)
    there: Mapping[str, float] = field(hash=False)
    letters: Mapping[str, str] = field(hash=False)

    def __str__(self) -> str:
        conditions = [_listed(self.where)] if self.where else []
        conditions += [f"{_listed(self.there)} there"] if self.there else []
        renamed = [f"its {theirs} as {ours} here" for ours, theirs in self.letters.items()]
        return f"is {', with '.join([self.cell, *renamed])}" + (
            f", where {' and '.join(conditions)}" if conditions else ""
        )


Fact = Bounded | Keeps | SameAs


def bounded(state: str, low: float = -1.0, high: float = 1.0) -> Bounded:
    """The state stays in [low, high]: bounded("h")."""
    return Bounded(state, low, high)


def keeps(state: str, **where: float) -> Keeps:
    """The state does not change if these values are these numbers: keeps("c", f=1, i=0)."""
    return Keeps(state, where)


def same_as(
    cell: str,
    where: Mapping[str, float] | None = None,
    there: Mapping[str, float] | None = None,
    letters: Mapping[str, str] | None = None,
) -> SameAs:
    """The cell equals another cell if values of this cell (where) or of the other (there) are these numbers."""
    return SameAs(cell, where or {}, there or {}, letters or {})


def _listed(where: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {number:g}" for name, number in where.items())
