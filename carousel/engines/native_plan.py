"""What a plan for the native engine is made of: the lists of native/plan.h, and the parameters that it reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from carousel.program import Program, naming, ops
from carousel.program.sharing import made_once

# The enumerations of native/plan.h, by the same names and in the same order.
LOCAL, BUFFER, PREVIOUS, FORWARD_PREVIOUS, VECTOR, CONSTANT, ROW, COLUMN_SUMS = range(8)
PANEL, ROWS, PARTIAL, NUMBER, HALVES = range(5)
ALWAYS, CHUNK, TWO = range(3)
WORKSPACE, SAVED, EXTERNAL = range(3)
SIZES = {"hidden": 0, "projection": 1}
(
    EXPAND, PARTIAL_SUM, TOTAL_SUM, ADD_COLUMNS, SAVE_NUMBER, LOAD_NUMBER,
    LOAD_ROWS, STORE_ROWS, LOAD_HALVES, STORE_HALVES,
) = range(1000, 1010)  # fmt: skip

# Pointwise ops, in the order of native/ops.h: the alphabet's, then the engine's own.
OWN = {"copy": 1, "mul_add": 3, "mul_sub": 3}
POINTWISE = [name for name, op in ops.TABLE.items() if op.kind in ("pointwise", "relation")] + list(OWN)
NUMBER_OF = {name: i for i, name in enumerate(POINTWISE)}


class View(NamedTuple):
    kind: int
    which: int


class Buffer(NamedTuple):
    layout: int
    size: int
    time: int
    place: int
    external: int = -1


class Instruction(NamedTuple):
    op: int
    dst: View
    a: View
    b: View
    c: View


@dataclass
class Plan:
    """The lists of `CarouselPlan` in native/plan.h; each entry is that struct's fields in order."""

    parameters: tuple[str, ...]
    views: list[View] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    constants: list[tuple[float, int]] = field(default_factory=list)
    vectors: list[tuple[int, int]] = field(default_factory=list)
    instructions: list[tuple[int, ...]] = field(default_factory=list)
    terms: list[tuple[int, ...]] = field(default_factory=list)
    products: list[tuple[int, ...]] = field(default_factory=list)
    segments: list[tuple[int, ...]] = field(default_factory=list)
    inputs: list[tuple[int, ...]] = field(default_factory=list)
    weight_gradients: list[tuple[int, ...]] = field(default_factory=list)
    carried: list[int] = field(default_factory=list)
    forward_states: list[int] = field(default_factory=list)
    state_sizes: list[int] = field(default_factory=list)
    column_sums: list[tuple[int, int]] = field(default_factory=list)
    slots: int = 0
    numbers: int = 0
    gates: int = 0
    before: int = 0
    after: int = 0

    def view(self, view: View) -> int:
        return place_in(self.views, view)


@made_once(1024)
def parameters_of(program: Program) -> tuple[str, ...]:
    """The names of the parameters that a program reads, weight_ih first; of them bias_ih may be absent."""
    found = [naming.W, naming.B] if program.gate_bias else [naming.W]
    for node in program.nodes:
        if node.op == "product":
            weight = program.weights[node.attr]
            found += [weight.parameter] if weight.bias is None else [weight.parameter, weight.bias]
        elif node.op == "vector":
            found.append(node.attr[0] if isinstance(node.attr, tuple) else node.attr)
    return tuple(dict.fromkeys(found))


@made_once(1024)
def parameter_shapes(program: Program, hidden: int, projection: int, input_size: int) -> tuple[tuple[int, ...], ...]:
    """The shapes of `parameters_of` a program."""
    shapes = program.parameter_shapes(hidden, projection, input_size)
    return tuple(shapes[name] for name in parameters_of(program))


def place_in(table: list[Any], row: Any) -> int:
    if row not in table:
        table.append(row)
    return table.index(row)
