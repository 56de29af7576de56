"""What an engine is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from carousel.program import Interface, Program

Rows = tuple[Tensor, ...]
Step = Callable[[Rows, Rows], tuple[Rows, Rows]]
Around = Callable[[int, Step, Rows, Rows], tuple[Rows, Rows]]


class Stepper(Protocol):
    """A program run one step at a time, without gradients, from the states it holds: zeros until they are set.

    A call takes x, (batch, input), and gives the output, (batch, size); it is written to `out` where that is given,
    contiguous, of the weights' dtype. The caller has checked x and `out`. `states` are copies, (batch, size) each; they
    may be finer than the weights' dtype.
    """

    states: tuple[Tensor, ...]

    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor: ...


class ReadyStep(Protocol):
    """One step without gradients, made ready for tensors of certain shapes and dtypes.

    A call takes x, (batch, input), the states and the parameters, in the order of `names`, and gives the new states;
    None where any of them is not of the kind that it was made for.
    """

    program: Program
    names: tuple[str, ...]

    def __call__(
        self, x: Tensor, states: Sequence[Tensor], parameters: Sequence[Tensor | None]
    ) -> tuple[Tensor, ...] | None: ...


@dataclass(frozen=True)
class Engine:
    """A way to run programs over time.

    scan: (program, x, batch_sizes, states, weights, reverse, streams) -> (emitted, states), as `reference.scan` says.
    stepper: (program, weights, batch, streams) -> a Stepper, the weights prepared once; streams are the same at every
        step.
    why_not: (program, dtype, device) -> None if it can run such a scan, else the reason, as a phrase.
    kept: (program, sizes by name, dtype) -> how many bytes a scan keeps for backward for each row of a step.
    calls_python: whether its scan takes `around` too, Python that is called in the place of each step.
    division: (program, dtype, sizes, steps, batch) -> how threads divide a scan of that shape, as a phrase; None
        where that is not the engine's own choice.
    listing: (program, dtype, sizes) -> what it makes of the program, line by line, forward and backward; None
        where it runs the program as it stands.
    one_step: (program, x, states, weights) -> a ReadyStep for such tensors, or None; None where the engine has none.
    """

    name: str
    scan: Callable[..., tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]
    why_not: Callable[[Interface, torch.dtype, torch.device], str | None]
    stepper: Callable[..., Stepper]
    kept: Callable[[Any, dict[str, int], torch.dtype], int]
    calls_python: bool = False
    division: Callable[..., str] | None = None
    listing: Callable[..., str] | None = None
    one_step: Callable[..., ReadyStep | None] | None = None
