"""How the networks of the course learn: any layer with a head, Adam, clipped gradients, a fresh batch every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import carousel


class Network(nn.Module):
    """A recurrent layer and its head, y_t = V h_t + C: (T, B, I) -> (T, B, outputs), and the layer's last states."""

    def __init__(self, layer: carousel.Recurrent, outputs: int) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(layer.hidden_size * (1 + layer.bidirectional), outputs)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        output, state = self.layer(x, state)
        return self.head(output), state


def learn(
    network: nn.Module,
    loss: Callable[[], Tensor],
    steps: int,
    *,
    rate: float = 0.01,
    clip: float = 1.0,
    enough: Callable[[], bool] | None = None,
) -> int:
    """Lowers `loss()`, a new batch at each call, by Adam for so many steps; how many it took.

    enough: asked at every 50th step; True ends the learning.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss().backward()
        nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimizer.step()
        if enough is not None and step % 50 == 0 and enough():
            return step
    return steps


def layer_of(name: str, inputs: int, hidden: int, longest: int | None = None) -> carousel.Recurrent:
    """A layer by the name that the course gives it, initialised as one would who wants it to remember.

    RNN: U orthogonal. Gated cells: a forget bias of 1 (GRU: as torch draws it), or, where it is known over how many
    steps something is to be remembered, chrono, which spreads their time constants up to `longest`.
    """
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "RNN": (carousel.RNN, {}),
        "LSTM": (carousel.LSTM, {}),
        "GRU": (carousel.GRU, {}),
        "peephole LSTM": (carousel.LSTM, {"peepholes": "all"}),
        "coupled LSTM": (carousel.LSTM, {"coupled": True}),
    }
    face, options = kinds[name]
    layer: carousel.Recurrent = face(inputs, hidden, **options)
    if name == "RNN":
        layer.initialize("orthogonal")
    elif longest is not None:
        layer.initialize("chrono", longest=longest)
    elif name != "GRU":
        layer.initialize("forget-bias")
    return layer


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
