"""Scans of fused engines over trees: as autograd sees them, and as the operator `torch.ops.carousel.scan_levels`.

As in `operator.py`, a scan that nothing watches calls the engine directly, and compilers see one operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor

from carousel.engines import flops, over_levels
from carousel.engines.engine import Rows
from carousel.engines.inside_torch import is_batched, is_compiled, same_at_every_call
from carousel.engines.levels import Levels
from carousel.engines.operator import is_watched, program_of
from carousel.engines.over_levels import Nodes
from carousel.engines.parameters import parameters_of
from carousel.program import Program


class TreeRunner(Protocol):
    """How a fused engine runs scans over trees, on the tensors of one device.

    forward: (given, keep) -> (results, values kept for backward). Nothing is kept unless keep.
    backward: (given, results, kept values, gradients of the results, or None for zeros, wanted) -> the gradients of
        `given.tensors`; None for each one that is not wanted.
    saved: (given, keep) -> the count of numbers that forward keeps.
    """

    def forward(self, given: Nodes, keep: bool) -> tuple[list[Tensor], Tensor]: ...

    def backward(
        self,
        given: Nodes,
        results: Sequence[Tensor],
        saved: Tensor,
        upstream: Sequence[Tensor | None],
        wanted: Sequence[bool],
    ) -> list[Tensor | None]: ...

    def saved(self, given: Nodes, keep: bool) -> int: ...


_runners: dict[str, TreeRunner] = {}


def register(device: str, runner: TreeRunner) -> None:
    """Makes `runner` run the scans over trees on a device, "cpu" for example."""
    _runners[device] = runner


def scan(given: Nodes, key: str) -> tuple[Rows, Rows]:
    """What the program emits, and the new states, at every node. key: that of the program (`operator.key_of`)."""
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in given.tensors)
    if is_compiled() or is_watched(given.tensors):
        found = torch.ops.carousel.scan_levels.default(*_as_arguments(given, key), keep)[:-1]
    elif keep:
        found = _EagerTrees.apply(_runners[given.x.device.type], given, *given.tensors)
    else:
        found = _runners[given.x.device.type].forward(given, False)[0]
    emitted, states = _places(given.program)
    return tuple(found[:emitted]), tuple(found[place] for place in states)


@same_at_every_call
def _places(program: Program) -> tuple[int, tuple[int, ...]]:
    """How many results are emitted, and which are the states."""
    keys = list(over_levels.results_of(program))
    return len(program.emitted), tuple(keys.index(state) for state in program.states)


class _EagerTrees(torch.autograd.Function):
    """Its tensors come twice: in `given`, and one by one for autograd."""

    @staticmethod
    def forward(ctx: Any, runner: TreeRunner, given: Nodes, *tensors: Tensor) -> Any:
        del tensors
        results, saved = runner.forward(given, True)
        ctx.run = runner.backward
        _remember(ctx, given, results, saved)
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> Any:
        return None, None, *_gradients(ctx, ctx.run, upstream, list(ctx.needs_input_grad[2:]))


def _remember(ctx: Any, given: Nodes, results: Sequence[Tensor], saved: Tensor) -> None:
    ctx.given = given._replace(x=given.x.new_empty(0), first=(), parameters=(), streams=())
    ctx.save_for_backward(*given.tensors, *results, saved)


def _recall(ctx: Any) -> tuple[Nodes, Rows, Tensor]:
    """The inputs of the scan, its results, and the values kept for backward."""
    x, *others = ctx.saved_tensors
    program = ctx.given.program
    rows = iter(others)

    def next_ones(count: int) -> Rows:
        return tuple(islice(rows, count))

    first, parameters = next_ones(len(program.states)), next_ones(len(parameters_of(program)))
    streams, results = next_ones(len(program.streams)), next_ones(len(ctx.given.results))
    return ctx.given._replace(x=x, first=first, parameters=parameters, streams=streams), results, others[-1]


def _gradients(ctx: Any, run: Any, upstream: Sequence[Tensor | None], wanted: list[bool]) -> list[Tensor | None]:
    """The gradients of `Nodes.tensors`. run: `runner.backward`, or an operator that does the same."""
    given, results, saved = _recall(ctx)
    present = [g for g in upstream if g is not None]
    # Second derivatives, and several gradients at once, are the reference engine's.
    again = torch.is_grad_enabled() and any(t.requires_grad for t in (*given.tensors, *present))
    if again or any(map(is_batched, present)):
        return _differentiable(given, upstream, wanted)
    contiguous = [None if g is None else g.contiguous() for g in upstream]
    made = run(given, results, saved, contiguous, wanted)
    return [g if want else None for g, want in zip(made, wanted, strict=True)]


def _differentiable(given: Nodes, upstream: Sequence[Tensor | None], wanted: Sequence[bool]) -> list[Tensor | None]:
    asked = [t for t, want in zip(given.tensors, wanted, strict=True) if want]
    with torch.enable_grad():
        program, x, levels, first, parameters, streams, at, *_ = given
        weights = dict(zip(parameters_of(program), parameters, strict=True))
        rows = dict(zip(program.streams, streams, strict=True))
        emitted, states = over_levels.scan_levels(program, x, levels, first, weights, at, rows)
        by_name = dict(zip(given.results, emitted, strict=False)) | dict(zip(program.states, states, strict=True))
        pairs = [(by_name[key], g) for key, g in zip(given.results, upstream, strict=True) if g is not None]
        values, gradients = zip(*((t, g) for t, g in pairs if t.requires_grad), strict=True)
        found = iter(torch.autograd.grad(values, asked, gradients, create_graph=True, allow_unused=True))
    return [next(found) if want else None for want in wanted]


# The operator and its backward. A graph may come from a file, so that they check what they are given. Both begin with
# the arguments of `_nodes`.

GIVEN = (
    "Tensor x, Tensor[] first, Tensor[] parameters, Tensor[] streams, Tensor[] order, Tensor? at, str program,"
    " bool from_zero, bool bfloat16"
)


def _as_arguments(given: Nodes, key: str) -> tuple[Any, ...]:
    """The arguments of an operator for these inputs."""
    _, x, levels, first, parameters, streams, at, from_zero, bfloat16 = given
    tree_of = levels.tree_of
    assert tree_of is not None
    order = [levels.counts, levels.sources, levels.first_edge, tree_of]
    return x, [*first], [*parameters], [*streams], order, at, key, from_zero, bfloat16


def _nodes(
    x: Tensor,
    first: Sequence[Tensor],
    parameters: Sequence[Tensor],
    streams: Sequence[Tensor],
    order: Sequence[Tensor],
    at: Tensor | None,
    program: str,
    from_zero: bool,
    bfloat16: bool,
) -> Nodes:
    levels, of = Levels(*order), (tuple(first), tuple(parameters), tuple(streams))
    return Nodes(program_of(program), x, levels, *of, at, from_zero, bfloat16)


@torch.library.custom_op("carousel::scan_levels", mutates_args=(), schema=f"({GIVEN}, bool keep) -> Tensor[]")
def _scan(*arguments: Any) -> list[Tensor]:
    """The results, and then the values kept for backward."""
    given, keep = _nodes(*arguments[:-1]).at_run_time(), arguments[-1]
    results, saved = _runners[given.x.device.type].forward(given, keep)
    return [*results, saved]


@_scan.register_fake
def _(*arguments: Any) -> list[Tensor]:
    given, keep = _nodes(*arguments[:-1]), arguments[-1]
    results = [given.x.new_empty(shape) for shape in given.shapes]
    return [*results, given.x.new_empty(_runners[given.x.device.type].saved(given, keep))]


@torch.library.custom_op(
    "carousel::scan_levels_backward",
    mutates_args=(),
    schema=f"({GIVEN}, Tensor[] results, Tensor saved, Tensor[] upstream, bool[] wanted) -> Tensor[]",
)
def _scan_backward(*arguments: Any) -> list[Tensor]:
    """The gradients of `Nodes.tensors`; nothing for those that are not wanted."""
    given, (results, saved, upstream, wanted) = _nodes(*arguments[:-4]).at_run_time(), arguments[-4:]
    runner = _runners[given.x.device.type]
    given.check_gradients(results, saved, upstream, runner.saved(given, True))
    made = runner.backward(given, results, saved, upstream, wanted)
    return [given.x.new_empty(0) if g is None or not want else g for g, want in zip(made, wanted, strict=True)]


@_scan_backward.register_fake
def _(*arguments: Any) -> list[Tensor]:
    given, wanted = _nodes(*arguments[:-4]), arguments[-1]
    return [
        t.new_empty(t.shape) if want else given.x.new_empty(0) for t, want in zip(given.tensors, wanted, strict=True)
    ]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    ctx.key = inputs[6]
    _remember(ctx, _nodes(*inputs[:-1]), output[:-1], output[-1])


def _backward(ctx: Any, upstream: list[Tensor]) -> Any:
    program = ctx.given.program
    counts = len(program.states), len(parameters_of(program)), len(program.streams)
    need_x, *needs = ctx.needs_input_grad[:4]
    each = [list(n) if isinstance(n, (list, tuple)) else [bool(n)] * c for n, c in zip(needs, counts, strict=True)]

    def run(given: Nodes, results: Rows, saved: Tensor, upstream: Any, wanted: list[bool]) -> list[Tensor]:
        arguments = (*_as_arguments(given, ctx.key), [*results], saved, [*upstream], wanted)
        made: list[Tensor] = torch.ops.carousel.scan_levels_backward.default(*arguments)
        return made

    found = iter(_gradients(ctx, run, upstream[:-1], [need_x, *(want for wanted in each for want in wanted)]))
    x, of = next(found), [list(islice(found, count)) for count in counts]
    return x, *of, [None] * 4, *(None for _ in range(5))


_scan.register_autograd(_backward, setup_context=_setup)
flops.register_over_trees(program_of)
