"""The native engine: the C++ library runs programs on a CPU.

It computes values and first derivatives. It leaves these calls to the reference engine, with the same results: second
derivatives (`create_graph=True`), torch.func transforms (vmap, jvp, grad), forward-mode derivatives, and scans without
rows.

In bfloat16 are the weights, inputs, outputs and their gradients, the factors of matrix products, and the pointwise
values kept for backward. Sums, states within a scan and pointwise ops are float32, so that a state is rounded once a
scan and not once a step. Under autocast to bfloat16 the factors and the kept values are rounded if the processor
multiplies bfloat16 itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from carousel.engines import operator, over_levels, over_trees, reference
from carousel.engines.call import Inputs
from carousel.engines.inside_torch import (
    are_of_samples,
    is_compiled,
    is_jit_traced,
    is_transformed,
    operators_are_watched,
    same_at_every_call,
)
from carousel.engines.levels import Levels
from carousel.engines.native import binding, call, facts, identity
from carousel.engines.native import over_trees as native_over_trees
from carousel.engines.native.prepared import isa, library, multiplies_bfloat16, settings
from carousel.engines.native.sizes import members_of, others
from carousel.engines.over_levels import Nodes
from carousel.engines.parameters import parameters_of
from carousel.program import Interface, Program, ops
from carousel.program.sharing import made_once


@same_at_every_call
def why_not(program: Interface, dtype: torch.dtype, device: torch.device) -> str | None:
    """The reason why the engine cannot run such a scan, as a phrase; None if it can."""
    if isinstance(absent := binding.find(), str):
        return absent
    if not isinstance(program, Program):
        return "the cell's step is not traced to a program"
    if (reason := beyond(program)) is not None:
        return reason
    if torch.device(device).type != "cpu":
        return f"it runs on the CPU, not on {device}"
    if dtype not in (torch.float32, torch.float64, torch.bfloat16):
        return f"it computes in float32, float64 and bfloat16, not in {str(dtype).removeprefix('torch.')}"
    if len(found := others(program)) > 2:
        return f"it computes with rows of hidden units and of two other sizes, and the cell has {' and '.join(found)}"
    return None  # every such program, and its derivative, can become a plan


def scan(
    program: Program,
    x: Tensor,
    batch_sizes: Sequence[int],
    states: tuple[Tensor, ...],
    weights: Mapping[str, Tensor],
    reverse: bool = False,
    streams: Mapping[str, Tensor] | None = None,
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Runs a program over time. Arguments and results are those of `reference.scan`."""
    of_torch_alone = torch.jit.is_tracing() and not is_jit_traced()  # an ONNX file may contain torch's own ops only
    if x.shape[0] == 0 or is_transformed() or of_torch_alone or are_of_samples(weights.values()):
        return reference.scan(program, x, batch_sizes, states, weights, reverse, streams)
    key, names = _known_as(program)
    parameters = [weights[name] for name in names]
    rows = [(streams or {})[name] for name in program.streams]
    if x.dtype != torch.bfloat16:
        rounds = x.dtype == torch.float32 and _autocast_rounds()
        return operator.scan(Inputs(program, x, states, parameters, rows, batch_sizes, reverse, rounds), key)

    def wide(tensors: Sequence[Tensor]) -> list[Tensor]:
        return [t.float() for t in tensors]

    given = Inputs(program, x.float(), wide(states), wide(parameters), wide(rows), batch_sizes, reverse, True)
    emitted, last = operator.scan(given, key)
    return tuple(t.to(x.dtype) for t in emitted), tuple(t.to(x.dtype) for t in last)


