"""A batch walked in time: at each step all its rows at once, padding and new sequences a choice between states.

Elsewhere a batch is cut into sequences that run side by side (`segments`), each at a time of its own, at the cost of
real steps alone. Hooks want the other order, where step t is the same t for every row. Both mean the same.
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
    """What a caller handed in, as `Padded` or `Packed`, with the rows of all T steps and B sequences for engines.

    real: (T, B), which steps are not padding; None for all. starts: (T, B), before which a sequence begins; None for
        none. places: of the rows of a PackedSequence, t * B + b each; None where the rows are padded already.
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
        return self._without_padding(rows)  # a NaN there would reach the gradients of weights

    @property
    def batch_sizes(self) -> list[int]:
        return [self.batch] * self.steps

    def sequences(self) -> tuple[Tensor, int]:
        """Which sequence each row is in, by a number, and how many numbers there are."""
        row = torch.arange(self.batch, device=self.given.rows.device)
        if self.starts is None:
            return row.repeat(self.steps), self.batch
        return (self.starts.cumsum(0) * self.batch + row).flatten(), (self.steps + 1) * self.batch

    def first(self, given: States, fresh: Callable[[], States]) -> States:
        del fresh  # sequences that begin later are `Walk`'s
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
        assert isinstance(self.given, Padded)  # a PackedSequence comes without
        return self.given.stream(layer, name, stream, size, nothing)

    def _without_padding(self, rows: Tensor) -> Tensor:
        """(..., T * B, size) with zeros for padding."""
        if self.real is None:
            return rows
        return torch.where(self.real.reshape(-1, 1), rows, 0.0)


class Walk:
    """What happens around each step of one scan of an `InTime` batch. Engines call it in the place of the step.

    given: (B, size) each, the states that a row's first sequence begins with. fresh: makes those of every later one.
    change: (t, states) -> states, what a hook makes of them before step t.
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
            self.age = self.starts.cumsum(0)  # which of its row's sequences a step is in

    def __call__(self, t: int, step: Step, rows: States, states: States) -> tuple[States, States]:
        before = self._enter(t, states)
        changed = before if self.change is None else self.change(t, before)
        emitted, after = step(rows, changed)
        if self.real is not None:  # padding passes the state on as it came
            after = _choose(self.real[t], after, before)
        if self.reverse and self.starts is not None:
            # Backward in time a row's last sequence ends at its first step: what it ends with is the row's result.
            is_last = self.age[t] == self.age[-1]
            ends = is_last & (self.starts[t] if t else torch.ones_like(is_last))
            self.ended = _choose(ends, after, self.ended)
        return emitted, after

    def last(self, final: States) -> States:
        """Every row's states after its last sequence, given those that the scan ended with."""
        return self.ended if self.reverse and self.starts is not None and self.steps else final

    def _enter(self, t: int, states: States) -> States:
        """The states before step t, which may be the first of a sequence in the direction of the scan."""
        if self.starts is None:
            return states
        if not self.reverse:
            return _choose(self.starts[t], self.fresh(), states)
        new = _choose(self.age[t] > 0, self.fresh(), self.given)
        return new if t == self.steps - 1 else _choose(self.starts[t + 1], new, states)


def _choose(rows: Tensor, these: States, others: States) -> States:
    return tuple(torch.where(rows[:, None], a, b) for a, b in zip(these, others, strict=True))
