"""The carry: a recurrent state handed from one window to the next.

A state is None (a fresh start), a tensor, a number, or a tuple, a list or a mapping of states.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch


def detach(state: Any) -> Any:
    """The same values without their graph: gradients stop here, and the state goes on.

    Raises TypeError for what is no state.
    """
    return _of_each(state, torch.Tensor.detach)


def move(state: Any, device: torch.device) -> Any:
    """The same state on another device. Raises TypeError for what is no state."""
    return _of_each(state, lambda tensor: tensor.to(device))


def tensors(state: Any) -> list[torch.Tensor]:
    """All tensors in a state. Raises TypeError for what is no state."""
    parts: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        parts.append(tensor)
        return tensor

    _of_each(state, keep)
    return parts


def _of_each(state: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The state with each of its tensors changed. Tuples, lists and mappings keep their kind."""
    if isinstance(state, torch.Tensor):
        return change(state)
    if state is None or isinstance(state, bool | int | float):
        return state
    if isinstance(state, Mapping):
        return {name: _of_each(part, change) for name, part in state.items()}
    if isinstance(state, tuple | list):
        parts = [_of_each(part, change) for part in state]
        if hasattr(state, "_fields"):  # a named tuple is made from its fields, one by one
            return type(state)(*parts)
        return parts if isinstance(state, list) else tuple(parts)
    raise TypeError(
        f"A state that is carried on must be None, a Tensor, a number, or a tuple, a list or a mapping of these, "
        f"but a {type(state).__name__} was given. Hand on its tensors instead."
    )