def scan_levels(
    program: Program,
    x: Tensor,
    levels: Levels,
    first: tuple[Tensor, ...],
    weights: Mapping[str, Tensor],
    at: Tensor | None = None,
    streams: Mapping[str, Tensor] | None = None,
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Runs a program over trees. Arguments and results are those of `over_levels.scan_levels`."""
    if levels.nodes == 0 or torch.jit.is_tracing() or is_transformed() or are_of_samples(weights.values()):
        return over_levels.scan_levels(program, x, levels, first, weights, at, streams)
    if at is not None:
        x, at = _in_order(x, at, levels.nodes)
    key, names = _known_as(program)
    parameters = tuple(weights[name] for name in names)
    rows = tuple((streams or {})[name] for name in program.streams)
    from_zero = not any(state.requires_grad for state in first)
    if not (is_compiled() or operators_are_watched()):  # there the operator finds out, when it is run
        from_zero = program.children == "any" or (from_zero and not any(bool(state.any()) for state in first))
    rounds = x.dtype == torch.bfloat16 or (x.dtype == torch.float32 and _autocast_rounds())

    def plain(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple((t.float() if t.dtype == torch.bfloat16 else t).contiguous() for t in tensors)

    (wide,) = plain([x])
    given = Nodes(program, wide, levels, plain(first), plain(parameters), plain(rows), at, from_zero, rounds)
    emitted, states = over_trees.scan(given, key)
    return tuple(t.to(x.dtype) for t in emitted), tuple(t.to(x.dtype) for t in states)


def _in_order(x: Tensor, at: Tensor, nodes: int) -> tuple[Tensor, Tensor | None]:
    """The rows of x in the order of the nodes that they belong to, and these nodes; None if they are all."""
    if is_compiled() or operators_are_watched():
        at, order = at.sort()
        return x.index_select(0, order), at
    if not bool((at.diff() > 0).all()):
        at, order = at.sort()
        x = x.index_select(0, order)
    return x, None if len(at) == nodes else at.contiguous()


def _autocast_rounds() -> bool:
    """Whether autocast allows bfloat16 for products, and this processor multiplies bfloat16 faster than float32."""
    on = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return on and multiplies_bfloat16()


def division(program: Program, dtype: torch.dtype, sizes: dict[str, int], steps: int, batch: int) -> str:
    """A phrase that says how threads divide `steps` steps of `batch` rows. sizes: the number for each size name."""
    how = facts.division(program, dtype, sizes, steps, batch)
    return how if dtype != torch.bfloat16 else f"{how}; products in bfloat16, sums and states in float32"


def division_of_trees(program: Program, dtype: torch.dtype, sizes: dict[str, int], levels: Levels) -> str:
    """A phrase that says how threads divide a scan over trees. sizes: the number for each size name."""
    return native_over_trees.division(facts.sizes(program, dtype, sizes), levels)


def listing(program: Program, dtype: torch.dtype, sizes: dict[str, int], trees: bool = False) -> str:
    """The plans of such a scan, over sequences or trees, and of backpropagation through it, as text (`text.py`)."""
    return facts.listing(program, dtype, sizes, trees)


@same_at_every_call
@made_once(1024)
def beyond(program: Program) -> str | None:
    """What a program has that no plan can say, as a phrase; None if there is nothing."""
    if any(node.members == ops.CONTEXT for node in program.nodes):
        return "it computes with rows and with members that all rows have as many of, and this cell reads a context"
    if len(found := members_of(program)) > 1:
        return f"it computes with members of one number, and this cell has {' and '.join(found)} of them"
    if found and any(node.op in ops.PRODUCTS and node.members for node in program.nodes):
        return "it multiplies rows, and this cell multiplies each member of them by a matrix"
    return None


@same_at_every_call
def kept(program: Program, sizes: dict[str, int], dtype: torch.dtype) -> int:
    """The number of bytes that a scan keeps for backward for each row of a step. sizes: the number for each name."""
    return facts.kept(program, dtype, sizes)


@same_at_every_call
def _known_as(program: Program) -> tuple[str, tuple[str, ...]]:
    """The program's key and the names of its parameters, in a function that a compiler does not trace."""
    return operator.key_of(program), parameters_of(program)


@contextmanager
def use_isa(name: str) -> Iterator[None]:
    """For tests: uses another instruction set than the machine's best. Results differ in their last bits."""
    found = library()
    if name not in found.isas_here:
        raise ValueError(f"the instruction set must be one of {found.isas_here}, but {name!r} was given")
    before = isa()
    settings.isa = found.isas.index(name)
    try:
        yield
    finally:
        settings.isa = before


def status() -> dict[str, str]:
    """What `carousel doctor` prints: whether the engine is available, its instruction sets, the number of threads."""
    found = binding.find()
    if isinstance(found, str):
        return {
            "native engine": f"absent: {found}",
            "what to do": f"layers run without it, several times slower; with a C++ compiler, {identity.advice()}",
        }
    return {
        "native engine": "present",
        "library": str(found.path),
        "instruction set": found.isas[isa()],
        "instruction sets here": ", ".join(found.isas_here),
        "bfloat16 products": "the processor's own" if multiplies_bfloat16() else "widened to float32",
        "threads": str(torch.get_num_threads()),
        "OpenMP runtimes in the process": str(openmp_runtimes()),
    }


def openmp_runtimes() -> int:
    """The number of OpenMP runtimes in the process, 0 if unknown. Two runtimes would compete for the cores."""
    try:
        with open("/proc/self/maps") as maps:
            files = {line.split()[-1] for line in maps}
    except OSError:
        return 0
    return sum(".so" in file and "omp" in file.rpartition("/")[2] for file in files)


operator.register("cpu", call)
over_trees.register("cpu", native_over_trees)
