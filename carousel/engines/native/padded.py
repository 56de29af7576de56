"""Native scans with room to spare, for compilers: they want shapes that no value decides, and lengths are values.

Behind the rows of all steps stand more rows, behind the steps steps of 0 rows, behind the sequences more sequences.
They are neither read nor run; all that comes out for them is zero.
"""

from __future__ import annotations

from itertools import starmap, zip_longest

from torch import Tensor

from carousel.engines.native import call
from carousel.engines.native.call import Inputs


def forward(given: Inputs, keep: bool) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """`call.forward`, of a scan with or without room to spare."""
    used = _used(given)
    x, states = given.x, given.states
    found: tuple[list[Tensor], list[Tensor], Tensor] | None = None
    if len(used.x):
        call.check(used, used.batch_sizes.tolist())  # a graph may come from a file
        found = call.forward(used, keep)
        if _is_all(used, given):
            return found
    of = call.sizes_of(given.program, x, given.parameters)
    width = call.saved_width(call.forward_plan(given.program, keep, of.direct, given.bfloat16), of)
    emitted, last, saved = found or ([], [], x[:0, 0])
    return (
        list(starmap(_with_zeros, zip_longest(call.empty_emitted(x, of), emitted))),
        list(starmap(_with_zeros, zip_longest([s.new_empty(s.shape) for s in states], last))),
        _with_zeros(x.new_empty(x.shape[0] * width), saved),
    )


def backward(
    given: Inputs,
    outputs: Tensor,
    saved: Tensor,
    grad_emitted: list[Tensor],
    grad_last: list[Tensor],
    wanted: list[bool],
) -> list[Tensor | None]:
    """`call.backward`, of a scan with or without room to spare."""
    used = _used(given)
    rows, sequences = len(used.x), len(used.states[0])
    found: list[Tensor | None] = [None] * len(wanted)
    if rows:
        call.check(used, used.batch_sizes.tolist())  # a graph may come from a file
        kept = saved[: rows * (len(saved) // len(given.x))]
        gradients = [g[:rows] for g in grad_emitted], [g[:sequences] for g in grad_last]
        found = call.backward(used, outputs[:rows], kept, *gradients, wanted)
        if _is_all(used, given):
            return found
    return [
        _with_zeros(t.new_empty(t.shape), part) if want else None
        for t, part, want in zip(given.tensors, found, wanted, strict=True)
    ]


def _used(given: Inputs) -> Inputs:
    """Without the room to spare."""
    sizes = given.batch_sizes[given.batch_sizes > 0]
    rows, sequences = int(sizes.sum()), int(given.batch_sizes[0])
    return given._replace(
        x=given.x[:rows],
        states=[s[:sequences] for s in given.states],
        streams=[s[:rows] for s in given.streams],
        batch_sizes=sizes,
    )


def _is_all(used: Inputs, given: Inputs) -> bool:
    return len(used.x) == len(given.x) and len(used.states[0]) == len(given.states[0])


def _with_zeros(whole: Tensor, part: Tensor | None) -> Tensor:
    """The part, and behind it zeros."""
    count = 0 if part is None else len(part)
    if part is not None:
        whole[:count] = part
    whole[count:] = 0
    return whole
