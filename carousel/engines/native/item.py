"""An item of a step: a leaf, an op, a product with one or more terms, or a reduction over units."""

from __future__ import annotations

from dataclasses import dataclass, field

from carousel.engines.native.plan import Structural, View

# The three parts of a chunk of steps, in order.
BEFORE, STEP, AFTER = range(3)


@dataclass(kw_only=True)
class Item:
    """The fields that all items share.

    size: the size of its rows; "one": one number per row; "any": one number for all rows. args: the items it reads.
    members: whether it has a row for each member of a row.
    homes: the buffers that must contain its value. sums: the column sums to which its value is added.
    part: its part of a chunk. level: its segment in that part. row: its index among the numbers per row, or -1.
    """

    size: str
    args: tuple[int, ...] = ()
    members: bool = False
    homes: list[int] = field(default_factory=list)
    sums: list[int] = field(default_factory=list)
    part: int = STEP
    level: int = 0
    row: int = -1


@dataclass(kw_only=True)
class Leaf(Item):
    """A value that exists before the step. view: where it is stored."""

    name: str
    view: View

    @property
    def is_state(self) -> bool:
        """Whether it is a state that an earlier step computed."""
        return self.name == "state"


@dataclass(kw_only=True)
class Pointwise(Item):
    """A pointwise op."""

    name: str


@dataclass(kw_only=True)
class MatrixProduct(Item):
    """start or bias + the sum of products. Term i is (weight, transposed), which multiplies args[i].

    start: the item to which the products are added, the last of args. bias: the weight whose bias is added.
    idle: whether it is left out at leaves; see `leaves.py`.
    """

    terms: tuple[tuple[str, bool], ...]
    start: int | None = None
    bias: str | None = None
    idle: bool = False


@dataclass(kw_only=True)
class Reduction(Item):
    """A reduction over the units of a row: "sum" or "highest"."""

    name: str


@dataclass(kw_only=True)
class Across(Item):
    """An op between a row and its members, or among members."""

    name: Structural


@dataclass(kw_only=True)
class Gone(Item):
    """The former place of an op that became part of another item."""
