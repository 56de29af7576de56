"""Makes each layer one node in graphs of torch.fx, as torch.nn's layers are."""

from __future__ import annotations

from typing import Any

from torch import fx, nn


def as_leaf(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """The node for a call of the module, whose first argument is a proxy.

    torch.fx makes nodes of torch.nn's layers by the module that they come from. It would trace into other layers, and
    fail at their branches. Raises RuntimeError if the module itself is the root of the trace.
    """
    tracer = args[0].tracer
    if getattr(tracer, "root", None) is module:
        name = type(module).__name__
        raise RuntimeError(
            f"{name}: torch.fx traces what stands around a layer, and this one stands alone; trace a module that has "
            "it as a part, nn.Sequential(layer) for one"
        )
    return tracer.create_proxy("call_module", tracer.path_of_module(module), args, kwargs)


def is_proxy(value: object) -> bool:
    return isinstance(value, fx.Proxy)
