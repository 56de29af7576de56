"""Batches of separate examples, shuffled: every example once an epoch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from carousel.training.checkpoint import require_count


class ShuffledBatches:
    """Batches of `batch` out of `count` examples; the last batch of an epoch may be smaller.

    loss(model, indices): the mean loss of the model on the examples with these indices, (batch,) int64.
    seed: the order of an epoch follows from the seed and the number of the epoch alone, so that the position in it is
    the whole state. sizes: how many units (words, say) each example is, (count,); default: an example is one.

    Raises ValueError without examples.
    """

    def __init__(
        self,
        count: int,
        batch: int,
        loss: Callable[[nn.Module, torch.Tensor], torch.Tensor],
        *,
        seed: int,
        sizes: np.ndarray | None = None,
    ) -> None:
        if count < 1 or batch < 1:
            raise ValueError(f"batches need examples: {count} in batches of {batch}")
        self.count = count
        self.batch = min(batch, count)
        self.seed = seed
        self.epoch = 0
        self.position = 0
        self.sizes = torch.ones(count, dtype=torch.int64) if sizes is None else torch.from_numpy(sizes)
        self._loss = loss
        self._order = self._shuffled()

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.count // self.batch)

    @property
    def units_read(self) -> int:
        return self.epoch * self.units_per_epoch + int(self.sizes[self._order[: self.position]].sum())

    @property
    def units_per_epoch(self) -> int:
        return int(self.sizes.sum())

    def next_loss(self, model: nn.Module) -> torch.Tensor:
        indices = self._order[self.position : self.position + self.batch]
        self.position += len(indices)
        if self.position == self.count:
            self.position = 0
            self.epoch += 1
            self._order = self._shuffled()
        return self._loss(model, indices)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count, "batch": self.batch, "epoch": self.epoch, "position": self.position}

    def check_state_dict(self, saved: Any, model: nn.Module | None = None) -> None:  # noqa: ARG002
        if not isinstance(saved, dict) or not {"count", "batch"} <= saved.keys():
            raise ValueError("lessons is no position among examples")
        if (saved["count"], saved["batch"]) != (self.count, self.batch):
            raise ValueError(
                f"lessons is a position among {saved['count']} examples in batches of {saved['batch']}, "
                f"and this run has {self.count} in batches of {self.batch}"
            )
        require_count("lessons.epoch", saved.get("epoch"))
        if require_count("lessons.position", saved.get("position"), most=self.count - 1) % self.batch:
            raise ValueError(f"lessons.position is {saved['position']}, and no batch of {self.batch} begins there")

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.check_state_dict(saved)
        self.epoch, self.position = saved["epoch"], saved["position"]
        self._order = self._shuffled()

    def _shuffled(self) -> torch.Tensor:
        return torch.from_numpy(np.random.default_rng([self.seed, self.epoch]).permutation(self.count))
