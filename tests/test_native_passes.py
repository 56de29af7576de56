"""Each pass of the native compiler on a few items written by hand, and the check that follows it."""

from __future__ import annotations

import pytest

import carousel
from carousel.engines.native import homes, passes
from carousel.engines.native.item import AFTER, BEFORE, STEP, Gone, Pointwise
from carousel.engines.native.items import Items
from carousel.engines.native.plan import BUFFER, CHUNK, PANEL, PREVIOUS, TWO, WORKSPACE, View
from carousel.program import trace

PROGRAM = trace(carousel.cells.find("lstm"))
WEIGHT = next(iter(PROGRAM.weights))


@pytest.fixture
def items() -> Items:
    """Of a step with one state, which is carried in buffer 0."""
    made = Items(PROGRAM, frozenset({"hidden"}))
    made.plan.carried = [made.buffer(PANEL, "hidden", TWO, WORKSPACE)]
    return made


def state(items: Items) -> int:
    return items.leaf("state", View(PREVIOUS, 0), "hidden")


def given(items: Items) -> int:
    """Rows that are there from the start."""
    return items.leaf("rows", View(BUFFER, items.buffer(PANEL, "hidden", CHUNK, WORKSPACE)), "hidden")


def test_a_sum_that_reads_no_state_is_made_before_the_steps(items):
    early = items.reduction("sum", items.op("mul", "hidden", given(items), given(items)))
    late = items.op("add", "hidden", early, state(items))
    items[late].homes.append(0)
    passes.divide(items)
    assert [items[i].part for i in (early, *items[early].args, late)] == [BEFORE, BEFORE, STEP]


def test_a_sum_that_no_state_reads_is_made_after_the_steps(items):
    new = items.op("tanh", "hidden", state(items))
    items[new].homes.append(0)
    square = items.op("mul", "hidden", new, given(items))
    kept = items.reduction("sum", square)
    passes.divide(items)
    assert [items[i].part for i in (new, square, kept)] == [STEP, AFTER, AFTER]


def test_ops_alone_stay_in_the_step(items):
    early = items.op("tanh", "hidden", given(items))
    items[items.op("add", "hidden", early, state(items))].homes.append(0)
    passes.divide(items)
    assert items[early].part == STEP


@pytest.mark.parametrize(
    ("name", "place", "fused"), [("add", 0, "mul_add"), ("add", 1, "mul_add"), ("sub", 1, "mul_sub"), ("sub", 0, None)]
)
def test_a_product_of_units_goes_up_in_a_sum(items, name, place, fused):
    a, b, c = state(items), given(items), given(items)
    product = items.op("mul", "hidden", a, b)
    total = items.op(name, "hidden", *((product, c) if place == 0 else (c, product)))
    passes.fuse(items)
    found = items[total]
    assert isinstance(found, Pointwise)
    assert found.name == (fused or name)
    assert isinstance(items[product], Gone) == (fused is not None)
    if fused:
        assert found.args == (a, b, c)


@pytest.mark.parametrize("why", ["read twice", "kept"])
def test_what_others_need_does_not_go_up(items, why):
    product = items.op("mul", "hidden", state(items), given(items))
    total = items.op("add", "hidden", product, given(items))
    if why == "read twice":
        items.op("tanh", "hidden", product)
    else:
        items[product].homes.append(0)
    passes.fuse(items)
    assert items[total].args[0] == product


def test_levels_count_products_and_sums_on_the_way(items):
    first = items.op("tanh", "hidden", state(items))
    product = items.product("hidden", [(first, WEIGHT, False)], None, None)
    second = items.op("tanh", "hidden", product)
    total = items.reduction("sum", second)
    third = items.op("mul", "hidden", total, second)
    passes.level(items)
    assert [items[i].level for i in (first, product, second, total, third)] == [0, 1, 1, 2, 2]


def test_an_op_sinks_to_the_segment_that_needs_it(items):
    early = items.op("tanh", "hidden", given(items))
    product = items.product("hidden", [(state(items), WEIGHT, False)], None, None)
    again = items.product("hidden", [(product, WEIGHT, False)], None, None)
    items.op("add", "hidden", again, early)
    passes.level(items)
    assert items[early].level == 0
    passes.sink(items)
    assert items[early].level == items[again].level == 1


def test_a_product_and_its_start_share_a_buffer(items):
    start = items.op("tanh", "hidden", given(items))
    product = items.product("hidden", [(state(items), WEIGHT, False)], start, None)
    passes.level(items)
    homes.share_starts(items)
    assert items[start].homes == items[product].homes
    assert items.plan.buffers[items[product].homes[0]].time == TWO


def test_only_what_crosses_segments_has_a_buffer(items):
    here = items.op("tanh", "hidden", state(items))
    items.op("neg", "hidden", here)
    there = items.op("tanh", "hidden", given(items))
    product = items.product("hidden", [(there, WEIGHT, False)], None, None)
    passes.level(items)
    homes.give_homes(items)
    assert not items[here].homes
    assert items[there].homes
    assert items[product].homes


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda items, product, op: setattr(items[product], "args", (op,)), "reads an item that comes later"),
        (lambda items, product, op: items.list.__setitem__(product, Gone(size="hidden")), "reads an item that is gone"),
        (lambda items, product, op: items[op].homes.append(99), "has no such home"),
        (lambda items, product, op: setattr(items[product], "part", AFTER), "in an earlier part than what it reads"),
        (lambda items, product, op: setattr(items[product], "terms", ()), "has other args than terms"),
        (lambda items, product, op: setattr(items[op], "level", 0), "comes before the segment that makes"),
    ],
)
def test_the_check_finds_what_a_pass_broke(items, spoil, words):
    product = items.product("hidden", [(items.op("tanh", "hidden", state(items)), WEIGHT, False)], None, None)
    op = items.op("tanh", "hidden", product)
    passes.level(items)
    passes.check(items, "level")
    spoil(items, product, op)
    with pytest.raises(AssertionError, match=words):
        passes.check(items, "level")
