"""Gives the numbers per row of a plan their places: those that are never alive together share one.

An instruction over numbers takes a block of rows at a time, and writes past its last row. A number is therefore alive
until all rows that are done one after another have read it: within a segment, within the segments between two
products (the library runs these for a few rows at a time), or from one product to another. Where rows have members, a
number that products do not end is alive from the first of these segments on: rows and members are counted differently,
and what a row writes could lie where a member is.
"""

from __future__ import annotations

from dataclasses import dataclass

from carousel.engines.native.plan import ROW, Plan, View
from carousel.engines.native.text import arity


@dataclass
class _Life:
    """The first and the last instruction of a number, and the first and last that must not write to its place."""

    first: int
    last: int
    begin: int = 0
    end: int = 0


def share_numbers(plan: Plan) -> None:
    """Changes the views of numbers, and how many places there are."""
    lives = _lives(plan)
    slots: dict[int, int] = {}
    busy: list[int] = []  # for each place, until when it is taken
    for number, life in sorted(lives.items(), key=lambda of: of[1].begin):
        free = next((slot for slot, end in enumerate(busy) if end < life.begin), len(busy))
        if free == len(busy):
            busy.append(0)
        slots[number], busy[free] = free, life.end
    plan.views = [View(ROW, slots.get(v.which, 0)) if v.kind == ROW else v for v in plan.views]
    plan.numbers = len(busy)


def _lives(plan: Plan) -> dict[int, _Life]:
    found: dict[int, _Life] = {}
    for n, (op, dst, *arguments) in enumerate(plan.instructions):
        for place in (dst, *arguments[: arity(op)]):
            kind, which, _ = plan.views[place]
            if kind == ROW:
                found.setdefault(which, _Life(n, n)).last = n
    segments, stretches = _ends(plan)
    of_members = any(segment.members for segment in plan.segments)
    for life in found.values():
        life.begin, life.end = life.first, life.last
        if segments[life.first] != segments[life.last]:
            life.end = segments[life.last]
        if stretches[life.first] != stretches[life.last]:
            life.begin = stretches.index(stretches[life.first]) if of_members else life.first
            life.end = stretches[life.last]
    return found


def _ends(plan: Plan) -> tuple[list[int], list[int]]:
    """For each instruction, the last of its segment, and the last before the next segment with products."""
    segments: list[int] = []
    stretches: list[int] = []
    begin = 0
    for number, segment in enumerate(plan.segments):
        count = segment.single_end - segment.numbers
        segments += [segment.single_end - 1] * count
        following = plan.segments[number + 1] if number + 1 < len(plan.segments) else None
        if (
            following is None
            or following.products < following.products_end
            or _part(plan, number) != _part(plan, number + 1)
        ):
            stretches += [segment.single_end - 1] * (segment.single_end - begin)
            begin = segment.single_end
    return segments, stretches


def _part(plan: Plan, number: int) -> int:
    """Whether a segment is of a chunk's steps, or is run before or after them."""
    return (number >= plan.before) + (number >= len(plan.segments) - plan.after)
