"""Scans with room to spare, for compilers: they want shapes that no value decides, and lengths are values.

Behind the rows of all steps stand more rows, behind the steps steps of 0 rows, behind the sequences more sequences.
They are neither read nor run; all that comes out for them is zero. The runner (`call.Runner`) sees none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap, zip_longest

from torch import Tensor

from carousel.engines.call import Given, Gradients, Inputs, Runner, Upstream, check, empty_emitted


def forward(runner: Runner, given: Inputs, keep: bool) -> Given:
    """`runner.forward` for rows that may end in padding. Only the other rows are run; the padding gets zeros."""
    used = _used(given)
    x, states = given.x, given.states
    found: Given | None = None
    if len(used.x):
        check(used, used.batch_sizes.tolist())  # a graph may come from a file
        found = runner.forward(used, keep)
        if _is_all(used, given):
            return found
    emitted, last, saved = found or ([], [], x[:0, 0])
    return (
        list(starmap(_with_zeros, zip_longest(empty_emitted(x, given.sizes), emitted))),
        list(starmap(_with_zeros, zip_longest([s.new_empty(s.shape) for s in states], last))),
        _with_zeros(x.new_empty(x.shape[0] * runner.saved(given, keep)), saved),
    )


def backward(runner: Runner, given: Inputs, upstream: Upstream, wanted: Sequence[bool]) -> Gradients:
    """`runner.backward`, of a scan with or without room to spare."""
    used = _used(given)
    rows, sequences = len(used.x), len(used.states[0])
    found: Gradients = [None] * len(wanted)
    if rows:
        check(used, used.batch_sizes.tolist())  # a graph may come from a file
        outputs, saved, grad_emitted, grad_last = upstream
        kept = saved[: rows * (len(saved) // len(given.x))]
        gradients = [g[:rows] for g in grad_emitted], [g[:sequences] for g in grad_last]
        found = runner.backward(used, Upstream(outputs[:rows], kept, *gradients), wanted)
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
