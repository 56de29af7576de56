"""States with members, what gates read of several states, and contexts: what a cell declares of them, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from carousel.cells.cell import Cell
from carousel.cells.member_sizes import joined, parted
from carousel.errors import ProgramError
from carousel.program import ops
from carousel.program.program import Interface

# Sizes that a layer gives a number in another way, so that a cell's `units` has none for them.
OF_LAYERS = ("hidden", "projection")


def counts(states: Mapping[str, str], units: Mapping[str, int]) -> dict[str, int]:
    """How many members states have and how many units members, by size name; 0 where nothing says it.

    states: from name to size name.
    """
    pairs = (parted(size) for size in states.values() if parted(size)[0])
    own = dict.fromkeys(size for pair in pairs for size in pair if size not in (*OF_LAYERS, "one"))
    return {size: units.get(size, 0) for size in own}


def counts_of(program: Interface, cell: Cell, units: Mapping[str, int]) -> dict[str, int]:
    """The same, of a layer: what it is given comes before what the cell has."""
    return counts(program.states, {**cell.units, **units})


def has_members(cell: Cell) -> bool:
    """Whether a step of a sequence has members, or gates that read several states."""
    return bool(any("*" in str(joined(size)) for size in cell.sizes.values()) or cell.context or len(cell.fed) > 1)


def check(cell: Cell, states: Sequence[str], fed: Sequence[str]) -> None:
    """Raises ProgramError for sizes of members, fed states or contexts that no step could have."""
    title = type(cell).__name__
    for state, size in cell.sizes.items():
        _check_pair(title, state, joined(size))
    with_members = [state for state in states if parted(cell.size_of(state))[0]]
    if states[0] in with_members:
        raise ProgramError(
            f"the cell {title} gives members to its first state {states[0]!r}, which is its output and one row: name "
            "another state first"
        )
    for state in fed:
        if state not in states or state in with_members:
            what = "no state of it" if state not in states else "has members"
            raise ProgramError(
                f"the cell {title} declares fed = {', '.join(map(repr, fed))}, whose states gates multiply as rows, "
                f"but {state!r} {what}; read members as a row first, as in (weighting * M).sum(-2)"
            )
    if cell.children is not None and (with_members or fed or cell.context):
        what = "states with members" if with_members else "fed states" if fed else "a context"
        raise ProgramError(f"the cell {title} has children and {what}; a cell over trees has rows alone as its states")
    if (cell.heads != 1 or cell.connections is not None) and fed:
        raise ProgramError(
            f"the cell {title} has heads or connections, which are for U of the first state; leave out fed"
        )


def _check_pair(title: str, state: str, size: object) -> None:
    if not isinstance(size, str) or "*" not in size:
        return  # declared_weights says what is wrong with it
    members, units = parted(size)
    plain = members.isidentifier() and units.isidentifier()
    if not plain or members in ("one", "any", "input", *ops.RAGGED) or units in ("any", "input"):
        raise ProgramError(
            f"the cell {title} gives the state {state!r} the members and units {members!r} and {units!r}; write names "
            "of sizes, as in ('slots', 'width'), or ('slots', 1) for a number of each slot"
        )
