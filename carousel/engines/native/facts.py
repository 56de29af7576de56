"""Facts of a scan that are known before it runs: the memory it keeps, its division among threads, its plans as text."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from carousel.engines.call import Inputs, Sizes
from carousel.engines.native import binding
from carousel.engines.native.call import describe, prepared_for
from carousel.engines.native.prepared import backward_plan, isa, library
from carousel.engines.parameters import shapes_of
from carousel.program import Program


def _scan_of(program: Program, dtype: torch.dtype, units: dict[str, int], steps: int = 1, batch: int = 1) -> Inputs:
    """The inputs of a scan of this shape, with tensors that have no memory. units: the number for each size name."""
    bfloat16 = dtype == torch.bfloat16
    wide = torch.float32 if bfloat16 else dtype

    def rows(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=wide, device="meta")

    shapes = shapes_of(program, units)
    units = program.with_rows(units)
    batch_sizes = torch.full((steps,), batch, dtype=torch.int64, device="cpu")
    states = [rows(batch, units[size]) for size in program.states.values()]
    parameters = [rows(*shape) for shape in shapes]
    return Inputs(program, rows(steps * batch, units["input"]), states, parameters, (), batch_sizes, False, bfloat16)


def sizes(program: Program, dtype: torch.dtype, units: dict[str, int]) -> Sizes:
    """The sizes of a scan with so many units of each size."""
    return _scan_of(program, dtype, units).sizes


def listing(program: Program, dtype: torch.dtype, units: dict[str, int], trees: bool = False) -> str:
    """The plans of a scan that keeps values for backward, and of backward, as text."""
    given = _scan_of(program, dtype, units)
    ready = prepared_for(given, given.sizes, True, trees)
    plans = {"forward": ready.plan, "backward": backward_plan(program, ready.direct, False, given.bfloat16, trees)}
    return "\n\n".join(f"{name}:\n{made.plan}" for name, made in plans.items())


def kept(program: Program, dtype: torch.dtype, units: dict[str, int]) -> int:
    """The number of bytes that a scan keeps for backward for each row of a step, including its results."""
    given = _scan_of(program, dtype, units)
    sizes = given.sizes
    return (sum(sizes.emitted) + prepared_for(given, sizes, keep=True).saved) * given.x.dtype.itemsize


def division(program: Program, dtype: torch.dtype, units: dict[str, int], steps: int, batch: int) -> str:
    """A phrase that says how threads would divide a scan of this shape."""
    given = _scan_of(program, dtype, units, steps, batch)._replace(bfloat16=False)
    sizes = given.sizes
    scan, alive = describe(prepared_for(given, sizes, keep=False).plan, sizes, given)
    alive.append(binding.pointers([None] * (len(program.emitted) + len(program.streams))))
    scan.rows_of_steps = ctypes.addressof(alive[-1])
    threads = scan.threads
    match library().c.carousel_division(isa(), scan):
        case 0:
            return "one thread"
        case 1:
            return f"{threads} threads, each its own rows of the batch"
    return f"{threads} threads, each its own hidden units, meeting at every step"
