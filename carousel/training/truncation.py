"""Truncated backpropagation through time, for a training loop of your own.

The state goes on for ever; gradients go back a fixed number of steps. With an iterable of windows:

    carry = Carry()
    for x, y in batches:                                    # an endless stream of (T, B, I) windows, lane by lane
        output, carry.state = layer(x, carry.state)         # assigning detaches it
        loss(output, y).backward(); optimizer.step(); optimizer.zero_grad()

From one long sequence, with updates more often than gradients are long:

    for output, y in truncated(layer, x, y, every=16, over=64):
        loss(output, y).backward(); optimizer.step(); optimizer.zero_grad()

Source: Williams & Peng, "An efficient gradient-based algorithm for on-line training of recurrent network trajectories",
Neural Computation 2 (1990): BPTT(h; h'), with h = `over` and h' = `every`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from carousel.training import carry


class Carry:
    """A state handed from one window to the next.

    state: the state before the first window: None, a tensor, a number, or a tuple, a list or a mapping of these; None
        is a fresh start. A state is detached when it is assigned, so that gradients end there. Raises TypeError for
        what is no state.
    """

    def __init__(self, state: Any = None) -> None:
        self.state = state

    @property
    def state(self) -> Any:
        """The state that the next window begins with, detached from what made it."""
        return self._state

    @state.setter
    def state(self, state: Any) -> None:
        self._state = carry.detach(state)


def truncated(
    layer: Callable[..., Any],
    x: Tensor,
    *others: Tensor,
    every: int,
    over: int | None = None,
    state: Any = None,
    reset: Tensor | None = None,
    dim: int | None = None,
) -> Iterator[tuple[Any, ...]]:
    """Runs a layer along one long sequence, and yields (output, *others) of `every` steps at a time.

    layer: called as layer(x, state), or layer(x, state, reset=...), and returns (output, state): a `Recurrent`, a face,
        or a model that hands its state on in this way.
    x, others, reset: sequences with time along `dim`; `others` (targets, say) are only cut as the outputs are.
        Default: 1 where the layer is batch_first, or the recurrent layers that a model holds are; otherwise 0.
    every: k1, steps between two updates. over: k2 >= k1, how far back the gradient of an output may reach: at least
        k2 - k1 + 1 and at most k2 steps. Default: k1. With k2 > k1, the k2 - k1 steps before the new ones are run
        again, from the state that stood before them, so that they have a graph under the newest weights.
    state: the state before the first step: None, a tensor, a number, or a tuple, a list or a mapping of these.

    Take the gradient of a piece before asking for the next. Memory does not grow with the sequence.
    Raises ValueError unless 1 <= every <= over, for a bidirectional layer, where the others are not as long as x, and
    where time does not stand along `dim`, or the layers that a model holds do not agree where it stands; TypeError for
    what is no state.
    """
    over = every if over is None else over
    if not 1 <= every <= over:
        raise ValueError(f"truncated backpropagation needs 1 <= every <= over, but got every={every}, over={over}")
    if getattr(layer, "bidirectional", False):
        raise ValueError(
            "truncated backpropagation goes forward in time, and this layer is bidirectional: make it with "
            "bidirectional=False, or give it whole sequences"
        )
    dim = _time_of(layer) if dim is None else dim
    steps = x.shape[dim]
    for what, other in (*((f"targets {number}", other) for number, other in enumerate(others, 1)), ("reset", reset)):
        if other is not None and other.shape[dim] != steps:
            raise ValueError(
                f"truncated backpropagation cuts all sequences at the same steps: x has {steps} along dimension {dim}, "
                f"and {what} has {other.shape[dim]}"
            )

    first, state = 0, carry.detach(state)  # the window's first step, and the state before it
    for begin in range(0, steps, every):
        end = min(begin + every, steps)
        following = max(0, end + every - over)  # where the next window will begin
        outputs, at = [], {first: state}
        cuts = sorted({first, following, begin, end})
        for a, b in pairwise(cuts):
            flags = {} if reset is None else {"reset": _cut(reset, dim, a, b)}
            output, at[b] = layer(_cut(x, dim, a, b), at[a], **flags)
            _check_time(x, output, at[b], dim, b - a)
            if a >= begin:
                outputs.append(output)
        first, state = following, carry.detach(at[following])
        yield (torch.cat(outputs, dim), *(_cut(other, dim, begin, end) for other in others))


def _time_of(layer: Any) -> int:
    """The dimension along which a layer has time, or the recurrent layers that a model holds. Raises ValueError."""
    modules = layer.named_modules() if isinstance(layer, nn.Module) else [("", layer)]
    flags = {name: first for name, module in modules if isinstance(first := getattr(module, "batch_first", None), bool)}
    if "" in flags:
        return int(flags[""])
    if len(set(flags.values())) > 1:
        first, other = (next(name for name, is_first in flags.items() if is_first is kind) for kind in (True, False))
        raise ValueError(
            f"truncated backpropagation cuts time: of the layers of {type(layer).__name__}, {first!r} is batch_first "
            f"and {other!r} is not; say along which dimension of x time stands: dim=0 or dim=1"
        )
    return int(next(iter(flags.values()), False))


def _check_time(x: Tensor, output: Any, state: Any, dim: int, steps: int) -> None:
    """Raises ValueError where the shapes of output and state show that the batch was cut instead of time."""
    way_out = (
        f"say along which dimension of x time stands, dim={1 - dim} perhaps" if dim in (0, 1) else "say so by dim="
    )
    if not isinstance(output, Tensor) or output.dim() <= dim or output.shape[dim] != steps:
        found = tuple(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise ValueError(
            f"truncated backpropagation: for {steps} steps of time along dimension {dim} there must be as many outputs "
            f"along it, but the layer gave {found}; {way_out}"
        )
    if x.dim() != 3 or dim not in (0, 1):
        return
    batch = x.shape[1 - dim]
    for part in carry.tensors(state):  # (L, B, H), as recurrent layers give them
        if part.dim() == 3 and batch != steps == part.shape[1]:
            raise ValueError(
                f"truncated backpropagation: the batch was cut in the place of time: for {steps} steps of {batch} "
                f"sequences along dimension {dim} the layer gave back a state of {part.shape[1]} sequences; {way_out}"
            )


def _cut(sequence: Any, dim: int, begin: int, end: int) -> Any:
    return sequence[(slice(None),) * dim + (slice(begin, end),)]
