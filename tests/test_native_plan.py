"""Plans of the native engine: one description on both sides of the border, a grammar, and a text that can be read."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from matrix import FIRST, TRACED, TREE_CELLS

import carousel
from carousel.engines.keeping import kept as kept_by
from carousel.engines.native import backward as native_backward
from carousel.engines.native import binding as native_binding
from carousel.engines.native import forward as native_forward
from carousel.engines.native import plan as native_plan
from carousel.engines.native import verify as native_verify
from carousel.engines.native.leaves import idle
from carousel.engines.native.plan import Plan, Vector, View
from carousel.errors import CarouselError
from carousel.program import differentiate, ops, trace

HEADER = Path(carousel.__file__).parent / "native" / "plan.h"
GOLDEN = Path(__file__).parent / "plans"
CELLS = FIRST | TRACED | TREE_CELLS
WRITTEN = [*FIRST, *TRACED, "tree-lstm", "child-sum-tree-lstm"]  # whose plans are kept as texts
BLOCKS = {"whole blocks": frozenset(native_plan.SIZES), "odd sizes": frozenset()}

# -- the border -------------------------------------------------------------------------------------------------


def header() -> str:
    return re.sub(r"//[^\n]*", "", HEADER.read_text(encoding="utf-8"))


def fields(struct: str) -> list[str]:
    body = re.search(rf"struct Carousel{struct} \{{(.*?)\}};", header(), re.DOTALL)[1]
    body = re.sub(r"CAROUSEL_LIST\(\w+, (\w+)\)", r"int64_t \1_count, \1", body)
    return [re.findall(r"\w+", one)[-1] for line in body.split(";") if line.strip() for one in line.split(",")]


ENUMS = {
    name: re.findall(r"(\w+)(?: = \d+)?\s*(?:,|$)", body.strip())
    for name, body in re.findall(r"enum (\w+) : int32_t \{(.*?)\}", header(), re.DOTALL)
}


@pytest.mark.parametrize("enum", ENUMS)
def test_enumerators_have_the_numbers_of_the_header(enum):
    first = 1000 if enum == "CarouselStructural" else 0
    sizes = {name.upper(): number for name, number in native_plan.SIZES.items()}
    here = vars(native_plan) | native_plan.Structural.__members__ | sizes
    assert [here[name] for name in ENUMS[enum]] == list(range(first, first + len(ENUMS[enum])))


@pytest.mark.parametrize("name", [name for name, op in ops.TABLE.items() if op.kind == "reduction"])
def test_a_reduction_has_its_two_instructions(name):
    of_blocks, of_parts = f"PARTIAL_{name.upper()}", f"TOTAL_{name.upper()}"
    for what in (of_blocks, of_parts):
        assert what in ENUMS["CarouselStructural"], f"native/plan.h lacks {what}, for the reduction {name}"
        assert what in native_plan.Structural.__members__, f"Structural of engines/native/plan.py lacks {what}"
    assert native_plan.REDUCTIONS[name] == tuple(native_plan.Structural[what] for what in (of_blocks, of_parts))


@pytest.mark.parametrize("struct", ["Plan", "Scan", "Constant"])
def test_structures_have_the_fields_of_the_header(struct):
    mirror = {
        "Plan": native_binding.CPlan,
        "Scan": native_binding.CScan,
        "Constant": native_binding._Constant,
    }[struct]
    assert fields(struct) == [name for name, *_ in mirror._fields_]


ENTRIES = sorted({entry.__name__ for entry in native_binding.LISTS.values() if entry is not int} - {"Constant"})


@pytest.mark.parametrize("entry", ENTRIES)
def test_entries_have_the_fields_of_the_header_in_order(entry):
    assert list(getattr(native_plan, entry)._fields) == fields(entry)


def test_lists_have_the_entries_of_the_header():
    lists = re.findall(r"CAROUSEL_LIST\((\w+), (\w+)\);", header())
    here = [
        ("int32_t" if entry is int else f"Carousel{entry.__name__}", name)
        for name, entry in native_binding.LISTS.items()
    ]
    assert here == lists


# -- the grammar ------------------------------------------------------------------------------------------------


def plans_of(cell, direct=BLOCKS["whole blocks"], halves=False, *, streams=False) -> dict[str, Plan]:
    program = trace(cell)
    derivative = differentiate(program)
    keep = kept_by(program, derivative)
    unneeded = None if program.children is None else idle(program, derivative)
    return {
        "forward": native_forward.lower_forward(program, keep, direct, halves, unneeded),
        "inference": native_forward.lower_forward(program, None, direct, halves, unneeded),
        "backward": native_backward.lower_backward(program, derivative, keep, direct, streams, halves, unneeded),
    }


@pytest.mark.parametrize("halves", [False, True], ids=["float", "bfloat16"])
@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("name", CELLS)
def test_every_plan_keeps_the_grammar(name, blocks, halves):
    for plan in plans_of(CELLS[name], BLOCKS[blocks], halves).values():
        assert native_verify.verify(plan) is plan
        assert str(plan).count("\nsegment ") + str(plan).startswith("segment ") == len(plan.segments)


def replaced(entries, index, **fields):
    return [entry._replace(**fields) if i == index else entry for i, entry in enumerate(entries)]


ENDS = [f"{size}{mark}" for size in native_plan.SIZES if size != "hidden" for mark in ("", "_end")]


def broken_plans():
    """A plan broken in one place, and what is said of it. The LSTM's: one segment, four products, eight strips."""
    yield "a parameter", {"vectors": lambda plan: [Vector(99)]}, "a parameter of a vector is 99, outside 0 to 3"
    yield "a view", {"views": lambda plan: [*plan.views, View(native_plan.BUFFER, 99)]}, "entry 99, which is not there"
    yield "no terms", {"products": lambda plan: replaced(plan.products, 0, terms=0)}, "product 0 has terms 0 to -1"
    yield "a size", {"products": lambda plan: replaced(plan.products, 0, size=1)}, "gives rows of another size"
    yield (
        "a product left out",
        {"segments": lambda plan: replaced(plan.segments, 0, products=1)},
        "begins at product 1, and the one before ended at 0",
    )
    yield (
        "an instruction left out",
        {"segments": lambda plan: [plan.segments[0]._replace(hidden_end=7, **dict.fromkeys(ENDS, 7))]},
        "there are products or instructions in no segment",
    )
    yield (
        "threads that do not meet",
        {"segments": lambda plan: replaced(plan.segments, 0, waits=0)},
        "without waiting for the threads that made it",
    )
    yield "an op", {"instructions": lambda plan: replaced(plan.instructions, 0, op=999)}, "has op 999"
    yield (
        "scratch that nobody wrote",
        {"instructions": lambda plan: [plan.instructions[4], *plan.instructions[:4], *plan.instructions[5:]]},
        "before it is written",
    )
    yield (
        "a constant that is written",
        {
            "constants": lambda plan: [native_plan.Constant(1.0)],
            "views": lambda plan: [*plan.views, View(native_plan.CONSTANT, 0)],
            "instructions": lambda plan: replaced(plan.instructions, 0, dst=len(plan.views)),
        },
        "instruction 0 writes 1",
    )
    yield (
        "units among numbers",
        {"segments": lambda plan: replaced(plan.segments, 0, numbers_end=1, hidden=1)},
        "a row of units among numbers per row",
    )
    yield (
        "a number where strips read a row",
        {
            "numbers": lambda plan: 1,
            "views": lambda plan: [*plan.views, View(native_plan.ROW, 0)],
            "instructions": lambda plan: replaced(plan.instructions, 0, a=len(plan.views)),
        },
        "a number per row among rows of units",
    )
    yield (
        "scratch as a row that members share",
        {"views": lambda plan: [*plan.views, View(native_plan.LOCAL, 0, of_row=1)]},
        "which is no row that members share",
    )
    yield (
        "a row of members among rows",
        {"views": lambda plan: [View(k, w, of_row=int(k == native_plan.PREVIOUS)) for k, w, _ in plan.views]},
        "of the other kind",
    )
    yield (
        "a projection's strips",
        {"segments": lambda plan: replaced(plan.segments, 0, hidden_end=0, projection=0)},
        "a row of another size",
    )


