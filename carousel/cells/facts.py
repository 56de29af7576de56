"""What is true of a cell whatever its weights are, declared beside its equations.

Each fact is a statement that one test checks for every cell that declares it (`tests/test_catalogue.py`), and that
`carousel cells NAME` prints. Where a fact speaks of a value by name, it is a gate, a vector or what step calls a value;
to hold "where z = 1", the value itself is replaced by 1, whatever it is computed from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bounded:
    """A state never leaves [low, high] once all states are within their declared bounds."""

    state: str
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g} <= {self.state} <= {self.high:g} stays true"


@dataclass(frozen=True)
class Keeps:
    """A state stays exactly as it is where the named values are these numbers."""

    state: str
    where: Mapping[str, float] = field(hash=False)

    def __str__(self) -> str:
        return f"{self.state}' = {self.state} where {_listed(self.where)}"


@dataclass(frozen=True)
class SameAs:
    """The cell computes what another does, their parameters of one name being equal.

    where: numbers for values of this cell. there: numbers for values of the other. letters: what the other calls a
    state, gate, vector or matrix of this cell, where it is not the same.
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
    """The state stays within [low, high]."""
    return Bounded(state, low, high)


def keeps(state: str, **where: float) -> Keeps:
    """The state is carried unchanged where these values are these numbers: keeps("c", f=1, i=0)."""
    return Keeps(state, where)


def same_as(
    cell: str,
    where: Mapping[str, float] | None = None,
    there: Mapping[str, float] | None = None,
    letters: Mapping[str, str] | None = None,
) -> SameAs:
    """It is the other cell where these values are these numbers, in this cell or (there) in the other."""
    return SameAs(cell, where or {}, there or {}, letters or {})


def _listed(where: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {number:g}" for name, number in where.items())
