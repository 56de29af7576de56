"""The carry: a recurrent state handed from one window to the next.

A state is None (a fresh start), a tensor, a number, or a tuple, a list or a mapping of states.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch


def detach(state: Any) -> Any:
    """The same values, cut off from the steps that made them: gradients stop here, memory goes on.

    Raises TypeError for what is no state.
    """
    return _of_each(state, torch.Tensor.detach)


def move(state: Any, device: torch.device) -> Any:
    """The same state on another device. Raises TypeError for what is no state."""
    return _of_each(state, lambda tensor: tensor.to(device))


def tensors(state: Any) -> list[torch.Tensor]:
    """The tensors that a state is made of. Raises TypeError for what is no state."""
    found: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        found.append(tensor)
        return tensor

    _of_each(state, keep)
    return found


def _of_each(state: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The state with each of its tensors changed; what holds them stays what it was."""
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
