"""Exact backpropagation in little memory: a scan runs in chunks, and backward runs each chunk again.

Between two chunks only the states are kept. So T steps in chunks of k keep T / k states and the values of one chunk at
a time, at the cost of one more forward pass. Source: Chen et al., "Training deep nets with sublinear memory cost"
(arXiv:1604.06174, 2016); for recurrent networks Gruslys et al. (arXiv:1606.03401, 2016).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from carousel.program import Interface

Rows = tuple[Tensor, ...]
Scan = Callable[..., tuple[Rows, Rows]]

# With "auto", a scan that would keep more than this for backward recomputes.
BUDGET = 1 << 30


def chunk_length(asked: int | str | None, steps: int, keeps: Callable[[], int]) -> int | None:
    """The number of steps in a chunk, or None to keep everything.

    asked: a number of steps, None, or "auto": the square root of T if a scan would keep more than 1 GiB.
    keeps: returns the number of bytes that a scan would keep.
    """
    if asked == "auto":
        return math.isqrt(steps) if steps > 1 and keeps() > BUDGET else None
    return asked if isinstance(asked, int) and asked < steps else None


def scan_in_chunks(
    scan: Scan,
    every: int,
    program: Interface,
    x: Tensor,
    batch_sizes: Sequence[int],
    states: Rows,
    weights: Mapping[str, Tensor],
    reverse: bool,
    streams: Mapping[str, Tensor],
) -> tuple[Rows, Rows]:
    """Runs a scan in chunks of `every` steps. Arguments and results are those of `reference.scan`."""
    begins = list(range(0, len(batch_sizes), every))
    parts = list(zip(begins, [*begins[1:], len(batch_sizes)], strict=True))
    rows = [0, *accumulate(batch_sizes)]  # the index of the first row of each step
    emitted: list[Rows] = []
    finished: list[Rows] = []
    first = states
    states = tuple(s[:0] for s in first) if reverse else first
    for begin, end in reversed(parts) if reverse else parts:
        size, running = batch_sizes[begin], states[0].shape[0]
        if reverse:  # sequences whose last step is in this chunk start here
            states = tuple(torch.cat([s, f[running:size]]) for s, f in zip(states, first, strict=True))
        elif running > size:  # sequences that have ended leave
            finished.append(tuple(s[size:] for s in states))
            states = tuple(s[:size] for s in states)
        here = slice(rows[begin], rows[end])
        given = {name: stream[here] for name, stream in streams.items()}
        out, states = checkpoint(
            scan, program, x[here], batch_sizes[begin:end], states, weights, reverse, given,
            use_reentrant=False, preserve_rng_state=False,  # no random numbers are drawn inside a scan
        )  # fmt: skip
        emitted.append(out)
    if reverse:
        emitted.reverse()
    last = tuple(torch.cat(pieces) for pieces in zip(states, *reversed(finished), strict=True))
    return tuple(map(torch.cat, zip(*emitted, strict=True))), last
