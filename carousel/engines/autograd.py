"""What autograd keeps of a fused engine's scan from forward to backward, and the gradients that backward returns.

The engine itself computes first derivatives. For second derivatives, and for several gradients at once, the reference
engine runs the scan again.
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
    """Saves what backward reads. The caller may write into the outputs, as into those of torch.nn.GRU."""
    plain = type(outputs) is Tensor  # a compiler's tensors have no memory, and it copies tensors before a write
    ctx.writes = Writes(outputs) if plain else None
    # Autograd does not notice writes to a tensor that was saved through `data`; `ctx.writes` does, without a copy.
    ctx.save_for_backward(*given.tensors, given.batch_sizes, outputs.data if plain else outputs, saved)
    ctx.counts = 1 + len(given.states), 1 + len(given.states) + len(given.parameters)
    ctx.scan = given.program, given.reverse, given.bfloat16
    ctx.keep = keep


def _recall(ctx: Any) -> tuple[Inputs, Tensor, Tensor]:
    """What `remember` saved: the inputs of the scan, its outputs and the values kept for backward."""
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
    """The gradients of x, the states, the parameters and the streams, in this order, in one list.

    run: `runner.backward`, or an operator that does the same where a compiler needs one.
    """
    given, outputs, saved = _recall(ctx)
    upstream = (*grad_emitted, *grad_last)
    again = torch.is_grad_enabled() and any(t.requires_grad for t in (*given.tensors, *upstream))
    # Batched gradients (is_grads_batched, vectorised Jacobians) are tensors without memory of their own.
    if again or any(map(is_batched, upstream)):
        return _differentiable(given, upstream, wanted)
    if not ctx.keep:
        raise RuntimeError(
            "a native scan that kept nothing for backward was asked for gradients: "
            "call it through carousel.engines.scan, which knows when gradients are wanted"
        )
    if ctx.writes is not None and ctx.writes.happened():  # the caller wrote into the outputs
        outputs = padded.forward(runner, given.flat(), keep=False)[0][0]
    made = run(given, Upstream(outputs, saved, grad_emitted, grad_last), wanted)
    return [g if want else None for g, want in zip(made, wanted, strict=True)]


def _differentiable(given: Inputs, gradients: tuple[Tensor, ...], wanted: list[bool]) -> list[Tensor | None]:
    """Gradients that can be differentiated again (create_graph=True): the reference engine runs the scan again."""
    asked = [t for t, want in zip(given.tensors, wanted, strict=True) if want]
    with torch.enable_grad():
        program, x, states, parameters, streams, sizes, reverse, _ = given.flat()
        weights = dict(zip(parameters_of(program), parameters, strict=True))
        rows = dict(zip(program.streams, streams, strict=True))
        emitted, last = reference.scan(program, x, sizes.tolist(), tuple(states), weights, reverse, rows)
        folded = (t.reshape(g.shape) for t, g in zip((*emitted, *last), gradients, strict=True))
        results = [(t, g) for t, g in zip(folded, gradients, strict=True) if t.requires_grad]
        values, upstream = zip(*results, strict=True)
        found = iter(torch.autograd.grad(values, asked, upstream, create_graph=True, allow_unused=True))
    return [next(found) if want else None for want in wanted]
