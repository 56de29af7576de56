"""Scans of fused engines as torch operators: `torch.ops.carousel.scan` and its backward, for compilers and exporters.

An operator takes its program as text, so that a saved graph contains its programs. To run such a graph in another
process, first `import carousel.layers` there, which registers the operators.

The device of the rows decides which engine runs a scan (`register`). A scan that nothing watches calls the engine
directly, through `_Eager`, because torch's dispatcher costs about 0.1 ms a call.
"""

from __future__ import annotations

import array
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from carousel.engines import flops, onnx_table, padded
from carousel.engines.autograd import gradients, remember
from carousel.engines.call import Given, Inputs, Runner, Upstream, check, empty_emitted
from carousel.engines.inside_torch import becomes_a_graph, is_jit_traced, operators_are_watched
from carousel.program import Program, notation
from carousel.program.sharing import made_once

_runners: dict[str, Runner] = {}
_programs: dict[str, Program] = {}

# The arguments of each operator, in the order of `Inputs`; the program stands before the last two.
# streams may be None, because AOTInductor passes None for an empty list of tensors.
GIVEN = (
    "Tensor x, Tensor[] states, Tensor[] parameters, Tensor[]? streams, Tensor batch_sizes, str program, bool reverse,"
    " bool bfloat16"
)
_library = torch.library.Library("carousel", "DEF")
_library.define(f"scan({GIVEN}, bool keep) -> (Tensor[], Tensor[], Tensor)")
_library.define(
    f"scan_backward({GIVEN}, Tensor outputs, Tensor saved, Tensor[] grad_emitted, Tensor[] grad_last, bool[] wanted)"
    " -> Tensor[]"
)


def register(device: str, runner: Runner) -> None:
    """Makes `runner` run the scans on a device, "cpu" for example."""
    _runners[device] = runner
    _library.impl("scan", _scan, device.upper())
    _library.impl("scan_backward", _scan_backward, device.upper())


@made_once(1024)
def key_of(program: Program) -> str:
    """The text of a program, by which the operators find the program again."""
    key = notation.write(program)
    _programs.setdefault(key, program)
    return key


def program_of(key: str) -> Program:
    if key not in _programs:
        _programs[key] = notation.read(key)
    return _programs[key]


def _inputs(
    x: Tensor, states: Any, parameters: Any, streams: Any, sizes: Any, key: str, reverse: bool, bfloat16: bool
) -> Inputs:
    """Makes `Inputs` from the arguments of an operator, which GIVEN lists."""
    return Inputs(program_of(key), x, states, parameters, streams or [], sizes, reverse, bfloat16)


def _as_given(given: Inputs) -> tuple[Any, ...]:
    """The arguments of an operator for these inputs."""
    program, x, states, parameters, streams, sizes, reverse, bfloat16 = given
    return x, list(states), list(parameters), list(streams), sizes, key_of(program), reverse, bfloat16


# The operators, and their fake implementations for compilers. The schemas above list the arguments.


def _scan(*arguments: Any) -> Given:
    given, keep = _inputs(*arguments[:-1]), arguments[-1]
    return padded.forward(_runners[given.x.device.type], given, keep)


def _fake_scan(*arguments: Any) -> Given:
    onnx_table.require()
    given, keep = _inputs(*arguments[:-1]), arguments[-1]
    x = given.x
    saved = x.new_empty(x.shape[0] * _runners[x.device.type].saved(given, keep))
    return empty_emitted(x, given.sizes), [s.new_empty(s.shape) for s in given.states], saved


def _scan_backward(*arguments: Any) -> list[Tensor]:
    given, upstream, wanted = _inputs(*arguments[:-5]), Upstream(*arguments[-5:-1]), arguments[-1]
    made = padded.backward(_runners[given.x.device.type], given, upstream, wanted)
    return [given.x.new_empty(0) if g is None else g for g in made]


def _fake_scan_backward(*arguments: Any) -> list[Tensor]:
    given, wanted = _inputs(*arguments[:-5]), arguments[-1]
    x, tensors = given.x, given.tensors
    return [t.new_empty(t.shape) if want else x.new_empty(0) for t, want in zip(tensors, wanted, strict=True)]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    emitted, _, saved = output
    remember(ctx, _inputs(*inputs[:-1]), emitted[0], saved, inputs[-1])
    ctx.mark_non_differentiable(saved)


