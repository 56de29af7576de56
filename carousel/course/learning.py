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


def store(steps: int, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """A stream of numbers with orders: write (keep this number), erase, show. Gives x (T, B, 4), what is stored after
    each step (T, B), and what is to be answered: the stored number where "show" stands, else 0."""
    x = torch.zeros(steps, batch, 4)
    x[..., 0] = 2 * torch.rand(steps, batch) - 1
    order = torch.rand(steps, batch)
    x[..., 1], x[..., 2], x[..., 3] = order < 0.1, (order >= 0.1) & (order < 0.15), order > 0.75
    held, stored = torch.zeros(batch), []
    for number, write, erase, _ in x.permute(0, 2, 1):
        held = torch.where(write > 0, number, held * (1 - erase))
        stored.append(held)
    kept = torch.stack(stored)
    return x, kept, kept * x[..., 3]


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def store_network(seed: int, steps: int) -> Network:
    """An LSTM of 8 units that has learnt so many steps to answer the orders of `store`."""
    torch.manual_seed(seed)
    network = Network(layer_of("LSTM", 4, 8), 1)

    def loss() -> Tensor:
        x, _, answer = store(40, 64)
        return (network(x)[0][..., 0] - answer).square().mean()

    learn(network, loss, steps)
    return network
