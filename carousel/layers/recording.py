"""Recordings of values of the steps of a scan, and of the gradients that flow between steps."""

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
    """An add-in that is active inside its `with`, for the calls of its own thread.

    active: the layer's list of these.
    """

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
    """The active ones that belong to this thread."""
    if not active:
        return []
    thread = _this_thread()
    return [one for one in tuple(active) if one.thread == thread]  # a copy: other threads may change the list


class Recording(_InUse, Mapping[str, Tensor]):
    """The result of `layer.record(...)`: a mapping from names to values, after each call of the layer inside its
    `with`.

    It belongs to the thread that opened it, and does not record calls of other threads.
    Each value is (L * D, T, B, H), the first axis in the order of hx and the others in the layout of the input; for a
    PackedSequence (L * D, rows, H), over trees (L * D, N, H).
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

    __eq__, __hash__ = object.__eq__, object.__hash__  # two recordings with equal values are different


class Tap(_InUse):
    """The result of `layer.tap()`: gradients with respect to the states that each step reads, for a call inside its
    `with`.

    Recorded states are results of a scan. A gradient that flows along the recurrence does not pass through them, and
    their `.grad` stays None. A tap stands where each step reads its states.

        with layer.tap() as tap:
            output, _ = layer(x)
        tap.gradients(output[-1].sum())["c"]    # (L * D, T, B, H), the first axis in the order of hx

    Entry t is the gradient with respect to the state that step t reads: the state after step t - 1 (t + 1 in the
    reverse direction), or the initial state. It includes what flows through step t, but not what flows from that state
    directly into the layer above. It has the layout of `layer.record`, with 0 in the padding, and belongs to the last
    call.
    Over trees entry n is the gradient with respect to the state that node n gives, (L * D, N, H): to the nodes that go
    on from it, to the layer above, and to the caller. The other states of the node are fixed.
    """

    def __init__(self, names: tuple[str, ...], active: list[Tap], over_trees: bool = False):
        self.names, self.active, self.over_trees = names, active, over_trees
        self._scans: list[dict[str, Tensor]] = []  # for each scan, the zeros that were added to its states
        self._every_step: Callable[[Tensor], Tensor] | None = None

    def gradients(self, value: Tensor) -> dict[str, Tensor]:
        """d value / d state for each state. value: a number computed from the layer's output. It may be called
        repeatedly.

        Raises RuntimeError if the layer has not been called inside the `with`.
        """
        if self._every_step is None:
            raise RuntimeError("tap: no gradients yet; call the layer inside `with layer.tap() as tap:`")
        leaves = [scan[state] for state in self.names for scan in self._scans]
        found = iter(torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True, materialize_grads=True))
        return {state: self._every_step(torch.stack([next(found) for _ in self._scans])) for state in self.names}

    def rewritings(self) -> tuple[Rewriting, ...]:
        return (Rewriting("push" if self.over_trees else "modify", self.names),)

    def begin(self, every_step: Callable[[Tensor], Tensor]) -> None:
        self._scans, self._every_step = [], every_step

    def streams(self, streams: Streams, of: Rows) -> Streams:
        """Adds zeros that require gradients to every state. Their gradient is the gradient of the state."""
        zeros = {state: of.rows.new_zeros(len(of.rows), of.states[state]).requires_grad_() for state in self.names}
        self._scans.append(zeros)
        if self.over_trees:
            return streams | {naming.push(state): zero for state, zero in zeros.items()}
        joined = dict(streams)
        for state, zero in zeros.items():
            joined.setdefault(naming.keep(state), torch.ones_like(zero))
            add = naming.add(state)
            joined[add] = streams[add] + zero if add in streams else zero
        return joined


def check_names(layer: str, program: Interface, names: tuple[str, ...]) -> None:
    """Raises ValueError for a name that no value of the step has."""
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