@pytest.mark.parametrize("what", [what for what, *_ in broken_plans()])
def test_a_broken_plan_is_refused_with_its_listing(what):
    plan = plans_of(carousel.cells.find("lstm"))["forward"]
    changes, words = next((changes, words) for name, changes, words in broken_plans() if name == what)
    for name, change in [(name, change(plan)) for name, change in changes.items()]:
        setattr(plan, name, change)
    with pytest.raises(CarouselError, match=re.escape(words)) as refused:
        native_verify.verify(plan)
    assert "fault of Carousel" in str(refused.value)


# -- the text ---------------------------------------------------------------------------------------------------


def golden_text(name: str) -> str:
    plans = plans_of(CELLS[name])
    return f"# forward\n{plans['forward']}\n\n# backward\n{plans['backward']}\n"


@pytest.mark.parametrize("name", WRITTEN)
def test_plans_are_as_they_were(name):
    """A change of the compiler shows here, as a difference of texts. CAROUSEL_WRITE_PLANS=1 writes them anew."""
    file = GOLDEN / (re.sub(r"\W+", "-", name).strip("-") + ".txt")
    if os.environ.get("CAROUSEL_WRITE_PLANS") == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text(golden_text(name), encoding="utf-8")
    assert golden_text(name) == file.read_text(encoding="utf-8")


def test_a_layer_lists_its_plans():
    layer = carousel.LSTM(3, 4)
    listing = layer.explain(plan=True)
    if isinstance(native_binding.find(), str):
        assert "runs the program as it stands" in listing
    else:
        assert "forward:\nb0: panel of hidden, all steps, saved" in listing
        assert "gradient of weight_hh[3], bias_hh[3]" in listing
    reference = carousel.LSTM(3, 4, engine="reference").explain(plan=True)
    assert reference.endswith("the reference engine runs the program as it stands: print(layer.program)")
    assert "b0" not in layer.explain()


def test_a_plan_without_gradients_keeps_nothing():
    plans = plans_of(carousel.cells.find("lstm"))
    assert not any(buffer.place == native_plan.SAVED for buffer in plans["inference"].buffers)
    assert sum(buffer.place == native_plan.SAVED for buffer in plans["forward"].buffers) == 6
