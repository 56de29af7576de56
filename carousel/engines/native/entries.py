"""The entries of a plan in the making: what items refer to by its place in a list of the plan."""

from __future__ import annotations

from typing import Any

from carousel.cells.member_sizes import parted
from carousel.engines.native.item import Item
from carousel.engines.native.plan import (
    ALWAYS,
    BUFFER,
    CHUNK,
    EXTERNAL,
    FORWARD_PREVIOUS,
    HALVES,
    NUMBER,
    PANEL,
    PREVIOUS,
    ROWS,
    SIZES,
    WORKSPACE,
    Buffer,
    Gather,
    Plan,
    View,
)
from carousel.engines.parameters import parameters_of
from carousel.program import Program


class Entries:
    """Makes entries of the plan for a program, and finds those that are there."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.plan = Plan(parameters_of(program), gates=len(program.gates))

    def parameter(self, name: str) -> int:
        return self.plan.parameters.index(name)

    def bias(self, weight: str) -> tuple[int, int]:
        """The bias of a weight: its parameter, and the gate whose block it is."""
        found = self.program.weights[weight]
        assert found.bias is not None
        return self.parameter(found.bias), -1 if found.gate is None else found.gate

    def buffer(self, layout: int, size: str, time: int, place: int, members: bool = False) -> int:
        self.plan.buffers.append(Buffer(layout, SIZES[size], time, place, members=int(members)))
        return len(self.plan.buffers) - 1

    def external(self, row: str) -> int:
        """The buffer of the scan's next EXTERNAL rows, of a size as `Node.row` names it."""
        members, size = parted(row)
        count = sum(b.place == EXTERNAL for b in self.plan.buffers)
        layout = NUMBER if size == "one" else ROWS
        self.plan.buffers.append(Buffer(layout, SIZES.get(size, 0), ALWAYS, EXTERNAL, count, int(bool(members))))
        return len(self.plan.buffers) - 1

    def state_buffer(self, row: str, time: int, place: int) -> int:
        """A buffer for states, or their gradients, of this size."""
        members, size = parted(row)
        layout = NUMBER if size == "one" else PANEL
        return self.buffer(layout, "single" if size == "one" else size, time, place, bool(members))

    def number_buffer(self, members: bool) -> int:
        self.plan.buffers.append(Buffer(NUMBER, 0, CHUNK, WORKSPACE, members=int(members)))
        return len(self.plan.buffers) - 1

    def gather(self, attr: Any, nodes: int) -> int:
        """The plan's gather of a state leaf of trees. nodes: the buffer with that state of all nodes."""
        state, slot = self.child(attr)
        known = [i for i, g in enumerate(self.plan.gathers) if g[:2] == (state, slot)]
        if not known:
            self.plan.gathers.append(Gather(state, slot, nodes, -1))
        return known[0] if known else len(self.plan.gathers) - 1

    def child(self, attr: Any) -> tuple[int, int]:
        """What a state leaf of trees stands for: the index of the state and the number of the child; -1 for members."""
        name, slot = attr if isinstance(attr, tuple) else (attr, -1 if self.program.children == "any" else 0)
        return list(self.program.states).index(name), slot

    def read_homes(self, item: Item) -> list[int]:
        """The homes that this scan itself reads, without those that are rounded to bfloat16 for backward."""
        return [home for home in item.homes if self.plan.buffers[home].layout != HALVES]

    def panel_of(self, item: Item) -> int | None:
        """The first panel among the homes of an item."""
        return next((home for home in item.homes if self.plan.buffers[home].layout == PANEL), None)

    def is_panel(self, view: View) -> bool:
        return view.kind in (BUFFER, PREVIOUS, FORWARD_PREVIOUS) and self.layout_of(view) == PANEL

    def layout_of(self, view: View) -> int:
        """The layout of the buffer that a view shows; PANEL of what is in no buffer."""
        plan = self.plan
        if view.kind not in (BUFFER, PREVIOUS, FORWARD_PREVIOUS):
            return PANEL
        through = {PREVIOUS: plan.carried, FORWARD_PREVIOUS: plan.forward_states}.get(view.kind)
        return plan.buffers[view.which if through is None else through[view.which]].layout
