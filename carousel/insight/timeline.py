"""One table that says which steps of a batch follow one another, for ragged rows, masks and resets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Timeline:
    """Which steps of a batch are real, and where new sequences begin.

    real: (T, B) bool, True except in padding. starts: (T, B) bool, True at steps that begin a new sequence.
    """

    real: Tensor
    starts: Tensor

    @property
    def steps(self) -> int:
        return len(self.real)

    @property
    def batch(self) -> int:
        return self.real.shape[1]

    def last(self) -> Tensor:
        """The last real step of each row, (B); -1 for a row without real steps."""
        order = torch.arange(self.steps)[:, None].expand_as(self.real)
        return torch.where(self.real, order, -1).amax(0) if self.steps else torch.full((self.batch,), -1)

    def neighbours(self, at: Tensor, count: int, *, later: bool = False) -> Tensor:
        """Steps (A, B) -> (A, B, count): the step itself, the step before it in its sequence, and so on.

        later: whether to take the steps after it instead. -1 if the sequence has no such step, and for an `at` that is
        padding or -1.
        """
        position, row_order, first, last = self._sequences
        rows = torch.arange(self.batch)
        here = position[at.clamp(min=0), rows]  # (A, B)
        offset = torch.arange(count)
        there = here[..., None] + (offset if later else -offset)
        valid = (at >= 0) & self.real[at.clamp(min=0), rows]
        bound = (last if later else first)[here.clamp(min=0), rows][..., None]
        inside = valid[..., None] & (there <= bound if later else there >= bound)
        found = row_order[there.clamp(0, self.steps - 1), rows[:, None]]
        return torch.where(inside, found, -1)

    @cached_property
    def _sequences(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """For each step its index among the real steps of its row; and by that index the step, and the first and last
        index of its sequence."""
        steps, batch = self.real.shape
        position = self.real.long().cumsum(0) - 1
        # Real steps first, in the order of time, then padding.
        row_order = torch.argsort((~self.real).long(), dim=0, stable=True)
        age = self.starts.long().cumsum(0).gather(0, row_order)
        place = torch.arange(steps)[:, None].expand(steps, batch)
        padding = place >= self.real.sum(0)
        age = torch.where(padding, -1, age)  # padding is a sequence of its own, which nothing reads
        begins = torch.ones(steps, batch, dtype=torch.bool)
        begins[1:] = age[1:] != age[:-1]
        ends = torch.ones(steps, batch, dtype=torch.bool)
        ends[:-1] = begins[1:]
        first = torch.where(begins, place, 0).cummax(0).values
        last = torch.where(ends, place, steps).flip(0).cummin(0).values.flip(0)
        return position, row_order, first, last
