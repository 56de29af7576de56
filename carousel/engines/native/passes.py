"""The passes of the native compiler decide in which segment each value is computed, and where it is stored.

A step consists of segments. A segment computes matrix products, then numbers per row, then strips. If it reads values
that other threads have computed (the row of a product, a sum over units), all threads wait for one another before it. A
value that only its own segment reads is in scratch. A value that another segment or a product reads, or that is kept,
has a buffer.

Some values need not be computed step by step. A sum over units or a product that depends on no state is computed for
all rows of a chunk of steps before the first step; one on which no state depends, after the last step. That is one pass
over many rows instead of many over few rows, and threads do not wait.
"""

from __future__ import annotations

from carousel.engines.native import homes
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
from carousel.engines.native.plan import CONSTANT, SIZES, Constant, Structural


def run(items: Items) -> None:
    """Runs all passes in the order that their docstrings require, with a check after each."""
    for change in (divide, fuse, level, sink, homes.share_starts, homes.give_homes, homes.give_partial_sums):
        change(items)
        check(items, change.__name__)


def divide(items: Items) -> None:
    """Moves sums and products out of the step, to before or after the steps of a chunk, where possible.

    Pointwise ops move only if a sum or product needs it: in the step their operands are in cache. This is the first
    pass, because the others depend on the parts of a chunk.
    """
    if any(item.members for item in items.list):  # the rows of a chunk would go on without their members
        return
    state = [isinstance(item, Leaf) and item.is_state for item in items.list]
    carried = set(items.plan.carried)  # the buffer of a new state holds two steps, not a chunk
    carried |= {gather.nodes for gather in items.plan.gathers}  # over trees later steps of the chunk read it
    carried |= {scatter.panel for scatter in items.plan.scatters}
    ahead: list[bool] = []
    for i, item in enumerate(items.list):
        here = state[i] or not carried.isdisjoint(item.homes)
        ahead.append(not here and all(ahead[a] for a in item.args))
    users = items.users()
    later = [False] * len(items.list)
    for i, item in reversed(list(enumerate(items.list))):
        here = isinstance(item, Leaf) or not carried.isdisjoint(item.homes) or any(state[a] for a in item.args)
        later[i] = not here and all(later[u] for u in users[i])
    for part, possible in ((BEFORE, ahead), (AFTER, later)):
        chosen = [
            item
            for i, item in enumerate(items.list)
            if possible[i] and item.part == STEP and not isinstance(item, Leaf)
        ]
        if any(isinstance(item, Reduction | MatrixProduct) for item in chosen):
            for item in chosen:
                item.part = part


def fuse(items: Items) -> None:
    """Fuses multiply-add pairs, and removes a copy whose source has no other reader. Before `level`."""
    users = items.users()

    def taken_over(i: int, user: Pointwise) -> Pointwise | None:
        """The op i, if this user is its only reader."""
        item = items[i]
        alone = isinstance(item, Pointwise) and len(users[i]) == 1 and not item.homes and not item.sums
        return (
            item if isinstance(item, Pointwise) and alone and (item.size, item.part) == (user.size, user.part) else None
        )

    for i, item in enumerate(items.list):
        if isinstance(item, Reduction | Across):
            _take_product(items, i, users)
        if not isinstance(item, Pointwise) or item.size not in SIZES:
            continue
        if item.members and _is_truth(items, item):
            item.name, item.args = "copy", item.args[:1]
        if item.name == "copy" and (inner := taken_over(item.args[0], item)):
            items.list[item.args[0]] = Gone(size=inner.size)
            item.name, item.args = inner.name, inner.args
        for own, name, places in (("mul_add", "add", (0, 1)), ("mul_sub", "sub", (1,))):
            if item.name != name:
                continue
            for place in places:
                inner = taken_over(item.args[place], item)
                if inner is not None and inner.name == "mul":
                    items.list[item.args[place]] = Gone(size=inner.size)
                    item.name, item.args = own, (*inner.args, item.args[1 - place])
                    break
    # A further fused pair needs a row in native/ops.h and a rewriting here.


