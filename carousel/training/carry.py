"""The carry: a recurrent state handed from one window to the next.

A state is None (a fresh start), a tensor, or a tuple of states.
"""

from typing import Any

import torch


def detach(state: Any) -> Any:
    """The same values, cut off from the steps that made them: gradients stop here, memory goes on."""
    if state is None:
        return None
    if isinstance(state, torch.Tensor):
        return state.detach()
    return tuple(detach(part) for part in state)


def move(state: Any, device: torch.device) -> Any:
    """The same state on another device."""
    if state is None:
        return None
    if isinstance(state, torch.Tensor):
        return state.to(device)
    return tuple(move(part, device) for part in state)
