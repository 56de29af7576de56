"""Ragged batches and resets: every row is divided into sequences, which are laid out as in a PackedSequence.

A reset starts a new sequence, and padding belongs to no sequence. So both only decide which steps belong to which
sequence, and engines need not know of them. The cost is that of the real steps. Gradients stop at a reset because
nothing flows between two sequences.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Segments:
    """The sequences of a padded batch of T steps and B rows.

    steps: (real steps), the padded rows t * B + b in packed order: all first steps, all second steps, ...
    batch_sizes: the number of sequences with at least 1, 2, ... steps.
    sequence: (real steps), the sequence of each step.
    row: (sequences), the batch row of each sequence; the longest sequence stands first.
    fresh: (sequences), whether it begins at a reset; the others begin with the hx of the call.
    last: (B), the last sequence of each row; -1 for a row without steps.
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
        """The states before the first steps, (scans, sequences, size). given, fresh: the states of hx and of new
        sequences, (scans, B, size)."""
        return torch.where(self.fresh[:, None], fresh.index_select(1, self.row), given.index_select(1, self.row))

    def last_states(self, final: Tensor, given: Tensor, fresh: Tensor) -> Tensor:
        """The states of each row, (scans, B, size), from those after the last steps, (scans, sequences, size). A row
        without steps keeps its given state."""
        kept = torch.where(self.ends_fresh[:, None], fresh, given)
        if self.row.shape[0] == 0:
            return kept
        stays = (self.last < 0) | self.ends_fresh
        return torch.where(stays[:, None], kept, final.index_select(1, self.last.clamp(min=0)))

    def padded(self, rows: Tensor, count: int) -> Tensor:
        """(scans, real steps, size) packed rows -> (scans, count = T * B, size), with zeros in the padding."""
        return rows.new_zeros(len(rows), count, rows.shape[-1]).index_copy(1, self.steps, rows)


def segments(mask: Tensor, reset: Tensor, device: torch.device, most: str | None = None) -> Segments:
    """Divides a padded batch into sequences.

    mask: (T, B) bool, True at real steps. reset: (T, B) bool, True at steps that begin a new sequence; a reset at
        padding counts for the row's next real step.
    most: for a graph, whose shapes must not depend on values: the largest possible number of sequences, one for each
        "row" or, with resets, one for each "step" of each row. Then `steps` has all T * B entries with padding last,
        `batch_sizes` is a tensor of T numbers, and the number of sequences is the largest possible. Entries without a
        real step or sequence have no meaning; scans neither read nor change them.
    """
    if most is None:
        steps, sizes, *rest = _cut(mask, reset)
        return Segments(steps.to(device), sizes.tolist(), *(t.to(device) for t in rest))
    steps, sizes, *rest = torch.ops.carousel.cut(mask, reset, most)
    return Segments(steps.to(device), sizes, *(t.to(device) for t in rest))


def _cut(mask: Tensor, reset: Tensor) -> tuple[Tensor, ...]:
    """The fields of `Segments`, as tensors on the CPU."""
    mask, reset = mask.cpu(), reset.cpu()
    steps, batch = mask.shape
    started = reset.cumsum(0)  # the number of resets of each row up to and including this step
    # The real steps row by row, in the order of time: a sequence is a run of equal (row, started).
    row, time = mask.t().nonzero(as_tuple=True)
    age = started[time, row]
    begins = mask.new_ones(len(row))
    begins[1:] = (row[1:] != row[:-1]) | (age[1:] != age[:-1])
    sequence = begins.cumsum(0) - 1
    count = int(sequence[-1]) + 1 if len(row) else 0
    length = torch.bincount(sequence, minlength=count)
    first = begins.nonzero().squeeze(1)
    place = torch.arange(len(row), device="cpu") - first[sequence]  # the index of a step in its sequence

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
    """As `_cut`, with shapes that do not depend on values; see `segments`."""
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
