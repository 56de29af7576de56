"""Scans of fused engines over trees, as autograd sees them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor

from carousel.engines import over_levels
from carousel.engines.engine import Rows
from carousel.engines.inside_torch import is_batched
from carousel.engines.over_levels import Nodes
from carousel.engines.parameters import parameters_of


class TreeRunner(Protocol):
    """How a fused engine runs scans over trees.

    forward: (given, keep) -> (results, values kept for backward). Nothing is kept unless keep.
    backward: (given, results, kept values, gradients of the results, or None for zeros, wanted) -> the gradients of
        `given.tensors`; None for each one that is not wanted.
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


def scan(runner: TreeRunner, given: Nodes) -> tuple[Rows, Rows]:
    """What the program emits, and the new states, at every node."""
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in given.tensors)
    found = _EagerTrees.apply(runner, given, *given.tensors) if keep else runner.forward(given, False)[0]
    by_name = dict(zip(given.results, found, strict=True))
    emitted = len(given.program.emitted)
    return tuple(found[:emitted]), tuple(by_name[state] for state in given.program.states)


class _EagerTrees(torch.autograd.Function):
    """Its tensors come twice: in `given`, and one by one for autograd."""

    @staticmethod
    def forward(ctx: Any, runner: TreeRunner, given: Nodes, *tensors: Tensor) -> Any:
        results, saved = runner.forward(given, True)
        ctx.runner, ctx.given = runner, given._replace(x=tensors[0].new_empty(0), first=(), parameters=(), streams=())
        ctx.save_for_backward(*tensors, *results, saved)
        ctx.set_materialize_grads(False)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> Any:
        given, results, saved = _recall(ctx)
        wanted = list(ctx.needs_input_grad[2:])
        present = [g for g in upstream if g is not None]
        # Second derivatives, and several gradients at once, are the reference engine's.
        again = torch.is_grad_enabled() and any(t.requires_grad for t in (*given.tensors, *present))
        if again or any(map(is_batched, present)):
            return None, None, *_differentiable(given, upstream, wanted)
        contiguous = [None if g is None else g.contiguous() for g in upstream]
        return None, None, *ctx.runner.backward(given, results, saved, contiguous, wanted)


def _recall(ctx: Any) -> tuple[Nodes, Sequence[Tensor], Tensor]:
    """The inputs of the scan, its results, and the values kept for backward."""
    x, *others = ctx.saved_tensors
    program = ctx.given.program
    rows = iter(others)

    def next_ones(count: int) -> Rows:
        return tuple(islice(rows, count))

    first, parameters = next_ones(len(program.states)), next_ones(len(parameters_of(program)))
    streams, results = next_ones(len(program.streams)), next_ones(len(ctx.given.results))
    return ctx.given._replace(x=x, first=first, parameters=parameters, streams=streams), results, others[-1]


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
