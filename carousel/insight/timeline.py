"""Which steps of a batch follow one another: ragged rows, masks and resets, as one table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Timeline:
    """real: (T, B) bool, which steps are no padding. starts: (T, B) bool, before which a row begins a new sequence."""

    real: Tensor
    starts: Tensor

    @property
    def steps(self) -> int:
        return len(self.real)

    @property
    def batch(self) -> int:
        return self.real.shape[1]

    def last(self) -> Tensor:
        """(B), the last real step of each row; -1 for a row without any."""
        order = torch.arange(self.steps)[:, None].expand_as(self.real)
        return torch.where(self.real, order, -1).amax(0) if self.steps else torch.full((self.batch,), -1)

    def neighbours(self, at: Tensor, count: int, *, later: bool = False) -> Tensor:
        """(A, B) steps -> (A, B, count): the step itself, the one before it in its sequence, the one before that, ...

        later: those after it instead. -1 where the sequence has no such step, and for an `at` that is padding or -1.
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
        """Of each step its place among its row's real steps; and by place: the step, its sequence's first and last."""
        steps, batch = self.real.shape
        position = self.real.long().cumsum(0) - 1
        # Real steps first, in time, then padding.
        row_order = torch.argsort((~self.real).long(), dim=0, stable=True)
        age = self.starts.long().cumsum(0).gather(0, row_order)
        place = torch.arange(steps)[:, None].expand(steps, batch)
        padding = place >= self.real.sum(0)
        age = torch.where(padding, -1, age)  # padding is a sequence of its own, never asked for
        begins = torch.ones(steps, batch, dtype=torch.bool)
        begins[1:] = age[1:] != age[:-1]
        ends = torch.ones(steps, batch, dtype=torch.bool)
        ends[:-1] = begins[1:]
        first = torch.where(begins, place, 0).cummax(0).values
        last = torch.where(ends, place, steps).flip(0).cummin(0).values.flip(0)
        return position, row_order, first, last
