"""Layers in graphs of torch.fx: one node each, as torch.nn's own are."""

from __future__ import annotations

from typing import Any

from torch import fx, nn


def as_leaf(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """The node of a call of the module, whose first argument is a proxy: what a tracer does with torch.nn's layers.

    torch.fx knows those by the place they are imported from; any other it would look into, and find decisions there.
    Raises RuntimeError where the module is all that is traced.
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
