"""Native scans with room to spare, for compilers: they want shapes that no value decides, and lengths are values.

Behind the rows of all steps stand more rows, behind the steps steps of 0 rows, behind the sequences more sequences.
They are neither read nor run; all that comes out for them is zero.
"""

from __future__ import annotations

from itertools import starmap, zip_longest

from torch import Tensor

from carousel.engines import native_call as call
from carousel.program import Program


def forward(
    x: Tensor,
    states: list[Tensor],
    parameters: list[Tensor],
    streams: list[Tensor],
    batch_sizes: Tensor,
    program: Program,
    reverse: bool,
    bfloat16: bool,
    keep: bool,
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """`native_call.forward`, of a scan with or without room to spare."""
    sizes, rows, sequences = _used(batch_sizes)
    some = x[:rows], [s[:sequences] for s in states], parameters, [s[:rows] for s in streams]
    found: tuple[list[Tensor], list[Tensor], Tensor] | None = None
    if rows:
        call.check(program, some[0], sizes.tolist(), *some[1:])  # a graph may come from a file
        found = call.forward(*some, sizes, program, reverse, bfloat16, keep)
        if (rows, sequences) == (x.shape[0], states[0].shape[0]):
            return found
    of = call.sizes_of(program, x, parameters)
    width = call.saved_width(call.forward_plan(program, keep, of.direct, bfloat16), of)
    emitted, last, saved = found or ([], [], x[:0, 0])
    return (
        list(starmap(_with_zeros, zip_longest(call.empty_emitted(x, of), emitted))),
        list(starmap(_with_zeros, zip_longest([s.new_empty(s.shape) for s in states], last))),
        _with_zeros(x.new_empty(x.shape[0] * width), saved),
    )


def backward(
    grad_emitted: list[Tensor],
    grad_last: list[Tensor],
    x: Tensor,
    outputs: Tensor,
    saved: Tensor,
    states: list[Tensor],
    parameters: list[Tensor],
    streams: list[Tensor],
    batch_sizes: Tensor,
    program: Program,
    reverse: bool,
    bfloat16: bool,
    wanted: list[bool],
) -> list[Tensor | None]:
    """`native_call.backward`, of a scan with or without room to spare."""
    sizes, rows, sequences = _used(batch_sizes)
    found: list[Tensor | None] = [None] * len(wanted)
    if rows:
        found = call.backward(
            [g[:rows] for g in grad_emitted],
            [g[:sequences] for g in grad_last],
            x[:rows],
            outputs[:rows],
            saved[: rows * (len(saved) // len(x))],
            [s[:sequences] for s in states],
            parameters,
            [s[:rows] for s in streams],
            sizes,
            program,
            reverse,
            bfloat16,
            wanted,
        )
        if (rows, sequences) == (x.shape[0], states[0].shape[0]):
            return found
    whole = (x, *states, *parameters, *streams)
    return [
        _with_zeros(t.new_empty(t.shape), part) if want else None
        for t, part, want in zip(whole, found, wanted, strict=True)
    ]


def _used(batch_sizes: Tensor) -> tuple[Tensor, int, int]:
    """The sizes of steps that have rows, and how many rows and sequences there are."""
    sizes = batch_sizes[batch_sizes > 0]
    return sizes, int(sizes.sum()), int(batch_sizes[0])


def _with_zeros(whole: Tensor, part: Tensor | None) -> Tensor:
    """The part, and behind it zeros."""
    count = 0 if part is None else len(part)
    if part is not None:
        whole[:count] = part
    whole[count:] = 0
    return whole
