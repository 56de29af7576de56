"""The sizes of states that have members: a memory of slots, each so many units wide.

A cell declares such a size as a pair, ("slots", "width"). Everywhere else it is one name, "slots*width": where a state
is handed on, between steps and to a caller, it is one row with the units of all its members one after another.
"""

from __future__ import annotations

from typing import Any


def joined(size: Any) -> Any:
    """The name of a size that a cell declares: "slots*width" for ("slots", "width"), "slots*one" for ("slots", 1)."""
    if not isinstance(size, tuple | list) or len(size) != 2:
        return size
    members, units = size
    return f"{members}*{'one' if units == 1 else units}"


def parted(size: str) -> tuple[str, str]:
    """The reverse: (members, units); members is "" for a size without them."""
    members, _, units = size.rpartition("*")
    return members, units
