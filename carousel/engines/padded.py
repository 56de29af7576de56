"""Scans with padding, for compilers: a compiler needs shapes that do not depend on values, and lengths are values.

Padding rows follow the rows of all steps, steps with 0 rows follow the steps, and padding sequences follow the
sequences. The runner (`call.Runner`) never sees them, and their results are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap, zip_longest

from torch import Tensor

from carousel.engines.call import Given, Gradients, Inputs, Runner, Upstream, check, empty_emitted


def forward(runner: Runner, given: Inputs, keep: bool) -> Given:
    """As `runner.forward`, for rows that may end in padding. Results for padding are zero."""
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
    """As `runner.backward`, for a scan with or without padding."""
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
    """The inputs without their padding."""
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
    """The part, followed by zeros up to the shape of the whole."""
    count = 0 if part is None else len(part)
    if part is not None:
        whole[:count] = part
    whole[count:] = 0
    return whole
