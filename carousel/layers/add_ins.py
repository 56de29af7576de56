"""One interface for everything that joins the scans of a call beside the cell.

A regulariser, keep= and add=, a recording, a tap and a hook are each an `AddIn`. A layer collects the add-ins of a
call, and the loop over its scans (`stack`) calls their methods without knowing which add-ins they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

from torch import Tensor

from carousel.engines.inside_torch import is_compiled, same_at_every_call
from carousel.program import Interface, Program, rewrite
from carousel.program.sharing import LOCK

States = tuple[Tensor, ...]
Streams = dict[str, Tensor]
Change = Callable[[int, States], States]
Sequences = Callable[[], tuple[Tensor, int]]


class Rewriting(NamedTuple):
    """A change of a program. name: a function of `carousel.program.rewrite`. states: the states that it changes.

    It is a description and not a call, because programs are made once: equal rewritings give the same program.
    """

    name: str
    states: tuple[str, ...] = ()


class Rows(NamedTuple):
    """The sizes of a scan's streams. rows: the input of the scan, (rows, input). states: the units of each state.
    hidden: the units of a gate. sequences: returns each row's sequence number, or over trees that of its tree, and
    their count."""

    rows: Tensor
    states: Mapping[str, int]
    hidden: int
    sequences: Sequences


class AddIn:
    """Something that joins every scan of a call. A subclass overrides the methods that it needs; the others do nothing.

    The methods are called in this order: `reads` and `rewritings` once a call, then `begin`; for each scan `states`,
    `change`, `rows`, `weights` and `streams`; and `end` after the last scan.
    """

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the values that it needs from every step."""
        return ()

    def rewritings(self) -> tuple[Rewriting, ...]:
        """Its changes of the cell's program. Two add-ins that name the same function share one rewriting."""
        return ()

    def begin(self, every_step: Callable[[Tensor], Tensor]) -> None:
        """The start of a call.

        every_step: (scans, rows, size) -> the same values in the layout of the caller's input.
        """

    def states(self, first: Tensor) -> States:
        """Its own states, which follow those of the cell.

        first: the initial output states of sequences, (rows, size).
        """
        del first
        return ()

    def change(self, at: str) -> Change | None:
        """A function (t, states) -> states, which runs before each step of the scan `at` ("l0_reverse"); or None."""
        del at
        return None

    def rows(self, rows: Tensor, sequences: Sequences) -> Tensor:
        """Changes the input of a scan, (rows, input).

        sequences: as of `Rows`.
        """
        del sequences
        return rows

    def weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Changes the parameters of a scan, by name."""
        return weights

    def streams(self, streams: Streams, of: Rows) -> Streams:
        """Adds its streams to those of the add-ins before it."""
        del of
        return streams

    def end(self, values: Mapping[str, Tensor]) -> None:
        """The end of a call. values: the values that add-ins read, by name, (scans, ...) in the layout of the input."""


@dataclass(frozen=True)
class AddIns:
    """All add-ins of a call as one. program: the cell's program with their rewritings. reads: its recorded values."""

    each: tuple[AddIn, ...]
    program: Interface
    reads: tuple[str, ...]

    @classmethod
    def of(cls, program: Interface, each: Iterable[AddIn]) -> AddIns:
        each = tuple(each)
        if not each:  # the usual case
            return cls(each, program, ())
        reads = tuple(dict.fromkeys(name for one in each for name in one.reads))
        changed: dict[str, dict[str, None]] = {}
        for one in each:
            for name, states in one.rewritings():
                changed.setdefault(name, {}).update(dict.fromkeys(states))
        asked = tuple((name, tuple(states)) for name, states in changed.items())
        return cls(each, _rewritten(program, asked, reads), reads)

    def begin(self, every_step: Callable[[Tensor], Tensor]) -> None:
        for one in self.each:
            one.begin(every_step)

    def states(self, first: States) -> States:
        """The initial states of sequences, those of the cell first."""
        added: States = ()
        for one in self.each:
            added = (*added, *one.states(first[0]))
        return (*first, *added)

    def change(self, at: str) -> Change | None:
        """One function for all that runs before each step of a scan, in order; None if nothing does."""
        found = [one.change(at) for one in self.each]
        changes = [change for change in found if change is not None]
        return partial(_in_order, changes) if changes else None

    def rows(self, rows: Tensor, sequences: Sequences) -> Tensor:
        for one in self.each:
            rows = one.rows(rows, sequences)
        return rows

    def weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        for one in self.each:
            weights = one.weights(weights)
        return weights

    def streams(self, of: Rows) -> Streams:
        found: Streams = {}
        for one in self.each:
            found = one.streams(found, of)
        return found

    def end(self, values: Mapping[str, Tensor]) -> None:
        for one in self.each:
            one.end(values)


def _in_order(changes: list[Change], t: int, states: States) -> States:
    for change in changes:
        states = change(t, states)
    return states


def _rewritten(program: Interface, changes: tuple[Any, ...], reads: tuple[str, ...]) -> Interface:
    """The program of a scan.

    Without changes and reads it is the cell's own. changes: (name, states), as `Rewriting`.
    """
    if not (changes or reads) or not isinstance(program, Program):
        return program
    if not is_compiled():
        return _changed(program, changes, reads)
    name = _kept_for_compilers(program, changes, reads)
    rewritten: Program = getattr(_for_compilers, name)
    return rewritten


def _changed(program: Program, changes: tuple[Any, ...], reads: tuple[str, ...]) -> Program:
    derived = tuple(name for name in reads if rewrite.stands_for(program, name) is None)
    if derived:  # at once, while the cell has these equations
        program = rewrite.record(program, derived)
    for name, states in changes:
        change = getattr(rewrite, name)
        program = change(program, states) if states else change(program)
    return rewrite.record(program, reads) if reads else program


# A compiler does not trace how programs are made, but its guards must find each program again later. So each program
# has a name in this module. Layers of equal cells share their programs, and with them one graph.
_for_compilers = SimpleNamespace()


@same_at_every_call
def _kept_for_compilers(program: Program, changes: tuple[Any, ...], reads: tuple[str, ...]) -> str:
    rewritten, known = _changed(program, changes, reads), vars(_for_compilers)
    with LOCK:  # two threads must not give two programs one name
        name = next((name for name, other in known.items() if other is rewritten), f"program_{len(known)}")
        setattr(_for_compilers, name, rewritten)
    return name
