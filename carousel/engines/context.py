"""A context: what a caller gives once for each sequence, a row for each of its positions, as attention reads them.

Sequences have differing numbers of positions. Their rows lie one after another, sequence by sequence, in the order in
which a scan has its sequences. A step runs the first of these (`reference.scan`), and so reads the first of the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from carousel.program.ops import Members


@dataclass(frozen=True)
class Positions(Members):
    """The positions of some sequences, as members. most: the largest number that any sequence of the call has."""

    most: int

    def as_rows(self, values: Tensor) -> Tensor:
        """(positions, size) -> (sequences, most * size), with zeros after a sequence's last position."""
        if len(self.of) == self.rows * self.most:
            return values.reshape(self.rows, -1)
        place = torch.arange(len(self.of), device=self.of.device)
        first = torch.searchsorted(self.of, torch.arange(self.rows, device=self.of.device))
        at = self.of * self.most + place - first[self.of]
        padded = values.new_zeros(self.rows * self.most, values.shape[-1]).index_copy(0, at, values)
        return padded.reshape(self.rows, -1)


class Context:
    """The contexts of a scan.

    rows: by name, (positions of all sequences, size). lengths: how many positions each sequence has. most: the largest
    number that any sequence of the call has.
    """

    def __init__(self, rows: Mapping[str, Tensor], lengths: Sequence[int], most: int):
        self.rows, self.most = dict(rows), most
        self._ends = [0, *accumulate(lengths)]
        device = next(iter(self.rows.values())).device
        self._of = torch.arange(len(lengths), device=device).repeat_interleave(torch.tensor(lengths, device=device))

    def count(self, sequences: int) -> int:
        """How many positions the first sequences have."""
        return self._ends[sequences]

    def of_first(self, sequences: int) -> Positions:
        """The positions of the first sequences."""
        return Positions(self._of[: self.count(sequences)], sequences, self.most)

    @property
    def sequences(self) -> int:
        return len(self._ends) - 1
