"""Linear interpolation of sequences between their steps."""

import torch
from torch import Tensor


def read_at(values: Tensor, place: Tensor) -> Tensor:
    """Interpolates values (K, B) or (K, B, C) at places (T, B) between 0 and K - 1. Returns (T, B) or (T, B, C)."""
    below = place.floor().long().clamp(0, len(values) - 1)
    above = (below + 1).clamp(max=len(values) - 1)
    share = (place - below).to(values.dtype)
    if values.dim() == 3:
        shape = (*place.shape, values.shape[2])
        below, above, share = (one.unsqueeze(-1).expand(shape) for one in (below, above, share))
    return torch.lerp(values.gather(0, below), values.gather(0, above), share)


def stretched(e: Tensor, lengths: Tensor, points: int) -> tuple[Tensor, Tensor]:
    """Interpolates each sequence of e, (T, B, C), at `points` evenly spaced places from its first step to its last.

    Also returns the new lengths: `points`, or 0 for a sequence without steps.
    """
    last = (lengths.to(e.device) - 1).clamp(min=0)
    place = torch.linspace(0, 1, points, device=e.device, dtype=torch.float64).unsqueeze(-1) * last
    return read_at(e, place), torch.where(lengths > 0, points, 0)
