"""Batches of one long sequence: truncated backpropagation through time over stateful lanes."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from carousel.training import carry
from carousel.training.checkpoint import require_state_like
from carousel.training.lanes import Lanes


class LaneBatches:
    """A batch is one window of every lane. The model reads it from the state s after the window before:

        y, s' = model(window, s)
        loss = mean cross-entropy of y against the next symbols                    (nats per token)

    Gradients go back to the first step of the window and no further; the carry is s', detached.
    """

    def __init__(self, lanes: Lanes, device: torch.device | str = "cpu") -> None:
        self.lanes = lanes
        self.device = torch.device(device)
        self.state: Any = None

    @property
    def steps_per_epoch(self) -> int:
        return self.lanes.windows_per_epoch

    @property
    def units_read(self) -> int:
        return self.lanes.tokens_read

    @property
    def units_per_epoch(self) -> int:
        return self.lanes.tokens_per_epoch

    def next_loss(self, model: nn.Module) -> torch.Tensor:
        window = self.lanes.next(self.device)
        scores, state = model(window.inputs, None if window.fresh else self.state)
        self.state = carry.detach(state)
        return functional.cross_entropy(scores.flatten(0, 1), window.targets.flatten())

    def state_dict(self) -> dict[str, Any]:
        return {"lanes": self.lanes.state_dict(), "carry": carry.move(self.state, torch.device("cpu"))}

    @torch.no_grad()
    def check_state_dict(self, saved: Any, model: nn.Module) -> None:
        if not isinstance(saved, dict) or saved.keys() != {"lanes", "carry"}:
            raise ValueError("lessons holds no lanes and no state carried between their windows")
        self.lanes.check_state_dict(saved["lanes"])
        with torch.random.fork_rng(devices=[]):
            _, after = model(torch.zeros(1, self.lanes.lanes, dtype=torch.int64, device=self.device))
        if saved["carry"] is not None or saved["lanes"]["position"]:  # before the first window there is no state
            require_state_like("lessons.carry", saved["carry"], after)

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.lanes.load_state_dict(saved["lanes"])
        self.state = carry.move(saved["carry"], self.device)
