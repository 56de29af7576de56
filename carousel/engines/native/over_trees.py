"""Calls of the native library for scans over trees.

The library walks pieces of levels as it walks the steps of a sequence. A piece has a bounded number of nodes, so that
what it computes stays in cache in a batch of any size. Threads have whole trees, and never wait for one another.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor

from carousel.engines.call import Inputs, Sizes
from carousel.engines.levels import Levels, Part
from carousel.engines.native import binding
from carousel.engines.native.call import WORTH_A_TEAM, describe, prefer_large_pages, workspace
from carousel.engines.native.prepared import PreparedPlan, backward_plan, isa, library, prepared, settings
from carousel.engines.over_levels import Nodes
from carousel.program import Program

# The most nodes and edges in a piece, as many as a chunk of a sequence has rows.
PIECE = 256
ALIGNED = 64  # the bytes of a cache line, at which the memory of each call begins


def threads_of(sizes: Sizes, levels: Levels) -> int:
    """The number of threads that a scan is worth, each with some of the trees."""
    work = levels.nodes * sizes.parameters[0][0] * (sizes.parameters[0][1] + sizes.output)
    return max(1, min(torch.get_num_threads(), levels.trees, work // WORTH_A_TEAM))


def division(sizes: Sizes, levels: Levels) -> str:
    """A phrase that says how threads divide a scan, and into how many pieces its levels are cut."""
    count = threads_of(sizes, levels)
    parts = [levels] if count == 1 else [part.levels for part in levels.parts(count)]
    pieces = [len(_pieces(sizes.program, part)) for part in parts]
    if len(parts) == 1:
        return f"one thread, {pieces[0]} piece{'s' * (pieces[0] != 1)} of at most {PIECE} nodes"
    of_each = ", ".join(f"{part.nodes} nodes in {n}" for part, n in zip(parts, pieces, strict=True))
    return f"{len(parts)} threads, each its own trees: {of_each} pieces of at most {PIECE}"


def _pieces(program: Program, levels: Levels) -> Tensor:
    return levels.pieces(PIECE, PIECE if program.children == "any" else None)


class _Share(NamedTuple):
    """What one thread does. part, rows: its nodes and edges, and its rows of x; None where it does all."""

    given: Nodes
    part: Part | None
    rows: Tensor | None

    def own(self, every: Tensor, members: bool) -> Tensor:
        """Its rows of a tensor with a row for every node, or for every member of one."""
        if self.part is None:
            return every
        return every.index_select(0, self.part.edges if members else self.part.nodes)

    def put(self, every: Tensor, own: Tensor, members: bool) -> None:
        if self.part is not None:
            every.index_copy_(0, self.part.edges if members else self.part.nodes, own)

    def kept(self, ready: PreparedPlan) -> int:
        return self.given.levels.nodes * ready.saved + self.given.levels.edges * ready.saved_members


def _shares(given: Nodes) -> list[_Share]:
    count = threads_of(given.sizes, given.levels)
    return [_Share(given, None, None)] if count == 1 else [_share(given, part) for part in given.levels.parts(count)]


def _share(given: Nodes, part: Part) -> _Share:
    rows, at = part.nodes, given.at
    if at is not None:
        place = torch.full((given.levels.nodes,), -1)
        place[part.nodes] = torch.arange(len(part.nodes))
        rows = (place[at] >= 0).nonzero().squeeze(1)
        at = place[at[rows]]
    streams = tuple(stream.index_select(0, part.nodes) for stream in given.streams)
    x = given.x.index_select(0, rows)
    return _Share(given._replace(x=x, levels=part.levels, streams=streams, at=at), part, rows)


def _ready(given: Nodes, keep: bool) -> PreparedPlan:
    return prepared(given.sizes, given.x.dtype == torch.float64, isa(), keep, given.bfloat16, True)


class _Call:
    """The structure of one thread's call, and the objects that must outlive it."""

    def __init__(self, made: binding.MadePlan, given: Nodes):
        levels, program = given.levels, given.program
        pieces = _pieces(program, levels)
        steps = Inputs(program, given.x, given.first, given.parameters, (), pieces, False, given.bfloat16)
        self.scan, self.alive = describe(made, given.sizes, steps)
        self.alive += [pieces, given]
        scan = self.scan
        scan.rows, scan.batch, scan.threads = levels.nodes, int(pieces.max()), 1
        scan.first = self.pointers([None if given.from_zero else state for state in given.first])
        scan.last = self.pointers([None] * len(given.first))
        scan.first_edge, scan.sources = levels.first_edge.data_ptr(), levels.sources.data_ptr()
        scan.readers, scan.edges = levels.readers.data_ptr(), len(levels.sources)
        scan.leaves = levels.sizes[0] if given.from_zero else 0
        if given.at is not None:
            at = given.at if len(given.at) else given.at.new_zeros(1)  # an empty tensor has no address
            self.alive.append(at)
            scan.at, scan.given = at.data_ptr(), len(given.at)

    def pointers(self, tensors: Sequence[Tensor | None]) -> int:
        self.alive.append(binding.pointers(tensors))
        return ctypes.addressof(self.alive[-1])


def saved(given: Nodes, keep: bool) -> int:
    """The count of numbers that forward keeps for backward."""
    return _Share(given, None, None).kept(_ready(given, keep))


