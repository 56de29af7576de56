"""Where a training gets its batches from."""

from typing import Any, Protocol

import torch
from torch import nn


class BatchSource(Protocol):
    """Batches of data in a fixed order, each with the loss of a model on it.

    The batch of a training step depends only on the number of steps before it, so that a resumed training computes
    what it would have computed without the stop.

    A source may also have `check_state_dict(saved, model)`, which changes nothing. It raises ValueError, and names the
    entry, for a state that its `state_dict` cannot have returned while that model was trained.
    """

    @property
    def steps_per_epoch(self) -> int:
        """How many batches one pass over the data takes."""

    @property
    def units_read(self) -> int:
        """How many units (tokens, examples or the like) were read since the start, over all epochs."""

    @property
    def units_per_epoch(self) -> int:
        """How many units one epoch has."""

    def next_loss(self, model: nn.Module) -> torch.Tensor:
        """The mean loss of the model on the next batch, a scalar with a graph."""

    def state_dict(self) -> dict[str, Any]:
        """Where the next batch begins, in tensors, numbers, strings and containers of them."""

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Goes to a saved position. Raises ValueError, and changes nothing, where `saved` is of another source."""
