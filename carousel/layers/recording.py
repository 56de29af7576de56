"""Reading values out of the steps of a scan, and the gradients that flow between them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

from carousel.engines.inside_torch import same_at_every_call
from carousel.layers.add_ins import AddIn, Rewriting, Rows, Streams
from carousel.program import Interface, Program, naming
from carousel.program.rewrite import is_recordable, names_of, spelling

T = TypeVar("T", bound="_InUse")


@same_at_every_call
def _this_thread() -> int:
    return threading.get_ident()


class _InUse(AddIn):
    """Stands in the layer's list `active` of what it reports to, from `with` to its end; of calls in its own thread."""

    active: list[Any]
    thread: int

    def __enter__(self) -> Self:
        self.thread = _this_thread()
        self.active.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.active.remove(self)


def of_this_thread(active: list[T]) -> list[T]:
    """Those of a layer's list that a call in this thread reports to: others' calls are none of its business."""
    if not active:
        return []
    thread = _this_thread()
    return [one for one in tuple(active) if one.thread == thread]  # a copy: other threads change the list meanwhile


class Recording(_InUse, Mapping[str, Tensor]):
    """What `layer.record(...)` gives: after each call of the layer inside its `with`, the values by name.

    Calls that other threads make meanwhile are not recorded: a recording belongs to the thread that opened it.
    Each is (L * D, T, B, H), its first axis in the order of hx's, the others as the input is laid out;
    (L * D, rows, H) for a PackedSequence.
    """

    def __init__(self, names: tuple[str, ...], active: list[Recording]):
        self.names, self.active = names, active
        self.found: dict[str, Tensor] = {}

    @property
    def reads(self) -> tuple[str, ...]:
        return self.names

    def end(self, values: Mapping[str, Tensor]) -> None:
        self.found = {name: values[name] for name in self.names}

    def __getitem__(self, name: str) -> Tensor:
        known = spelling(self.found, name)
        if known not in self.found:
            first = "call the layer inside the `with` first (the steps of a stepper are not recorded)"
            raise KeyError(f"{name!r} was not recorded: {'there is ' + ', '.join(self.found) if self.found else first}")
        return self.found[known]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    __eq__, __hash__ = object.__eq__, object.__hash__  # of equal values there may be two recordings


class Tap(_InUse):
    """What `layer.tap()` gives: the gradient by the states that each step reads, in a call inside its `with`.

    Recorded states are results of the scan, which does not read them back: a gradient that flows along the recurrence
    does not pass through them, and their `.grad` stays None. A tap stands where each step reads its states.

        with layer.tap() as tap:
            output, _ = layer(x)
        tap.gradients(output[-1].sum())["c"]    # (L * D, T, B, H), its first axis in the order of hx's

    Entry t is the gradient by the state that step t reads: the one left by the step before it (after it, in the reverse
    direction), or the initial one. It counts what flows on along the recurrence, not what the layer above was shown
    of that state. Laid out as the values of `layer.record`; 0 where there is padding. It is of the last call.
    """

    def __init__(self, names: tuple[str, ...], active: list[Tap]):
        self.names, self.active = names, active
        self._scans: list[dict[str, Tensor]] = []  # of each scan the zeros that were added to its states
        self._every_step: Callable[[Tensor], Tensor] | None = None

    def gradients(self, value: Tensor) -> dict[str, Tensor]:
        """d value / d state, by state, of a number that was computed from the layer's output. May be asked again.

        Raises RuntimeError where the layer has not been called inside the `with`.
        """
        if self._every_step is None:
            raise RuntimeError("tap: no gradients yet; call the layer inside `with layer.tap() as tap:`")
        leaves = [scan[state] for state in self.names for scan in self._scans]
        found = iter(torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True, materialize_grads=True))
        return {state: self._every_step(torch.stack([next(found) for _ in self._scans])) for state in self.names}

    def rewritings(self) -> tuple[Rewriting, ...]:
        return (Rewriting("modify", self.names),)

    def begin(self, every_step: Callable[[Tensor], Tensor]) -> None:
        self._scans, self._every_step = [], every_step

    def streams(self, streams: Streams, of: Rows) -> Streams:
        """Zeros of the graph, added to every state: they change nothing, and their gradient is that by the state."""
        zeros = {state: of.rows.new_zeros(len(of.rows), of.states[state]).requires_grad_() for state in self.names}
        self._scans.append(zeros)
        joined = dict(streams)
        for state, zero in zeros.items():
            joined.setdefault(naming.keep(state), torch.ones_like(zero))
            add = naming.add(state)
            joined[add] = streams[add] + zero if add in streams else zero
        return joined


def check_names(layer: str, program: Interface, names: tuple[str, ...]) -> None:
    """Raises ValueError for a name that no value of a step has."""
    if not isinstance(program, Program):
        raise ValueError(f"{layer}: recording reads a cell's program, and this cell's step runs as plain Python")
    if not names:
        raise ValueError(
            f"{layer}: name what to record; in {program.cell} there is {', '.join(sorted(names_of(program)))}"
        )
    for name in names:
        if not is_recordable(program, name):
            raise ValueError(
                f"{layer}: there is nothing called {name!r} to record in {program.cell}; "
                f"there is {', '.join(sorted(names_of(program)))}"
            )
