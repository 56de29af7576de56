"""The grammar of plans. The native engine reads memory as a plan says, and relies on these rules.

Every index points to an entry of its list. A product writes whole buffers. Numbers and strips read only values that
exist by then. If one thread reads in a step what another thread writes, a segment that waits stands between the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from carousel.engines.native import plan as p
from carousel.engines.native import text
from carousel.engines.native.text import arity, view
from carousel.errors import CarouselError

# The layouts that strips may read and write directly. Other layouts need special instructions.
IN_PLACE = (p.PANEL, p.ROWS)
PARTIAL, TOTAL = zip(*p.REDUCTIONS.values(), strict=True)


def verify(plan: p.Plan) -> p.Plan:
    """Returns the plan. Raises CarouselError with its listing if it breaks a rule, which is a bug of the compiler."""
    if problem := next(_problems(plan), None):
        raise CarouselError(f"A plan for the native engine is wrong, which is a fault of Carousel: {problem}.\n{plan}")
    return plan


def _problems(plan: p.Plan) -> Iterator[str]:
    yield from _outside(plan)
    yield from _of_products(plan)
    yield from _of_bounds(plan)
    yield from _of_instructions(plan)
    yield from _of_waiting(plan)


def _outside(plan: p.Plan) -> Iterator[str]:
    """Reports indices that point to no entry of their list."""
    lengths = {
        p.LOCAL: plan.slots,
        p.BUFFER: len(plan.buffers),
        p.PREVIOUS: len(plan.carried),
        p.FORWARD_PREVIOUS: len(plan.forward_states),
        p.VECTOR: len(plan.vectors),
        p.CONSTANT: len(plan.constants),
        p.ROW: plan.numbers,
        p.COLUMN_SUMS: len(plan.column_sums),
        p.CHILD: len(plan.gathers),
    }
    for number, (kind, which, _) in enumerate(plan.views):
        if kind not in lengths or not 0 <= which < lengths[kind]:
            yield f"view {number} is of kind {kind}, entry {which}, which is not there"
        elif kind == p.FORWARD_PREVIOUS and plan.forward_states[which] < 0:
            yield f"view {number} is a forward state that was not kept"
        elif plan.views[number].of_row and ((buffer := _buffer(plan, number)) is None or buffer.members):
            yield f"view {number} is of kind {kind}, which is no row that members share"
    parameters, views, buffers, gates = len(plan.parameters), len(plan.views), len(plan.buffers), plan.gates
    vectors = (*plan.vectors, *plan.column_sums)
    columns: list[tuple[str, Sequence[int], int, int]] = [
        ("a parameter of a vector", [v.parameter for v in vectors], 0, parameters),
        ("a gate of a vector", [v.gate for v in vectors], -1, gates),
        ("a source of a term", [t.source for t in plan.terms], 0, views),
        ("a parameter of a term", [t.parameter for t in plan.terms], 0, parameters),
        ("a gate of a term", [t.gate for t in plan.terms], -1, gates),
        ("a place of a product", [t.dst for t in plan.products], 0, views),
        ("a bias of a product", [t.bias_parameter for t in plan.products], -1, parameters),
        ("a buffer of an input", [i.buffer for i in plan.inputs], 0, buffers),
        ("a gate of an input", [i.gate for i in plan.inputs], 0, gates),
        ("a bias of an input", [b for i in plan.inputs for b in (i.bias, i.recurrent_bias)], -1, parameters),
        ("a source of a gradient", [g.source for g in plan.weight_gradients], -1, views),
        ("a buffer of a gradient", [g.gradient for g in plan.weight_gradients], 0, buffers),
        ("a parameter of a gradient", [g.parameter for g in plan.weight_gradients], 0, parameters),
        ("a gate of a gradient", [g.gate for g in plan.weight_gradients], -1, gates),
        ("a bias of a gradient", [g.bias_parameter for g in plan.weight_gradients], -1, parameters),
        ("a carried buffer", plan.carried, 0, buffers),
        ("a buffer of a forward state", plan.forward_states, -1, buffers),
        ("the nodes of children", [g.nodes for g in (*plan.gathers, *plan.scatters)], 0, buffers),
        ("a panel of children", [g.panel for g in (*plan.gathers, *plan.scatters)], -1, buffers),
        ("a state of children", [g.state for g in (*plan.gathers, *plan.scatters)], 0, len(plan.state_sizes)),
        ("a view of an instruction", [v for i in plan.instructions for v in i[1:]], 0, views),
        (
            "a size",
            [*plan.state_sizes, *(b.size for b in plan.buffers), *(t.size for t in plan.products)],
            0,
            len(p.SIZES),
        ),
        ("a size of a vector", [v.size for v in vectors], 0, len(p.SIZES)),
        ("a parameter of a constant", [c.parameter for c in plan.constants], -1, parameters),
    ]
    for what, numbers, lowest, end in columns:
        for number in numbers:
            if not lowest <= number < end:
                yield f"{what} is {number}, outside {lowest} to {end - 1}"


def _of_products(plan: p.Plan) -> Iterator[str]:
    for number, product in enumerate(plan.products):
        if product.terms < 1 or not 0 <= product.first_term <= len(plan.terms) - product.terms:
            yield f"product {number} has terms {product.first_term} to {product.first_term + product.terms - 1}"
        for place in (product.dst, *(t.source for t in plan.terms_of(product))):
            buffer = _buffer(plan, place)
            if buffer is None or buffer.layout not in IN_PLACE:
                yield f"product {number} reads or writes {view(plan, place)}, which is no rows of units"
        made = _buffer(plan, product.dst)
        if made is not None and made.size != product.size:
            yield f"product {number} gives rows of another size than {view(plan, product.dst)} has"


def _of_bounds(plan: p.Plan) -> Iterator[str]:
    """Reports entries that the segments, taken in order, leave out or take twice."""
    product, instruction = 0, 0
    for number, s in enumerate(plan.segments):
        marks = s[s._fields.index("numbers") : s._fields.index("waits")]  # the begin and end of each list
        if s.products != product or s.products_end < product:
            yield f"segment {number} begins at product {s.products}, and the one before ended at {product}"
        if marks[0] != instruction or list(marks) != sorted(marks) or marks[1:-1:2] != marks[2::2]:
            yield f"segment {number} has instructions {marks}, and the one before ended at {instruction}"
        product, instruction = s.products_end, marks[-1]
    if (product, instruction) != (len(plan.products), len(plan.instructions)):
        yield "there are products or instructions in no segment"
    if plan.before < 0 or plan.after < 0 or plan.before + plan.after > len(plan.segments):
        yield f"{plan.before} segments before a chunk's steps and {plan.after} after them are more than there are"


def _of_instructions(plan: p.Plan) -> Iterator[str]:
    for s in plan.segments:
        yield from _of_listing(plan, s.numbers, s.numbers_end, None)
        for size, number in p.SIZES.items():
            yield from _of_listing(plan, getattr(s, size), getattr(s, f"{size}_end"), number)
        yield from _of_members(plan, s)


def _of_members(plan: p.Plan, s: p.Segment) -> Iterator[str]:
    """Reports a segment for rows that uses a buffer of their members, or the reverse. Only `p.ACROSS` leads over."""
    used = [
        (place, s.members)
        for t in plan.products[s.products : s.products_end]
        for place in (t.dst, *(f.source for f in plan.terms_of(t)))
    ]
    for number in range(s.numbers, s.single_end):
        op, dst, *arguments = plan.instructions[number]
        reads, gives = p.ACROSS.get(op, (s.members, s.members))  # type: ignore[call-overload]
        if op in p.GATHERS and plan.views[dst].of_row:
            reads = gives = s.members
        elif plan.views[dst].of_row:
            yield f"instruction {number} writes {view(plan, dst)}, which members share"
        used += [(dst, s.members), *((place, int(reads)) for place in arguments[: arity(op)])]
        if gives != s.members:
            yield f"instruction {number} leads from {'members' if s.members else 'rows'} to themselves"
    for place, members in used:
        buffer = _buffer(plan, place)
        if buffer is not None and (buffer.members or plan.views[place].of_row) != members:
            yield f"a segment for {'members' if s.members else 'rows'} uses {view(plan, place)} of the other kind"


def _of_listing(plan: p.Plan, begin: int, end: int, size: int | None) -> Iterator[str]:
    """Reports wrong instructions for rows of a size (None: for numbers per row), such as reads of unwritten scratch."""
    written: set[int] = set()
    for number in range(begin, end):
        op, dst, *arguments = plan.instructions[number]
        if not (0 <= op < len(p.POINTWISE) or op in text.STRUCTURAL):
            yield f"instruction {number} has op {op}, which is not there"
            continue
        for place in arguments[: arity(op)]:
            kind, which, _ = plan.views[place]
            if kind == p.LOCAL and which not in written:
                yield f"instruction {number} reads {view(plan, place)} before it is written"
            elif kind == p.COLUMN_SUMS:
                yield f"instruction {number} reads {view(plan, place)}"
            elif kind == p.ROW and size is not None and not _takes_number(op, place, arguments):
                yield f"instruction {number} reads {view(plan, place)}, a number per row among rows of units"
            elif problem := _unfit(plan, op, place, size):
                yield f"instruction {number} reads {view(plan, place)}, {problem}"
        kind, which, _ = plan.views[dst]
        if kind in (p.VECTOR, p.CONSTANT, p.PREVIOUS, p.FORWARD_PREVIOUS, p.CHILD) or (kind == p.COLUMN_SUMS) != (
            op == p.Structural.ADD_COLUMNS
        ):
            yield f"instruction {number} writes {view(plan, dst)}"
        elif problem := _unfit(plan, op, dst, size):
            yield f"instruction {number} writes {view(plan, dst)}, {problem}"
        if kind == p.LOCAL:
            written.add(which)


def _takes_number(op: int, place: int, arguments: list[int]) -> bool:
    """Whether strips may read a number per row there, which stands for all units."""
    if op in (p.Structural.EXPAND, p.Structural.AS_ROW):
        return True
    takes = [*(p.NUMBER_OF[name] for name in p.OF_NUMBER), p.Structural.TOTAL_PRODUCT]
    return op in takes and place == arguments[0] and place not in arguments[1 : arity(op)]


def _unfit(plan: p.Plan, op: int, place: int, size: int | None) -> str | None:
    """A phrase that says why an instruction for rows of this size may not use a view; None if it may."""
    buffer = _buffer(plan, place)
    kind, which, _ = plan.views[place]
    of_units = {p.VECTOR: plan.vectors, p.COLUMN_SUMS: plan.column_sums}.get(kind)
    if size is not None and of_units is not None and of_units[which].size != size:
        return "a vector of another size"
    if size is None and op == p.Structural.AS_MEMBERS and _is_units(buffer):
        return None
    if size is None and (kind in (p.LOCAL, p.VECTOR) or _is_units(buffer)):
        return "a row of units among numbers per row"
    if size is None or buffer is None:
        return None
    if not _is_units(buffer):
        return None if op in PARTIAL else "a number per row among rows of units"
    if buffer.layout == p.HALVES and op not in (p.Structural.LOAD_HALVES, p.Structural.STORE_HALVES):
        return "which is rounded to bfloat16"
    return None if buffer.size == size else "a row of another size"


def _of_waiting(plan: p.Plan) -> Iterator[str]:
    """Reports products and reductions that read a value which another thread may not have written yet.

    Within a step, threads may compute different units of a row, so that a product needs a waiting segment after the
    writes, in this step or the one before. A strip reads only values of its own thread. Before and after the steps of a
    chunk each thread has rows of its own.
    """
    fresh: set[p.View] = set()  # the buffers that threads have written since they last waited
    steps = range(plan.before, len(plan.segments) - plan.after)
    for number in (*steps, *steps):
        s = plan.segments[number]
        if number == plan.before:
            fresh = {p.View(p.PREVIOUS, which) for kind, which, _ in fresh if kind == p.BUFFER}
        if s.waits:
            fresh.clear()
        products = plan.products[s.products : s.products_end]
        read = [t.source for product in products for t in plan.terms_of(product)]
        read += [i.a for i in plan.instructions[s.numbers : s.numbers_end] if i.op in TOTAL]
        for place in read:
            kind, which, _ = plan.views[place]
            if p.View(kind, plan.carried[which] if kind == p.PREVIOUS else which) in fresh:
                yield f"segment {number} reads {view(plan, place)} without waiting for the threads that made it"
        made = plan.instructions[s.numbers : s.single_end]
        written = [product.dst for product in products] + [instruction.dst for instruction in made]
        fresh |= {plan.views[place] for place in written if plan.views[place].kind == p.BUFFER}


def _is_units(buffer: p.Buffer | None) -> bool:
    return buffer is not None and buffer.layout in (p.PANEL, p.ROWS, p.HALVES)


def _buffer(plan: p.Plan, place: int) -> p.Buffer | None:
    """The buffer of a view, or None."""
    kind, which, _ = plan.views[place]
    if kind in (p.PREVIOUS, p.FORWARD_PREVIOUS):
        which = (plan.carried if kind == p.PREVIOUS else plan.forward_states)[which]
    return plan.buffers[which] if kind in (p.BUFFER, p.PREVIOUS, p.FORWARD_PREVIOUS) else None
