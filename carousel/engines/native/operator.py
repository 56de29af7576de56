"""The native engine as torch operators, `torch.ops.carousel.scan` and its backward: one op each for compile and export.

A program is given to them as text: a graph that was exported and saved takes its programs along. To run one in another
process, `import carousel.layers` there, which makes the operators known, and load it.
"""

from __future__ import annotations

import array
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from carousel.engines import reference
from carousel.engines.inside_torch import Writes, becomes_a_graph, is_batched, is_jit_traced, operators_are_watched
from carousel.engines.native import call, flops, padded
from carousel.engines.native.call import Inputs
from carousel.engines.native.plan import parameters_of
from carousel.program import Program, notation
from carousel.program.sharing import made_once

_programs: dict[str, Program] = {}
# streams may be None, which is what AOTInductor gives for a list of no tensors.
_library = torch.library.Library("carousel", "DEF")
_library.define(
    "scan(Tensor x, Tensor[] states, Tensor[] parameters, Tensor[]? streams, Tensor batch_sizes, str program,"
    " bool reverse, bool bfloat16, bool keep) -> (Tensor[], Tensor[], Tensor)"
)
_library.define(
    "scan_backward(Tensor[] grad_emitted, Tensor[] grad_last, Tensor x, Tensor outputs, Tensor saved, Tensor[] states,"
    " Tensor[] parameters, Tensor[]? streams, Tensor batch_sizes, str program, bool reverse, bool bfloat16,"
    " bool[] wanted) -> Tensor[]"
)


@made_once(1024)
def key_of(program: Program) -> str:
    """The program as text; remembers whose text it is."""
    key = notation.write(program)
    _programs.setdefault(key, program)
    return key


def _program_of(key: str) -> Program:
    if key not in _programs:
        _programs[key] = notation.read(key)
    return _programs[key]


