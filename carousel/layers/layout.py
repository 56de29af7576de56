"""Converts between the caller's form of a batch (padded, packed, a single sequence) and the rows that engines run.

Engines take one form: the rows of all steps one after another, as in a PackedSequence. A layout converts a batch to
that form, and all results back to the form of the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from carousel.engines.inside_torch import autocast_is_on, is_jit_traced
from carousel.layers.segments import Segments

States = tuple[Tensor, ...]


@dataclass(frozen=True)
class Packed:
    """A PackedSequence. Its rows need no conversion; states are sorted as its sequences are.

    open_ended: whether the graph must accept other lengths too, so that the sizes of steps are a tensor.
    """

    input: PackedSequence
    open_ended: bool = False
    batched = True

    @property
    def rows(self) -> Tensor:
        return self.input.data

    @property
    def batch_sizes(self) -> list[int] | Tensor:
        if self.open_ended:
            return self.input.batch_sizes
        sizes: list[int] = self.input.batch_sizes.tolist()
        return sizes

    @property
    def batch(self) -> int:
        if self.open_ended and self.input.sorted_indices is not None:
            return self.input.sorted_indices.shape[0]  # a size; batch_sizes[0] would be a value
        first = self.input.batch_sizes[0]
        return first if is_jit_traced() else int(first)  # type: ignore[return-value]  # it writes down a tensor

    def sequences(self) -> tuple[Tensor, int]:
        """Which sequence each row is in, and how many there are."""
        sizes = self.input.batch_sizes
        begins = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        return (torch.arange(len(begins), device="cpu") - begins).to(self.rows.device), self.batch

    def row_of_each(self) -> Tensor:
        """The row of the batch that each sequence of a scan belongs to."""
        order = self.input.sorted_indices
        return torch.arange(self.batch, device=self.rows.device) if order is None else order

    def first(self, given: States, fresh: Callable[[], States]) -> States:
        del fresh  # it has no resets
        order = self.input.sorted_indices
        return given if order is None else tuple(state.index_select(1, order) for state in given)

    def last(self, final: States, given: States, fresh: Callable[[], States]) -> States:
        del given, fresh
        order = self.input.unsorted_indices
        return final if order is None else tuple(state.index_select(1, order) for state in final)

    def output(self, rows: Tensor) -> Any:
        return PackedSequence(rows, *self.input[1:])

    def every_step(self, rows: Tensor) -> Tensor:
        return rows


@dataclass(frozen=True)
class Padded:
    """A tensor (T, B, ...), or (B, T, ...) if transposed, or (T, ...) if not batched, perhaps divided into sequences.

    open_ended: whether an exported graph must accept any T, so that the sizes of steps are a tensor.
    """

    steps: int
    batch: int
    batched: bool
    transposed: bool
    flat: Tensor  # (T * B, input), step by step
    cut: Segments | None
    open_ended: bool = False

    @property
    def rows(self) -> Tensor:
        return self.flat if self.cut is None else self.flat.index_select(0, self.cut.steps)

    @property
    def batch_sizes(self) -> list[int] | Tensor:
        if self.cut is not None:
            return self.cut.batch_sizes
        return torch.full((self.steps,), self.batch, device="cpu") if self.open_ended else [self.batch] * self.steps

    def sequences(self) -> tuple[Tensor, int]:
        """Which sequence each row is in, and how many there are."""
        if self.cut is not None:
            return self.cut.sequence, self.cut.row.shape[0]
        return torch.arange(self.batch, device=self.flat.device).repeat(self.steps), self.batch

    def row_of_each(self) -> Tensor:
        """The row of the batch that each sequence of a scan belongs to."""
        return torch.arange(self.batch, device=self.flat.device) if self.cut is None else self.cut.row

    def first(self, given: States, fresh: Callable[[], States]) -> States:
        return given if self.cut is None else tuple(map(self.cut.first_states, given, fresh()))

    def last(self, final: States, given: States, fresh: Callable[[], States]) -> States:
        states = final if self.cut is None else tuple(map(self.cut.last_states, final, given, fresh()))
        return states if self.batched else tuple(state.squeeze(1) for state in states)

    def output(self, rows: Tensor) -> Tensor:
        return self.every_step(rows.unsqueeze(0)).squeeze(0)

    def every_step(self, rows: Tensor) -> Tensor:
        """(scans, rows, size) -> (scans, T, B, size), or the layout of the input, with zeros in the padding."""
        if self.cut is not None:
            rows = self.cut.padded(rows, self.steps * self.batch)
        values = rows.reshape(len(rows), self.steps, self.batch, rows.shape[-1])
        if not self.batched:
            return values.squeeze(2)
        return values.transpose(1, 2) if self.transposed else values

    def stream(self, layer: str, name: str, stream: Tensor | None, size: int, nothing: float) -> Tensor:
        """Converts a stream, (T, B), (T, B, 1) or (T, B, size) in the layout of the input, to rows for engines.

        If it is None, `nothing` stands everywhere. Raises ValueError for another shape.
        """
        if stream is None:
            return self.flat.new_full(
                (self.flat.shape[0] if self.cut is None else self.cut.steps.shape[0], size), nothing
            )
        if not isinstance(stream, Tensor) or (stream.dtype != self.flat.dtype and not autocast_is_on()):
            found = stream.dtype if isinstance(stream, Tensor) else type(stream).__name__
            raise ValueError(f"{layer}: {name} must be a Tensor of {self.flat.dtype}, got {found}")
        leading = ((self.batch, self.steps) if self.transposed else (self.steps, self.batch))[: 1 + self.batched]
        stream = stream.to(self.flat.dtype)  # under autocast it may have another dtype
        value = stream if stream.dim() == len(leading) + 1 else stream.unsqueeze(-1)
        if tuple(value.shape[:-1]) != leading or value.shape[-1] not in (1, size):
            raise ValueError(
                f"{layer}: {name} must have the shape {leading}, {(*leading, 1)} or {(*leading, size)}, "
                f"got {tuple(stream.shape)}"
            )
        value = value if self.batched else value.unsqueeze(1)
        value = value.transpose(0, 1) if self.transposed else value
        rows = value.expand(self.steps, self.batch, size).reshape(self.steps * self.batch, size)
        return rows if self.cut is None else rows.index_select(0, self.cut.steps)
