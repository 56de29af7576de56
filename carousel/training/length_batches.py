"""Batches of examples of like lengths, so that little of a batch is padding."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from carousel.training.batches import ShuffledBatches

POOL = 50  # batches among which lengths are sorted: the order within an epoch stays random


class LengthBatches(ShuffledBatches):
    """As `ShuffledBatches`, but an epoch's random order is cut into pools of 50 batches, the examples of a pool are
    sorted by length, and the batches are shuffled again.

    lengths: (count, n), by which examples are sorted: by the first column, then by the second, and so on. weights: how
    many units each example counts as, (count,); symbols of its target, for example. Others: as there.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        weights: np.ndarray,
        batch: int,
        loss: Callable[[nn.Module, torch.Tensor], torch.Tensor],
        *,
        seed: int,
    ) -> None:
        self._lengths, self._weights = lengths, weights
        super().__init__(len(lengths), batch, loss, seed=seed)

    @property
    def units_read(self) -> int:
        return self.epoch * self.units_per_epoch + int(self._weights[self._order[: self.position].numpy()].sum())

    @property
    def units_per_epoch(self) -> int:
        return int(self._weights.sum())

    def _shuffled(self) -> torch.Tensor:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.count)
        for start in range(0, self.count, POOL * self.batch):
            pool = order[start : start + POOL * self.batch]
            order[start : start + POOL * self.batch] = pool[np.lexsort(self._lengths[pool].T[::-1])]
        whole = self.count // self.batch * self.batch  # the last batch may be smaller, and stays the last
        batches = order[:whole].reshape(-1, self.batch)
        order[:whole] = batches[rng.permutation(len(batches))].ravel()
        return torch.from_numpy(order)
