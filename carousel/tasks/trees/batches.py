"""Shuffled batches of trees, which count nodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from carousel.training.batches import ShuffledBatches


class NodeBatches(ShuffledBatches):
    """Batches of `batch` trees, as `ShuffledBatches`, whose units are nodes. sizes: how many nodes each tree has."""

    def __init__(
        self, sizes: np.ndarray, batch: int, loss: Callable[[nn.Module, torch.Tensor], torch.Tensor], *, seed: int
    ) -> None:
        self._sizes = torch.from_numpy(sizes)
        super().__init__(len(sizes), batch, loss, seed=seed)

    @property
    def units_read(self) -> int:
        return self.epoch * self.units_per_epoch + int(self._sizes[self._order[: self.position]].sum())

    @property
    def units_per_epoch(self) -> int:
        return int(self._sizes.sum())