def _take_product(items: Items, i: int, users: list[list[int]]) -> None:
    """Makes the sum of a product of members, over units or over the members of a row, one instruction."""
    item, inner = items[i], items[items[i].args[0]]
    sums = isinstance(item, Reduction) and item.name == "sum"
    rows = items.is_gathered(item) and item.name == Structural.TOTAL
    if not (sums or rows) or not isinstance(inner, Pointwise) or inner.name != "mul" or inner.homes or inner.sums:
        return
    factors = [items[a] for a in inner.args]
    panels = sum(factor.size in SIZES for factor in factors)
    if len(users[item.args[0]]) > 1 or not items.has_slots or not all(f.members for f in factors) or panels < 1 + sums:
        return
    items.list[item.args[0]] = Gone(size=inner.size)
    item.args = inner.args
    if isinstance(item, Reduction):
        item.name = "dot"
    elif isinstance(item, Across):
        item.name = Structural.TOTAL_PRODUCT


def level(items: Items) -> None:
    """Gives each item the first possible segment of its part. After `divide` and `fuse`.

    Values of other parts exist from the start. In a segment rows come before their slots, which so may read them.
    """
    for item in items.list:
        own = [items[a].level for a in item.args if not isinstance(items[a], Leaf) and items[a].part == item.part]
        match item:
            case Pointwise():
                item.level = max(own, default=0)
            case Across() if items.is_given_by_row(item):
                item.level = max(own, default=0)
            case Reduction() | Across():
                item.level = max(own, default=0) + 1
            case MatrixProduct():
                item.level = max((level + 1 for level in own), default=0)


def sink(items: Items) -> None:
    """Moves ops to the latest possible segment, so that fewer values cross segments. After `level`.

    Sums over the units of members move too, with what only they read: then all that reads the same members is done in
    one pass over them.
    """
    users = items.users()
    for i in reversed(range(len(items.list))):
        item = items[i]
        moves = isinstance(item, Pointwise) or (
            isinstance(item, Reduction) and item.members and all(_is_free(items, a, users[a]) for a in item.args)
        )
        if not moves or (item.homes and not item.members) or not users[i]:
            continue
        if any(items[u].part != item.part for u in users[i]):
            continue
        item.level = max(item.level, min(items[u].level - _is_later(items, items[u]) for u in users[i]))


def check(items: Items, after: str) -> None:
    """Raises AssertionError if a pass has broken a rule of the list of items. after: the name of the pass."""
    for i, item in enumerate(items.list):
        what = f"item {i} after {after}: {item}"
        assert all(0 <= a < i for a in item.args), f"{what} reads an item that comes later"
        assert not any(isinstance(items[a], Gone) for a in item.args), f"{what} reads an item that is gone"
        assert all(0 <= home < len(items.plan.buffers) for home in item.homes), f"{what} has no such home"
        read = [items[a] for a in item.args if not isinstance(items[a], Leaf)]
        assert all(a.part <= item.part for a in read), f"{what} comes in an earlier part than what it reads"
        if isinstance(item, MatrixProduct):
            assert len(item.args) == len(item.terms) + (item.start is not None), f"{what} has other args than terms"
        if after in ("divide", "fuse"):
            continue
        late = [a for a in read if a.part == item.part and a.level + _is_later(items, item) > item.level]
        assert not late, f"{what} comes before the segment that makes {late}"


def _is_free(items: Items, i: int, users: list[int]) -> bool:
    """Whether a sum that reads an item may move: then the item moves with it, or is in memory at all times."""
    return len(set(users)) == 1 or isinstance(items[i], Leaf) or items.is_row(items[i])


def _is_truth(items: Items, item: Pointwise) -> bool:
    """Whether an op chooses 1 where a comparison holds and 0 elsewhere, which is what the comparison gives."""
    constants = [
        items.plan.constants[leaf.view.which]
        for a in item.args[1:]
        if isinstance(leaf := items[a], Leaf) and leaf.view.kind == CONSTANT
    ]
    return item.name == "where" and constants == [Constant(1.0), Constant(0.0)]


def _is_later(items: Items, item: Item) -> bool:
    """Whether an item can only read what earlier segments have made."""
    return not isinstance(item, Pointwise) and not items.is_given_by_row(item)
