"""The entries of a plan for the native engine: the structures of native/plan.h in Python."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from carousel.program import ops

# The enumerations of native/plan.h, with the same names in the same order.
LOCAL, BUFFER, PREVIOUS, FORWARD_PREVIOUS, VECTOR, CONSTANT, ROW, COLUMN_SUMS, CHILD = range(9)
PANEL, ROWS, PARTIAL, NUMBER, HALVES = range(5)
ALWAYS, CHUNK, TWO = range(3)
WORKSPACE, SAVED, EXTERNAL = range(3)
# The sizes of rows of units; the last is that of single numbers, where a row of one unit stands for one.
SIZES = {"hidden": 0, "projection": 1, "further": 2, "single": 3}


class Structural(IntEnum):
    """The instructions that are no pointwise ops. A reduction over units has two: one for the units of a block, and one
    for the results of all blocks."""

    EXPAND = 1000
    PARTIAL_SUM = 1001
    TOTAL_SUM = 1002
    ADD_COLUMNS = 1003
    SAVE_NUMBER = 1004
    LOAD_NUMBER = 1005
    LOAD_ROWS = 1006
    STORE_ROWS = 1007
    LOAD_HALVES = 1008
    STORE_HALVES = 1009
    PARTIAL_HIGHEST = 1010
    TOTAL_HIGHEST = 1011
    SPREAD = 1012
    TOTAL = 1013
    GREATEST = 1014
    ROLL = 1015
    ROLL_BACK = 1016
    TRANSPOSE = 1017
    AS_ROW = 1018
    AS_MEMBERS = 1019
    PARTIAL_DOT = 1020
    TOTAL_PRODUCT = 1021


# Pointwise ops in the order of native/ops.h: first those of the alphabet, then those of the engine alone.
OWN = {"copy": 1, "mul_add": 3, "mul_sub": 3}
POINTWISE = [name for name, op in ops.TABLE.items() if op.kind in ("pointwise", "relation")] + list(OWN)
REDUCTIONS = {
    name: (Structural[f"PARTIAL_{name.upper()}"], Structural[f"TOTAL_{name.upper()}"])
    for name, op in ops.TABLE.items()
    if op.kind == "reduction" and f"TOTAL_{name.upper()}" in Structural.__members__
}
REDUCTIONS["dot"] = Structural.PARTIAL_DOT, Structural.TOTAL_SUM  # the engine's own: a sum of products
# Those between a row and its members, and among members: whether they read members, and whether they give members.
ACROSS = {
    Structural.SPREAD: (False, True),
    Structural.TOTAL: (True, False),
    Structural.GREATEST: (True, False),
    Structural.ROLL: (True, True),
    Structural.ROLL_BACK: (True, True),
    Structural.TRANSPOSE: (True, True),
    Structural.AS_ROW: (True, False),
    Structural.AS_MEMBERS: (False, True),
}
# The ops whose first operand may be a number per row in strips, and what each is with its first two operands exchanged.
OF_NUMBER = {name: name for name in ("add", "mul", "mul_add", "mul_sub", "eq", "ne")}
OF_NUMBER |= {"sub": "", "lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}
# Those that make a row in strips of its members.
GATHERS = (Structural.TOTAL, Structural.GREATEST, Structural.TOTAL_PRODUCT)
NUMBER_OF = {name: i for i, name in enumerate(POINTWISE)}


# The entries of a plan. Each has the fields of the struct of the same name in native/plan.h; a test compares them.


class View(NamedTuple):
    """The place where an instruction reads or writes a value. of_row: whether it is a row that its members share."""

    kind: int
    which: int
    of_row: int = 0


class Buffer(NamedTuple):
    layout: int
    size: int
    time: int
    place: int
    external: int = -1
    members: int = 0


class Constant(NamedTuple):
    """A number; or 1 / units, with the units of the size `per`; or the one number of a parameter."""

    value: float
    per: int = -1
    parameter: int = -1


class Vector(NamedTuple):
    """A learned vector: a parameter, or the block of it that belongs to a gate."""

    parameter: int
    gate: int = -1
    size: int = SIZES["hidden"]


class Instruction(NamedTuple):
    """dst = op(a, b, c). Each of the four is an index of the plan's views."""

    op: int
    dst: int
    a: int
    b: int
    c: int


class Term(NamedTuple):
    """One term of a product: the rows of a view, times a block of a parameter or its transpose."""

    source: int
    source_size: int
    parameter: int
    gate: int
    transposed: int


class Product(NamedTuple):
    """dst = bias + the sum of the terms, or dst += the same."""

    dst: int
    size: int
    accumulate: int
    bias_parameter: int
    bias_gate: int
    first_term: int
    terms: int
    idle: int = 0


class Segment(NamedTuple):
    """A section of a step: products, then numbers per row, then strips. Each is a range (begin, end) of its list."""

    products: int
    products_end: int
    numbers: int
    numbers_end: int
    hidden: int
    hidden_end: int
    projection: int
    projection_end: int
    further: int
    further_end: int
    single: int
    single_end: int
    waits: int
    members: int = 0


class Input(NamedTuple):
    """The buffer of a gate's input part, or of its gradient, and the biases that are added to it at its start."""

    buffer: int
    gate: int
    bias: int = -1
    recurrent_bias: int = -1
    recurrent_gate: int = -1
    idle: int = 0


class WeightGradient(NamedTuple):
    """The gradient of a matrix: the sum over rows of (gradient)(source)ᵀ. source: a view, or -1 for the input."""

    source: int
    source_size: int
    gradient: int
    size: int
    parameter: int
    gate: int
    bias_parameter: int
    idle: int = 0


class Gather(NamedTuple):
    """The states of children: those of all nodes in one buffer, and those of a step's children in another, a panel.

    slot: the number of the child; -1 for all members of a row.
    """

    state: int
    slot: int
    nodes: int
    panel: int


@dataclass
class Plan:
    """One step in the form that the native engine interprets: the lists and numbers of `CarouselPlan` in native/plan.h.

    `print(plan)` shows it (`text.py`). `verify.py` states the rules that it must keep.
    """

    parameters: tuple[str, ...]
    views: list[View] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    vectors: list[Vector] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    weight_gradients: list[WeightGradient] = field(default_factory=list)
    carried: list[int] = field(default_factory=list)
    forward_states: list[int] = field(default_factory=list)
    state_sizes: list[int] = field(default_factory=list)
    column_sums: list[Vector] = field(default_factory=list)
    gathers: list[Gather] = field(default_factory=list)
    scatters: list[Gather] = field(default_factory=list)
    slots: int = 0
    numbers: int = 0
    gates: int = 0
    before: int = 0
    after: int = 0

    def view(self, view: View) -> int:
        return place_in(self.views, view)

    def terms_of(self, product: Product) -> list[Term]:
        return self.terms[product.first_term : product.first_term + product.terms]

    def __str__(self) -> str:
        from carousel.engines.native.text import text_of  # a late import: text.py imports this file

        return text_of(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"  # in a notebook


def place_in(table: list[Any], row: Any) -> int:
    if row not in table:
        table.append(row)
    return table.index(row)
