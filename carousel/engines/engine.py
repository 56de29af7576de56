"""The interfaces of an engine."""

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
    """Runs a program one step at a time, without gradients. It holds the states, which are zero until they are set.

    A call takes x, (batch, input), and returns the output, (batch, size). If `out` is given, a contiguous tensor of the
    weights' dtype, the output is written to it. The caller has checked x and `out`. `states` returns copies, each
    (batch, size), perhaps in a dtype of higher precision than that of the weights.
    """

    states: tuple[Tensor, ...]

    def give(self, name: str, rows: Tensor) -> None:
        """Sets the rows of a stream for the steps to come; nothing where the program reads no such stream."""

    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor: ...


class ReadyScan(Protocol):
    """A scan made ready for calls with tensors of certain shapes and one dtype, with and without gradients.

    A call takes x, the rows of all steps, the states and the parameters, in the order of `names`, and gives what the
    scan emits first, its output, and the last states; None where any of them is not of the kind that it was made for.
    Rows may be folded as in (T, B, size) or (1, B, size): results are folded alike.
    """

    program: Program
    names: tuple[str, ...]

    def __call__(
        self, x: Tensor, states: Sequence[Tensor], parameters: Sequence[Tensor | None]
    ) -> tuple[Tensor, tuple[Tensor, ...]] | None: ...


@dataclass(frozen=True)
class Engine:
    """A way to run programs over time.

    scan: (program, x, batch_sizes, states, weights, reverse, streams) -> (emitted, states), as `reference.scan` says.
    stepper: (program, weights, batch, streams) -> a Stepper, which prepares the weights once and uses the same streams
        at every step.
    why_not: (program, dtype, device) -> None if the engine can run the scan, else the reason, as a phrase.
    kept: (program, sizes by name, dtype) -> the number of bytes that a scan keeps for backward for each row of a step.
    calls_python: whether its scan also takes `around`, a Python function that is called in the place of each step.
    division: (program, dtype, sizes, steps, batch) -> how the threads divide such a scan, as a phrase. None if the
        engine does not decide it.
    listing: (program, dtype, sizes, whether over trees) -> the forward and backward plans as text. None if the engine
        makes no plan.
    ready: (program, steps, rows of each, shapes of its parameters, dtype, reverse) -> a ReadyScan; None where
        the engine has none.
    scan_levels: (program, x, levels, first, weights, at, streams) -> (emitted, states) over trees, as
        `over_levels.scan_levels` says; None where the engine does not run over trees.
    division_of_trees: (program, dtype, sizes, levels) -> how the threads divide such a scan, as a phrase. None if the
        engine does not decide it.
    """

    name: str
    scan: Callable[..., tuple[tuple[Tensor, ...], tuple[Tensor, ...]]]
    why_not: Callable[[Interface, torch.dtype, torch.device], str | None]
    stepper: Callable[..., Stepper]
    kept: Callable[[Any, dict[str, int], torch.dtype], int]
    calls_python: bool = False
    division: Callable[..., str] | None = None
    listing: Callable[..., str] | None = None
    ready: Callable[..., ReadyScan] | None = None
    scan_levels: Callable[..., tuple[tuple[Tensor, ...], tuple[Tensor, ...]]] | None = None
    division_of_trees: Callable[..., str] | None = None
