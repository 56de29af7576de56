"""Lessons from one long sequence: truncated backpropagation through time over stateful lanes."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from carousel.training import carry
from carousel.training.lanes import Lanes


class Reading:
    """A lesson is one window of every lane, read from the state s that the window before left:

        y, s' = model(window, s)
        loss = mean cross-entropy of y against the symbols that came next          (nats per token)

    Gradients go back to the window's first step and no further; the carry is s', detached.
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

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.lanes.load_state_dict(saved["lanes"])
        self.state = carry.move(saved["carry"], self.device)