def _scan(
    x: Tensor,
    states: list[Tensor],
    parameters: list[Tensor],
    streams: list[Tensor] | None,
    batch_sizes: Tensor,
    program: str,
    reverse: bool,
    bfloat16: bool,
    keep: bool,
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    given = Inputs(_program_of(program), x, states, parameters, streams or [], batch_sizes, reverse, bfloat16)
    return padded.forward(given, keep)


def _fake_scan(
    x: Tensor,
    states: list[Tensor],
    parameters: list[Tensor],
    streams: list[Tensor] | None,
    batch_sizes: Tensor,
    program: str,
    reverse: bool,
    bfloat16: bool,
    keep: bool,
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    del batch_sizes, reverse, streams
    which = _program_of(program)
    sizes = call.sizes_of(which, x, parameters)
    made = call.forward_plan(which, keep, sizes.direct, bfloat16)
    saved = x.new_empty(x.shape[0] * call.saved_width(made, sizes))
    return call.empty_emitted(x, sizes), [s.new_empty(s.shape) for s in states], saved


def _scan_backward(
    grad_emitted: list[Tensor],
    grad_last: list[Tensor],
    x: Tensor,
    outputs: Tensor,
    saved: Tensor,
    states: list[Tensor],
    parameters: list[Tensor],
    streams: list[Tensor] | None,
    batch_sizes: Tensor,
    program: str,
    reverse: bool,
    bfloat16: bool,
    wanted: list[bool],
) -> list[Tensor]:
    given = Inputs(_program_of(program), x, states, parameters, streams or [], batch_sizes, reverse, bfloat16)
    made = padded.backward(given, outputs, saved, grad_emitted, grad_last, wanted)
    return [x.new_empty(0) if g is None else g for g in made]


def _fake_scan_backward(
    grad_emitted: list[Tensor],
    grad_last: list[Tensor],
    x: Tensor,
    outputs: Tensor,
    saved: Tensor,
    states: list[Tensor],
    parameters: list[Tensor],
    streams: list[Tensor] | None,
    batch_sizes: Tensor,
    program: str,
    reverse: bool,
    bfloat16: bool,
    wanted: list[bool],
) -> list[Tensor]:
    del grad_emitted, grad_last, outputs, saved, batch_sizes, program, reverse, bfloat16
    inputs = (x, *states, *parameters, *(streams or []))
    return [t.new_empty(t.shape) if want else x.new_empty(0) for t, want in zip(inputs, wanted, strict=True)]


def _gradients(
    ctx: Any,
    run: Callable[..., Sequence[Tensor | None]],
    grad_emitted: Sequence[Tensor],
    grad_last: Sequence[Tensor],
    wanted: list[bool],
) -> list[Tensor | None]:
    """The gradients of x, states, parameters and streams, one after another. run: as `call.backward`."""
    x, *rest, batch_sizes, outputs, saved = ctx.saved_tensors
    gradients = (*grad_emitted, *grad_last)
    again = torch.is_grad_enabled() and any(t.requires_grad for t in (x, *rest, *gradients))
    # Several gradients at once (is_grads_batched, vectorised Jacobians) have no memory of their own either.
    if again or any(map(is_batched, gradients)):
        return _differentiable(ctx, (x, *rest), batch_sizes, gradients, wanted)
    if not ctx.keep:
        raise RuntimeError(
            "a native scan that kept nothing for backward was asked for gradients: "
            "call it through carousel.engines.scan, which knows when gradients are wanted"
        )
    a, b = ctx.counts
    lists = rest[:a], rest[a:b], rest[b:]
    given = Inputs(_program_of(ctx.program), x, *lists, batch_sizes, ctx.reverse, ctx.bfloat16)
    if ctx.writes is not None and ctx.writes.happened():
        outputs = padded.forward(given, keep=False)[0][0]  # the caller wrote into them: they are made again
    made = run(given, outputs, saved, grad_emitted, grad_last, wanted)
    return [g if want else None for g, want in zip(made, wanted, strict=True)]


def _differentiable(
    ctx: Any, inputs: tuple[Tensor, ...], batch_sizes: Tensor, gradients: tuple[Tensor, ...], wanted: list[bool]
) -> list[Tensor | None]:
    """Gradients that can be differentiated again (create_graph=True): the scan is run anew by the reference engine."""
    program = _program_of(ctx.program)
    x, *rest = inputs
    a, b = ctx.counts
    weights = dict(zip(parameters_of(program), rest[a:b], strict=True))
    streams = dict(zip(program.streams, rest[b:], strict=True))
    asked = [t for t, want in zip(inputs, wanted, strict=True) if want]
    with torch.enable_grad():
        states = tuple(rest[:a])
        emitted, last = reference.scan(program, x, batch_sizes.tolist(), states, weights, ctx.reverse, streams)
        results = [(t, g) for t, g in zip((*emitted, *last), gradients, strict=True) if t.requires_grad]
        values, upstream = zip(*results, strict=True)
        found = iter(torch.autograd.grad(values, asked, upstream, create_graph=True, allow_unused=True))
    return [next(found) if want else None for want in wanted]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    x, states, parameters, streams, batch_sizes, program, reverse, bfloat16, keep = inputs
    emitted, _, saved = output
    _save(ctx, (x, *states, *parameters, *(streams or []), batch_sizes), emitted[0], saved)
    ctx.counts = len(states), len(states) + len(parameters)
    ctx.program, ctx.reverse, ctx.bfloat16, ctx.keep = program, reverse, bfloat16, keep
    ctx.mark_non_differentiable(saved)


def _save(ctx: Any, inputs: tuple[Tensor, ...], outputs: Tensor, saved: Tensor) -> None:
    """Keeps what backward reads. The caller may write into the outputs, as into those of torch.nn's GRU."""
    plain = type(outputs) is Tensor  # a compiler's tensors have no memory, and it copies what is written to
    ctx.writes = Writes(outputs) if plain else None
    # Through `data` autograd takes no notice of writes; `ctx.writes` does, without a copy of the outputs.
    ctx.save_for_backward(*inputs, outputs.data if plain else outputs, saved)


def _backward(ctx: Any, grad_emitted: list[Tensor], grad_last: list[Tensor], _: Any) -> Any:
    a, b = ctx.counts
    streams = len(ctx.saved_tensors) - 4 - b
    need_x, need_states, need_parameters, need_streams, *_ = ctx.needs_input_grad
    wanted = [need_x, *_each(need_states, a), *_each(need_parameters, b - a), *_each(need_streams, streams)]

    def run(
        given: Inputs, outputs: Tensor, saved: Tensor, emitted: list[Tensor], last: list[Tensor], wanted: list[bool]
    ) -> list[Tensor]:
        _, x, *lists, sizes, reverse, bfloat16 = given
        return torch.ops.carousel.scan_backward.default(
            list(emitted), list(last), x, outputs, saved, *lists, sizes, ctx.program, reverse, bfloat16, wanted
        )

    found = _gradients(ctx, run, grad_emitted, grad_last, wanted)
    return found[0], found[1 : 1 + a], found[1 + a : 1 + b], found[1 + b :], None, None, None, None, None


def _each(needs: Any, count: int) -> list[bool]:
    return list(needs) if isinstance(needs, (list, tuple)) else [bool(needs)] * count


class _Eager(torch.autograd.Function):
    """The operator without the dispatcher, whose lists of tensors cost a tenth of a millisecond a call in Python."""

    @staticmethod
    def forward(
        ctx: Any, key: str, counts: tuple[int, int], batch_sizes: Tensor, reverse: bool, bfloat16: bool, *inputs: Tensor
    ) -> Any:
        a, b = counts
        x, *rest = inputs
        lists = rest[:a], rest[a:b], rest[b:]
        given = Inputs(_program_of(key), x, *lists, batch_sizes, reverse, bfloat16)
        emitted, last, saved = call.forward(given, keep=True)
        _save(ctx, (*inputs, batch_sizes), emitted[0], saved)
        ctx.counts, ctx.program, ctx.reverse, ctx.bfloat16, ctx.keep = counts, key, reverse, bfloat16, True
        return (*emitted, *last)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        count = len(_program_of(ctx.program).emitted)
        wanted = list(ctx.needs_input_grad[5:])
        found = _gradients(ctx, call.backward, gradients[:count], gradients[count:], wanted)
        return (None, None, None, None, None, *found)


def scan(
    program: Program,
    key: str,
    x: Tensor,
    batch_sizes: Sequence[int] | Tensor,
    states: tuple[Tensor, ...],
    parameters: list[Tensor],
    streams: list[Tensor],
    reverse: bool,
    bfloat16: bool,
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """What a scan emits, and its last states: by the operator where something watches operators, else directly."""
    inputs = (x, *states, *parameters, *streams)
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in inputs)
    keep = keep or is_jit_traced()  # a trace does not know yet whether it will be asked for gradients
    # A call that is no graph's may have been laid out for a compiler, whose sizes of steps are a tensor.
    if isinstance(batch_sizes, Tensor) or becomes_a_graph() or _is_watched(inputs):
        # Of a cell it is one, which a graph writes down as a size.
        if not isinstance(batch_sizes, Tensor) and len(batch_sizes) == 1:
            batch_sizes = torch.full((1,), batch_sizes[0], device=x.device)
        sizes = torch.as_tensor(batch_sizes, dtype=torch.int64, device=x.device)
        emitted, last, _ = torch.ops.carousel.scan.default(
            x, list(states), parameters, streams, sizes, key, reverse, bfloat16, keep
        )
        return tuple(emitted), tuple(last)
    sizes = torch.frombuffer(array.array("q", batch_sizes), dtype=torch.int64)
    given = Inputs(program, x, states, parameters, streams, sizes, reverse, bfloat16)
    call.check(given, batch_sizes)
    if not keep:
        emitted, last, _ = call.forward(given, keep=False)
        return tuple(emitted), tuple(last)
    counts = len(states), len(states) + len(parameters)
    made = _Eager.apply(key, counts, sizes, reverse, bfloat16, *inputs)
    return made[: len(program.emitted)], made[len(program.emitted) :]


def _is_watched(tensors: Sequence[Tensor]) -> bool:
    """Whether tensors are not plain ones (a subclass may have no memory), or a mode looks at every operator."""
    return any(type(t) not in (Tensor, torch.nn.Parameter) for t in tensors) or operators_are_watched()


_library.impl("scan", _scan, "CPU")
_library.impl("scan_backward", _scan_backward, "CPU")
torch.library.register_fake("carousel::scan", _fake_scan, lib=_library)
torch.library.register_fake("carousel::scan_backward", _fake_scan_backward, lib=_library)
torch.library.register_autograd("carousel::scan", _backward, setup_context=_setup, lib=_library)
flops.register(_program_of)