def _backward(ctx: Any, grad_emitted: list[Tensor], grad_last: list[Tensor], _: Any) -> Any:
    a, b = ctx.counts
    need_x, need_states, need_parameters, need_streams, *others = ctx.needs_input_grad
    count = len(ctx.scan[0].streams)
    wanted = [need_x, *_each(need_states, a - 1), *_each(need_parameters, b - a), *_each(need_streams, count)]

    def run(given: Inputs, upstream: Upstream, wanted: Sequence[bool]) -> list[Tensor]:
        outputs, saved, *of_results = upstream
        arguments = (*_as_given(given), outputs, saved, *map(list, of_results), list(wanted))
        return torch.ops.carousel.scan_backward.default(*arguments)

    found = gradients(ctx, _runners[ctx.saved_tensors[0].device.type], run, grad_emitted, grad_last, wanted)
    return found[0], found[1:a], found[a:b], found[b:], *(None for _ in others)


def _each(needs: Any, count: int) -> list[bool]:
    return list(needs) if isinstance(needs, (list, tuple)) else [bool(needs)] * count


class _Eager(torch.autograd.Function):
    """The same scan without torch's dispatcher. Its tensors come twice: in `given`, and one by one for autograd."""

    @staticmethod
    def forward(ctx: Any, runner: Runner, given: Inputs, *tensors: Tensor) -> Any:
        del tensors
        emitted, last, saved = runner.forward(given, True)
        remember(ctx, given, emitted[0], saved, keep=True)
        ctx.runner = runner
        return (*emitted, *last)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        count = len(ctx.scan[0].emitted)
        wanted = list(ctx.needs_input_grad[2:])
        return None, None, *gradients(ctx, ctx.runner, ctx.runner.backward, upstream[:count], upstream[count:], wanted)


def scan(given: Inputs, key: str) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Runs a scan: through the operator if something watches operators, else directly.

    Returns the emitted values and the last states.
    key: the text of the program, an argument so that a compiler need not trace how the text is made.
    """
    _, x, states, parameters, streams, batch_sizes, reverse, bfloat16 = given
    tensors = (x, *states, *parameters, *streams)
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    keep = keep or is_jit_traced()  # a trace may later run with gradients
    # A call outside a graph may have the layout for a compiler, in which batch_sizes is a tensor.
    if isinstance(batch_sizes, Tensor) or becomes_a_graph() or is_watched(tensors):
        # For one step of a cell it is one number, which a graph records as a size.
        if not isinstance(batch_sizes, Tensor) and len(batch_sizes) == 1:
            batch_sizes = torch.full((1,), batch_sizes[0], device=x.device)
        sizes = torch.as_tensor(batch_sizes, dtype=torch.int64, device=x.device)
        emitted, last, _ = torch.ops.carousel.scan.default(
            x, list(states), parameters, streams, sizes, key, reverse, bfloat16, keep
        )
        return tuple(emitted), tuple(last)
    given = given._replace(batch_sizes=torch.frombuffer(array.array("q", batch_sizes), dtype=torch.int64))
    check(given, batch_sizes)
    return run(_runners[x.device.type], given, keep)


def run(runner: Runner, given: Inputs, keep: bool) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """A scan that nothing watches and whose inputs are checked: what it emits, and its last states."""
    if not keep:
        emitted, last, _ = runner.forward(given, False)
        return tuple(emitted), tuple(last)
    made = _Eager.apply(runner, given, *given.tensors)
    count = len(given.program.emitted)
    return made[:count], made[count:]


def is_watched(tensors: Sequence[Tensor]) -> bool:
    """Whether a tensor belongs to a subclass, which may have no memory, or a mode intercepts every operator."""
    return any(type(t) not in (Tensor, torch.nn.Parameter) for t in tensors) or operators_are_watched()


torch.library.register_fake("carousel::scan", _fake_scan, lib=_library)
torch.library.register_fake("carousel::scan_backward", _fake_scan_backward, lib=_library)
torch.library.register_autograd("carousel::scan", _backward, setup_context=_setup, lib=_library)
flops.register(program_of)
