"""Batches of pieces of a text, for a model that reads each piece from both sides."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from carousel.training.batches import ShuffledBatches


class PieceBatches(ShuffledBatches):
    """Cuts a text of n symbols into pieces of `window` symbols, and reads `lanes` of them in each training step.

    In every epoch the pieces begin at another place, drawn from the seed and the epoch, so that no word always lies at
    the end of a piece, where one side says nothing. An epoch therefore leaves out less than two pieces of the text.

    loss(model, symbols): the mean loss on a batch of pieces, (window, lanes) int64.
    """

    def __init__(
        self,
        tokens: np.ndarray,
        *,
        lanes: int,
        window: int,
        loss: Callable[[nn.Module, Tensor], Tensor],
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.tokens, self.window, self.device = tokens, window, torch.device(device)
        count = pieces_in(len(tokens), window)
        self._start = 0
        super().__init__(
            count, lanes, lambda model, chosen: loss(model, self._read(chosen)), seed=seed, sizes=np.full(count, window)
        )

    def next_loss(self, model: nn.Module) -> Tensor:
        # Before the last batch of an epoch counts the epoch up.
        spare = len(self.tokens) - self.count * self.window
        self._start = int(np.random.default_rng([self.seed, self.epoch, 1]).integers(spare + 1))
        return super().next_loss(model)

    def _read(self, chosen: Tensor) -> Tensor:
        """The pieces with these numbers, (window, lanes)."""
        starts = self._start + chosen.numpy() * self.window
        places = starts + np.arange(self.window)[:, None]
        return torch.from_numpy(self.tokens[places].astype(np.int64)).to(self.device)


def pieces_in(tokens: int, window: int) -> int:
    """How many pieces an epoch reads: all but one, which leaves room for them to begin at another place."""
    return max(1, tokens // window - 1)
