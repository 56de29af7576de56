"""Ragged batches and resets: cut every row into sequences, and lay the sequences out as a PackedSequence does.

A reset starts a new sequence, padding belongs to none: so both are a matter of which steps stand in which sequence, and
engines need to know nothing of either. The cost is that of the real steps; gradients stop at a reset because nothing
flows between two sequences.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Segments:
    """The sequences of a padded batch of T steps and B rows.

    steps: (real steps) of the padded rows t * B + b, in packed order: all first steps, all second steps, ...
    batch_sizes: how many sequences are at least 1, 2, ... steps long.
    sequence: (real steps), which sequence each of them is in.
    row: (sequences), the batch row of each, longest sequence first.
    fresh: (sequences), whether it begins at a reset; the others continue the initial state given to the layer.
    last: (B), the sequence at which each row ends; -1 for a row without steps.
    ends_fresh: (B), whether a row ends with a reset that no step follows.
    """

    steps: Tensor
    batch_sizes: list[int] | Tensor
    sequence: Tensor
    row: Tensor
    fresh: Tensor
    last: Tensor
    ends_fresh: Tensor

    def first_states(self, given: Tensor, fresh: Tensor) -> Tensor:
        """(scans, B, size) states given, and of a new sequence -> (scans, sequences, size), before first steps."""
        return torch.where(self.fresh[:, None], fresh.index_select(1, self.row), given.index_select(1, self.row))

    def last_states(self, final: Tensor, given: Tensor, fresh: Tensor) -> Tensor:
        """(scans, sequences, size) states after last steps -> (scans, B, size). A row without steps keeps its own."""
        kept = torch.where(self.ends_fresh[:, None], fresh, given)
        if self.row.shape[0] == 0:
            return kept
        stays = (self.last < 0) | self.ends_fresh
        return torch.where(stays[:, None], kept, final.index_select(1, self.last.clamp(min=0)))

    def padded(self, rows: Tensor, count: int) -> Tensor:
        """(scans, real steps, size) packed rows -> (scans, count = T * B, size), zero where there is padding."""
        return rows.new_zeros(len(rows), count, rows.shape[-1]).index_copy(1, self.steps, rows)


def segments(mask: Tensor, reset: Tensor, device: torch.device, most: str | None = None) -> Segments:
    """Cuts a padded batch into sequences.

    mask: (T, B) bool, which steps are real. reset: (T, B) bool, before which steps the state starts anew; on padding
        it counts for the row's next real step.
    most: for a graph, which wants to know shapes before values: how many sequences there may be, one for each "row" or,
        with resets, each "step" of each row. Then `steps` has all T * B places, padding last, `batch_sizes` is a tensor
        of T numbers, and there are so many sequences; what stands for no real step or no sequence means nothing, and
        scans neither read nor change it.
    """
    if most is None:
        steps, sizes, *rest = _cut(mask, reset)
        return Segments(steps.to(device), sizes.tolist(), *(t.to(device) for t in rest))
    steps, sizes, *rest = torch.ops.carousel.cut(mask, reset, most)
    return Segments(steps.to(device), sizes, *(t.to(device) for t in rest))


def _cut(mask: Tensor, reset: Tensor) -> tuple[Tensor, ...]:
    """The fields of `Segments`, on the CPU."""
    mask, reset = mask.cpu(), reset.cpu()
    steps, batch = mask.shape
    started = reset.cumsum(0)  # how often each row has started anew, up to and including this step
    # Real steps, row by row and in time: sequences are runs of equal (row, started).
    row, time = mask.t().nonzero(as_tuple=True)
    age = started[time, row]
    begins = mask.new_ones(len(row))
    begins[1:] = (row[1:] != row[:-1]) | (age[1:] != age[:-1])
    sequence = begins.cumsum(0) - 1
    count = int(sequence[-1]) + 1 if len(row) else 0
    length = torch.bincount(sequence, minlength=count)
    first = begins.nonzero().squeeze(1)
    place = torch.arange(len(row), device="cpu") - first[sequence]  # of a step within its sequence

    order = length.argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(count, device="cpu")
    longest = int(length.max()) if count else 0
    sizes = torch.bincount(place, minlength=longest)
    offset = sizes.cumsum(0) - sizes
    packed, ranks = row.new_empty(2, len(row))
    packed[offset[place] + rank[sequence]] = time * batch + row
    ranks[offset[place] + rank[sequence]] = rank[sequence]

    ends_row = mask.new_ones(len(row))
    ends_row[:-1] = row[1:] != row[:-1]
    last = row.new_full((batch,), -1)
    last[row[ends_row]] = rank[sequence[ends_row]]
    age_of_last = row.new_zeros(batch)
    age_of_last[row[ends_row]] = age[ends_row]
    age_at_end = started[-1] if steps else age_of_last
    return packed, sizes, ranks, row[first][order], (age[first] > 0)[order], last, age_at_end > age_of_last


@torch.library.custom_op("carousel::cut", mutates_args=())
def _cut_padded(mask: Tensor, reset: Tensor, most: str) -> list[Tensor]:
    """`_cut` with shapes that do not depend on values; see `segments`."""
    packed, sizes, ranks, row, fresh, last, ends_fresh = _cut(mask, reset)
    count = mask.shape[1] if most == "row" else mask.numel()
    padding = (~mask.cpu()).flatten().nonzero().squeeze(1)
    return [
        torch.cat([packed, padding]),
        _longer(sizes, len(mask)),
        _longer(ranks, mask.numel()),
        _longer(row, count),
        _longer(fresh, count),
        last,
        ends_fresh,
    ]


@_cut_padded.register_fake
def _(mask: Tensor, reset: Tensor, most: str) -> list[Tensor]:
    del reset
    steps, batch = mask.shape
    count = batch if most == "row" else steps * batch
    sizes = (steps * batch, steps, steps * batch, count, count, batch, batch)
    dtypes = [torch.bool if k in (4, 6) else torch.long for k in range(7)]
    return [torch.empty(n, dtype=dtype, device="cpu") for n, dtype in zip(sizes, dtypes, strict=True)]


def _longer(values: Tensor, count: int) -> Tensor:
    return torch.cat([values, values.new_zeros(count - len(values))])
