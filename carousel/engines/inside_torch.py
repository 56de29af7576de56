"""What torch offers under private names: all of it that Carousel uses, to be mended here when torch renames it.

`tests/test_architecture.py` holds the rest of the package to torch's public names.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

_EXPANDED = "torch.nn.utils._expanded_weights"
F = TypeVar("F", bound=Callable[..., object])


def same_at_every_call(function: F) -> F:
    """As torch.compiler.assume_constant_result: a compiler calls it once, and does not look inside.

    That one imports the compiler, which takes longer than importing all of Carousel.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def is_transformed() -> bool:
    """Whether torch.func transforms or forward-mode derivatives are at work, which need every op to be torch's own."""
    return torch._C._functorch.maybe_current_level() is not None or forward_ad._current_level >= 0


def is_batched(t: Tensor) -> bool:
    """Whether it is several tensors at once, of vmap or is_grads_batched, without memory of its own."""
    if torch._C._functorch.is_legacy_batchedtensor(t):
        return True
    while torch._C._functorch.is_functorch_wrapped_tensor(t):  # one transform within another
        if torch._C._functorch.is_batchedtensor(t):
            return True
        t = torch._C._functorch.get_unwrapped(t)
    return False


def are_of_samples(tensors: Iterable[Tensor]) -> bool:
    """Whether any of them is a weight of which torch keeps the gradient of each row of a batch apart."""
    if is_compiled() or _EXPANDED not in sys.modules:
        return False
    # Another thread may be importing it right now: then there is no such weight yet.
    kind = getattr(sys.modules[_EXPANDED], "ExpandedWeight", None)
    return kind is not None and any(isinstance(t, kind) for t in tensors)


def is_jit_traced() -> bool:
    """Whether torch.jit.trace writes down what runs, to run it on other sizes and values; not for an ONNX file."""
    if not torch.jit.is_tracing():
        return False
    exports = getattr(sys.modules.get("torch.onnx"), "is_in_onnx_export", None)
    return exports is None or not exports()


def becomes_a_graph() -> bool:
    """Whether what runs will run again on other sizes and values: torch.compile, torch.export or torch.jit.trace."""
    return is_compiled() or is_jit_traced()


def is_compiled() -> bool:
    """Whether this thread's call is one that torch.compile or torch.export looks at.

    `torch.compiler.is_compiling` is true of the whole process while one thread compiles. Dynamo answers for itself, and
    an export that it does not trace watches the operators of its own thread.
    """
    return torch.compiler.is_dynamo_compiling() or (torch.compiler.is_compiling() and operators_are_watched())


def operators_are_watched() -> bool:
    """Whether a mode looks at every operator or function that is called: a tracer's, a profiler's, fake tensors'."""
    return torch._C._len_torch_dispatch_stack() > 0 or torch._C._len_torch_function_stack() > 0


def autocast_is_on() -> bool:
    """On any device."""
    return torch._C._is_any_autocast_enabled()


def is_plain_call() -> bool:
    """Whether a call here and now is one without gradients that nothing watches, transforms, compiles or casts."""
    return not (
        torch.is_grad_enabled()
        or is_compiled()
        or operators_are_watched()
        or is_transformed()
        or autocast_is_on()
        or torch.jit.is_tracing()
    )


class Writes:
    """Counts the writes to a tensor, without its memory: a graph that keeps this does not keep the tensor alive."""

    def __init__(self, watched: Tensor):
        self._counter = watched.detach()  # the two share one counter
        if not operators_are_watched():  # a mode may not know how `data` is set
            self._counter.data = watched.new_empty(0)  # which this leaves as it is
        self._before = self._counter._version

    def happened(self) -> bool:
        return self._counter._version != self._before
