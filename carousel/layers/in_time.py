"""Runs a batch in the order of time: step t runs for all rows at once, and padding and resets choose between states.

The usual way (`segments`) divides a batch into sequences that all start at the first step, and costs only the real
steps. Hooks need this other way, in which step t is the same t for every row. The results are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from carousel.layers.layout import Packed, Padded

States = tuple[Tensor, ...]
Step = Callable[[States, States], tuple[States, States]]


@dataclass(frozen=True)
class InTime:
    """An input as `Padded` or `Packed`, together with the rows of all T steps and B sequences for engines.

    real: (T, B), a mask of the steps that are not padding; None if all are real. starts: (T, B), a mask of the steps
        that begin a sequence; None if no step does. places: the index t * B + b of each row of a PackedSequence; None
        if the input is padded.
    """

    given: Padded | Packed
    steps: int
    batch: int
    real: Tensor | None
    starts: Tensor | None
    places: Tensor | None = None

    @classmethod
    def of_packed(cls, given: Packed) -> InTime:
        sizes, order = given.input.batch_sizes, given.input.sorted_indices
        steps, batch, device = len(sizes), given.batch, given.rows.device
        row, _ = given.sequences()
        time = torch.arange(steps).repeat_interleave(sizes).to(device)
        places = time * batch + (row if order is None else order[row])
        real = torch.zeros(steps * batch, dtype=torch.bool, device=device)
        real[places] = True
        return cls(given, steps, batch, real.view(steps, batch), None, places)

    @property
    def batched(self) -> bool:
        return self.given.batched

    @property
    def rows(self) -> Tensor:
        rows = self.given.rows
        if self.places is not None:
            return rows.new_zeros(self.steps * self.batch, rows.shape[1]).index_copy(0, self.places, rows)
        return self._without_padding(rows)  # a NaN in the padding would reach the gradients of the weights

    @property
    def batch_sizes(self) -> list[int]:
        return [self.batch] * self.steps

    def sequences(self) -> tuple[Tensor, int]:
        """The number of each row's sequence, and the count of these numbers."""
        row = torch.arange(self.batch, device=self.given.rows.device)
        if self.starts is None:
            return row.repeat(self.steps), self.batch
        return (self.starts.cumsum(0) * self.batch + row).flatten(), (self.steps + 1) * self.batch

    def row_of_each(self) -> Tensor:
        """The row of the batch that each sequence of a scan belongs to."""
        return torch.arange(self.batch, device=self.given.rows.device)

    def first(self, given: States, fresh: Callable[[], States]) -> States:
        del fresh  # `Walk` handles sequences that begin later
        return given

    def last(self, final: States, given: States, fresh: Callable[[], States]) -> States:
        if self.places is not None:
            return final
        return self.given.last(final, given, fresh)

    def output(self, rows: Tensor) -> Any:
        if self.places is not None:
            return self.given.output(rows.index_select(0, self.places))
        return self.given.output(self._without_padding(rows))

    def every_step(self, rows: Tensor) -> Tensor:
        if self.places is not None:
            return self.given.every_step(rows.index_select(1, self.places))
        return self.given.every_step(self._without_padding(rows))

    def stream(self, layer: str, name: str, stream: Tensor | None, size: int, nothing: float) -> Tensor:
        assert isinstance(self.given, Padded)  # a PackedSequence has no resets
        return self.given.stream(layer, name, stream, size, nothing)

    def _without_padding(self, rows: Tensor) -> Tensor:
        """The rows, (..., T * B, size), with zeros in the padding."""
        if self.real is None:
            return rows
        return torch.where(self.real.reshape(-1, 1), rows, 0.0)


class Walk:
    """Runs each step of one scan of an `InTime` batch, with what happens before and after it.

    Engines call it in the place of the step. given: the initial states of each row's first sequence, each (B, size).
    fresh: returns the initial states of every later sequence. change: (t, states) -> states, the hooks before step t.
    """

    def __init__(
        self,
        layout: InTime,
        reverse: bool,
        given: States,
        fresh: Callable[[], States],
        change: Callable[[int, States], States] | None,
    ):
        self.real, self.starts, self.steps, self.reverse = layout.real, layout.starts, layout.steps, reverse
        self.given, self.fresh, self.change = given, fresh, change
        self.ended = given
        if self.starts is not None:
            self.age = self.starts.cumsum(0)  # the index of a step's sequence within its row

    def __call__(self, t: int, step: Step, rows: States, states: States) -> tuple[States, States]:
        before = self._enter(t, states)
        changed = before if self.change is None else self.change(t, before)
        emitted, after = step(rows, changed)
        if self.real is not None:  # padding does not change the state
            after = _choose(self.real[t], after, before)
        if self.reverse and self.starts is not None:
            # In the reverse direction a row's last sequence ends at its first step, and its states are the row's
            # result.
            is_last = self.age[t] == self.age[-1]
            ends = is_last & (self.starts[t] if t else torch.ones_like(is_last))
            self.ended = _choose(ends, after, self.ended)
        return emitted, after

    def last(self, final: States) -> States:
        """The states of each row after its last sequence. final: the states after the scan."""
        return self.ended if self.reverse and self.starts is not None and self.steps else final

    def _enter(self, t: int, states: States) -> States:
        """The states before step t.

        If t begins a sequence in the direction of the scan, these are its initial states.
        """
        if self.starts is None:
            return states
        if not self.reverse:
            return _choose(self.starts[t], self.fresh(), states)
        new = _choose(self.age[t] > 0, self.fresh(), self.given)
        return new if t == self.steps - 1 else _choose(self.starts[t + 1], new, states)


def _choose(rows: Tensor, these: States, others: States) -> States:
    return tuple(torch.where(rows[:, None], a, b) for a, b in zip(these, others, strict=True))