def forward(given: Nodes, keep: bool) -> tuple[list[Tensor], Tensor]:
    """The results of a scan at every node, and the values kept for backward (none unless keep)."""
    ready, shares = _ready(given, keep), _shares(given)
    results = [prefer_large_pages(given.x.new_empty(shape)) for shape in given.shapes]
    counts = [share.kept(ready) for share in shares]
    saved = prefer_large_pages(given.x.new_empty(sum(counts)))
    if settings.poison:
        saved.fill_(torch.nan)
    calls, found = [], []
    for share, kept in zip(shares, saved.split(counts), strict=True):
        call = _Call(ready.plan, share.given)
        own = results if share.part is None else [given.x.new_empty(shape) for shape in share.given.shapes]
        call.scan.rows_of_steps, call.scan.saved = call.pointers([*own, *share.given.streams]), kept.data_ptr()
        calls.append(call)
        found.append(own)
    _run(calls, library().c.carousel_forward_workspace, library().c.carousel_forward_each)
    for share, own in zip(shares, found, strict=True):
        for every, rows, members in zip(results, own, given.of_members, strict=True):
            share.put(every, rows, members)
    return results, saved


def backward(
    given: Nodes,
    results: Sequence[Tensor],
    saved: Tensor,
    upstream: Sequence[Tensor | None],
    wanted: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients of `given.tensors`; None for those not wanted."""
    ready, shares = _ready(given, True), _shares(given)
    of_streams = any(wanted[len(wanted) - len(given.streams) :])
    plan = backward_plan(given.program, ready.direct, of_streams, given.bfloat16, True)
    states = dict(zip(given.results, results, strict=True))
    counts = [share.kept(ready) for share in shares]
    calls, found = [], []
    for share, kept in zip(shares, saved.split(counts), strict=True):
        call = _Call(plan, share.given)
        values = [share.own(states[name], False) for name in given.program.states]
        pairs = zip(upstream, given.of_members, strict=True)
        gradients = [None if g is None else share.own(g, members) for g, members in pairs]
        made = _nothing(share.given, wanted)
        call.alive += [values, gradients]
        scan, first, end = call.scan, 1 + len(given.first), len(wanted) - len(given.streams)
        rows = [*values, *gradients, *share.given.streams, *made[end:]]
        scan.rows_of_steps, scan.saved = call.pointers(rows), kept.data_ptr()
        scan.grad_x = None if made[0] is None else made[0].data_ptr()
        scan.grad_first, scan.grad_parameters = call.pointers(made[1:first]), call.pointers(made[first:end])
        calls.append(call)
        found.append(made)
    _run(calls, library().c.carousel_backward_workspace, library().c.carousel_backward_each)
    return found[0] if len(shares) == 1 else _together(given, shares, found)


def _nothing(given: Nodes, wanted: Sequence[bool]) -> list[Tensor | None]:
    """Memory for the gradients: of x and of streams (all or none) as they come, of the others zeros, to which they are
    added."""
    of_x = prefer_large_pages(torch.empty_like(given.x)) if wanted[0] else None
    end = len(wanted) - len(given.streams)
    summed = zip(given.tensors[1:end], wanted[1:end], strict=True)
    of_streams = [torch.empty_like(stream) if any(wanted[end:]) else None for stream in given.streams]
    return [of_x, *(torch.zeros_like(t) if want else None for t, want in summed), *of_streams]


def _together(given: Nodes, shares: list[_Share], found: list[list[Tensor | None]]) -> list[Tensor | None]:
    """The gradients of all threads: rows where they belong, and sums of the parts of each, always in the same order."""
    of_nodes = [share.part.nodes for share in shares if share.part is not None]
    of_rows = [share.rows for share in shares if share.rows is not None]
    of_x, *others = zip(*found, strict=True)
    end = len(others) - len(given.streams)
    sums = [_sum([part for part in parts if part is not None]) for parts in others[:end]]
    streams = zip(given.streams, others[end:], strict=True)
    return [_placed(given.x, of_rows, of_x), *sums, *(_placed(stream, of_nodes, parts) for stream, parts in streams)]


def _placed(like: Tensor, places: Sequence[Tensor], parts: Sequence[Tensor | None]) -> Tensor | None:
    """The rows of all threads, each thread's at its places; None where there are none."""
    made = [part for part in parts if part is not None]
    if not made:
        return None
    found = torch.empty_like(like)
    for place, part in zip(places, made, strict=True):
        found.index_copy_(0, place, part)
    return found


def _sum(parts: list[Tensor]) -> Tensor | None:
    return sum(parts[1:], start=parts[0]) if parts else None


def _run(calls: list[_Call], size: Any, call: Any) -> None:
    """Runs the calls at once, each on a thread."""
    sizes = [(size(isa(), each.scan) + ALIGNED - 1) // ALIGNED * ALIGNED for each in calls]
    memory = workspace(sum(sizes) + ALIGNED)
    begin = (memory.data_ptr() + ALIGNED - 1) // ALIGNED * ALIGNED
    for each, offset in zip(calls, accumulate(sizes, initial=0), strict=False):
        each.scan.workspace = begin + offset
    scans = (binding.CScan * len(calls))(*(each.scan for each in calls))
    call(isa(), scans, len(calls))
