"""Writes the plan of items: for each segment its products, its numbers per row, and its strips."""

from __future__ import annotations

from carousel.engines.native import passes
from carousel.engines.native.item import (
    AFTER,
    BEFORE,
    STEP,
    Across,
    Gone,
    Item,
    Leaf,
    MatrixProduct,
    Pointwise,
    Reduction,
)
from carousel.engines.native.items import Items
from carousel.engines.native.listing import Listing, place_of
from carousel.engines.native.number_slots import share_numbers
from carousel.engines.native.plan import (
    BUFFER,
    NUMBER,
    REDUCTIONS,
    ROW,
    SIZES,
    TWO,
    Plan,
    Product,
    Segment,
    Structural,
    Term,
    View,
)
from carousel.engines.native.verify import verify


def emit(items: Items) -> Plan:
    """Runs the passes over the items that `select.py` entered, then writes the segments of each part of a chunk."""
    passes.run(items)
    counts = []
    for part in (BEFORE, STEP, AFTER):
        first = len(items.plan.segments)
        levels = [item.level for item in items.list if item.part == part and not isinstance(item, Leaf | Gone)]
        for level in range(max(levels, default=0 if part == STEP else -1) + 1):
            for members in (False, True):
                _segment(items, part, level, members)
        counts.append(len(items.plan.segments) - first)
    items.plan.before, _, items.plan.after = counts
    share_numbers(items.plan)
    return verify(items.plan)


def _segment(items: Items, part: int, level: int, members: bool) -> None:
    """Writes the segment of a level for rows, or the one after it for their members, if there is anything to do."""
    plan = items.plan
    of_segment = part, level, members
    here = [(i, item) for i, item in enumerate(items.list) if (item.part, item.level, item.members) == of_segment]
    first_product = len(plan.products)
    for _, item in here:
        if isinstance(item, MatrixProduct):
            _product(items, item)
    bounds = [first_product, len(plan.products), *_numbers(items, part, level, members, here)]
    for size in SIZES:
        bounds += _strips(items, part, level, members, size)
    if members and bounds[::2] == bounds[1::2]:
        return
    waits = bounds[0] < bounds[1] or any(isinstance(item, Reduction) for _, item in here)
    plan.segments.append(Segment._make((*bounds, int(waits), int(members))))


def _product(items: Items, item: MatrixProduct) -> None:
    plan = items.plan
    first = len(plan.terms)
    for source, (name, transposed) in zip(item.args, item.terms, strict=False):
        weight = items.program.weights[name]
        at = place_of(items, items[source], item.part)
        size = weight.rows if transposed else weight.columns
        parameter = items.parameter(weight.parameter), -1 if weight.gate is None else weight.gate
        plan.terms.append(Term(plan.view(at), SIZES[size], *parameter, int(transposed)))
    bias, gate = (-1, -1) if item.bias is None else items.bias(item.bias)
    dst = plan.view(View(BUFFER, item.homes[0]))
    accumulate = int(item.start is not None)
    plan.products.append(Product(dst, SIZES[item.size], accumulate, bias, gate, first, len(item.terms), int(item.idle)))


def _numbers(items: Items, part: int, level: int, members: bool, here: list[tuple[int, Item]]) -> tuple[int, int]:
    """Writes the instructions of a segment for numbers per row. Returns the begin and end of their list."""
    listing = Listing(items, None, part)
    _load_numbers(items, listing, level, members)
    for i, item in here:
        if isinstance(item, Reduction):
            listing.add(REDUCTIONS[item.name][1], View(ROW, item.row), View(BUFFER, item.homes[0]))
        elif isinstance(item, Pointwise) and item.row >= 0:
            listing.compute(i, item)
        elif isinstance(item, Across) and item.row >= 0:
            listing.across(i, item)
        if item.row >= 0 and not isinstance(item, Leaf):
            listing.save(item)
    return listing.finish()


def _load_numbers(items: Items, listing: Listing, level: int, members: bool) -> None:
    """Writes loads of the numbers per row that this part of the chunk first reads here, but does not compute."""
    part = listing.part
    first: dict[int, int] = {}
    for i, item in enumerate(items.list):
        if item.part != part:
            continue
        reads = [(a, item.level - (isinstance(item, Across) and items[a].members)) for a in item.args]
        for a, at in (*reads, *([(i, 0)] if item.homes or item.sums else ())):
            first[a] = min(first.get(a, at), at)
    for i in sorted(i for i, at in first.items() if at == level and items[i].members == members):
        item = items[i]
        if isinstance(item, Leaf) and item.row >= 0:
            listing.add(Structural.LOAD_NUMBER, View(ROW, item.row), item.view)
        elif not isinstance(item, Leaf) and item.row >= 0 and item.part != part:
            home = next(h for h in item.homes if _is_lasting_number(items, h))
            listing.add(Structural.LOAD_NUMBER, View(ROW, item.row), View(BUFFER, home))


def _is_lasting_number(items: Items, home: int) -> bool:
    buffer = items.plan.buffers[home]
    return buffer.layout == NUMBER and buffer.time != TWO


def _strips(items: Items, part: int, level: int, members: bool, size: str) -> tuple[int, int]:
    """Writes the strips of a segment over units of one size. Returns the begin and end of their list.

    The partial sums of a sum over units are computed at the end of the segment before its own, and so are the sums over
    members, in strips of these.
    """
    everything = [
        (i, item) for i, item in enumerate(items.list) if not isinstance(item, Gone) and item.members == members
    ]
    following = [item for item in items.list if (item.part, item.level) == (part, level + 1)]
    next_sums = [s for s in following if isinstance(s, Reduction) and s.members == members]
    next_rows = [s for s in following if items.is_gathered(s) and members]
    listing = Listing(items, size, part)
    for i, item in everything:
        if (item.part, item.level) == (part, level):
            if isinstance(item, Pointwise) and item.size == size:
                listing.compute(i, item)
            elif isinstance(item, Across) and item.size == size:
                listing.across(i, item)
            else:
                listing.copies(i, item)
        for s in next_sums:
            if max(s.args) == i and item.size == size:
                listing.add(REDUCTIONS[s.name][0], View(BUFFER, s.homes[0]), *map(listing.operand, s.args))
        for row in next_rows:
            if max(row.args) == i and row.size == size:
                listing.gather(row)
    return listing.finish()
