"""What the steps of a training learn from."""

from typing import Any, Protocol

import torch
from torch import nn


class BatchSource(Protocol):
    """Batches of data in a fixed order, each with the loss on it.

    Lessons of Carousel's own also have `check_state_dict(saved, model)`, which changes nothing, and raises ValueError,
    naming the entry, for what their `state_dict` cannot have given while that model learnt from them.

    What is asked at a step depends on the number of steps before it and on nothing else, so that a training that
    was stopped goes on as if it had not been.
    """

    @property
    def steps_per_epoch(self) -> int:
        """Lessons in one time over the data."""

    @property
    def units_read(self) -> int:
        """Tokens, examples or the like learnt from since the start, over all epochs."""

    @property
    def units_per_epoch(self) -> int: ...

    def next_loss(self, model: nn.Module) -> torch.Tensor:
        """The mean loss on the next batch, to be differentiated."""

    def state_dict(self) -> dict[str, Any]:
        """Where the next lesson begins, in tensors, numbers, strings and containers of them."""

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Raises ValueError, and changes nothing, where `saved` is of other lessons."""
