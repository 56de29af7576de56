"""What autograd keeps of a fused engine's scan between forward and backward, and what it is given then.

First derivatives are the engine's own. Where derivatives are to be differentiated again, or come several at once, the
reference engine runs the scan anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from carousel.engines import padded, reference
from carousel.engines.call import Gradients, Inputs, Runner, Upstream
from carousel.engines.inside_torch import Writes, is_batched
from carousel.engines.parameters import parameters_of


def remember(ctx: Any, given: Inputs, outputs: Tensor, saved: Tensor, keep: bool) -> None:
    """Keeps what backward reads. The caller may write into the outputs, as into those of torch.nn's GRU."""
    plain = type(outputs) is Tensor  # a compiler's tensors have no memory, and it copies what is written to
    ctx.writes = Writes(outputs) if plain else None
    # Through `data` autograd takes no notice of writes; `ctx.writes` does, without a copy of the outputs.
    ctx.save_for_backward(*given.tensors, given.batch_sizes, outputs.data if plain else outputs, saved)
    ctx.counts = 1 + len(given.states), 1 + len(given.states) + len(given.parameters)
    ctx.scan = given.program, given.reverse, given.bfloat16
    ctx.keep = keep


def _recall(ctx: Any) -> tuple[Inputs, Tensor, Tensor]:
    """The scan that was remembered, its outputs and what it kept."""
    *tensors, sizes, outputs, saved = ctx.saved_tensors
    (a, b), (program, reverse, bfloat16) = ctx.counts, ctx.scan
    given = Inputs(program, tensors[0], tensors[1:a], tensors[a:b], tensors[b:], sizes, reverse, bfloat16)
    return given, outputs, saved


def gradients(
    ctx: Any,
    runner: Runner,
    run: Callable[[Inputs, Upstream, Sequence[bool]], Gradients],
    grad_emitted: Sequence[Tensor],
    grad_last: Sequence[Tensor],
    wanted: list[bool],
) -> list[Tensor | None]:
    """The gradients of x, states, parameters and streams, one after another.

    run: as `runner.backward`, by an operator where a compiler wants one.
    """
    given, outputs, saved = _recall(ctx)
    upstream = (*grad_emitted, *grad_last)
    again = torch.is_grad_enabled() and any(t.requires_grad for t in (*given.tensors, *upstream))
    # Several gradients at once (is_grads_batched, vectorised Jacobians) have no memory of their own either.
    if again or any(map(is_batched, upstream)):
        return _differentiable(given, upstream, wanted)
    if not ctx.keep:
        raise RuntimeError(
            "a native scan that kept nothing for backward was asked for gradients: "
            "call it through carousel.engines.scan, which knows when gradients are wanted"
        )
    if ctx.writes is not None and ctx.writes.happened():  # the caller wrote into the outputs: they are made again
        outputs = padded.forward(runner, given, keep=False)[0][0]
    made = run(given, Upstream(outputs, saved, grad_emitted, grad_last), wanted)
    return [g if want else None for g, want in zip(made, wanted, strict=True)]


def _differentiable(given: Inputs, gradients: tuple[Tensor, ...], wanted: list[bool]) -> list[Tensor | None]:
    """Gradients that can be differentiated again (create_graph=True): the scan is run anew by the reference engine."""
    program, x, states, parameters, streams, sizes, reverse, _ = given
    weights = dict(zip(parameters_of(program), parameters, strict=True))
    rows = dict(zip(program.streams, streams, strict=True))
    asked = [t for t, want in zip(given.tensors, wanted, strict=True) if want]
    with torch.enable_grad():
        emitted, last = reference.scan(program, x, sizes.tolist(), tuple(states), weights, reverse, rows)
        results = [(t, g) for t, g in zip((*emitted, *last), gradients, strict=True) if t.requires_grad]
        values, upstream = zip(*results, strict=True)
        found = iter(torch.autograd.grad(values, asked, upstream, create_graph=True, allow_unused=True))
    return [next(found) if want else None for want in wanted]
