"""All uses of torch's private names. If torch renames one, only this file must change.

`tests/test_architecture.py` checks that the rest of the package uses torch's public names alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

_EXPANDED = "torch.nn.utils._expanded_weights"
F = TypeVar("F", bound=Callable[..., object])


def same_at_every_call(function: F) -> F:
    """As torch.compiler.assume_constant_result: a compiler calls the function once, and does not trace it.

    torch's own decorator imports the compiler, which takes longer than the import of all of Carousel.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def never_traced(why: str) -> Callable[[F], F]:
    """As torch.compiler.disable: a compiler's graph ends before the function. With fullgraph=True it says why.

    torch's own decorator imports the compiler; here that waits until somebody else has.
    """

    def marked(function: F) -> F:
        @wraps(function)
        def outside(*arguments: object) -> object:
            if "torch._dynamo" in sys.modules:
                return torch.compiler.disable(function, reason=why)(*arguments)
            return function(*arguments)

        outside._torchdynamo_disable = True  # type: ignore[attr-defined]
        outside._torchdynamo_disable_msg = why  # type: ignore[attr-defined]
        return outside  # type: ignore[return-value]

    return marked


def is_transformed() -> bool:
    """Whether a torch.func transform or forward-mode differentiation is active. Both need ops of torch."""
    return torch._C._functorch.maybe_current_level() is not None or forward_ad._current_level >= 0


def is_batched(t: Tensor) -> bool:
    """Whether a tensor stands for several, as in vmap and is_grads_batched. It then has no memory of its own."""
    if torch._C._functorch.is_legacy_batchedtensor(t):
        return True
    while torch._C._functorch.is_functorch_wrapped_tensor(t):  # transforms may be nested
        if torch._C._functorch.is_batchedtensor(t):
            return True
        t = torch._C._functorch.get_unwrapped(t)
    return False


def are_of_samples(tensors: Iterable[Tensor]) -> bool:
    """Whether any tensor is a weight whose gradient torch keeps for each sample (`call_for_per_sample_grads`)."""
    if is_compiled() or _EXPANDED not in sys.modules:
        return False
    # If another thread is importing the module at this moment, no such weight exists yet.
    kind = getattr(sys.modules[_EXPANDED], "ExpandedWeight", None)
    return kind is not None and any(isinstance(t, kind) for t in tensors)


def is_jit_traced() -> bool:
    """Whether torch.jit.trace records this call, to run it with other sizes and values. False for an ONNX file."""
    if not torch.jit.is_tracing():
        return False
    exports = getattr(sys.modules.get("torch.onnx"), "is_in_onnx_export", None)
    return exports is None or not exports()


def becomes_a_graph() -> bool:
    """Whether torch.compile, torch.export or torch.jit.trace records this call, to run it with other values."""
    return is_compiled() or is_jit_traced()


def is_compiled() -> bool:
    """Whether torch.compile or torch.export traces this thread's call.

    `torch.compiler.is_compiling` is true in all threads while one of them compiles. Dynamo's own flag is exact, and an
    export without Dynamo watches the operators of its own thread.
    """
    return torch.compiler.is_dynamo_compiling() or (torch.compiler.is_compiling() and operators_are_watched())


def operators_are_watched() -> bool:
    """Whether a mode intercepts every operator or function: that of a tracer, of a profiler or of fake tensors."""
    return torch._C._len_torch_dispatch_stack() > 0 or torch._C._len_torch_function_stack() > 0


def autocast_is_on() -> bool:
    """Whether autocast is active on any device."""
    return torch._C._is_any_autocast_enabled()


def is_plain_call() -> bool:
    """Whether nothing watches, transforms, compiles or casts a call at this moment."""
    return not (
        is_compiled() or operators_are_watched() or is_transformed() or autocast_is_on() or torch.jit.is_tracing()
    )


class Writes:
    """Counts the writes to a tensor without holding its memory, so that a graph may keep this object cheaply."""

    def __init__(self, watched: Tensor):
        self._counter = watched.detach()  # the two share one counter
        if not operators_are_watched():  # a mode may not support setting `data`
            self._counter.data = watched.new_empty(0)  # the counter stays
        self._before = self._counter._version

    def happened(self) -> bool:
        return self._counter._version != self._before
