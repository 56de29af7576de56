"""The last passes: where each value is stored, once the segments are known in which values are computed."""

from __future__ import annotations

from carousel.engines.native.item import STEP, Across, Gone, Item, Leaf, MatrixProduct, Pointwise, Reduction
from carousel.engines.native.items import Items
from carousel.engines.native.plan import CHUNK, PANEL, PARTIAL, SIZES, TWO, WORKSPACE


def share_starts(items: Items) -> None:
    """Gives a product and its start one buffer, so that the product is added in place. After the parts are fixed."""
    for item in items.list:
        if not isinstance(item, MatrixProduct) or item.start is None or not isinstance(items[item.start], Pointwise):
            continue
        start = items[item.start]
        lasts = start.part == item.part or (item.homes and items.plan.buffers[item.homes[0]].time != TWO)
        if not item.homes or not lasts:
            time = TWO if start.part == item.part == STEP else CHUNK
            item.homes.insert(0, items.buffer(PANEL, item.size, time, WORKSPACE, item.members))
        start.homes.append(item.homes[0])


def give_homes(items: Items) -> None:
    """Gives a buffer to values that products compute or read, and to values that cross segments or parts of a chunk.

    After the levels are fixed, and after `share_starts`, which gives some products their first home.
    """
    for item, users in zip(list(items.list), items.users(), strict=True):
        if isinstance(item, Leaf | Gone):
            continue
        crosses = any(items[u].part != item.part for u in users)
        if item.size not in SIZES:
            if crosses:
                item.homes.append(items.number_buffer(item.members))
            continue
        if crosses and all(items.plan.buffers[home].time == TWO for home in items.read_homes(item)):
            item.homes.append(items.buffer(PANEL, item.size, CHUNK, WORKSPACE, item.members))
        found = items.panel_of(item) is not None if items.is_gathered(item) else bool(items.read_homes(item))
        if _is_read_elsewhere(items, item, users) and not found:
            time = TWO if item.part == STEP else CHUNK
            item.homes.append(items.buffer(PANEL, item.size, time, WORKSPACE, item.members))


def give_partial_sums(items: Items) -> None:
    """Gives each reduction a buffer for its partial results, one for each block of units, as the first of its homes."""
    for item in items.list:
        if isinstance(item, Reduction):
            time = TWO if item.part == STEP else CHUNK
            item.homes.insert(0, items.buffer(PARTIAL, items[item.args[0]].size, time, WORKSPACE, item.members))


def _is_sum(items: Items, item: Item) -> bool:
    """Whether strips of the segment before an item's own sum up what it reads."""
    return (isinstance(item, Reduction) and item.members) or items.is_gathered(item)


def _is_read_elsewhere(items: Items, item: Item, users: list[int]) -> bool:
    """Whether an item is a product, or a product, members or rows, or another segment read it."""
    return (isinstance(item, MatrixProduct) or items.is_gathered(item)) or any(
        isinstance(items[u], MatrixProduct)
        or (isinstance(items[u], Across) and not items.is_gathered(items[u]))
        or (isinstance(items[u], Pointwise) and items[u].level != item.level and not items.is_row(item))
        or (_is_sum(items, items[u]) and items[u].level != item.level + 1 and not items.is_row(item))
        for u in users
    )
