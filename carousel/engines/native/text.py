"""A plan as text: the work of the native engine in one step, line by line.

b7: panel of hidden, one chunk, workspace    a buffer: its layout, units, lifetime and kind of memory
segment 0 of the step, waits                 threads wait for one another before it
  b7 += weight_hh[1] @ b6'                   a product, added to the buffer's content; b6': b6 of the step before
  hidden:                                    strips over all units of that size
    s0 = sigmoid b7                          s0: scratch; n0: one number per row
    s1 = mul s0 row b9                       of members: b9 of the row whose members they are
"""

from __future__ import annotations

from collections.abc import Iterator

from carousel.engines.native import plan as p
from carousel.program import ops

LAYOUTS = ("panel", "rows", "partial sums", "numbers", "bfloat16 panel")
TIMES = ("all steps", "one chunk", "two steps")
PLACES = ("workspace", "saved", "given")
SIZES = tuple(p.SIZES)
STRUCTURAL: dict[int, str] = {op: op.name.lower().removesuffix("_number") for op in p.Structural}


def text_of(plan: p.Plan) -> str:
    """The whole text of a plan."""
    return "\n".join(_lines(plan))


def view(plan: p.Plan, index: int) -> str:
    """The short name of a view, with a question mark if a wrong plan lacks the view."""
    try:
        kind, which, of_row = plan.views[index]
        return "row " * of_row + _view(plan, kind, which)
    except IndexError:
        return f"view {index}?"


def _view(plan: p.Plan, kind: int, which: int) -> str:
    match kind:
        case p.LOCAL:
            return f"s{which}"
        case p.BUFFER:
            return f"b{which}"
        case p.PREVIOUS:
            return f"b{plan.carried[which]}'"
        case p.FORWARD_PREVIOUS:
            return f"b{plan.forward_states[which]}'"
        case p.VECTOR:
            return _part(plan, *plan.vectors[which][:2])
        case p.CONSTANT:
            value, per, parameter = plan.constants[which]
            if parameter >= 0:
                return _part(plan, parameter, -1)
            return f"{value:g}" if per < 0 else f"1/{SIZES[per]}"
        case p.ROW:
            return f"n{which}"
        case p.CHILD:
            return f"b{plan.gathers[which].nodes} of {_child(plan.gathers[which])}"
    return f"sums of {_part(plan, *plan.column_sums[which][:2])}"


def arity(op: int) -> int:
    """The number of arguments of an instruction."""
    if op >= len(p.POINTWISE):
        return 2 if op in (p.Structural.PARTIAL_DOT, p.Structural.TOTAL_PRODUCT) else 1
    name = p.POINTWISE[op]
    return p.OWN[name] if name in p.OWN else ops.TABLE[name].arity


def _lines(plan: p.Plan) -> Iterator[str]:
    for number, buffer in enumerate(plan.buffers):
        what = f"{LAYOUTS[buffer.layout]} of {SIZES[buffer.size]}" if buffer.layout != p.NUMBER else "numbers"
        what += " of members" * buffer.members
        where = PLACES[buffer.place] + (f" {buffer.external}" if buffer.place == p.EXTERNAL else "")
        yield f"b{number}: {what}, {TIMES[buffer.time]}, {where}"
    for given in plan.inputs:
        yield _input(plan, given)
    for gather in plan.gathers:
        if gather.panel >= 0:
            yield f"before the step b{gather.panel} = b{gather.nodes} of {_child(gather)}"
    for number, segment in enumerate(plan.segments):
        yield from _segment(plan, number, segment)
    for scatter in plan.scatters:
        yield f"after the step b{scatter.nodes} of {_child(scatter)} += b{scatter.panel}"
    for gradient in plan.weight_gradients:
        source = "x" if gradient.source < 0 else view(plan, gradient.source)
        bias = "" if gradient.bias_parameter < 0 else f", {_part(plan, gradient.bias_parameter, gradient.gate)}"
        weight = _part(plan, gradient.parameter, gradient.gate)
        yield f"gradient of {weight}{bias}: b{gradient.gradient}ᵀ @ {source}" + ", leaves idle" * gradient.idle


def _child(gather: p.Gather) -> str:
    return "all children" if gather.slot < 0 else f"child {gather.slot}"


def _input(plan: p.Plan, given: p.Input) -> str:
    if plan.weight_gradients:  # a plan of backward: these are gradients of input parts
        return f"gradient of gate {given.gate}: b{given.buffer}"
    biases = [_part(plan, given.bias, given.gate)] if given.bias >= 0 else []
    biases += [_part(plan, given.recurrent_bias, given.recurrent_gate)] if given.recurrent_bias >= 0 else []
    return " + ".join([f"b{given.buffer} = {plan.parameters[0]}[{given.gate}] @ x", *biases])


def _segment(plan: p.Plan, number: int, segment: p.Segment) -> Iterator[str]:
    when = "of the step"
    if number < plan.before:
        when = "before a chunk's steps"
    elif number >= len(plan.segments) - plan.after:
        when = "after a chunk's steps"
    yield f"segment {number} {when}" + ", of members" * segment.members + ", waits" * segment.waits
    for product in plan.products[segment.products : segment.products_end]:
        terms = plan.terms_of(product)
        factors = [f"{_part(plan, t.parameter, t.gate)}{'ᵀ' * t.transposed} @ {view(plan, t.source)}" for t in terms]
        if product.bias_parameter >= 0:
            factors.append(_part(plan, product.bias_parameter, product.bias_gate))
        made = f"  {view(plan, product.dst)} {'+=' if product.accumulate else '='} {' + '.join(factors)}"
        yield made + ", leaves idle" * product.idle
    for label, begin, end in (
        ("numbers", segment.numbers, segment.numbers_end),
        *((size, getattr(segment, size), getattr(segment, f"{size}_end")) for size in SIZES),
    ):
        if begin < end:
            yield f"  {label}:"
        for op, dst, *arguments in plan.instructions[begin:end]:
            name = p.POINTWISE[op] if op < len(p.POINTWISE) else STRUCTURAL.get(op, f"op {op}?")
            read = " ".join(view(plan, argument) for argument in arguments[: arity(op)])
            yield f"    {view(plan, dst)} {'+=' if op == p.Structural.ADD_COLUMNS else '='} {name} {read}"


def _part(plan: p.Plan, parameter: int, gate: int) -> str:
    name = plan.parameters[parameter] if parameter < len(plan.parameters) else f"parameter {parameter}?"
    return name + ("" if gate < 0 else f"[{gate}]")
